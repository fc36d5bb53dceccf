"""LSUN (Yu et al. 2015, arXiv:1506.03365): up to millions of photographs of each of ten scenes, and of objects.

The databases are read with lmdb and without torchvision, whose class writes an index into the working directory under a
name that several databases may share.
"""

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from lightning_gan.data.crops import RandomCrops, Whole
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.image_decoder import ImageDecoder, tensor_of
from lightning_gan.data.images import ClassLabels, ImageSource, Indices, Origin, pixel_size
from lightning_gan.tensors.fingerprints import fingerprint_of
from lightning_gan.tensors.shapes import ImageBytes


@final
class Databases(ImageSource):
    """Image files in LSUN's lmdb databases, one database after the other, each in the order of its keys.

    Args:
        paths: paths of the databases.
        image_size: width and height in pixels to which images are resized.
        labels: whether the images have the numbers of their databases as classes.
        resize: how images become squares.
        resampling: how images are resized.

    Raises:
        ValueError: if lmdb is missing, or a database is missing, damaged or empty.
    """

    def __init__(
        self, *, paths: list[Path], image_size: int, labels: bool, resize: Resize, resampling: Resampling
    ) -> None:
        self._paths = paths
        self._decoder = ImageDecoder(
            size=pixel_size(image_size), image_channels=3, resize=resize, resampling=resampling
        )
        self._opened: list[Any] = []
        self._opened_by = -1
        # All keys have 40 hexadecimal digits; an array of them takes a third of a list's memory.
        self._keys = [np.array(_keys_of(path)) for path in paths]
        self._ends = np.cumsum([len(keys) for keys in self._keys])
        self._labels = torch.repeat_interleave(torch.tensor([len(keys) for keys in self._keys])) if labels else None

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def labels(self) -> ClassLabels | None:
        return self._labels

    @property
    def number_of_classes(self) -> int:
        return 0 if self._labels is None else len(self._paths)

    @property
    def origin(self) -> Origin:
        names = tuple(path.name.removesuffix("_lmdb") for path in self._paths)
        keys = fingerprint_of(*(keys.tobytes() for keys in self._keys))
        return Origin(
            place=", ".join(names),
            class_names=() if self._labels is None else names,
            fingerprints={"keys of images": keys},
        )

    def contents(self, index: int) -> bytes:
        """Returns the bytes of one image file.

        Args:
            index: number of the image, 0..len-1.
        """
        contents: bytes = self._read(index, lambda found: found)
        return contents

    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        """Reads the images at `indices`.

        Raises:
            ValueError: naming the database and the key, if an image cannot be read.
        """
        self._decoder.size.at(resolution)
        decoder = partial(self._decoder.levels, resolutions=[resolution])
        return torch.stack([tensor_of(self._read(index, decoder)[0]) for index in indices.tolist()])

    def whole(self, indices: Indices) -> list[Whole]:
        """Reads whole images, resized until the shorter side has the full size.

        Raises:
            ValueError: naming the database and the key, if an image cannot be read.
        """
        return [tensor_of(self._read(index, self._decoder.whole)) for index in indices.tolist()]

    def _read(self, index: int, decoder: Callable[[bytes], Any]) -> Any:
        database = int(np.searchsorted(self._ends, index, side="right"))
        key = bytes(self._keys[database][index - self._ends[database]])  # counted from the end of its database
        with self._databases()[database].begin(write=False) as transaction:
            contents = transaction.get(key)
        try:
            return decoder(contents)
        # Decoders raise nearly any error for broken files.
        except Exception as error:
            raise ValueError(f"{self._paths[database]}: the image {key.decode()} cannot be read ({error})") from error

    def _databases(self) -> list[Any]:
        # Each process opens the databases itself: lmdb forbids using a database that was opened before a fork.
        if self._opened_by != os.getpid():
            self._opened = [_opened(path) for path in self._paths]
            self._opened_by = os.getpid()
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": [], "_opened_by": -1}


def _opened(path: Path) -> Any:
    return _lmdb().open(str(path), readonly=True, lock=False, readahead=False, meminit=False)


def _keys_of(path: Path) -> list[bytes]:
    lmdb = _lmdb()
    if not (path / "data.mdb").is_file():
        raise ValueError(
            f"{path} does not exist; torchvision cannot fetch LSUN: get {path.name.removesuffix('_lmdb')}_lmdb.zip "
            f"from dl.yf.io/lsun and unpack it in {path.parent}"
        )
    try:
        database = _opened(path)
        with database.begin(write=False) as transaction:
            keys = list(transaction.cursor().iternext(keys=True, values=False))
        database.close()
    except lmdb.Error as error:
        raise ValueError(f"{path} cannot be read ({error}); unpack its zip again") from error
    if not keys:
        raise ValueError(f"{path} holds no image; unpack its zip again")
    return keys


def _lmdb() -> Any:
    try:
        return import_module("lmdb")
    except ImportError as error:
        raise ValueError("LSUN needs lmdb; pip install 'lightning-gan[datasets]'") from error


@final
class LSUN(GANData):
    """LSUN: a square of every image, resized, decoded from its database whenever it is read.

    The databases keep the names that they have in their zip files: `bedroom_train_lmdb`, `church_outdoor_val_lmdb` and
    so on.

    Args:
        root: folder that contains the databases.
        categories: names of one or more databases, such as `[bedroom_train]`; several are classes in this order.
        image_size: width and height of the squares in pixels; the shorter side of the images has at least 256 pixels.
        labels: whether the networks get the categories as classes, if there are several.
        mirror: whether half of the training images are flipped left to right. PGGAN and StyleGAN do not do this, but
            the R1 paper's code does.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process. None chooses one to eight, by
            the CPUs that this process may use.
        resize: how images become squares: center_crop cuts and resizes, shorter_side resizes and cuts, squash changes
            their proportions. With random crops, shorter_side lets them reach the ends of the longer side.
        resampling: how images are resized: box_or_lanczos, lanczos or bilinear.
        random_crop_from: size in pixels to which images are resized, out of which training
            images are cut at random places, and others at the centre. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if a number is out of range or a category is named twice; when it is opened, if lmdb or a database
            is missing.
    """

    def __init__(
        self,
        *,
        root: str | Path = "data/lsun",
        categories: tuple[str, ...] = ("bedroom_train",),
        image_size: int = 256,
        labels: bool = True,
        mirror: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        number_of_workers: int | None = None,
        resize: Resize = Resize.center_crop,
        resampling: Resampling = Resampling.box_or_lanczos,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
    ) -> None:
        if image_size < 1:
            raise ValueError(f"image_size={image_size} must be at least 1")
        if not categories or len(set(categories)) != len(categories):
            raise ValueError(f"categories={list(categories)}: give at least one, each once, such as bedroom_train")
        super().__init__(
            image_size=image_size,
            image_channels=3,
            number_of_classes=len(categories) if labels and len(categories) > 1 else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
        )
        self.root = Path(root).expanduser()
        self.categories = tuple(categories)
        self.resize = resize
        self.resampling = resampling
        self.random_crop_from = random_crop_from

    def open_source(self) -> ImageSource:
        paths = [self.root / f"{category.removesuffix('_lmdb')}_lmdb" for category in self.categories]
        databases = Databases(
            paths=paths,
            image_size=self.size_to_read,
            labels=self.number_of_classes > 0,
            resize=self.resize,
            resampling=self.resampling,
        )
        if self.resize is Resize.shorter_side and self.random_crop_from is not None:
            return RandomCrops(source=databases, whole=databases.whole, size=self.image_size)
        return databases
