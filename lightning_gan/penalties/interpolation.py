"""The points at which Lipschitz penalties compute the discriminator's gradient, and the costs of its norm."""

from torch import Tensor
from torch.nn.functional import relu

from lightning_gan.tensors.draws_by_position import spread_over_parts, uniform, uniform_like
from lightning_gan.tensors.shapes import Images, PerSample


def interpolated(real: Images, fake: Tensor, *, between: tuple[float, float] = (0.0, 1.0)) -> Images:
    """Returns ``x + e (G(z) - x)``, a random point between each real image and a fake (arXiv:1704.00028, algorithm 1).

    e is uniform, with one number per sample: with one per batch all points would have the same share of the fakes, and
    with one per pixel they would not be on the lines.

    Args:
        real: real images x, `batch channels height width`.
        fake: fakes G(z), as many as real images and of the same size.
        between: smallest and largest e; 0 gives the real image, 1 the fake.

    Raises:
        ValueError: if the two batches differ in size.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"images are interpolated in pairs, but real images have the shape {tuple(real.shape)} and fakes "
            f"{tuple(fake.shape)}; make as many fakes as the batch has images, or drop the last, smaller batch "
            "(drop_last=True)"
        )
    nearest, farthest = between
    drawn = uniform((len(real), 1, 1, 1), dtype=real.dtype, device=real.device)
    position = nearest + (farthest - nearest) * drawn
    return real + position * (fake - real)


def noised(real: Images, *, noise: float) -> Images:
    """Returns DRAGAN's points, which are between each real image and a noisy copy (arXiv:1705.07215).

    They are ``x + a n std(x) U``, with one number a per sample and U per pixel, both uniform in [0, 1), as in the
    authors' code. This noise is never negative, while the paper adds Gaussian noise around x. std is one number for the
    whole batch.

    Args:
        real: real images x.
        noise: largest noise n in units of the standard deviation.
    """
    spread = spread_over_parts(real.detach())
    position = uniform((len(real), 1, 1, 1), dtype=real.dtype, device=real.device)
    return real + position * (noise * spread * uniform_like(real))


def distance_to_target(norms: PerSample, *, target: float) -> PerSample:
    """Returns ``(||g|| / t - 1)^2``, the cost of norms larger or smaller than the target t.

    With t = 1 it is eq. 3 of arXiv:1704.00028. Other targets are used as in PGGAN (arXiv:1710.10196), whose code
    divides the square of ``||g|| - t`` by t^2.

    Args:
        norms: norms ``||g||`` of the gradients.
        target: target t of the norms; positive.

    Example:
        >>> import torch
        >>> distance_to_target(torch.tensor([5.0, 1.0, 0.5]), target=1.0).tolist()
        [16.0, 0.0, 0.25]
    """
    return (norms / target - 1).square()


def excess_over_one(norms: PerSample) -> PerSample:
    """Returns ``max(0, ||g|| - 1)^2``, which is 0 for 1-Lipschitz critics (Petzka et al. 2018, arXiv:1709.08894).

    Example:
        >>> import torch
        >>> excess_over_one(torch.tensor([5.0, 1.0, 0.5])).tolist()
        [16.0, 0.0, 0.0]
    """
    return relu(norms - 1).square()
