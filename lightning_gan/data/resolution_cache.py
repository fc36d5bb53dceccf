"""A cache on disk of decoded images at every resolution.

Growing GANs (Karras et al. 2018, arXiv:1710.10196) train on most images at low resolutions, but an image file has to be
decoded at its full size. Here each file is decoded once, before training, and every resolution is kept as one array,
which numpy reads, too: `np.load("r0064.npy", mmap_mode="r")` is `[image channels 64 64]`.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Num
from lightning.pytorch.utilities import rank_zero_info

from lightning_gan.atomic_files import written_whole
from lightning_gan.data.decoding import Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import ImageSource, Indices, Origin
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.tensors.shapes import Labels, StoredImages

_UNFINISHED = "unfinished-"
_MANIFEST = "manifest.json"


@final
class CachedImages(ImageSource):
    """Image files with a cache: low resolutions come from arrays on the disk, higher ones from the files.

    Pixels are the same with and without the cache. Every data set, with its size, channels and treatment of other
    sizes, has its own folder in `directory`, named by a fingerprint of its files, so that one directory can be used for
    many data sets. If files are added, replaced or changed, a new folder is made. Arrays are written under temporary
    names, flushed and renamed, so that an array under its final name is complete. If the process is killed while it
    fills the cache, the next one starts again.

    Call `prepare` before reading, in every process.

    Args:
        files: the images.
        directory: folder of the caches, best on a local disk. For squares, it needs 4/3 times images x channels x
            cache_resolution^2 bytes: for 70,000 RGB images 1.1 GiB at 64, 17 GiB at 256, 273 GiB at 1024 pixels. Float
            images take four times as much.
        cache_resolution: highest resolution (height) in pixels that is cached; None caches the full size, too.

    Raises:
        ValueError: if halving the full size does not reach `cache_resolution`.
    """

    def __init__(self, *, files: ImageFiles, directory: str | Path, cache_resolution: int | None = None) -> None:
        size = files.decoder.size
        possible = size.halvings
        highest = size.height if cache_resolution is None else cache_resolution
        if highest not in possible:
            raise ValueError(
                f"cache_resolution={highest} is not what halving {size.height} pixels gives; "
                f"give one of {', '.join(map(str, possible))}"
            )
        self._files = files
        self._resolutions = size.at(highest).halvings
        self._parent = Path(directory).expanduser()
        self._arrays: dict[int, Num[np.ndarray, "image channels height width"]] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def labels(self) -> Labels | None:
        return self._files.labels

    @property
    def origin(self) -> Origin:
        return self._files.origin

    @property
    def number_of_classes(self) -> int:
        return self._files.number_of_classes

    @cached_property
    def directory(self) -> Path:
        """The folder of these images' arrays."""
        return self._parent / f"{self._files.path.resolve().stem}-{self._files.fingerprint()}"

    @property
    def resolutions(self) -> list[int]:
        """The cached resolutions in pixels, in descending order."""
        return list(self._resolutions)

    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        if resolution not in self._resolutions:
            return self._files.read(indices, resolution=resolution)
        if resolution not in self._arrays:
            self._arrays[resolution] = self._opened(resolution)
        # Indexing by an array copies, so that writing to the result does not change the file.
        return torch.from_numpy(np.asarray(self._arrays[resolution][indices.numpy()]))

    def prepare(self) -> None:
        """Makes the missing arrays. Other processes that call it in the meantime wait until this is done.

        Raises:
            ValueError: if files cannot be read (one error names them), the disk is too small or cannot be written to,
                or an existing array is damaged.
        """
        if not self._missing():
            return
        with self._writing():
            self.directory.mkdir(parents=True, exist_ok=True)
            with _waiting_for(self.directory / "lock"):
                missing = self._missing()  # again, because another process may have made them while this one waited
                if missing:
                    self._remove_unfinished()
                    self._check_space(missing)
                    self._write_manifest()
                    self._report_outdated()
                    self._make(missing)

    def _missing(self) -> list[int]:
        missing = [resolution for resolution in self._resolutions if not self._path(resolution).exists()]
        for resolution in self._resolutions:
            if resolution not in missing:
                self._opened(resolution)
        return missing

    def _make(self, resolutions: list[int]) -> None:
        # A unique name, so that two machines do not write into one file even if the lock does not work between them.
        drafts = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.directory))
        try:
            with ExitStack() as stack:
                arrays = [
                    stack.enter_context(written_whole(self._path(resolution), draft_folder=drafts))
                    for resolution in resolutions
                ]
                # Plain writes and not a memory map, because a full disk would then kill the process.
                for file, resolution in zip(arrays, resolutions, strict=True):
                    _write_header(file, shape=self._shape(resolution), dtype=self._files.decoder.dtype)
                progress = ProgressReport(images=len(self), what=f"decoding {self._files.path} into {self.directory}")
                images = stack.enter_context(closing(self._files.decoded(resolutions)))
                for done, levels in enumerate(images, start=1):
                    for file, pixels in zip(arrays, levels, strict=True):
                        file.write(np.ascontiguousarray(pixels.transpose(2, 0, 1)).data)
                    progress.report(done)
        finally:
            shutil.rmtree(drafts, ignore_errors=True)

    def _opened(self, resolution: int) -> Num[np.ndarray, "image channels height width"]:
        path = self._path(resolution)
        try:
            array: Any = np.lib.format.open_memmap(path, mode="r")
            whole = array.dtype == self._files.decoder.dtype and array.shape == self._shape(resolution)
        except ValueError:  # the file is not an array, or shorter than its header says
            whole = False
        if not whole:
            raise ValueError(f"{path} is damaged; remove it, and the next run makes it again")
        return array  # type: ignore[no-any-return]

    def _path(self, resolution: int) -> Path:
        return self.directory / f"r{resolution:04}.npy"

    def _shape(self, resolution: int) -> tuple[int, int, int, int]:
        return (len(self), *self._files.decoder.shape_at(resolution))

    def _bytes(self, resolutions: list[int]) -> int:
        itemsize = self._files.decoder.dtype.itemsize
        return sum(math.prod(self._shape(resolution)) * itemsize for resolution in resolutions)

    def _remove_unfinished(self) -> None:
        """Removes the drafts of killed processes; the process that holds the lock is the only one that writes here."""
        for draft in self.directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _check_space(self, missing: list[int]) -> None:
        free = shutil.disk_usage(self.directory).free
        if self._bytes(missing) <= free:
            return
        size = self._files.decoder.size
        fitting = [resolution for resolution in missing if self._bytes(size.at(resolution).halvings) <= free]
        remedy = f"set cache_resolution to {fitting[0]}, " if fitting else ""
        raise ValueError(
            f"the cache of {self._files.path} up to {self._resolutions[0]} pixels needs "
            f"{_gibibytes(self._bytes(missing))} and {self._parent} has {_gibibytes(free)} free; "
            f"{remedy}make room, or give another cache_directory"
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns errors of the disk into a ValueError with a remedy."""
        try:
            yield
        except OSError as error:  # a full disk or quota, no permission; errors of image files are ValueErrors
            raise ValueError(
                f"the cache in {self.directory} cannot be written ({error.strerror or error}); it needs "
                f"{_gibibytes(self._bytes(self._resolutions))}: make room, lower cache_resolution, or give another "
                "cache_directory"
            ) from error

    def _write_manifest(self) -> None:
        """Writes what the folder contains, for people; programs use the folder's name and the arrays."""
        decoder = self._files.decoder
        manifest = {
            "images": str(self._files.path.resolve()),
            "number_of_images": len(self),
            "image_size": decoder.size.height,
            **({} if decoder.size.given_width is None else {"image_width": decoder.size.width}),
            "image_channels": decoder.image_channels,
            **({} if decoder.value_range is None else {"value_range": str(decoder.value_range)}),
            "resize": decoder.resize.value,
            "resampling": decoder.resampling.value,
        }
        with written_whole(self.directory / _MANIFEST) as file:
            file.write((json.dumps(manifest, indent=2) + "\n").encode())

    def _report_outdated(self) -> None:
        """Reports caches of these files from before they changed, because they take space on the disk."""
        images = str(self._files.path.resolve())
        for manifest in sorted(self._parent.glob(f"*/{_MANIFEST}")):
            if manifest.parent != self.directory and json.loads(manifest.read_text())["images"] == images:
                rank_zero_info(
                    f"{manifest.parent} holds {images} in an earlier state or at another size; remove it if no run "
                    "needs it"
                )

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be pickled with all of its pixels; each worker opens its own instead.
        return {**self.__dict__, "_arrays": {}}


@contextmanager
def _waiting_for(path: Path) -> Iterator[None]:
    """Holds a lock, which the operating system releases when the process ends."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        rank_zero_info(f"waiting for another process that writes {path.parent}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_cache_of_crops(*, resize: Resize, random_crop_from: int | None, cache_directory: str | Path | None) -> None:
    """Checks that what is cut at random can be cached: caches hold images of one size.

    Raises:
        ValueError: for random crops of whole images, with a cache on the disk.
    """
    if cache_directory is not None and random_crop_from is not None and resize is Resize.shorter_side:
        raise ValueError(
            f"cache_directory={cache_directory} keeps images of one size, and random crops with resize shorter_side "
            "need whole images; set resize to center_crop, or leave cache_directory out"
        )


def _write_header(file: IO[bytes], *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _gibibytes(count: int) -> str:
    return f"{count / 2**30:.3g} GiB"
