"""Small players and data that every test can train in milliseconds."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.optimizers import GANAdam

LATENT = 4
SIZE = 4


class ToyGenerator(nn.Module):
    """Latents, and labels if there are classes, to grey 4x4 images."""

    def __init__(self, *, classes: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, LATENT) if classes else None
        self.hidden = nn.Linear(LATENT, 8)
        self.output = nn.Linear(8, SIZE * SIZE)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embedding is not None and labels is not None:
            latents = latents + self.embedding(labels)
        images: Tensor = self.output(self.hidden(latents).tanh()).view(-1, 1, SIZE, SIZE)
        return images


class ToyCritic(nn.Module):
    """Grey 4x4 images to one logit."""

    def __init__(self, *, classes: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.output = nn.Linear(4 * SIZE * SIZE, max(classes, 1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.output(self.conv(images).tanh().flatten(1))
        return logits if labels is None else logits.gather(1, labels[:, None])


def toy_gan(**settings: Any) -> GAN:
    """A GAN of toys with fixed initial weights."""
    torch.manual_seed(7)
    classes = settings.get("number_of_classes", 0)
    return GAN(
        generator=ToyGenerator(classes=classes), discriminator=ToyCritic(classes=classes), latent_dim=LATENT, **settings
    )


def fast_adam(parameters: Any) -> GANAdam:
    """Large steps, so that a few batches make a difference."""
    return GANAdam(parameters, lr=0.02)


FAST = Training(generator_optimizer=fast_adam, discriminator_optimizer=fast_adam)
"""Both players take large steps."""


def toy_images(count: int = 64) -> Tensor:
    """`count` fixed images in [-1, 1]."""
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) * 2 - 1


def toy_loader(count: int = 64, *, batch_size: int = 4, classes: int = 0) -> DataLoader[Any]:
    """Batches of (images,) or (images, labels), in order."""
    tensors = (toy_images(count), torch.arange(count) % classes) if classes else (toy_images(count),)
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size)


def toy_trainer(*callbacks: Callback, **settings: Any) -> Trainer:
    """A silent CPU trainer that logs every step."""
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "max_epochs": 1,
        "num_sanity_val_steps": 0,
    }
    return Trainer(callbacks=list(callbacks), **{**defaults, **settings})


def weights_of(module: nn.Module) -> list[Tensor]:
    """Copies of all parameters."""
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two lists of tensors are the same, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Spy(Callback):
    """Calls `see` before every optimizer step, with the name of the player that is about to step."""

    def __init__(self, see: Callable[[str, GAN], None]) -> None:
        self.see = see

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        assert isinstance(pl_module, GAN)
        own = pl_module.optimizers()
        assert isinstance(own, list)
        self.see("discriminator" if own[0].optimizer is optimizer else "generator", pl_module)
