"""Images in files in a folder or a zip."""

import hashlib
import json
import math
import os
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from lightning_gan.data.classes import classes_of, top_of
from lightning_gan.data.crops import Whole
from lightning_gan.data.decoding import IMAGE_SUFFIXES, Resampling, Resize, mode_of
from lightning_gan.data.image_decoder import Decoded, ImageDecoder, tensor_of
from lightning_gan.data.images import ImageSource, Indices, MemoryImages, Origin, pixel_size
from lightning_gan.data.listing import files_at
from lightning_gan.data.named_files import LABELS_FILE
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.data.shown import listed, shown
from lightning_gan.data.stored_values import ARRAY_SUFFIX
from lightning_gan.data.value_range import value_range_of
from lightning_gan.tensors.fingerprints import fingerprint_of
from lightning_gan.tensors.shapes import Labels, StoredImages

_Result = TypeVar("_Result")

CHECKSUMS = "checksums of files"
"""Name of the fingerprint that files in a zip have and those in a folder do not, of which all would have to be read."""

TRIED = 100
"""Number of first files after which no others are tried, if none can be used."""

_NAMED_FAULTS = 10
_THREADS = min(16, 2 * (os.cpu_count() or 1))


@final
@dataclass(frozen=True, kw_only=True)
class _Known:
    """What identifies files without reading them.

    Args:
        fingerprints: those that a copy of the files has, too.
        stamp: 16 hexadecimal digits that change if a file, the size, the channels or the resizing changes.
    """

    fingerprints: Mapping[str, str]
    stamp: str


