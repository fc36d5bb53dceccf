"""The data module over your own images."""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image

from lightning_gan.data import GANData, ImageFiles, ImageFolder, MemoryImages
from lightning_gan.data.decoding import Resize
from lightning_gan.loop.settings import Training
from lightning_gan.models import DCGAN
from tests.data.data_sets import SIZE, folder_of, image, zip_of
from tests.data.data_sets import labels as labels_file
from tests.toys import toy_trainer


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


def state_of(path: Path, **settings: bool) -> dict[str, Any]:
    return ImageFolder(path=path, image_size=SIZE, number_of_workers=0, **settings).state_dict()


def resume(path: Path, state: dict[str, Any], **settings: bool) -> None:
    ImageFolder(path=path, image_size=SIZE, number_of_workers=0, **settings).load_state_dict(state)


CLASSES = ("cat/1.png", "cat/2.png", "dog/3.png")


def test_copies_of_the_same_images_are_the_same_data_set(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", CLASSES)
    state = state_of(path)
    assert state["classes"] == ["cat", "dog"]
    shutil.copytree(path, tmp_path / "copy" / "wrapped", copy_function=shutil.copyfile)  # with other times
    packed = zip_of(tmp_path / "d.zip", CLASSES)
    for copy in (tmp_path / "copy", packed):
        resume(copy, state)
        resume(copy, state, cache=False)
        resume(path, state_of(copy, cache=False))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat/1.png", "cat/2.png"), "trained on 3 images and the data now has 2"),
        (
            ("cat/1.png", "cat/2.png", "owl/3.png"),
            r"2 classes \(cat, dog\), .* lack dog and have owl in addition",
        ),
        (("cat/1.png", "cat/2.png", "dog/4.png"), "as many images, but the names of files of the data differ"),
        (("cat/1.png", "dog/2.png", "dog/3.png"), "but the names of files and the labels of the data differ"),
    ],
)
def test_other_images_or_classes_are_refused_on_resume(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    state = state_of(folder_of(tmp_path / "d", CLASSES))
    with pytest.raises(ValueError, match=message) as caught:
        resume(folder_of(tmp_path / "other", names), state)
    assert "\n" not in str(caught.value)


def test_other_contents_of_the_same_names_are_refused_on_resume(tmp_path: Path) -> None:
    bitmaps, others = ({name: image(number, form="BMP") for name in CLASSES} for number in (1, 2))
    state = state_of(zip_of(tmp_path / "d.zip", (), others=bitmaps))
    other = zip_of(tmp_path / "other.zip", (), others=others)
    with pytest.raises(ValueError, match="but the checksums of files of the data differ"):
        resume(other, state)
    longer = folder_of(tmp_path / "d", CLASSES, others={"cat/1.png": image() + b"\0"})
    with pytest.raises(ValueError, match="but the sizes of files of the data differ"):
        resume(longer, state)


def test_labels_that_are_not_used_are_not_compared(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "d", CLASSES)
    state = state_of(path, labels=False)
    assert state["classes"] == [] and "labels" not in state["fingerprints"]
    (path / "dataset.json").write_text('{"labels": null}')
    resume(path, state, labels=False)


@pytest.mark.parametrize("storage", ["memory", "files", "disk"])
def test_rows_of_numbers_are_the_same_from_memory_files_and_a_cache(tmp_path: Path, storage: str) -> None:
    names = [f"{number}.png" for number in range(5)]
    rows = [[0.5 * number, -3.25, 1e-30] for number in range(5)]
    path = folder_of(tmp_path / "d", names, others=labels_file(list(zip(names, rows, strict=True))))
    directory = tmp_path / "cache" if storage == "disk" else None
    data = ImageFolder(
        path=path,
        image_size=SIZE,
        batch_size=4,
        number_of_workers=0,
        cache=storage == "memory",
        cache_directory=directory,
    )
    assert data.number_of_classes == data.source.number_of_classes == 3
    expected = torch.tensor(rows)
    for images, found in islice(data.train_dataloader(), 5):
        assert found.dtype == torch.float32 and torch.equal(found, expected[images[:, 0, 0, 0].long()])
    assert torch.equal(torch.cat([found for _, found in data.val_dataloader()]), expected)


def gan_of(path: Path, **settings: Any) -> tuple[DCGAN, ImageFolder]:
    torch.manual_seed(0)
    data = ImageFolder(path=path, image_size=8, resize=Resize.squash, batch_size=2, number_of_workers=0)
    facts = {"image_size": 8, "image_channels": 3, "number_of_classes": data.number_of_classes}
    return DCGAN(**facts, generator_width=4, discriminator_width=4, **settings), data


def test_a_gan_trains_and_resumes_with_rows_of_numbers(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(5)]
    rows = [[name, [number, 0.5 * number]] for number, name in enumerate(names)]
    path = folder_of(tmp_path / "d", names, others=labels_file(rows))

    def fit(steps: int, resumed: Path | None = None) -> dict[str, torch.Tensor]:
        gan, data = gan_of(path)
        trainer = toy_trainer(max_epochs=-1, max_steps=2 * steps)  # two players
        trainer.fit(gan, data, ckpt_path=resumed, weights_only=None if resumed is None else True)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return gan.state_dict()

    whole = fit(5)
    fit(3)
    again = fit(5, tmp_path / "3.ckpt")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_uniform_labels_are_refused_for_rows_of_numbers(tmp_path: Path) -> None:
    rows = [["a.png", [0.5, 1]], ["b.png", [1, 1]]]
    gan, data = gan_of(
        folder_of(tmp_path / "d", ["a.png", "b.png"], others=labels_file(rows)), training=Training(uniform_labels=True)
    )
    with pytest.raises(ValueError, match=r"uniform_labels=true draws one class .*training\.uniform_labels=false"):
        toy_trainer(max_epochs=-1, max_steps=2).fit(gan, data)
