"""Players that grow from 4x4 to 8x8, an endless data module, and a GAN that knows nothing of this package."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import StopAtKimg
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.images import ImageSource, MemoryImages
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.toys import FAST, LATENT, fast_adam, toy_trainer


class GrowingGenerator(nn.Module):
    """Latents to grey 4x4 or 8x8 images; the larger ones have a layer of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.Linear(LATENT, 16)
        self.fine = nn.Linear(LATENT, 64)
        self.resolution, self.fade_in = 8, 1.0

    def grow(self, resolution: int, fade_in: float) -> None:
        self.resolution, self.fade_in = resolution, fade_in

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.coarse(latents).view(-1, 1, 4, 4)
        if self.resolution == 4:
            return images
        return nearest_upsample(images, factor=2).lerp(self.fine(latents).view(-1, 1, 8, 8), self.fade_in)


class GrowingCritic(nn.Module):
    """Grey 4x4 or 8x8 images to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.Linear(16, 1)
        self.fine = nn.Linear(64, 1)
        self.resolution, self.fade_in = 8, 1.0

    def grow(self, resolution: int, fade_in: float) -> None:
        self.resolution, self.fade_in = resolution, fade_in

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[-1] == self.resolution
        if self.resolution == 4:
            logits: Tensor = self.coarse(images.flatten(1))
            return logits
        coarse: Tensor = self.coarse(box_downsample(images, factor=2).flatten(1))
        return coarse.lerp(self.fine(images.flatten(1)), self.fade_in)


def growing_gan(training: Training = FAST) -> GAN:
    torch.manual_seed(7)
    return GAN(generator=GrowingGenerator(), discriminator=GrowingCritic(), latent_dim=LATENT, training=training)


class ToyData(GANData):
    """Thirty random 8x8 images, in batches of 4, endlessly."""

    def __init__(self, *, batch_size: int = 4) -> None:
        super().__init__(
            image_size=8,
            image_channels=1,
            number_of_classes=0,
            batch_size=batch_size,
            seed=0,
            mirror=True,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        random = torch.Generator().manual_seed(5)
        images = torch.randint(256, (30, 1, 8, 8), generator=random, dtype=torch.uint8)
        return MemoryImages(images=images, labels=None)


class ForeignGAN(LightningModule):
    """A GAN as others write it, with its networks under names of their own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.automatic_optimization = False
        self.netG = GrowingGenerator()
        self.netD = GrowingCritic()
        self.seen: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real = batch["pixels"] if isinstance(batch, dict) else batch if isinstance(batch, Tensor) else batch[0]
        self.seen.append(real.clone())
        real = real.float()
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[misc]
        random = torch.Generator().manual_seed(int(real.sum() * 1000))
        fake = self.netG(torch.randn(len(real), LATENT, generator=random))
        critic_optimizer.zero_grad()
        self.manual_backward((softplus(self.netD(fake.detach())) + softplus(-self.netD(real))).mean())
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        self.manual_backward(softplus(-self.netD(fake)).mean())
        generator_optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [fast_adam(self.netG.parameters()), fast_adam(self.netD.parameters())]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""


def fit(
    module: LightningModule,
    *callbacks: Callback,
    images: int,
    save: Path | None = None,
    resume: Path | None = None,
    data: GANData | None = None,
) -> Trainer:
    """Train until `images` were seen, from the start or from a checkpoint, and save the end."""
    trainer = toy_trainer(*callbacks, StopAtKimg(total_kimg=images / 1000), max_epochs=-1, limit_val_batches=0)
    trainer.fit(module, datamodule=data or ToyData(), ckpt_path=resume)
    if save is not None:
        trainer.save_checkpoint(save)
    return trainer


def assert_same_state(first: Trainer, second: Trainer) -> None:
    """All weights and buffers, optimizer states and rates, and callback states are the same, bit for bit."""
    torch.testing.assert_close(_state(first), _state(second), rtol=0, atol=0)


def _state(trainer: Trainer) -> dict[str, Any]:
    return {
        "weights": dict(trainer.lightning_module.state_dict()),
        "optimizers": [
            {"groups": [_numbers(group) for group in own.param_groups], "state": list(own.state.values())}
            for own in trainer.optimizers
        ],
        "callbacks": {callback.state_key: _numbers(callback.state_dict()) for callback in trainer.callbacks},
    }


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float | Tensor | dict) and name != "params"
    }
