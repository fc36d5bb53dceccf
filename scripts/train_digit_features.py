"""Trains the digit features that the metrics use offline, and writes their weights into the package.

    python scripts/train_digit_features.py                  # about three minutes on one CPU core

It trains twice: on 4,000 of the 5,000 digits, to print the accuracy on the other 1,000, and on all of them, to keep.
Small rotations, scalings and shifts of the digits keep the features from depending on exact positions. A second network
redraws the digits from the features while these are trained: features that only had to name them would collapse to ten
points, and could not tell a generator's one way of writing a 4 from all the ways that people have.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, mse_loss, pad

from lightning_gan.data.digits import load_digits
from lightning_gan.metrics import DigitFeatures
from lightning_gan.metrics.digit_features import IMAGE_SIZE, NUMBER_OF_FEATURES, WEIGHTS

SEED = 0
EPOCHS = 40
REDRAWING_WEIGHT = 30.0
BATCH_SIZE = 100
HELD_OUT = 1000


def jittered(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """uint8 images, each rotated by up to 12 degrees, scaled by up to 10 % and shifted by up to 2 pixels."""
    count, size = len(images), images.shape[-1]
    uniform = 2 * torch.rand(4, count, generator=generator) - 1
    angle, scale = torch.deg2rad(12 * uniform[0]), 1 + 0.1 * uniform[1]
    shift = 2 * uniform[2:] * 2 / size
    rows = torch.stack([scale * angle.cos(), -scale * angle.sin(), shift[0]], dim=1)
    columns = torch.stack([scale * angle.sin(), scale * angle.cos(), shift[1]], dim=1)
    grid = affine_grid(torch.stack([rows, columns], dim=1), list(images.shape), align_corners=False)
    # The background of a digit is 0, which is what grid_sample pads with.
    return grid_sample(images.float(), grid, align_corners=False).round().byte()


def trained(images: Tensor, labels: Tensor) -> DigitFeatures:
    """A network trained on the images, in evaluation mode."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = DigitFeatures(pretrained=False).train()
    steps = EPOCHS * (len(images) // BATCH_SIZE)
    redraw = nn.Sequential(nn.GELU(), nn.Linear(NUMBER_OF_FEATURES, 256), nn.GELU(), nn.Linear(256, IMAGE_SIZE**2))
    optimizer = torch.optim.AdamW([*network.parameters(), *redraw.parameters()], weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            seen = jittered(images[batch], generator=generator)
            features = network(seen)
            loss = cross_entropy(network.classify_features(features), labels[batch])
            loss = loss + REDRAWING_WEIGHT * mse_loss(redraw(features), seen.flatten(1) / 255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def standardize(network: DigitFeatures, images: Tensor) -> None:
    """Gives every feature mean 0 and variance 1 over the unjittered images."""
    last = network.body[-1]
    linear = network.body[:-1](images.float() / 127.5 - 1)
    mean, deviation = linear.mean(0), linear.std(0)
    # The head was trained on the running statistics of jittered digits, so it follows the change of scale only roughly;
    # the accuracy below is measured after this change.
    last.running_mean.copy_(mean)
    last.running_var.copy_(deviation.square())


def accuracy(network: DigitFeatures, images: Tensor, labels: Tensor) -> float:
    """Share of images whose digit the network names."""
    with torch.no_grad():
        return (network.classify(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(str(WEIGHTS)), help="where the weights are written")
    output = parser.parse_args().output
    images, labels = load_digits()
    images = pad(images, [(IMAGE_SIZE - images.shape[-1]) // 2] * 4)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    held_out, kept = order[:HELD_OUT], order[HELD_OUT:]
    judge = trained(images[kept], labels[kept])
    standardize(judge, images[kept])
    share = accuracy(judge, images[held_out], labels[held_out])
    print(f"accuracy on {HELD_OUT} held-out digits: {share:.1%}", flush=True)
    network = trained(images, labels)
    standardize(network, images)
    state = network.state_dict()
    torch.save({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, output)
    print(f"accuracy on the {len(images)} digits it was trained on: {accuracy(network, images, labels):.1%}")
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB, {sum(p.numel() for p in network.parameters())} parameters")


if __name__ == "__main__":
    main()
