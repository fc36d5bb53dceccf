"""Two networks of your own in this package's loop, with R1 and averaged weights.

The game: the usual one. `GAN` owns the alternation of the players, the loss, both optimizers and the clock; the
networks are plain modules. The generator gets latents `batch latent` and returns images of about [-1, 1]; the critic
gets images and returns one raw score each, without a sigmoid. Here both are three convolutions on grey images of
16x16.

Added from this package: everything but the two networks and the data, which any DataLoader or LightningDataModule can
give as images, (images, labels) or a dictionary. The critic has no normalization over the batch, with which R1 would
mean something else.

To change for a real project: your networks and images, `ImageFolder(path=..., image_size=...)` for the loader, a
gamma of 0.0002 * resolution^2 / batch size to begin with, every_n_turns=16, half_life_kimg=10.0, and the callbacks
`SampleGrid`, `Evaluation` and `KimgCheckpoint`, which write files. With classes, give `number_of_classes`; both
networks then get the labels as second argument.
"""

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan import GAN, Training
from lightning_gan.callbacks import EMA, R1, StopAtKimg
from lightning_gan.losses import Hinge
from lightning_gan.metrics import frechet_distance, gaussian
from lightning_gan.optimizers import GANAdam

LATENT_DIM, WIDTH = 16, 32


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(LATENT_DIM, 2 * WIDTH * 4 * 4), nn.Unflatten(1, (2 * WIDTH, 4, 4)), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1), nn.Tanh()),
        )

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.Flatten(), nn.Linear(2 * WIDTH * 4 * 4, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores.squeeze(1)


def blobs(count: int = 1024, size: int = 16, seed: int = 0) -> Tensor:
    """Grey images of one soft spot of random place, width and brightness in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    place = torch.rand(count, 2, 1, 1, generator=random) - 0.5
    width = 0.2 + 0.2 * torch.rand(count, 1, 1, generator=random)
    brightness = 1 + torch.rand(count, 1, 1, generator=random)
    spots = brightness * torch.exp(-((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2) / (2 * width**2)) - 1
    return spots[:, None]


def distance(first: Tensor, second: Tensor) -> float:
    """The Fréchet distance of two sets of images, whose features are the means of 4x4 pixels."""
    features = [nn.functional.avg_pool2d(images, 4).flatten(1) for images in (first, second)]
    return frechet_distance(gaussian(features[0]), gaussian(features[1])).item()


def main(total_kimg: float = 10.0) -> None:
    """Train, and print how far samples are from real images, before and after.

    Args:
        total_kimg: thousands of images to train on.
    """
    torch.manual_seed(0)
    training = Training(
        loss=Hinge(),
        generator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
        discriminator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
    )
    gan = GAN(generator=Generator(), discriminator=Critic(), latent_dim=LATENT_DIM, training=training)
    real = blobs()
    before = distance(gan.sample(1024, seed=0), real)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[R1(gamma=1.0, every_n_turns=4), EMA(half_life_kimg=0.5), StopAtKimg(total_kimg=total_kimg)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    loader = DataLoader(TensorDataset(real), batch_size=32, shuffle=True, drop_last=True)
    trainer.fit(gan, loader)
    print(f"distance of samples to real images before training: {before:.3f}")
    print(f"after {gan.images_seen:,} images: {distance(gan.sample(1024, seed=0), real):.3f}")
    print(f"of other real images: {distance(blobs(seed=1), real):.3f}")


if __name__ == "__main__":
    main()
