"""The interface by which `prepare` reads image files, whatever holds them."""

from abc import ABC, abstractmethod
from io import BytesIO

from PIL import Image

from lightning_gan.tensors.shapes import Labels


class NumberedFiles(ABC):
    """Image files that are numbered from 0, and their labels. Files are read from several threads at once."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Returns the name of an image, for reports."""

    @abstractmethod
    def contents(self, index: int) -> bytes:
        """Returns the bytes of an image file.

        Raises:
            ValueError: if they cannot be read.
        """

    @property
    @abstractmethod
    def labels(self) -> Labels | None:
        """The class of every image, or one row of numbers for each; None without labels."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; empty without classes, or if they are not known."""

    @property
    @abstractmethod
    def remarks(self) -> tuple[str, ...]:
        """What was left out already and is no error, for a person to read."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a text that changes if the images or their order change."""


def png_of(image: Image.Image) -> bytes:
    """Returns an image as the bytes of a PNG file."""
    file = BytesIO()
    # Little compression: images of a training are read more often than they are written.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
