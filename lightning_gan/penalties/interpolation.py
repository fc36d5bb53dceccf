"""Where Lipschitz penalties look at the critic's gradient, and what its norm costs there."""

import torch
from torch import Tensor
from torch.nn.functional import relu

from lightning_gan.tensors.shapes import Images, PerSample


def interpolated(real: Images, fake: Tensor, *, between: tuple[float, float] = (0.0, 1.0)) -> Images:
    """``x + e (G(z) - x)``: a random point on each line from a real image to a fake (arXiv:1704.00028, algorithm 1).

    One e per sample, uniform: one for the batch would look along a single slice, one per pixel would leave the line.

    Args:
        real: x, `batch channels height width`.
        fake: as many fakes of the same size.
        between: smallest and largest e; 0 is at the real image, 1 at the fake.

    Raises:
        ValueError: if the two batches differ in size.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"images are interpolated in pairs, but {tuple(real.shape)} real ones meet {tuple(fake.shape)} fakes; "
            "make as many fakes as the batch has images, or drop the last, smaller batch (drop_last=True)"
        )
    nearest, farthest = between
    position = torch.empty(len(real), 1, 1, 1, device=real.device, dtype=real.dtype).uniform_(nearest, farthest)
    return real + position * (fake - real)


def noised(real: Images, *, noise: float) -> Images:
    """DRAGAN's points: a random share of the way from each real image to a noisy copy (arXiv:1705.07215).

    ``x + a n std(x) U``, with a per sample and U per pixel, both uniform in [0, 1), as in the authors' code: its noise
    only brightens, where the paper adds Gaussian noise around x. std is one number for the whole batch.

    Args:
        real: x.
        noise: n, the largest noise in units of the standard deviation.
    """
    spread = real.detach().std(correction=0)
    position = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    return real + position * (noise * spread * torch.rand_like(real))


def distance_to_target(norms: PerSample, *, target: float) -> PerSample:
    """``(||g|| / t - 1)^2``: both larger and smaller gradients cost.

    With t = 1, eq. 3 of arXiv:1704.00028; else as in PGGAN (arXiv:1710.10196), whose code divides the square of
    ``||g|| - t`` by t^2.

    Example:
        >>> distance_to_target(torch.tensor([5.0, 1.0, 0.5]), target=1.0).tolist()
        [16.0, 0.0, 0.25]
    """
    return (norms / target - 1).square()


def excess_over_one(norms: PerSample) -> PerSample:
    """``max(0, ||g|| - 1)^2``: 1-Lipschitz critics cost nothing (Petzka et al. 2018, arXiv:1709.08894).

    Example:
        >>> excess_over_one(torch.tensor([5.0, 1.0, 0.5])).tolist()
        [16.0, 0.0, 0.0]
    """
    return relu(norms - 1).square()
