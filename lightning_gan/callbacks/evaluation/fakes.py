"""Where a comparison's generated images come from: a `GAN`, or a function of the user."""

from abc import ABC, abstractmethod
from typing import final

from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.callbacks.evaluation.measurement import Share
from lightning_gan.foreign.sampler import Sampler, sampled_images
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.shapes import Labels, Latents


class Fakes(ABC):
    """A source of generated images."""

    asked: Tensor | None
    """Class index that each image is generated for; None without classes."""

    @abstractmethod
    def images(self, share: Share) -> Tensor:
        """Generates the images of a batch, `batch channels height width`, in about [-1, 1]."""


@final
class LatentFakes(Fakes):
    """Images that a `GAN` generates from latents."""

    def __init__(self, gan: GAN, latents: Latents, labels: Labels | None, *, truncation: float, ema: bool) -> None:
        self.gan, self.latents, self.asked = gan, latents, labels
        self.truncation, self.ema = truncation, ema

    def images(self, share: Share) -> Tensor:
        classes = None if self.asked is None else self.asked[share.positions]
        # The authors measure with new noise for each image, which is a part of what the generator makes.
        return self.gan.sample(
            self.latents[share.positions],
            classes,
            truncation=self.truncation,
            fresh_noise=True,
            clipped=False,
            ema=self.ema,
        )


@final
class SampledFakes(Fakes):
    """Images that the user's `sampler` generates."""

    def __init__(self, module: LightningModule, sampler: Sampler, *, asker: str) -> None:
        self.module, self.sampler, self.asker, self.asked = module, sampler, asker, None

    def images(self, share: Share) -> Tensor:
        count = len(share.positions)
        return sampled_images(self.sampler, self.module, count=count, seed=share.seed, asker=self.asker)
