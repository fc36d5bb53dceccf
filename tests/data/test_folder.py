"""The data module over your own images."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image

from lightning_gan.data import GANData, ImageFiles, ImageFolder, MemoryImages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six 8x8 images, two of each class."""
    for number in range(6):
        path = tmp_path / "images" / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(path)
    return tmp_path / "images"


def test_facts_are_known_before_setup(folder: Path) -> None:
    data = ImageFolder(path=folder, image_size=8)
    assert (data.image_size, data.image_channels, data.number_of_classes) == (8, 3, 3)
    assert ImageFolder(path=folder, image_size=8, labels=False).number_of_classes == 0


def test_small_data_sets_are_kept_in_memory_and_show_the_same(folder: Path) -> None:
    cached = ImageFolder(path=folder, image_size=8, mirror=True, batch_size=4, number_of_workers=0)
    read = ImageFolder(path=folder, image_size=8, mirror=True, batch_size=4, number_of_workers=2, cache=False)
    assert isinstance(cached.source, MemoryImages) and isinstance(read.source, ImageFiles)
    for (images, labels), (others, other_labels) in islice(
        zip(cached.train_dataloader(), read.train_dataloader(), strict=False), 5
    ):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)
        assert torch.equal(labels, images[:, 0, 0, 0].long() % 3)


def test_data_sets_that_do_not_fit_are_read_from_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gan.data.folder._CACHE_BYTES", 6 * 3 * 8 * 8 - 1)
    assert isinstance(ImageFolder(path=folder, image_size=8).source, ImageFiles)


@pytest.mark.parametrize("cache", [True, False])
def test_broken_files_are_named_before_training_begins(folder: Path, cache: bool) -> None:
    (folder / "a" / "broken.png").write_bytes(b"")
    data = ImageFolder(path=folder, image_size=8, cache=cache)
    with pytest.raises(ValueError, match=r"1 of 7 images .*\n  a/broken\.png"):
        data.setup("fit")


def test_the_check_can_be_left_out(folder: Path) -> None:
    (folder / "a" / "broken.png").write_bytes(b"")
    data = ImageFolder(path=folder, image_size=8, cache=False, check_files=False)
    data.setup("fit")
    assert len(data.source) == 7


def test_a_command_line_builds_it_and_its_saved_config_builds_it_again(folder: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GANData, "data", instantiate=True)
    words = ["--data=lightning_gan.data.ImageFolder", f"--data.path={folder}", "--data.image_size=4"]
    words += [f"--data.cache_directory={folder.parent / 'cache'}", "--data.cache_resolution=2"]
    config = parser.parse_args([*words, "--data.resize=squash"])
    data = parser.instantiate(config).data
    assert isinstance(data, ImageFolder) and data.image_size == 4
    assert data.source.read(torch.tensor([0]), resolution=4).shape == (1, 3, 4, 4)
    again = parser.instantiate(parser.parse_string(parser.dump(config))).data
    assert torch.equal(
        again.source.read(torch.arange(6), resolution=4), data.source.read(torch.arange(6), resolution=4)
    )


def test_every_argument_is_documented() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(ImageFolder, "data")
    undocumented = [a.dest for a in parser._actions if a.dest.startswith("data.") and not (a.help or "").strip()]
    assert undocumented == []
