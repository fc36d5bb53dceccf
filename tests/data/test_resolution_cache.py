"""The cache on disk gives the pixels that files give, is complete or not there, and opens no image file to be read."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from itertools import islice, pairwise
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

import lightning_gan
from lightning_gan.data.decoding import Resize
from lightning_gan.data.folder import ImageFolder
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import box_mean
from lightning_gan.data.resolution_cache import CachedImages
from lightning_gan.schedules.growth import GrowthSchedule

ALL = torch.arange(4)


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four noisy 16x16 images, two of them JPEG."""
    path = tmp_path / "images"
    path.mkdir()
    for seed, name in enumerate(["a.png", "b.png", "c.jpg", "d.jpg"]):
        Image.fromarray(pixels(16, 16, 3, seed=seed)).save(path / name)
    return path


def files_of(path: Path, *, image_size: int = 16, image_channels: int = 3, resize: Resize = Resize.exact) -> ImageFiles:
    return ImageFiles(path=path, image_size=image_size, image_channels=image_channels, resize=resize)


def cached(path: Path, *, cache_resolution: int | None = None, prepare: bool = True) -> CachedImages:
    source = CachedImages(files=files_of(path), directory=path.parent / "cache", cache_resolution=cache_resolution)
    if prepare:
        source.prepare()
    return source


