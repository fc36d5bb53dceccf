"""Public data sets through torchvision: fetching them once, opening them, and saying what is wrong in one sentence.

torchvision is imported only here and only when a data set is opened or fetched, so that everything else does without
it. It checks what it fetches by checksums.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from einops import rearrange
from filelock import FileLock
from PIL import Image

from lightning_gan.data.datamodule import GANData
from lightning_gan.tensors.shapes import ImageBytes

_LOCK = ".download.lock"


@final
@dataclass(frozen=True, kw_only=True)
class PublicDataset:
    """What a user has to know of a data set that is not there.

    Args:
        name: what it is called.
        host: where torchvision fetches it from.
        by_hand: what a person can do instead, as the end of a sentence that begins with "or".
    """

    name: str
    host: str
    by_hand: str

    def fetch(self, make: Callable[[Any], object], *, root: Path) -> None:
        """Lets torchvision fetch it, while other processes that want the same wait.

        Args:
            make: builds the data set with `download=True` from the module `torchvision.datasets`.
            root: the folder it goes to.

        Raises:
            ValueError: if torchvision is missing, the host is not reached, or what came is not what was expected.
        """
        datasets = torchvision_datasets(self.name)
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / _LOCK):
                make(datasets)
        # Libraries that fetch and unpack raise nearly anything: URLError, HTTPException, RuntimeError, TarError...
        except Exception as error:
            raise ValueError(
                f"{self.name} could not be fetched from {self.host} to {root} ({error}); check the network, "
                f"or {self.by_hand}"
            ) from error

    def open(self, make: Callable[[Any], Any], *, root: Path) -> Any:
        """The data set, which must be there.

        Args:
            make: builds the data set with `download=False` from the module `torchvision.datasets`.
            root: the folder it is in.

        Raises:
            ValueError: if torchvision is missing, or the data set is missing or incomplete.
        """
        datasets = torchvision_datasets(self.name)
        try:
            return make(datasets)
        # RuntimeError is torchvision's word for files that are missing or have another checksum.
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"{root} does not hold the whole of {self.name}; give download: true (--data.download=true) to fetch "
                f"it from {self.host}, or {self.by_hand}"
            ) from error


class FetchedData(GANData, ABC):
    """Images of a data set that torchvision fetches and opens; subclasses say which one, and set the attributes.

    Attributes:
        dataset: what a user has to know when it is missing.
        root: folder it is in.
        download: whether it is fetched when it is missing.
    """

    dataset: ClassVar[PublicDataset]
    root: Path
    download: bool

    @abstractmethod
    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        """torchvision's data set of these settings.

        Args:
            datasets: the module `torchvision.datasets`.
            download: whether torchvision fetches it when it is missing.
        """

    def prepare_data(self) -> None:
        """Fetches the data set if that is asked for: on one process of every machine, while the others wait."""
        if self.download:
            self.dataset.fetch(lambda datasets: self.of_torchvision(datasets, download=True), root=self.root)

    def opened(self) -> Any:
        """torchvision's data set, which must be there.

        Raises:
            ValueError: if torchvision is missing, or the data set is missing or incomplete.
        """
        return self.dataset.open(lambda datasets: self.of_torchvision(datasets, download=False), root=self.root)


def torchvision_datasets(name: str) -> Any:
    """The module `torchvision.datasets`.

    Args:
        name: the data set that needs it, for the message.

    Raises:
        ValueError: if torchvision cannot be imported.
    """
    try:
        return import_module("torchvision.datasets")
    # A torchvision built for another torch raises RuntimeError, OSError or AttributeError.
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise ValueError(
            f"{name} needs torchvision, which cannot be imported ({error}); "
            "pip install 'lightning-gan[datasets]' brings the one that belongs to the installed torch"
        ) from error


def resized(image: Image.Image, size: int) -> Image.Image:
    """A square RGB image at another size: the box mean where the size divides, else Lanczos, as image files are."""
    factor, remainder = divmod(image.width, size)
    if remainder:
        return image.resize((size, size), Image.Resampling.LANCZOS)
    return image if factor == 1 else image.reduce(factor)


def channels_first(pixels: Any) -> ImageBytes:
    """Images from numpy's `batch height width channels` bytes."""
    images = torch.from_numpy(pixels)
    return rearrange(images, "batch height width channels -> batch channels height width").contiguous()
