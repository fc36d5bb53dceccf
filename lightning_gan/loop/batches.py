"""Batches as loaders give them, and labels that networks would misread."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

from lightning_gan.tensors.shapes import Labels

Batch: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""Images, or (images, labels), or {"image": ..., "label": ...}; images uint8, or float in [-1, 1]."""


def images_and_labels(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The parts of a batch; labels are None where there are none."""
    if isinstance(batch, Mapping):
        return batch["image"], batch.get("label")
    if isinstance(batch, Tensor):
        return batch, None
    return batch[0], batch[1] if len(batch) > 1 else None


def check_label_shape(labels: Tensor | None, *, images: int, number_of_classes: int) -> None:
    """Refuse labels that do not fit their images; nothing is read, so a GPU is not waited for.

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
    """Refuse class indices that are none; this reads the labels.

    Raises:
        ValueError: naming the first wrong index.
    """
    if labels.dim() == 1:
        wrong = labels[(labels < 0) | (labels >= number_of_classes)]
        if len(wrong):
            raise ValueError(f"label {wrong[0].item()} is outside of 0..{number_of_classes - 1}")
