"""Trains every regularizer, objective and model on the ranks that started it, and saves the weights.

`test_draws_on_two_ranks.py` compares one process with two. Run as `python -m tests.loop.draws_worker FOLDER`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor

from lightning_gan import models
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.layers.dropout import Dropout
from lightning_gan.layers.normalization import MinibatchStddev
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, NonSaturating
from tests.equality import start_of
from tests.models.test_every_model import small
from tests.parts import all_losses, classes_of, made, regularizers
from tests.test_composition import CodingCritic, StyledGenerator
from tests.toys import FAST, SIZE, toy_trainer


class RandomImages(GANData):
    """A few random images in memory, with labels that go through the classes."""

    def __init__(self, *, size: int, channels: int, classes: int) -> None:
        super().__init__(
            image_size=size,
            image_channels=channels,
            number_of_classes=classes,
            batch_size=8,
            seed=0,
            mirror=False,
            number_of_workers=0,
        )
        random = torch.Generator().manual_seed(4)
        self.images = torch.randint(0, 256, (32, channels, size, size), dtype=torch.uint8, generator=random)
        self.labels = torch.arange(32) % classes if classes else None

    def open_source(self) -> ImageSource:
        return MemoryImages(images=self.images, labels=self.labels)


class DroppingCritic(CodingCritic):
    """With dropout of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout(0.2)


def with_regularizer(
    kind: type[Callback] | None, *, slices: int = 1, loss: AdversarialLoss | None = None
) -> tuple[GAN, list[Callback], GANData]:
    """Small networks that draw random numbers, with one regularizer or none."""
    torch.manual_seed(7)
    training = Training(
        generator_optimizer=FAST.generator_optimizer,
        discriminator_optimizer=FAST.discriminator_optimizer,
        accumulate_slices=slices,
        loss=loss or NonSaturating(),
    )
    module = GAN(generator=StyledGenerator(), discriminator=DroppingCritic(), latent_dim=4, training=training)
    return module, [] if kind is None else [made(kind)], RandomImages(size=SIZE, channels=1, classes=0)


def model_of(kind: type[GAN]) -> tuple[GAN, list[Callback], GANData]:
    """A small model and random images for it.

    The standard deviation of minibatches is taken over single samples, because their groups lie within one process.
    Parameters are moved from where they start: there StyleGAN's first image is the same everywhere, so that the
    gradient of its bias is nothing but rounding, which Adam enlarges.
    """
    model: Any = small(kind)
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=random), alpha=0.05)
    for layer in model.modules():
        if isinstance(layer, MinibatchStddev):
            layer.group_size = 1
    settings = model.hparams
    data = RandomImages(
        size=settings["image_size"], channels=settings["image_channels"], classes=model.number_of_classes
    )
    return model, [], data


MODELS = {kind.__name__: kind for kind in classes_of(models, LightningModule)}
REGULARIZERS = {kind.__name__: kind for kind in regularizers()}
LOSSES = {f"{type(loss).__name__} {index}": loss for index, loss in enumerate(all_losses())}


def trained(module: GAN, callbacks: list[Callback], data: GANData, *, ranks: int) -> dict[str, Tensor]:
    """The weights after three batches, with those before."""
    module = module.double()
    start = start_of(module)
    strategy = "gan_ddp" if ranks > 1 else "auto"
    settings: dict[str, Any] = {"precision": "64-true", "devices": ranks, "strategy": strategy}
    toy_trainer(*callbacks, max_steps=3, max_epochs=-1, **settings).fit(module, data)
    weights = {name: value.detach().clone() for name, value in module.state_dict().items()}
    return weights | {name: value for name, value in start.items() if name.partition(".")[2] in weights}


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    found = {name: trained(*with_regularizer(kind), ranks=ranks) for name, kind in REGULARIZERS.items()}
    found |= {name: trained(*with_regularizer(None, loss=loss), ranks=ranks) for name, loss in LOSSES.items()}
    found |= {name: trained(*model_of(kind), ranks=ranks) for name, kind in MODELS.items()}
    found["slices"] = trained(*with_regularizer(REGULARIZERS["GradientPenalty"], slices=2), ranks=ranks)
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(found, folder / f"{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
