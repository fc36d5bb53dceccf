"""Images in shards, large files that hold many images each, in an object store or on a disk (litdata's format).

litdata reads each image by its number, and its own order and division among processes are not used: the stream decides
which number comes when, so that the order stays a function of seed and position, whatever the number of workers, ranks
and nodes. From an object store an image is two requests, for its place in the shard and for its bytes, so that nothing
else is transferred or kept on a disk.
"""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar, final

import numpy as np
import torch
from torch import Tensor

from lightning_gan.data.crops import Whole
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_decoder import ImageDecoder, tensor_of
from lightning_gan.data.image_files import unreadable
from lightning_gan.data.images import ImageSource, Indices, Origin, box_mean, pixel_size
from lightning_gan.data.shard_files import IMAGE, INDEX, NAME, ShardIndex, index_in, litdata
from lightning_gan.data.shard_labels import ShardLabels
from lightning_gan.data.shown import shown
from lightning_gan.data.value_range import value_range_of
from lightning_gan.tensors.shapes import Labels, StoredImages

_Result = TypeVar("_Result")

_STORES = ("s3://", "gs://")  # of these litdata reads parts of a file; of others it would copy whole shards to the disk
_THREADS = 32  # images that a process asks a store for at the same time, because it answers after a while


@final
class Shards(ImageSource):
    """Images in shards, by their numbers; each process opens them itself.

    Args:
        address: path of the folder that holds the shards, or its address in an object store, `s3://` or `gs://`.
        image_size: full height of the images in pixels, and their width if `image_width` is not given.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA; of
            arrays, and of images with more than 8 bits, the number that they have.
        labels: labels with the names of their images; None for images without labels.
        resize: treatment of image files of another size.
        resampling: how image files of another size are resized.
        image_width: full width of the images in pixels; None is a square.
        value_range: the values that become -1 and 1 of float images; None for images of 8 bits.

    Raises:
        ValueError: if litdata is missing, there are no shards, they hold something else than images, the labels are of
            other images, or the first image cannot be used.
    """

    def __init__(
        self,
        *,
        address: str,
        image_size: int,
        image_channels: int,
        labels: ShardLabels | None = None,
        resize: Resize = Resize.exact,
        resampling: Resampling = Resampling.box_or_lanczos,
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
        self._address = address
        self._is_remote = "://" in address
        self._shard_labels = labels
        self._dataset: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._opened_by = -1
        self._index: ShardIndex | None = None
        self._open()
        self._check_labels()
        self.read(torch.tensor([0]), resolution=image_size)

    def __len__(self) -> int:
        assert self._index is not None
        return self._index.images

    @property
    def labels(self) -> Labels | None:
        return None if self._shard_labels is None else self._shard_labels.labels

    @property
    def number_of_classes(self) -> int:
        return 0 if self._shard_labels is None else self._shard_labels.number_of_classes

    @property
    def origin(self) -> Origin:
        """Where the images come from; a copy of the same shards elsewhere has the same fingerprint."""
        assert self._index is not None
        place = shown(self._address.rstrip("/").rpartition("/")[2])
        remarks = (f"{self._index.shards} shards", *self._index.remarks)
        fingerprints = {"index of shards": self._index.stamp}
        if self._shard_labels is None:
            return Origin(place=place, remarks=remarks, fingerprints=fingerprints)
        found = self._shard_labels
        return Origin(
            place=place,
            class_names=found.class_names,
            labels=f"from {shown(found.place.rpartition('/')[2])}",
            remarks=(*remarks, *found.remarks),
            fingerprints=fingerprints,
        )

    def read(self, indices: Indices, *, resolution: int) -> StoredImages:
        """Reads the images at `indices`; several at a time from an object store.

        Raises:
            ValueError: naming the shards and the image, if one cannot be read or has another size.
        """
        self._decoder.size.at(resolution)
        return torch.stack(self._each(indices, partial(self._image, resolution=resolution)))

    def whole(self, indices: Indices) -> list[Whole]:
        """Reads whole images, resized until they just cover the full size.

        Raises:
            ValueError: naming the shards and the image, if one cannot be read.
        """
        return self._each(indices, self._whole)

    def _each(self, indices: Indices, work: Callable[[Any], _Result]) -> list[_Result]:
        self._open()
        numbers: list[int] = indices.tolist()
        if not self._is_remote or len(numbers) == 1:  # litdata maps shards of a disk into memory, in one thread
            return [self._made(work, number) for number in numbers]
        if self._threads is None:  # late, so that a process that only makes others has no threads
            self._threads = ThreadPoolExecutor(_THREADS)
        return list(self._threads.map(partial(self._made, work), numbers))

    def _made(self, work: Callable[[Any], _Result], number: int) -> _Result:
        name = f"image {number}"
        try:
            item = self._dataset[number]
        # Of the disk, of the network and of the store's own library: nearly anything.
        except Exception as error:
            raise ValueError(
                f"{shown(self._address)}: {unreadable(name, error)}; check the shards and the network, and go on from "
                "the last checkpoint (fit --resume)"
            ) from error
        image = item[IMAGE] if isinstance(item, dict) else item
        if isinstance(item, dict) and NAME in item:
            name = item[NAME] if isinstance(item[NAME], str) else bytes(item[NAME]).decode(errors="replace")
        if self._shard_labels is not None and self._shard_labels.image_names[number] != name:
            raise ValueError(
                f"{shown(self._address)}: image {number} is {shown(name)} in the shards and "
                f"{shown(self._shard_labels.image_names[number])} in {shown(self._shard_labels.place)}; give the file "
                "with the images in the order of the shards"
            )
        try:
            return work(image)
        # Decoders raise nearly any error for broken files.
        except Exception as error:
            raise ValueError(
                f"{shown(self._address)}: {unreadable(name, error)}; write the shards without it"
            ) from error

    def _image(self, image: Any, *, resolution: int) -> Tensor:
        if not isinstance(image, (bytes, memoryview)):
            return box_mean(self._array(image)[None], resolution=resolution)[0]
        (pixels,) = self._decoder.levels(bytes(image), resolutions=[resolution])
        return tensor_of(pixels)

    def _whole(self, image: Any) -> Whole:
        if not isinstance(image, (bytes, memoryview)):
            return self._array(image)
        return tensor_of(self._decoder.whole(bytes(image)))

    def _array(self, image: Any) -> Tensor:
        """The pixels of an array, which must have the full size."""
        array = np.asarray(image)
        wanted = list(self._decoder.shape_at(self._decoder.size.height))
        if array.dtype.kind not in "uif" or list(array.shape) != wanted:
            raise ValueError(
                f"it is {array.dtype} {list(array.shape)} and not numbers {wanted}; change image_size or "
                "image_channels, or write image files or .npy files, which can be resized"
            )
        return tensor_of(self._decoder.scaled_or_bytes(array.transpose(1, 2, 0)))

    def _check_labels(self) -> None:
        assert self._index is not None
        if self._shard_labels is None:
            return
        place = shown(self._shard_labels.place)
        if len(self._shard_labels.image_names) != len(self):
            raise ValueError(
                f"{place} has labels of {len(self._shard_labels.image_names)} images, and {shown(self._address)} has "
                f"{len(self)}; give the file that belongs to these shards"
            )
        if not self._index.has_names:
            raise ValueError(
                f"{shown(self._address)} has images without names, by which labels of {place} are compared; write "
                f'{{"{NAME}": ..., "{IMAGE}": ...}} for each image, or leave labels_file out'
            )

    def _open(self) -> None:
        # Each process opens the shards itself: connections and maps of files must not be shared after a fork.
        if self._opened_by == os.getpid():
            return
        self._dataset = _opened(self._address)
        self._threads = None
        self._opened_by = os.getpid()
        index = index_in(Path(self._dataset.input_dir.path, INDEX), address=self._address)
        if self._index is not None and index != self._index:
            raise ValueError(f"{shown(self._address)} was written anew while it was in use; begin anew")
        self._index = index

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None, "_threads": None, "_opened_by": -1}