def arrays(source: CachedImages) -> list[str]:
    return sorted(path.name for path in source.directory.glob("*.npy"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is decoded from now on."""
    contents: list[bytes] = []

    levels = ImageDecoder.levels

    def counted(decoder: ImageDecoder, content: bytes, *, resolutions: list[int]) -> object:
        contents.append(content)
        return levels(decoder, content, resolutions=resolutions)

    monkeypatch.setattr(ImageDecoder, "levels", counted)
    return contents


class Kind(NamedTuple):
    """Image files of another size, and what is made of them."""

    file: tuple[int, ...]
    channels: int
    resize: Resize


@pytest.mark.parametrize(
    "kind",
    [
        Kind((16, 16, 3), 3, Resize.exact),
        Kind((16, 16), 1, Resize.exact),
        Kind((16, 16, 4), 4, Resize.exact),
        Kind((37, 32, 3), 3, Resize.center_crop),
        Kind((45, 23, 3), 3, Resize.center_crop),
        Kind((9, 48, 3), 1, Resize.squash),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pixels_are_the_same_from_files_memory_and_cache(tmp_path: Path, kind: Kind, suffix: str) -> None:
    path = tmp_path / "images"
    path.mkdir()
    for seed in range(4):
        image = Image.fromarray(pixels(*kind.file, seed=seed))
        (image.convert("RGB") if suffix == "jpg" else image).save(path / f"{seed}.{suffix}")
    files = files_of(path, image_channels=kind.channels, resize=kind.resize)
    memory = files.in_memory()
    cache = CachedImages(files=files, directory=tmp_path / "cache")
    cache.prepare()
    full = files.read(ALL, resolution=16)
    for resolution in (16, 8, 4, 2, 1):
        expected = box_mean(full, resolution=resolution)
        for source in (files, memory, cache):
            assert torch.equal(source.read(ALL, resolution=resolution), expected)


def test_every_resolution_is_an_array_that_numpy_reads(folder: Path) -> None:
    source = cached(folder)
    assert arrays(source) == ["r0001.npy", "r0002.npy", "r0004.npy", "r0008.npy", "r0016.npy"]
    array = np.load(source.directory / "r0008.npy")
    assert array.dtype == np.uint8 and array.shape == (4, 3, 8, 8)
    full = files_of(folder).read(ALL, resolution=16)
    assert torch.equal(torch.from_numpy(array), box_mean(full, resolution=8))


def test_reads_come_in_the_order_asked_for_and_may_be_written_into(folder: Path) -> None:
    source = cached(folder)
    images = source.read(torch.tensor([3, 0, 3]), resolution=8)
    assert torch.equal(images, files_of(folder).read(torch.tensor([3, 0, 3]), resolution=8))
    images.zero_()
    assert source.read(torch.tensor([3, 0, 3]), resolution=8).any()


def test_each_file_is_decoded_once_and_never_again(folder: Path, decoded: list[bytes]) -> None:
    cached(folder)
    assert sorted(decoded) == sorted(path.read_bytes() for path in folder.iterdir())
    again = cached(folder)
    for resolution in again.resolutions:
        again.read(ALL, resolution=resolution)
    assert len(decoded) == 4


def test_resolutions_above_the_cached_ones_are_decoded_from_the_files(folder: Path, decoded: list[bytes]) -> None:
    source = cached(folder, cache_resolution=4)
    assert arrays(source) == ["r0001.npy", "r0002.npy", "r0004.npy"]
    decoded.clear()
    assert torch.equal(source.read(ALL, resolution=8), files_of(folder).read(ALL, resolution=8))
    assert len(decoded) == 8
    source.read(ALL, resolution=4)
    assert len(decoded) == 8


def test_a_higher_cache_resolution_adds_what_is_missing(folder: Path) -> None:
    low = cached(folder, cache_resolution=4)
    written = (low.directory / "r0004.npy").stat().st_mtime_ns
    high = cached(folder)
    assert len(arrays(high)) == 5 and high.directory == low.directory
    assert (low.directory / "r0004.npy").stat().st_mtime_ns == written


def test_labels_are_those_of_the_files(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        Image.fromarray(pixels(16, 16, 3)).save(tmp_path / "images" / name)
    source = cached(tmp_path / "images")
    assert source.labels is not None and source.labels.tolist() == [0, 1] and source.number_of_classes == 2


def test_a_zip_has_a_cache_of_its_own(folder: Path) -> None:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    from_zip, from_folder = cached(target), cached(folder)
    assert from_zip.directory != from_folder.directory
    assert torch.equal(from_zip.read(ALL, resolution=4), from_folder.read(ALL, resolution=4))


def test_a_worker_gets_no_pixels_with_its_copy(folder: Path) -> None:
    source = cached(folder)
    expected = source.read(ALL, resolution=16)
    contents = pickle.dumps(source)
    assert expected[0].numpy().tobytes() not in contents
    assert torch.equal(pickle.loads(contents).read(ALL, resolution=16), expected)


# ---------------------------------------------------------------------- whose cache it is


def test_other_images_and_other_treatment_have_folders_of_their_own(folder: Path) -> None:
    settings = [
        files_of(folder),
        files_of(folder, image_channels=1),
        files_of(folder, image_size=8, resize=Resize.squash),
        files_of(folder, image_size=8, resize=Resize.center_crop),
    ]
    assert len({files.fingerprint() for files in settings}) == 4


@pytest.mark.parametrize("change", ["touched", "added", "removed", "renamed", "longer"])
def test_changed_files_make_a_new_cache_and_leave_the_old_one(folder: Path, change: str) -> None:
    before = cached(folder)
    old = {path.name: path.read_bytes() for path in before.directory.iterdir()}
    match change:
        case "touched":
            os.utime(folder / "a.png", ns=(0, 0))
        case "added":
            Image.fromarray(pixels(16, 16, 3, seed=9)).save(folder / "e.png")
        case "removed":
            (folder / "a.png").unlink()
        case "renamed":
            (folder / "a.png").rename(folder / "z.png")
        case _:
            (folder / "a.png").write_bytes((folder / "b.png").read_bytes() + b"\0")
    after = cached(folder)
    assert after.directory != before.directory
    indices = torch.arange(len(after))
    assert torch.equal(after.read(indices, resolution=8), files_of(folder).read(indices, resolution=8))
    assert {path.name: path.read_bytes() for path in before.directory.iterdir()} == old


def test_images_that_move_keep_their_cache(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    assert cached(folder).directory == cached_after_move(folder).directory


def cached_after_move(folder: Path) -> CachedImages:
    moved = folder.rename(folder.parent / "elsewhere" / folder.name)
    return CachedImages(files=files_of(moved), directory=folder.parent / "cache")


def test_a_manifest_tells_people_what_the_folder_holds(folder: Path) -> None:
    manifest = json.loads((cached(folder).directory / "manifest.json").read_text())
    assert manifest == {
        "images": str(folder.resolve()),
        "number_of_images": 4,
        "image_size": 16,
        "image_channels": 3,
        "resize": "exact",
        "resampling": "box_or_lanczos",
    }


def test_a_cache_of_the_same_images_as_they_were_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("lightning_gan.data.resolution_cache.rank_zero_info", told.append)
    before = cached(folder)
    assert not any("remove it if no run needs it" in line for line in told)
    os.utime(folder / "a.png", ns=(0, 0))
    cached(folder)
    assert any(line.startswith(f"{before.directory} holds") for line in told)


# ---------------------------------------------------------------------- complete or not there


def test_a_cache_that_is_cut_off_between_two_arrays_is_completed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = os.replace, []

    def fail_at_the_third(source: Path, target: Path) -> None:
        moved.append(target)
        if len(moved) == 3:  # the manifest, one array, and then
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            cached(folder)
    assert arrays(cached(folder, prepare=False)) == ["r0001.npy"]
    source = cached(folder)
    assert len(arrays(source)) == 5
    assert torch.equal(source.read(ALL, resolution=2), files_of(folder).read(ALL, resolution=2))


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    source = cached(folder, prepare=False)
    draft = source.directory / "unfinished-abc"
    draft.mkdir(parents=True)
    (draft / "r0004.npy").write_bytes(b"half an array")
    source.prepare()
    assert sorted(path.name for path in source.directory.iterdir() if path.suffix != ".npy") == [
        "lock",
        "manifest.json",
    ]


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_passes_for_complete(folder: Path) -> None:
    script = f"""
import time
from lightning_gan.data import CachedImages, ImageFiles
from lightning_gan.data.image_decoder import ImageDecoder
levels, count = ImageDecoder.levels, []
def slow(decoder, contents, *, resolutions):
    count.append(1)
    if len(count) == 4:
        time.sleep(600)
    return levels(decoder, contents, resolutions=resolutions)
ImageDecoder.levels = slow
files = ImageFiles(path={str(folder)!r}, image_size=16, image_channels=3)
CachedImages(files=files, directory={str(folder.parent / "cache")!r}).prepare()
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(lightning_gan.__file__).parents[1])
    deadline = time.monotonic() + 100
    source = cached(folder, prepare=False)
    while not list(source.directory.glob("unfinished-*/*.npy.*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(source.directory.glob("unfinished-*/*.npy.*")) and arrays(source) == []
    source.prepare()
    assert torch.equal(source.read(ALL, resolution=8), files_of(folder).read(ALL, resolution=8))


def test_of_two_that_come_at_once_one_makes_it_and_one_waits(folder: Path, decoded: list[bytes]) -> None:
    sources = [cached(folder, prepare=False) for _ in range(2)]
    threads = [Thread(target=source.prepare) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == 4
    for source in sources:
        assert torch.equal(source.read(ALL, resolution=8), files_of(folder).read(ALL, resolution=8))


def test_all_broken_files_are_named_in_one_error(folder: Path) -> None:
    good = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(good[: len(good) // 2])
    (folder / "d.jpg").write_bytes(b"")
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    source = cached(folder, prepare=False)
    with pytest.raises(ValueError, match=r"3 of 5 images in .*\n  a\.png.*\n  d\.jpg.*\n  lost\.png"):
        source.prepare()
    assert arrays(source) == [] and not list(source.directory.glob("unfinished-*"))


def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(
    folder: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    needed_up_to_4 = 4 * 3 * (4 * 4 + 2 * 2 + 1)
    monkeypatch.setattr(
        "lightning_gan.data.resolution_cache.shutil.disk_usage", lambda path: Usage(free=needed_up_to_4)
    )
    with pytest.raises(ValueError, match=r"up to 16 pixels needs .* set cache_resolution to 4, make room"):
        cached(folder)
    assert decoded == []
    cached(folder, cache_resolution=4)
    monkeypatch.setattr("lightning_gan.data.resolution_cache.shutil.disk_usage", lambda path: Usage(free=3))
    with pytest.raises(ValueError, match=r"free; make room, or give another cache_directory"):
        cached(folder)


def test_a_disk_that_fills_up_meanwhile_is_told_and_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, flushed = os.fsync, []

    def full_behind_the_manifest(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) > 2:  # the manifest and its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    low = cached(folder, cache_resolution=4)
    monkeypatch.setattr(os, "fsync", full_behind_the_manifest)
    with pytest.raises(ValueError, match=r"cannot be written \(No space left on device\); it needs .*make room"):
        cached(folder)
    assert arrays(low) == ["r0001.npy", "r0002.npy", "r0004.npy"] and not list(low.directory.glob("unfinished-*"))


def test_a_directory_that_is_a_file_is_refused(folder: Path) -> None:
    (folder.parent / "cache").write_text("not a folder")
    with pytest.raises(ValueError, match="cannot be written"):
        cached(folder)


@pytest.mark.parametrize("damage", ["shorter", "another shape", "no array"])
def test_a_damaged_array_is_named_and_not_read(folder: Path, damage: str) -> None:
    path = cached(folder).directory / "r0004.npy"
    match damage:
        case "shorter":
            path.write_bytes(path.read_bytes()[:-1])
        case "another shape":
            np.save(path, np.zeros((4, 3, 4, 5), dtype=np.uint8))
        case _:
            path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"r0004\.npy is damaged; remove it"):
        cached(folder)
    path.unlink()
    assert torch.equal(cached(folder).read(ALL, resolution=4), files_of(folder).read(ALL, resolution=4))


@pytest.mark.parametrize("resolution", [0, 3, 32])
def test_a_cache_resolution_that_halving_does_not_reach_is_refused(folder: Path, resolution: int) -> None:
    with pytest.raises(ValueError, match=f"cache_resolution={resolution} is not .*give one of 16, 8, 4, 2, 1"):
        cached(folder, cache_resolution=resolution)


# ---------------------------------------------------------------------- in the data module


def data_of(
    folder: Path, *, workers: int = 0, cache_resolution: int | None = None, on_disk: bool = True
) -> ImageFolder:
    data = ImageFolder(
        path=folder,
        image_size=16,
        mirror=True,
        cache=False,
        cache_directory=folder.parent / "cache" if on_disk else None,
        cache_resolution=cache_resolution,
        batch_size=4,
        number_of_workers=workers,
    )
    data.schedule = GrowthSchedule(
        final_resolution=16, start_resolution=2, hold_kimg=0.012, fade_kimg=0.0, batch_sizes={2: 6, 8: 3}
    )
    return data


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache_resolution", [None, 4])
def test_a_growing_stream_shows_the_same_with_and_without_the_cache(
    folder: Path, cache_resolution: int | None, workers: int
) -> None:
    direct = list(islice(data_of(folder, on_disk=False).train_dataloader(), 12))
    from_cache = list(
        islice(data_of(folder, workers=workers, cache_resolution=cache_resolution).train_dataloader(), 12)
    )
    sizes = [images.shape[-1] for images, _ in direct]
    assert sizes == [2] * 2 + [4] * 3 + [8] * 4 + [16] * 3
    assert all(torch.equal(images, others) for (images, _), (others, _) in zip(direct, from_cache, strict=True))


def test_workers_that_persist_over_a_change_of_resolution_read_the_new_one(folder: Path) -> None:
    data = data_of(folder, workers=2)
    loader = data.train_dataloader()
    first = [images.shape[-1] for images, _ in islice(loader, 4)]
    # The same workers, further on: they hold maps of the low resolutions and read ahead.
    data.load_state_dict({"batches": 5, "position": 24, "length": 4})
    later = list(islice(loader, 7))
    assert first == [2, 2, 4, 4] and [images.shape[-1] for images, _ in later] == [8] * 4 + [16] * 3
    alone = data_of(folder)
    alone.load_state_dict({"batches": 5, "position": 24, "length": 4})
    expected = list(islice(alone.train_dataloader(), 7))
    assert all(torch.equal(images, others) for (images, _), (others, _) in zip(later, expected, strict=True))


def test_a_trainer_fills_the_cache_before_it_sets_anything_up(folder: Path) -> None:
    data = data_of(folder)
    order: list[tuple[str, bool]] = []

    class Watching(LightningModule):
        def prepare_data(self) -> None:  # after the data module's
            order.append(("prepare_data", (folder.parent / "cache").exists()))

        def setup(self, stage: str) -> None:
            order.append(("setup", data.source is not None))

        def validation_step(self, batch: object) -> None:
            order.append(("step", True))

    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.validate(Watching(), data, verbose=False)
    assert order == [("prepare_data", True), ("setup", True), ("step", True)]


def test_a_cache_resolution_without_a_directory_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="cache_resolution=8 limits what is kept in a cache_directory"):
        ImageFolder(path=folder, image_size=16, cache_resolution=8)


def test_growing_without_a_cache_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("lightning_gan.data.folder.rank_zero_info", told.append)
    data_of(folder).train_dataloader()
    assert told == []
    data_of(folder, on_disk=False).train_dataloader()
    assert len(told) == 1 and "give a cache_directory" in told[0]


def test_reading_a_low_resolution_costs_less_than_a_high_one(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.mkdir()
    for seed in range(4):
        Image.fromarray(pixels(256, 256, 3, seed=seed)).save(path / f"{seed}.png", compress_level=1)
    source = CachedImages(files=files_of(path, image_size=256), directory=tmp_path / "cache")
    source.prepare()
    indices = torch.arange(4).repeat(64)  # enough bytes to hide what every reading costs

    def seconds(resolution: int) -> float:
        start = time.thread_time()
        source.read(indices, resolution=resolution)
        return time.thread_time() - start

    # Of this thread's own time the best of several, because the machine may be busy with something else.
    costs = [min(seconds(resolution) for _ in range(10)) for resolution in (8, 64, 256)]
    assert all(low < high for low, high in pairwise(costs))
