"""GAN-QP's quadratic potential (Su 2018, arXiv:1811.07296), and the distances of images it is measured by."""

from abc import ABC, abstractmethod
from typing import final

from einops import reduce

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


class ImageDistance(ABC):
    """How far the images of one batch are from those of another, pair by pair."""

    @abstractmethod
    def between(self, first: Images, second: Images) -> PerSample:
        """One distance per pair, an average over pixels, so that it does not depend on the resolution."""


@final
class RootMeanSquare(ImageDistance):
    """``sqrt(mean (x - y)^2)``: the paper's L2 norm, divided by the root of the number of pixels as in its code."""

    def between(self, first: Images, second: Images) -> PerSample:
        squares = full_precision(first - second).square()
        return reduce(squares, "batch channels height width -> batch", "mean").sqrt()


@final
class MeanAbsolute(ImageDistance):
    """``mean |x - y|``: the paper's L1 norm, divided by the number of pixels as in its code."""

    def between(self, first: Images, second: Images) -> PerSample:
        return reduce(full_precision(first - second).abs(), "batch channels height width -> batch", "mean")


CLOSEST_DISTANCE = 1e-6
"""Closer pairs count as this far apart, because of equal images: their scores differ by 0, and 0/0 is no number."""


def quadratic_potential(
    real_logits: Logits, fake_logits: Logits, real: Images, fake: Images, *, distance: ImageDistance
) -> Scalar:
    """``E (D(x) - D(y))^2 / (2 d(x, y))`` over pairs of one real image and one fake, without the paper's 1 / lambda.

    A patch critic's scores are taken one by one, as the objective does.

    Args:
        real_logits: scores of the real images.
        fake_logits: scores of the fakes.
        real: real images.
        fake: as many fakes.
        distance: d, a constant for the critic.

    Raises:
        ValueError: if there are not as many fakes as real images.

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
    # Detached, for another penalty may differentiate the images, and a root has no slope at 0.
    distances = distance.between(real.detach(), fake.detach()).clamp(min=CLOSEST_DISTANCE)
    squares = (real_logits - fake_logits).square().reshape(len(distances), -1)  # batch scores
    return (squares / (2 * distances[:, None])).mean()
