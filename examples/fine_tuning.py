"""Begin a training with the weights of another one: other colours, and few images.

The game: a DCGAN learns warm spots on a dark ground. A second one for cold spots, of which there are few, begins with
the first one's weights. A third one begins from nothing, to compare.

Added from this package: `load_weights`, which copies what fits by name and shape, leaves the rest as it is, and returns
what it did. With other channels, classes or sizes, the first and last layers stay fresh, and of networks that grow
the resolutions that both have are copied. Clock, optimizers and schedules begin anew. It reads checkpoints, folders of
runs, exported folders and imported files.

To change for a real project: on the command line it is one option,
`python cli.py fit --config stylegan.yaml --images FEW --image_size 256 --weights runs/MANY`, also with weights that
`python cli.py import` has made of other projects' files. Give a lower learning rate than from nothing.
"""

import tempfile
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan import Training
from lightning_gan.callbacks import EMA, StopAtKimg
from lightning_gan.inference import load_weights
from lightning_gan.metrics import frechet_distance, gaussian
from lightning_gan.models import DCGAN
from lightning_gan.optimizers import GANAdam

SIZE, WIDTH = 16, 16


def blobs(count: int, *, warm: bool, seed: int) -> Tensor:
    """Images of one soft spot of random place and width in [-1, 1], red to yellow or green to blue."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    place = torch.rand(count, 2, 1, 1, generator=random) - 0.5
    width = 0.2 + 0.2 * torch.rand(count, 1, 1, generator=random)
    share = torch.rand(count, 1, 1, 1, generator=random)
    colour = torch.cat([torch.ones_like(share), share, torch.zeros_like(share)], dim=1)
    colour = 2 * (colour if warm else colour.flip(1))
    spots = torch.exp(-((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2) / (2 * width**2))
    return colour * spots[:, None] - 1


def new_model(seed: int) -> DCGAN:
    """A small DCGAN; models with one seed begin with equal weights."""
    torch.manual_seed(seed)
    return DCGAN(
        image_size=SIZE,
        image_channels=3,
        latent_dim=16,
        generator_width=WIDTH,
        discriminator_width=WIDTH,
        training=Training(
            generator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
            discriminator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
        ),
    )


def trained(model: DCGAN, images: Tensor, *, total_kimg: float) -> Trainer:
    """Train a model on images that are in memory; the trainer can save it."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[EMA(half_life_kimg=0.3), StopAtKimg(total_kimg=total_kimg)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, DataLoader(TensorDataset(images), batch_size=32, shuffle=True, drop_last=True))
    return trainer


def distance(model: DCGAN, real: Tensor) -> float:
    """The Fréchet distance of samples to real images, whose features are the means of 4x4 pixels."""
    features = [nn.functional.avg_pool2d(images, 4).flatten(1) for images in (model.sample(len(real), seed=0), real)]
    return frechet_distance(gaussian(features[0]), gaussian(features[1])).item()


def main(total_kimg: float = 8.0, few: int = 64) -> None:
    """Train on warm images, then on few cold ones with these weights and without, and print both distances.

    Args:
        total_kimg: thousands of warm images to train on; the others get an eighth of it.
        few: number of cold images that there are.
    """
    first, tuned, anew = new_model(seed=0), new_model(seed=1), new_model(seed=1)
    trainer = trained(first, blobs(1024, warm=True, seed=0), total_kimg=total_kimg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warm.ckpt"
        trainer.save_checkpoint(path)
        report = load_weights(tuned, path)
    print("\n".join(report.lines()))
    cold, unseen = blobs(few, warm=False, seed=1), blobs(1024, warm=False, seed=2)
    for name, model in (("with the weights of warm images", tuned), ("from nothing", anew)):
        trained(model, cold, total_kimg=total_kimg / 8)
        print(f"{name}, after {model.images_seen:,} cold images: distance {distance(model, unseen):.2f}")


if __name__ == "__main__":
    main()
