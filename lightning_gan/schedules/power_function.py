"""Power-function averages of weights, and averages of any length out of saved ones (post-hoc EMA).

Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", arXiv:2312.02696, sections 3.1
and 3.2 and appendix C. At time t, the weights of time s count ``(g + 1) s^g / t^(g + 1)``; time is counted in images.
The length of such an average is told by its relative width, the standard deviation of this profile divided by t.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_WIDTH = 1 / math.sqrt(12)
"""Relative width of the plain mean of all weights since the start (exponent 0), which all others are below."""


def relative_width_of(exponent: float) -> float:
    """Returns the relative width of the profile of an exponent: ``(g + 1)^(1/2) (g + 2)^-1 (g + 3)^(-1/2)``.

    Args:
        exponent: exponent g of the profile, at least 0.

    Example:
        >>> round(relative_width_of(6.94), 3)
        0.1
    """
    return math.sqrt((exponent + 1) / (exponent + 3)) / (exponent + 2)


def exponent_of(relative_width: float) -> float:
    """Returns the exponent of the profile of a relative width: the only root of at least 0 of a cubic equation.

    Args:
        relative_width: relative width, above 0 and below 0.288.

    Raises:
        ValueError: for a width out of range.
    """
    if not 0 < relative_width < LARGEST_WIDTH:
        raise ValueError(
            f"relative_width={relative_width} must be above 0 and below {LARGEST_WIDTH:.3f}, the width of the mean of "
            "all weights since the start; 0.1 is usual"
        )
    # (g + 2)^2 (g + 3) = (g + 1) / width^2; the right side is larger at 0, and the left side in the end.
    lower, upper = 0.0, 1 / relative_width
    for _ in range(200):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if relative_width_of(middle) > relative_width else (lower, middle)
    return (lower + upper) / 2


def power_function_decay(images_before: int, *, batch_images: int, exponent: float) -> float:
    """Returns the weight of the old average after a batch: ``(1 - batch / images_after)^(g + 1)``; 0 after the first.

    Args:
        images_before: number of images seen before the batch.
        batch_images: number of images in the batch, over all ranks.
        exponent: exponent g of the profile.
    """
    return float((1 - batch_images / (images_before + batch_images)) ** (exponent + 1))


def profile_products(own: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> Tensor:
    """Returns the inner products of profiles, the integrals of their products over time, `own other`, in fp64.

    Args:
        own: exponent and time of every profile of the rows.
        other: exponent and time of every profile of the columns; times are positive and in one unit.
    """
    first, second = (torch.tensor(profiles, dtype=torch.float64) for profiles in (own, other))
    (g, t), (h, u) = first.T[..., None], second.T[:, None]
    overlap, longest = torch.minimum(t, u), torch.maximum(t, u)
    products: Tensor = (g + 1) * (h + 1) / (g + h + 1) * (overlap / t) ** g * (overlap / u) ** h / longest
    return products


def reconstruction_weights(saved: Sequence[tuple[float, float]], wanted: tuple[float, float]) -> list[float]:
    """Returns the factors of saved averages whose sum is nearest to another average, by least squares of the profiles.

    Args:
        saved: exponent and time of every saved average.
        wanted: exponent and time of the other average.
    """
    scale = max(time for _, time in saved)  # so that the numbers are near 1
    profiles = [(exponent, time / scale) for exponent, time in saved]
    target = [(wanted[0], wanted[1] / scale)]
    matrix, right = profile_products(profiles, profiles), profile_products(profiles, target)
    solution = torch.linalg.lstsq(matrix, right, driver="gelsd").solution[:, 0]
    factors: list[float] = solution.tolist()
    return factors
