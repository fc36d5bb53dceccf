"""Records of evaluations: numbers, table and file."""

import json
import math
from pathlib import Path

import pytest
import torch

from lightning_gan.metrics import frechet_distance, gaussian, jackknife_error, kernel_distances, precision_recall
from lightning_gan.metrics.record_file import write_record
from lightning_gan.metrics.report import Record, class_counts, compare_features, table


def _record(*, kimg: float, precision: float) -> Record:
    return {"stage": "fit", "kimg": kimg, "seed": 0, "metrics": {"precision": precision}}


def test_a_set_compared_with_itself() -> None:
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    settings = {
        "floor": 0.5,
        "extrapolates": True,
        "neighbours": 3,
        "kernel_subsets": 5,
        "kernel_subset_size": 20,
        "seed": 0,
    }
    numbers = compare_features(features, features, **settings)
    assert numbers["frechet_distance"] == pytest.approx(0.0, abs=1e-9)
    assert numbers["frechet_to_floor"] == pytest.approx(0.0, abs=1e-9)
    assert (numbers["precision"], numbers["recall"], numbers["coverage"]) == (1.0, 1.0, 1.0)
    shifted = compare_features(features, features + 3, **settings)
    assert shifted["frechet_distance"] == pytest.approx(4 * 9, rel=1e-5)
    assert shifted["frechet_to_floor"] == pytest.approx(2 * 4 * 9, rel=1e-5)


def test_standard_errors_stand_behind_their_numbers() -> None:
    """A share's is that of independent samples, and the kernel distance's is that of a mean over subsets."""
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(60, 2, generator=random), torch.randn(40, 2, generator=random) + 0.7
    numbers = compare_features(
        real, fake, floor=0.0, extrapolates=False, neighbours=3, kernel_subsets=9, kernel_subset_size=20, seed=0
    )
    shares = precision_recall(real, fake, neighbours=3)
    assert numbers["precision_error"] == pytest.approx(math.sqrt(shares.precision * (1 - shares.precision) / 40))
    assert numbers["coverage_error"] == pytest.approx(math.sqrt(shares.coverage * (1 - shares.coverage) / 60))
    subsets = kernel_distances(real, fake, subsets=9, subset_size=20, seed=0)
    assert numbers["kernel_distance_x1000_error"] == pytest.approx(1000 * subsets.std().item() / 3)
    expected = jackknife_error(lambda some: frechet_distance(gaussian(real), gaussian(some)).item(), fake)
    assert numbers["frechet_distance_error"] == pytest.approx(expected, rel=1e-9)
    assert "frechet_infinity" not in numbers and "frechet_to_floor" not in numbers


def test_classes_are_counted_and_weighed() -> None:
    # Shares 1/2, 1/4, 1/4 of four classes: entropy 1.5 bits.
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 2]), 4).float()
    counts = class_counts(logits)
    assert counts["classes_present"] == 3
    assert counts["effective_classes"] == pytest.approx(math.sqrt(8))
    assert class_counts(torch.eye(10))["effective_classes"] == pytest.approx(10.0)


def test_the_table_is_aligned() -> None:
    record = {"seed": 0, "metrics": {"frechet_distance": 123.4, "recall": 0.5}}
    lines = table(record, titles={"frechet_distance": "Frechet distance"}).splitlines()
    assert lines == ["Frechet distance  123.4000", "recall              0.5000", "(seed 0)"]


def test_records_gather_in_the_file_and_equal_settings_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.json"
    write_record(_record(kimg=1.0, precision=0.1), path)
    write_record(_record(kimg=2.0, precision=0.2), path)
    write_record(_record(kimg=1.0, precision=0.3), path)
    assert json.loads(path.read_text()) == [_record(kimg=2.0, precision=0.2), _record(kimg=1.0, precision=0.3)]
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_record(_record(kimg=1.0, precision=0.1), path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_record({"kimg": object(), "metrics": {}}, path)
    assert path.read_bytes() == before