@final
class ImageFiles(ImageSource):
    """Image files below a folder or in a zip, sorted by name, with labels if there are any.

    Args:
        path: path of a folder or a zip.
        image_size: full height of the images in pixels, and their width if `image_width` is not given.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA.
        resize: treatment of files of another size.
        resampling: how files of another size are resized.
        labels: whether labels are looked for, in a `dataset.json` or in the names of folders.
        image_width: full width of the images in pixels; None is a square.
        value_range: the values that become -1 and 1 of float images; None for images of 8 bits.

    Raises:
        ValueError: if `path` does not exist or has no image, what it holds is refused, or its labels cannot be
            understood.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        image_size: int,
        image_channels: int,
        resize: Resize = Resize.exact,
        resampling: Resampling = Resampling.box_or_lanczos,
        labels: bool = True,
        image_width: int | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self._decoder = ImageDecoder(
            value_range=value_range_of(value_range),
            size=pixel_size(image_size, image_width),
            image_channels=image_channels,
            resize=resize,
            resampling=resampling,
        )
        self._path = Path(path).expanduser()
        self._files = files_at(self._path)
        names = self._files.listing.names
        self._names = [name for name in names if name.endswith(IMAGE_SUFFIXES) or name.lower().endswith(IMAGE_SUFFIXES)]
        if not self._names:  # beside images, arrays may be anything
            self._names = [name for name in names if name.lower().endswith(ARRAY_SUFFIX)]
        elif value_range is None:
            mode_of(image_channels)
        if not self._names:
            found = f" but {_counted_by_suffix(names)}" if names else ""
            raise ValueError(
                f"{shown(self._path)} holds no image{found}; images end in {', '.join((*IMAGE_SUFFIXES, ARRAY_SUFFIX))}"
                + ". `prepare` makes images of lmdb databases, of folders that datasets has written and, as "
                "hub:FOLDER, of folders of parquet files; data/shards.yaml reads shards" * bool(names)
            )
        try:
            self._top = top_of(self._files, images=self._names)
            self._classes = classes_of(self._files, images=self._names, top=self._top, labels=labels)
        except ValueError as error:
            raise ValueError(f"{shown(self._path)}: {error}") from error

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> list[str]:
        """The names of the files, in the order of the images."""
        return list(self._names)

    @property
    def labels(self) -> Labels | None:
        return self._classes.labels

    @property
    def number_of_classes(self) -> int:
        return self._classes.number_of_classes

    @cached_property
    def origin(self) -> Origin:
        """Where the images come from; a copy of the same files elsewhere has the same fingerprints."""
        images = set(self._names)
        others = [
            name for name in self._files.listing.names if name not in images and name != f"{self._top}{LABELS_FILE}"
        ]
        left_out = [f"left out {_counted_by_suffix(others)}"] if others else []
        names = [unicodedata.normalize("NFC", name[len(self._top) :]) for name in self._names]
        fingerprints = {
            "names of files": _fingerprint(names),
            **self._known.fingerprints,
        }
        return Origin(
            place=shown(self._path.name or self._path.absolute()),
            class_names=self._classes.names,
            labels=self._classes.origin,
            remarks=(*left_out, *self._files.listing.remarks, *self._classes.remarks),
            fingerprints=fingerprints,
        )

    @cached_property
    def _known(self) -> _Known:
        facts = self._files.facts(self._names)
        fingerprints = {"sizes of files": _fingerprint(facts.sizes)}
        if facts.checksums is not None:
            fingerprints[CHECKSUMS] = _fingerprint(facts.checksums)
        decoder = self._decoder
        making: list[int | str] = [decoder.size.height, decoder.image_channels, decoder.resize.value]
        if decoder.resampling is not Resampling.box_or_lanczos:  # left out if it is, so that older caches stay valid
            making.append(decoder.resampling.value)
        if decoder.size.given_width is not None:  # as above
            making.append(f"width {decoder.size.width}")
        if decoder.value_range is not None:
            making.append(f"values {decoder.value_range}")
        # The text of json.dumps([making, [[name, stamp], ...]]), made of plain texts for the reason in FileFacts.
        pairs = zip(map(encode_basestring_ascii, self._names), map(encode_basestring_ascii, facts.stamps), strict=True)
        text = f"[{json.dumps(making)}, [{', '.join([f'[{name}, {stamp}]' for name, stamp in pairs])}]]"
        stamp = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return _Known(fingerprints=fingerprints, stamp=stamp)

    @property
    def decoded_bytes(self) -> int:
        """Memory in bytes of all images when decoded at their full size."""
        return len(self) * math.prod(self._full_shape) * self._decoder.dtype.itemsize

    @property
    def path(self) -> Path:
        """The folder or the zip."""
        return self._path

    @property
    def decoder(self) -> ImageDecoder:
        """What makes images of files: their full size, channels and range of values, and how they are resized."""
        return self._decoder

    @property
    def _full_shape(self) -> tuple[int, int, int]:
        return self._decoder.shape_at(self._decoder.size.height)

    def contents(self, name: str) -> bytes:
        """Returns the bytes of a file.

        Raises:
            ValueError: naming the file, if it cannot be read.
        """
        return self._read(name, lambda contents: contents)

    def fingerprint(self) -> str:
        """Returns 16 hexadecimal digits that change if a file, the size, the channels or the resizing changes.

        A file is identified by its name, size and time of change (in a zip: its checksum), not by the folder's path.
        The files are asked once, when this or the origin is first wanted.
        """
        return self._known.stamp

    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        """Reads the images at `indices`.

        Raises:
            ValueError: naming the file, if one cannot be read.
        """
        shape = (len(indices), *self._decoder.shape_at(resolution))
        with self._naming_the_place():
            pixels = (self._decoded(self._names[index], [resolution])[0] for index in indices.tolist())
            return _stacked(pixels, shape=shape, dtype=self._decoder.dtype)

    def whole(self, indices: Indices) -> list[Whole]:
        """Reads whole images, resized until they just cover the full size.

        Raises:
            ValueError: naming the file, if one cannot be read.
        """
        names = [self._names[index] for index in indices.tolist()]
        with self._naming_the_place():
            return [tensor_of(self._read(name, self._decoder.whole)) for name in names]

    def check(self) -> None:
        """Decodes every file, and keeps none.

        Raises:
            ValueError: if files cannot be read or their size is refused; one error names them.
        """
        progress = ProgressReport(images=len(self), what=f"checking the files of {shown(self._path)} once, by decoding")
        for done, _ in enumerate(self.decoded([self._decoder.size.height])):
            progress.report(done)

    def in_memory(self) -> MemoryImages:
        """Decodes all images at their full size.

        Raises:
            ValueError: if files cannot be read; one error names them.
        """
        pixels = (levels[0] for levels in self.decoded([self._decoder.size.height]))
        return MemoryImages(
            images=_stacked(pixels, shape=(len(self), *self._full_shape), dtype=self._decoder.dtype),
            value_range=None if self._decoder.value_range is None else (-1.0, 1.0),
            labels=self.labels,
            number_of_classes=self.number_of_classes,
            origin=self.origin,
        )

    def decoded(self, resolutions: Sequence[int]) -> Generator[list[Decoded], None, None]:
        """Yields every image in order, decoded once, at each of the resolutions.

        Only a few images are in memory at a time. Images that cannot be read are left out, and an error is raised after
        the last image.

        Args:
            resolutions: heights in pixels, each the full height divided by a power of two.

        Raises:
            ValueError: if files cannot be read; one error names them.
        """
        return self._for_each_file(lambda name: self._decoded(name, resolutions))

    def _decoded(self, name: str, resolutions: Sequence[int]) -> list[Decoded]:
        return self._read(name, lambda contents: self._decoder.levels(contents, resolutions=resolutions))

    @contextmanager
    def _naming_the_place(self) -> Iterator[None]:
        """Adds the place and the remedy to the error of a single file."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{shown(self._path)}: {error}; replace or remove the file") from error

    def _read(self, name: str, decoder: Callable[[bytes], _Result]) -> _Result:
        try:
            return decoder(self._files.contents(name))
        # Decoders raise nearly anything on broken files (OSError, SyntaxError, zlib.error, struct.error, ...).
        except Exception as error:
            raise unreadable(name, error) from error

    def _for_each_file(self, work: Callable[[str], _Result]) -> Generator[_Result, None, None]:
        """Yields the result of `work` for each file, in order, and then raises one error for all files that failed.

        If all of the first ones failed, no others are tried.
        """
        faults: dict[str, list[str]] = {}  # names of files by what is wrong with them
        names, done = iter(self._names), 0
        with ThreadPoolExecutor(_THREADS) as threads:
            # The number of waiting results is limited, because all of them together may be larger than memory.
            ahead: deque[tuple[str, Future[_Result]]] = deque(
                (name, threads.submit(work, name)) for name in islice(names, 4 * _THREADS)
            )
            while ahead:
                name, waiting = ahead.popleft()
                done += 1
                try:
                    result = waiting.result()
                except ValueError as error:
                    faults.setdefault(str(error).removeprefix(f"{shown(name)}: "), []).append(name)
                else:
                    yield result
                if done == TRIED == sum(map(len, faults.values())):
                    break
                ahead.extend((name, threads.submit(work, name)) for name in islice(names, 1))
        if faults:
            count = sum(map(len, faults.values()))
            which = f"{count}" if done == len(self) else f"the first {count}"
            named = [f"{listed(names, most=_NAMED_FAULTS)}: {reason}" for reason, names in faults.items()]
            named[_NAMED_FAULTS:] = ["..."] * (len(named) > _NAMED_FAULTS)
            raise ValueError(
                f"{which} of {len(self)} images in {shown(self._path)} cannot be used; replace or remove them:"
                + "".join(f"\n  {fault}" for fault in named)
            )


