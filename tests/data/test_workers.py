"""How many processes read ahead: what is given, or what suits the source."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from lightning_gan.data import CIFAR10, GANData, ImageFolder, ImageSource, MemoryImages, RandomCrops
from lightning_gan.data.crops import crops_of_squares
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.resolution_cache import CachedImages
from lightning_gan.data.workers import number_of_workers_for, usable_cpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


def in_memory() -> MemoryImages:
    return MemoryImages(images=torch.zeros(4, 1, 8, 8, dtype=torch.uint8), labels=None)


def chosen(source: ImageSource, *, given: int | None = None, cpus: int = 64, training_processes: int = 1) -> int:
    return number_of_workers_for(source, given=given, cpus=cpus, training_processes=training_processes)


def test_images_in_memory_need_no_workers() -> None:
    assert chosen(in_memory()) == 0
    assert chosen(crops_of_squares(in_memory(), larger_size=8, size=4)) == 0


def test_files_are_decoded_by_workers(folder: Path) -> None:
    files = ImageFiles(path=folder, image_size=8, image_channels=3)
    cached = CachedImages(files=files, directory=folder.parent / "cache")
    for source in (files, cached, RandomCrops(source=files, whole=files.whole, size=4)):
        assert chosen(source) == 8


@pytest.mark.parametrize(
    ("cpus", "training_processes", "workers"),
    [(1, 1, 1), (2, 1, 1), (4, 1, 3), (9, 1, 8), (256, 1, 8), (16, 4, 3), (96, 8, 8), (2, 8, 1)],
)
def test_training_processes_share_the_cpus_and_keep_one_each(
    folder: Path, cpus: int, training_processes: int, workers: int
) -> None:
    files = ImageFiles(path=folder, image_size=8, image_channels=3)
    assert chosen(files, cpus=cpus, training_processes=training_processes) == workers


@pytest.mark.parametrize("given", [0, 1, 20])
def test_a_given_number_is_kept(folder: Path, given: int) -> None:
    files = ImageFiles(path=folder, image_size=8, image_channels=3)
    assert chosen(files, given=given) == chosen(in_memory(), given=given) == given


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of a process are known on Linux alone")
def test_a_process_that_is_limited_to_one_cpu_counts_one() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cpus() == len(before)


def workers_of(data: GANData) -> tuple[int, int]:
    return data.train_dataloader().num_workers, data.val_dataloader().num_workers


@pytest.fixture
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gan.data.datamodule.usable_cpus", lambda: 8)
    # DataLoader warns about more workers than there are CPUs.
    monkeypatch.setattr("torch.utils.data.dataloader.DataLoader.check_worker_number_rationality", lambda loader: None)


@pytest.mark.usefixtures("many_cpus")
def test_a_folder_has_workers_only_if_it_is_not_kept_in_memory(folder: Path) -> None:
    assert workers_of(ImageFolder(path=folder, image_size=8)) == (0, 0)
    assert workers_of(ImageFolder(path=folder, image_size=8, cache=False)) == (7, 7)
    assert workers_of(ImageFolder(path=folder, image_size=8, cache=False, number_of_workers=2)) == (2, 2)


@pytest.mark.usefixtures("many_cpus")
def test_the_processes_of_a_machine_share_its_cpus(folder: Path) -> None:
    data = ImageFolder(path=folder, image_size=8, cache=False)
    trainer = Trainer(accelerator="cpu", devices=2, logger=False, enable_checkpointing=False)
    data.trainer = trainer
    assert data.train_dataloader().num_workers == 3


def test_the_setting_itself_stays_as_it_was_given() -> None:
    assert CIFAR10().number_of_workers is None and CIFAR10(number_of_workers=2).number_of_workers == 2
