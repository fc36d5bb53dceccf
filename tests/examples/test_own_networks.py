"""The example of two networks of one's own."""

from pathlib import Path

import pytest

from tests.examples.running import example_named, numbers_in, printed_by


def test_it_runs_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example_named("own_networks").main(total_kimg=0.064)
    assert "after 64 images" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_distance_is_that_of_the_images() -> None:
    example = example_named("own_networks")
    real = example.blobs(256)
    assert example.distance(real, real) < 1e-6
    assert example.distance(real, -real) > 10


@pytest.mark.slow
def test_samples_come_near_the_real_images_within_a_minute(tmp_path: Path) -> None:
    printed = printed_by("own_networks", tmp_path)
    (before,) = numbers_in(printed, r"before training: ([\d.]+)")
    (after,) = numbers_in(printed, r"after [\d,]+ images: ([\d.]+)")
    assert after < before / 100
