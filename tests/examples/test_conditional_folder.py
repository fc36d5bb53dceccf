"""The example of a conditional model on a folder of images."""

from pathlib import Path

import pytest
import torch

from lightning_gan.data import ImageFolder
from tests.examples.running import example_named, numbers_in, printed_by


def test_it_runs_says_what_the_folder_is_and_leaves_no_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO"):
        example_named("conditional_folder").main(total_kimg=0.064, per_class=4)
    assert "3 classes from folders (circles 4, crosses 4, squares 4)" in caplog.text
    assert "of 300 samples have the colour of the class asked for" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_real_images_have_the_colour_of_their_class(tmp_path: Path) -> None:
    example = example_named("conditional_folder")
    example.make_folder(tmp_path / "shapes", per_class=20)
    data = ImageFolder(path=str(tmp_path / "shapes"), image_size=example.SIZE, labels=True, batch_size=60)
    data.setup("fit")
    images, labels = next(iter(data.train_dataloader()))
    assert torch.equal(example.colours_of(images.float()), labels)
    assert set(labels.tolist()) == {0, 1, 2}


@pytest.mark.slow
def test_samples_are_of_the_class_that_was_asked_for_within_a_minute(tmp_path: Path) -> None:
    (share,) = numbers_in(printed_by("conditional_folder", tmp_path), r", (\d+)% of 300 samples")
    assert share > 85