def _opened(address: str) -> Any:
    streaming = litdata().streaming
    if "://" not in address:
        folder = Path(address).expanduser()
        if not (folder / INDEX).is_file():
            raise ValueError(
                f"{shown(address)} has no {INDEX} and holds no shards; give the folder that `prepare` or litdata wrote"
            )
        index_in(folder / INDEX, address=address)  # litdata's own errors about it say less
        return streaming.StreamingDataset(str(folder))
    if not address.startswith(_STORES):
        raise ValueError(
            f"{shown(address)} is not in a store whose files can be read in parts; give an address that begins with "
            f"{' or '.join(_STORES)}, or copy the shards to a folder"
        )
    if address.startswith("gs://"):
        _check_google_library(address)
    # litdata deletes a shared folder's copy of another version of the shards, which another process may be reading.
    copies = mkdtemp(prefix="lightning_gan_index_")
    Finalize(None, shutil.rmtree, args=(copies, True), exitpriority=0)  # of the process that made it, and of no fork
    try:
        return streaming.StreamingDataset(address.rstrip("/"), cache_dir=copies, storage_options=_options(address))
    # Of the network and of the store's own library: nearly anything.
    except Exception as error:
        raise ValueError(
            f"{shown(address)}: its {INDEX} cannot be read ({shown(error)}); check the address, the credentials and "
            "the network"
        ) from error


def _check_google_library(address: str) -> None:
    try:
        import_module("google.cloud.storage")
    except ImportError as error:
        raise ValueError(f"{shown(address)} needs google-cloud-storage; pip install google-cloud-storage") from error


def _options(address: str) -> dict[str, Any]:
    """How litdata asks a store: for S3 with a connection for each thread, and not for hours if nobody answers."""
    if not address.startswith("s3://"):
        return {}
    config = import_module("botocore.config")
    retries = {"max_attempts": 12, "mode": "standard"}  # half a minute and more; litdata has 1000
    return {"config": config.Config(retries=retries, max_pool_connections=_THREADS)}
