"""From two sets of features to a record: numbers, with everything they depend on, as a table and as a file."""

import json
import math
import textwrap
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from lightning_gan.atomic_files import written_whole
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.frechet import frechet_distance, gaussian
from lightning_gan.metrics.kernel import kernel_distances
from lightning_gan.metrics.neighbours import precision_recall
from lightning_gan.tensors.shapes import Logits

Record: TypeAlias = dict[str, Any]
"""One evaluation: under "metrics" its numbers, and beside them everything they depend on."""


def compare_features(
    real: RealFeatures,
    fake: FakeFeatures,
    *,
    floor: float,
    neighbours: int,
    kernel_subsets: int,
    kernel_subset_size: int,
    seed: int,
) -> dict[str, float]:
    """All numbers of two sets of features, `floor` being the reals' `frechet_floor`."""
    distance = frechet_distance(gaussian(real), gaussian(fake)).item()
    kernel = kernel_distances(real, fake, subsets=kernel_subsets, subset_size=kernel_subset_size, seed=seed)
    return {
        "frechet_distance": distance,
        "frechet_floor": floor,
        "frechet_to_floor": distance / floor if floor > 0 else math.inf,
        "kernel_distance_x1000": 1000 * kernel.mean().item(),
        **precision_recall(real, fake, neighbours=neighbours)._asdict(),
    }


def class_counts(logits: Logits) -> dict[str, float]:
    """How many classes occur among the images, and the exponential of their histogram's entropy: K for K equal ones."""
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]) / len(logits)
    return {
        "classes_present": float((shares > 0).sum().item()),
        "effective_classes": torch.special.entr(shares.double()).sum().exp().item(),
    }


def share_of_class(logits: Logits, labels: Int[Tensor, " batch"]) -> float:
    """How many of the images are taken for what they were made for.

    Example:
        >>> share_of_class(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
        0.5
    """
    return (logits.argmax(1) == labels.to(logits.device)).double().mean().item()


TITLES = {
    "frechet_distance": "Frechet distance",
    "frechet_floor": "  its floor: two halves of the reals",
    "frechet_to_floor": "  times the floor",
    "kernel_distance_x1000": "kernel distance x 1000",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "classes_present": "classes that occur",
    "effective_classes": "effective number of classes",
    "asked_class": "share of the class asked for",
    "sliced_wasserstein_x1000": "sliced Wasserstein distance x 1000",
    "sliced_wasserstein_floor_x1000": "its floor: two halves of the reals",
    "ms_ssim": "MS-SSIM of pairs of fakes",
    "ms_ssim_of_reals": "MS-SSIM of pairs of reals",
    "path_length_z_full": "perceptual path length in z",
    "path_length_z_end": "perceptual path length in z, ends",
    "path_length_w_full": "perceptual path length in w",
    "path_length_w_end": "perceptual path length in w, ends",
    "separability_z": "linear separability in z",
    "separability_w": "linear separability in w",
    "reconstruction_error": "squared error of reconstructions",
    "code_neighbours": "1-NN accuracy of codes",
    "reconstruction_neighbours": "1-NN accuracy of reconstructions",
    "pixel_neighbours": "  of the images' own pixels",
}


def title_of(name: str) -> str:
    """How the table calls a number; those of one level of a pyramid end in `_at_` and its pixels.

    Example:
        >>> title_of("recall"), title_of("sliced_wasserstein_x1000_at_16")
        ('recall', '  sliced Wasserstein distance x 1000, 16 pixels')
    """
    whole, _, pixels = name.partition("_at_")
    return f"  {TITLES[whole]}, {pixels} pixels" if pixels else TITLES[whole]


def table(record: Record) -> str:
    """A record as aligned plain text.

    Example:
        >>> metrics = {"precision": 0.5, "recall": 0.25}
        >>> print(table({"kimg": 10.0, "extractor": "DigitFeatures", "seed": 0, "metrics": metrics}))
        precision  0.5000
        recall     0.2500
        (kimg 10.0, extractor DigitFeatures, seed 0)
    """
    rows = [(title_of(name), f"{value:.4f}") for name, value in record["metrics"].items()]
    left, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{title:<{left}}  {value:>{right}}" for title, value in rows]
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record.items() if name != "metrics")
    return "\n".join([*lines, *textwrap.wrap(f"({settings})", width=80)])


def write_record(record: Record, path: Path) -> None:
    """Adds a record to the list in a JSON file, in place of one with equal settings. The file is never half written."""
    records: list[Record] = json.loads(path.read_text()) if path.exists() else []

    def settings(entry: Record) -> Record:
        return {name: value for name, value in entry.items() if name != "metrics"}

    records = [entry for entry in records if settings(entry) != settings(record)] + [record]
    with written_whole(path) as file:
        file.write(json.dumps(records, indent=2).encode())
