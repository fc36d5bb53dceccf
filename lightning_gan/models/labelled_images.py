"""The few images of a data set whose labels a semi-supervised model uses, as in the authors' code of CT-GAN."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from lightning_gan.layers.labels import label_vectors
from lightning_gan.loop.draws import Reals
from lightning_gan.tensors.image_bytes import from_bytes, nearest_bytes, to_bytes
from lightning_gan.tensors.shapes import ImageBytes, Images

UNKNOWN = -1
"""The class of a row that holds no image."""

Classes = Int[Tensor, " images"]


def first_of_each_class(classes: Classes, *, per_class: int, number_of_classes: int) -> Int[Tensor, " chosen"]:
    """The positions of the first `per_class` images of each class, one class after another.

    Args:
        classes: Class index of each image, or `UNKNOWN`.
        per_class: Number of images of each class; where there are fewer, all are taken.
        number_of_classes: Number of classes.

    Example:
        >>> first_of_each_class(torch.tensor([1, 0, -1, 1, 1, 0]), per_class=2, number_of_classes=2).tolist()
        [1, 5, 0, 3]
    """
    return torch.cat([(classes == index).nonzero()[:per_class, 0] for index in range(number_of_classes)])


class LabelledImages(nn.Module):
    """The same number of images of each class, as bytes, with their classes. They are saved in checkpoints.

    Args:
        per_class: Number of images of each class, at least 1.
        number_of_classes: Number of classes.
        image_size: Height and width of the images in pixels.
        image_channels: Number of channels of the images.

    Raises:
        ValueError: if `per_class` is below 1.
    """

    pixels: ImageBytes
    classes: Classes

    def __init__(self, *, per_class: int, number_of_classes: int, image_size: int, image_channels: int) -> None:
        if per_class < 1:
            raise ValueError(f"labels_per_class={per_class} must be at least 1; leave it out to use all labels")
        super().__init__()
        self.per_class = per_class
        self.number_of_classes = number_of_classes
        count = per_class * number_of_classes
        shape = (count, image_channels, image_size, image_size)
        self.register_buffer("pixels", torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("classes", torch.full((count,), UNKNOWN))

    def __len__(self) -> int:
        return len(self.classes)

    def choose(self, batches: Iterable[Reals], *, gather: Callable[[Tensor], Tensor]) -> None:
        """Takes the first images of each class. All ranks take the same ones.

        Args:
            batches: This rank's part of a data set. Parts follow one another in the order of the ranks.
            gather: Function that stacks the tensors of all ranks, which have the same shape.

        Raises:
            ValueError: if the data set has too few images of a class.
        """
        pixels, classes = self.pixels[:0], self.classes[:0]
        for batch in batches:
            assert batch.labels is not None
            rows = label_vectors(batch.labels, number_of_classes=self.number_of_classes)
            found = torch.where(rows.sum(dim=1) > 0, rows.argmax(dim=1), UNKNOWN)
            pixels = torch.cat([pixels, to_bytes(batch.images).to(pixels.device)])
            classes = torch.cat([classes, found.to(classes.device)])
            chosen = self._first(classes)
            pixels, classes = pixels[chosen], classes[chosen]
            if len(classes) == len(self):
                break
        missing = len(self) - len(classes)
        pixels = gather(torch.cat([pixels, torch.zeros_like(self.pixels[:missing])])).flatten(0, -4)
        classes = gather(torch.cat([classes, torch.full_like(self.classes[:missing], UNKNOWN)])).flatten()
        chosen = self._first(classes)
        counts = torch.bincount(classes[chosen], minlength=self.number_of_classes).tolist()
        if min(counts) < self.per_class:
            rare = counts.index(min(counts))
            raise ValueError(
                f"labels_per_class={self.per_class}: the data have {counts[rare]} images of class {rare}; "
                f"give {counts[rare]} at most, or more data"
            )
        self.pixels.copy_(pixels[chosen])
        self.classes.copy_(classes[chosen])

    def _first(self, classes: Classes) -> Int[Tensor, " chosen"]:
        return first_of_each_class(classes, per_class=self.per_class, number_of_classes=self.number_of_classes)

    def images(self, rows: Int[Tensor, " rows"]) -> Images:
        """The images of these rows in [-1, 1], `rows channels height width`."""
        return from_bytes(self.pixels[rows])

    def contain(self, images: Images) -> Bool[Tensor, " batch"]:
        """Whether each image in [-1, 1] is, to the byte, one of the labelled ones, `batch`."""
        return torch.stack([(self.pixels == image).flatten(1).all(dim=1).any() for image in nearest_bytes(images)])
