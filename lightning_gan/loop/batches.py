"""The types of batches, and checks of their labels."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

from lightning_gan.tensors.shapes import Labels

Batch: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""A batch: images, or (images, labels), or {"image": ..., "label": ...}. Images are uint8, or float in [-1, 1]."""


def images_and_labels(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The images and the labels of a batch; the labels are None if the batch has none."""
    if isinstance(batch, Mapping):
        return batch["image"], batch.get("label")
    if isinstance(batch, Tensor):
        return batch, None
    return batch[0], batch[1] if len(batch) > 1 else None


def check_label_shape(labels: Tensor | None, *, images: int, number_of_classes: int) -> None:
    """Check that the shape of labels fits their images. It reads no values, so the CPU does not wait for a GPU.

    Args:
        labels: labels of the batch; None if it has none.
        images: number of images in the batch.
        number_of_classes: number of classes of the model.

    Raises:
        ValueError: if labels are missing, or are neither one index per image nor one row of classes per image.
    """
    if labels is None:
        raise ValueError(
            f"the model has number_of_classes={number_of_classes} but the batch holds no labels; "
            "give batches of (images, labels), or set number_of_classes to 0"
        )
    if tuple(labels.shape) not in {(images,), (images, number_of_classes)}:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit {images} images of {number_of_classes} classes; "
            "give one index per image, or one row with a column per class"
        )


def check_label_range(labels: Labels, *, number_of_classes: int) -> None:
    """Check that class indices are in range. It reads the values; multi-hot rows are not checked.

    Raises:
        ValueError: for an index outside of 0 to `number_of_classes` - 1.
    """
    if labels.dim() == 1:
        wrong = labels[(labels < 0) | (labels >= number_of_classes)]
        if len(wrong):
            raise ValueError(f"label {wrong[0].item()} is outside of 0..{number_of_classes - 1}")
