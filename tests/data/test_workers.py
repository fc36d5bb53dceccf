"""How many processes read ahead: what is given, or what suits the source."""

import os
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import Trainer
from PIL import Image

from lightning_gan.data import CIFAR10, Digits, GANData, ImageFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


def with_cpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it look as if this process may use so many CPUs of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(count)), raising=False)


def workers_of(data: GANData) -> int:
    training, validation = data.train_dataloader(), data.val_dataloader()
    assert training.num_workers == validation.num_workers
    return training.num_workers


def test_images_in_memory_need_no_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cpus(64, monkeypatch)
    assert workers_of(Digits()) == 0
    assert workers_of(ImageFolder(path=folder, image_size=8)) == 0
    assert workers_of(ImageFolder(path=folder, image_size=4, random_crop_from=8)) == 0


def test_files_are_decoded_by_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cpus(64, monkeypatch)
    assert workers_of(ImageFolder(path=folder, image_size=8, cache=False)) == 8
    assert workers_of(ImageFolder(path=folder, image_size=8, cache_directory=folder.parent / "cache")) == 8
    assert workers_of(ImageFolder(path=folder, image_size=4, cache=False, random_crop_from=8)) == 8


@pytest.mark.parametrize(
    ("cpus", "training_processes", "workers"),
    [(1, 1, 1), (2, 1, 1), (4, 1, 3), (9, 1, 8), (256, 1, 8), (16, 4, 3), (96, 8, 8), (2, 8, 1)],
)
def test_training_processes_share_the_cpus_and_keep_one_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cpus: int, training_processes: int, workers: int
) -> None:
    with_cpus(cpus, monkeypatch)
    data = ImageFolder(path=folder, image_size=8, cache=False, batch_size=16)
    data.trainer = Trainer(accelerator="cpu", devices=training_processes, logger=False, enable_checkpointing=False)
    assert workers_of(data) == workers


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than there are CPUs
@pytest.mark.parametrize("given", [0, 1, 20])
def test_a_given_number_is_kept(folder: Path, given: int) -> None:
    assert workers_of(ImageFolder(path=folder, image_size=8, cache=False, number_of_workers=given)) == given
    assert workers_of(Digits(number_of_workers=given)) == given


def test_the_setting_itself_stays_as_it_was_given() -> None:
    assert CIFAR10().number_of_workers is None and CIFAR10(number_of_workers=2).number_of_workers == 2
