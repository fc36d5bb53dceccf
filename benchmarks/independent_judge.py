"""How good digits look to a classifier that had no part in training or in the shipped metrics.

    python benchmarks/independent_judge.py runs/stylegan/checkpoints/last.ckpt

It trains a small classifier of another architecture on 4,500 of the digits (half a minute), and compares 2,500 samples
of the checkpoint with all 5,000 digits by its penultimate features: the Fréchet distance, the same between two halves
of the digits, and how often it is sure of a sample's class.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lightning_gan.data.digits import load_digits
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics import frechet_distance, gaussian
from lightning_gan.models import StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes

SAMPLES = 2500


def train_judge(images: Tensor, labels: Tensor, *, epochs: int) -> nn.Sequential:
    """A convolutional classifier; the last layer makes logits of 64 features."""
    judge = nn.Sequential(
        nn.Conv2d(1, 24, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(24, 48, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48 * 8 * 8, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    adam = torch.optim.Adam(judge.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(50):
            adam.zero_grad()
            cross_entropy(judge(images[rows]), labels[rows]).backward()
            adam.step()
    return judge.eval()


@torch.no_grad()
def sampled(module: GAN) -> Tensor:
    """Samples as bytes, classes in turn where there are classes."""
    torch.manual_seed(0)  # of the noise in the network
    latents, labels = module.draw_latents(SAMPLES, seed=9)
    parts = [
        module.sample(latents[start : start + 250], None if labels is None else labels[start : start + 250])
        for start in range(0, SAMPLES, 250)
    ]
    return to_bytes(torch.cat(parts)).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a StyleGAN trained on the digits")
    checkpoint = parser.parse_args().checkpoint
    if not checkpoint.is_file():
        sys.exit(f"{checkpoint} does not exist; train one with: python cli.py fit --config stylegan.yaml")
    torch.manual_seed(77)
    images, labels = load_digits()
    order = torch.randperm(len(images))
    reals, labels = pad(images[order], (2, 2, 2, 2)).float() / 255, labels[order]
    judge = train_judge(reals[:4500], labels[:4500], epochs=10)
    fakes = sampled(StyleGAN.load_from_checkpoint(checkpoint))
    with torch.no_grad():
        accuracy = (judge(reals[4500:]).argmax(1) == labels[4500:]).float().mean().item()
        real, fake = judge[:-1](reals), judge[:-1](fakes)
        sure = [judge[-1](f).softmax(1).amax(1).gt(0.9).float().mean().item() for f in (real, fake)]
        classes = judge(fakes).argmax(1).bincount(minlength=10).tolist()
    floor = frechet_distance(gaussian(real[:SAMPLES]), gaussian(real[SAMPLES:])).item()
    distance = frechet_distance(gaussian(fake), gaussian(real)).item()
    print(f"judge's accuracy on 500 held-out digits   {accuracy:.3f}")
    print(
        f"Fréchet distance of {SAMPLES} samples         {distance:.2f} = {distance / floor:.1f} times {floor:.2f}, "
        "that of two halves"
    )
    print(f"sure (> 0.9) of reals, of samples         {sure[0]:.3f}, {sure[1]:.3f}")
    print(f"samples per class 0-9                     {classes}")


if __name__ == "__main__":
    main()