def _stacked(pixels: Iterable[Decoded], *, shape: tuple[int, int, int, int], dtype: np.dtype[Any]) -> StoredImages:
    """Returns images as one tensor `batch channels height width`, of which only one is in memory twice at a time."""
    images = np.empty(shape, dtype=dtype)
    for image, one in zip(images, pixels, strict=True):
        image[:] = one.transpose(2, 0, 1)  # channels height width; einops takes as long as a small image's copy
    return torch.from_numpy(images)


def unreadable(name: str, error: Exception) -> ValueError:
    """Returns the error of a file that cannot be decoded, in words that name the file and the reason.

    Args:
        name: name of the file.
        error: what its decoder raised.
    """
    reason: object = error
    if isinstance(error, UnidentifiedImageError):  # Pillow's message names an object in memory
        reason = "it is not an image, or an incomplete one"
    elif isinstance(error, Image.DecompressionBombError):
        reason = f"it has more pixels than can be decoded safely ({error})"
    elif isinstance(error, OSError) and error.strerror:  # the error's own text has the path once more
        reason = error.strerror
    return ValueError(f"{shown(name)}: {reason}")


def _counted_by_suffix(names: Sequence[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix.lower() or "without an ending" for name in names)
    parts = [f"{count} {shown(suffix)}" for suffix, count in counts.most_common(6)]
    return ", ".join(parts) + ", ..." * (len(counts) > len(parts))


def _fingerprint(values: Sequence[object]) -> str:
    return fingerprint_of(json.dumps(values).encode())
