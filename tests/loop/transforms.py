"""Transforms to test the loop with."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lightning_gan.loop.transforms import ImageTransform, LatentTransform


class Scaled(ImageTransform):
    """Images times a factor that follows the clock, and notes of who saw them."""

    factor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(()))
        self.seen: list[tuple[str | None, float]] = []

    def begin_batch(self, images_seen: int) -> None:
        self.factor.fill_(1 + images_seen / 8)

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((self.player, self.factor.item()))
        return self.factor * images


class Uphill(LatentTransform):
    """Latents take a step up the slope of the discriminator's score, as in LOGAN (Wu et al. 2019, arXiv:1912.00953)."""

    differentiates: ClassVar[bool] = True

    def __init__(self, *, step: float = 0.1) -> None:
        super().__init__()
        self.step = step

    def forward(self, latents: Tensor, labels: Tensor | None, *, score: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(score(latents).sum(), latents, create_graph=True)
        return latents + self.step * slope
