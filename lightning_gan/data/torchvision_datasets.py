"""Public data sets through torchvision: downloading and opening them, with errors that name a remedy.

Data sets of torchvision are used only in this file, when one is opened or downloaded. It verifies its downloads by
checksums.
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

from lightning_gan.data.datamodule import GANData
from lightning_gan.tensors.shapes import ImageBytes

_LOCK = ".download.lock"


@final
@dataclass(frozen=True, kw_only=True)
class PublicDataset:
    """A public data set, with the facts that error messages need when it is missing.

    Args:
        name: name of the data set.
        host: host from which torchvision downloads it.
        by_hand: what a person can do instead of downloading, as the end of a sentence after "or".
    """

    name: str
    host: str
    by_hand: str

    def fetch(self, make: Callable[[Any], object], *, root: Path) -> None:
        """Downloads the data set by torchvision, while other processes that need it wait.

        Args:
            make: builds the data set with `download=True` from the module `torchvision.datasets`.
            root: folder for the downloaded files.

        Raises:
            ValueError: if torchvision is missing, the host cannot be reached, or a checksum is wrong.
        """
        datasets = torchvision_datasets(self.name)
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / _LOCK):
                make(datasets)
        # Libraries that download and unpack raise nearly any error: URLError, HTTPException, RuntimeError, TarError...
        except Exception as error:
            raise ValueError(
                f"{self.name} could not be fetched from {self.host} to {root} ({error}); check the network, "
                f"or {self.by_hand}"
            ) from error

    def open(self, make: Callable[[Any], Any], *, root: Path) -> Any:
        """Opens a data set that has been downloaded.

        Args:
            make: builds the data set with `download=False` from the module `torchvision.datasets`.
            root: folder that contains it.

        Raises:
            ValueError: if torchvision is missing, or the data set is missing or incomplete.
        """
        datasets = torchvision_datasets(self.name)
        try:
            return make(datasets)
        # torchvision raises RuntimeError for files that are missing or have another checksum.
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"{root} does not hold the whole of {self.name}; give download: true (--data.download=true) to fetch "
                f"it from {self.host}, or {self.by_hand}"
            ) from error


class FetchedData(GANData, ABC):
    """Base class of data sets that torchvision downloads and opens; subclasses define the attributes.

    Attributes:
        dataset: name of the data set, with the facts that error messages need when it is missing.
        root: folder that contains it.
        download: whether it is downloaded when it is missing.
    """

    dataset: ClassVar[PublicDataset]
    root: Path
    download: bool

    @abstractmethod
    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        """Returns torchvision's data set with these settings.

        Args:
            datasets: the module `torchvision.datasets`.
            download: whether torchvision downloads it when it is missing.
        """

    def prepare_data(self) -> None:
        """Downloads the data set if `download` is true; one process of every machine does this, and the others wait."""
        if self.download:
            self.dataset.fetch(lambda datasets: self.of_torchvision(datasets, download=True), root=self.root)

    def opened(self) -> Any:
        """Returns torchvision's data set, which must have been downloaded.

        Raises:
            ValueError: if torchvision is missing, or the data set is missing or incomplete.
        """
        return self.dataset.open(lambda datasets: self.of_torchvision(datasets, download=False), root=self.root)


def torchvision_datasets(name: str) -> Any:
    """Returns the module `torchvision.datasets`.

    Args:
        name: name of the data set that needs it, for the error message.

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


def channels_first(pixels: Any) -> ImageBytes:
    """Returns a uint8 tensor `batch channels height width` of numpy's `batch height width channels`."""
    images = torch.from_numpy(pixels)
    return rearrange(images, "batch height width channels -> batch channels height width").contiguous()
