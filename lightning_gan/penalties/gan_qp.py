"""GAN-QP's quadratic potential (Su 2018, arXiv:1811.07296), and its distances between images."""

from abc import ABC, abstractmethod
from typing import final

from einops import reduce

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


class ImageDistance(ABC):
    """Base class of distances between the images of two batches, pair by pair."""

    @abstractmethod
    def between(self, first: Images, second: Images) -> PerSample:
        """Returns one distance per pair, averaged over pixels, so that it does not depend on the resolution."""


@final
class RootMeanSquare(ImageDistance):
    """``sqrt(mean (x - y)^2)``: the paper's L2 norm divided by the root of the number of pixels, as in its code."""

    def between(self, first: Images, second: Images) -> PerSample:
        squares = full_precision(first - second).square()
        return reduce(squares, "batch channels height width -> batch", "mean").sqrt()


@final
class MeanAbsolute(ImageDistance):
    """``mean |x - y|``: the paper's L1 norm divided by the number of pixels, as in its code."""

    def between(self, first: Images, second: Images) -> PerSample:
        return reduce(full_precision(first - second).abs(), "batch channels height width -> batch", "mean")


CLOSEST_DISTANCE = 1e-6
"""Smallest distance that is used; without it, pairs of equal images would give 0/0, which is not a number."""


def quadratic_potential(
    real_logits: Logits, fake_logits: Logits, real: Images, fake: Images, *, distance: ImageDistance
) -> Scalar:
    """Returns ``E (D(x) - D(y))^2 / (2 d(x, y))`` over pairs of a real image and a fake, without the factor 1 / lambda.

    Each logit of a patch discriminator counts on its own, as in the objective.

    Args:
        real_logits: logits of the real images.
        fake_logits: logits of the fakes.
        real: real images.
        fake: fakes, as many as real images.
        distance: distance d between images; no gradient flows through it.

    Raises:
        ValueError: if the logits of real images and of fakes have different shapes.

    Example:
        >>> import torch
        >>> real, fake = torch.full((1, 1, 1, 2), 0.25), torch.full((1, 1, 1, 2), -0.25)
        >>> quadratic_potential(torch.tensor([3.0]), torch.tensor([1.0]), real, fake, distance=MeanAbsolute()).item()
        4.0
    """
    if real_logits.shape != fake_logits.shape:
        raise ValueError(
            f"the quadratic potential pairs every real image with a fake, but their logits have the shapes "
            f"{tuple(real_logits.shape)} and {tuple(fake_logits.shape)}; make as many fakes as there are real images"
        )
    # Detached, because another penalty may differentiate by the images, and a root has an infinite slope at 0.
    distances = distance.between(real.detach(), fake.detach()).clamp(min=CLOSEST_DISTANCE)
    squares = (real_logits - fake_logits).square().reshape(len(distances), -1)  # batch scores
    return (squares / (2 * distances[:, None])).mean()
