"""Records of evaluations: metrics with the settings that they depend on, as a table."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from lightning_gan.metrics.class_frechet import ClassDistances
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.frechet import frechet_distance, frechet_error, gaussian
from lightning_gan.metrics.frechet_extrapolation import frechet_at_infinity
from lightning_gan.metrics.jackknife import GROUPS
from lightning_gan.metrics.kernel import kernel_distances
from lightning_gan.metrics.neighbours import precision_recall
from lightning_gan.tensors.shapes import Logits

Record: TypeAlias = dict[str, Any]
"""One evaluation: its metrics by name under "metrics", and the settings that they depend on under other keys."""

Better: TypeAlias = Literal["less", "more"]
"""Which values of a number are better."""

ERROR = "_error"
"""End of the name of a standard error, behind the name of its number."""


def compare_features(
    real: RealFeatures,
    fake: FakeFeatures,
    *,
    floor: float,
    extrapolates: bool,
    neighbours: int,
    kernel_subsets: int,
    kernel_subset_size: int,
    seed: int,
    asked: Int[Tensor, " fakes"] | None = None,
) -> dict[str, float]:
    """Returns all metrics of two sets of features by name; without "frechet_to_floor" if the floor is 0.

    A name that ends in `_error` is the standard error of the number before: of the Fréchet distance by the jackknife
    over ten groups of fakes, of the kernel distance from its subsets, and of shares of independent samples.

    Args:
        real: features of real images.
        fake: features of fakes.
        floor: `frechet_floor` of the real features.
        extrapolates: whether to extrapolate the Fréchet distance to infinitely many fakes, as "frechet_infinity".
        neighbours: number k of neighbours for precision, recall, density and coverage.
        kernel_subsets: number of random subsets for the kernel distance.
        kernel_subset_size: number of samples in each of these subsets.
        seed: seed of the subsets.
        asked: class that each fake was made for; None if they were not made for classes.
    """
    of_real = gaussian(real)
    distance = frechet_distance(of_real, gaussian(fake)).item()
    kernel = kernel_distances(real, fake, subsets=kernel_subsets, subset_size=kernel_subset_size, seed=seed)
    numbers = {"frechet_distance": distance}
    if len(fake) > 2 * GROUPS:
        numbers["frechet_distance_error"] = frechet_error(of_real, fake, classes=asked)
    numbers["frechet_floor"] = floor
    if floor > 0:
        numbers["frechet_to_floor"] = distance / floor
    if extrapolates:
        at_infinity = frechet_at_infinity(of_real, fake, seed=seed)
        numbers |= {"frechet_infinity": at_infinity.distance, "frechet_infinity_error": at_infinity.error}
    numbers["kernel_distance_x1000"] = 1000 * kernel.mean().item()
    if len(kernel) > 1:
        numbers["kernel_distance_x1000_error"] = 1000 * (kernel.std() / math.sqrt(len(kernel))).item()
    shares = precision_recall(real, fake, neighbours=neighbours)
    for name, share, count in (
        ("precision", shares.precision, len(fake)),
        ("recall", shares.recall, len(real)),
        ("coverage", shares.coverage, len(real)),
    ):
        numbers |= {name: share, f"{name}{ERROR}": math.sqrt(share * (1 - share) / count)}
    numbers |= {"density": shares.density, f"density{ERROR}": shares.density_error}
    return numbers


def class_numbers(distances: ClassDistances) -> dict[str, float]:
    """Returns the distances within classes by name, with the standard error of the mean if it is known."""
    error = {} if distances.mean_error is None else {f"class_frechet_distance{ERROR}": distances.mean_error}
    return {
        "class_frechet_distance": distances.mean,
        **error,
        "largest_class_frechet_distance": distances.largest,
        "class_of_largest": float(distances.largest_class),
        "classes_compared": float(distances.classes),
    }


def class_counts(logits: Logits) -> dict[str, float]:
    """Returns the number of classes among the images, and the exponential of the entropy of the classes' shares.

    The second number is K if K classes occur equally often. The class of an image is that of its largest logit.
    """
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]) / len(logits)
    return {
        "classes_present": float((shares > 0).sum().item()),
        "effective_classes": torch.special.entr(shares.double()).sum().exp().item(),
    }


def share_of_class(logits: Logits, labels: Int[Tensor, " batch"]) -> float:
    """Returns the share of the images whose largest logit is that of the class they were generated for.

    Example:
        >>> share_of_class(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
        0.5
    """
    return (logits.argmax(1) == labels.to(logits.device)).double().mean().item()


def with_errors(metrics: Mapping[str, float]) -> dict[str, tuple[float, float | None]]:
    """Returns each number with its standard error by the name of the number; None for numbers without an error.

    Example:
        >>> with_errors({"recall": 0.25, "recall_error": 0.01, "density": 0.5})
        {'recall': (0.25, 0.01), 'density': (0.5, None)}
    """
    of_errors = {f"{name}{ERROR}" for name in metrics}
    return {name: (value, metrics.get(f"{name}{ERROR}")) for name, value in metrics.items() if name not in of_errors}


def rows(record: Record, *, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Returns the title, the value and the standard error of each metric as texts; the error is empty if none is known.

    Args:
        record: the record.
        titles: title of each metric by its name; a metric without a title is shown by its name.
    """
    return [
        (titles.get(name, name), f"{value:.4f}", "" if error is None else f"+- {error:.4f}")
        for name, (value, error) in with_errors(record["metrics"]).items()
    ]


def settings_of(record: Record) -> str:
    """Returns what the numbers of a record depend on as one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record.items() if name != "metrics")


def not_finite(record: Record) -> list[str]:
    """Returns the metrics of a record that are NaN or infinite, with their values."""
    return [f"{name}={value}" for name, value in record["metrics"].items() if not math.isfinite(value)]


def table(record: Record, *, titles: Mapping[str, str]) -> str:
    """Returns a record as aligned plain text.

    Args:
        record: the record.
        titles: title of each metric by its name; a metric without a title is shown by its name.

    Example:
        >>> metrics = {"recall": 0.25, "recall_error": 0.01, "asked_class": 0.5}
        >>> record = {"kimg": 10.0, "extractor": "DigitFeatures", "seed": 0, "metrics": metrics}
        >>> print(table(record, titles={"asked_class": "share of the class asked for"}))
        recall                        0.2500 +- 0.0100
        share of the class asked for  0.5000
        (kimg 10.0, extractor DigitFeatures, seed 0)
    """
    found = rows(record, titles=titles)
    left, right, _ = (max(map(len, column)) for column in zip(*found, strict=True))
    lines = [f"{title:<{left}}  {value:>{right}} {error}".rstrip() for title, value, error in found]
    return "\n".join([*lines, *textwrap.wrap(f"({settings_of(record)})", width=80)])
