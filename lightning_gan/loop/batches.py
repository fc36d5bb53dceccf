"""The types of batches, and checks of what they hold. Nothing here reads values, so the CPU does not wait for a GPU."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import Labels

Batch: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""A batch: images, or (images, labels), or {"image": ..., "label": ...}. Images are uint8, or float in [-1, 1]."""

FORMS = 'images, (images, labels), or {"image": images, "label": labels}'
RETURN = "let the data set, or the collate_fn of its data loader, return"


def images_and_labels(batch: Any) -> tuple[Tensor, Tensor | None]:
    """The images and the labels of a batch; the labels are None if the batch has none.

    Args:
        batch: a `Batch`. Entries beside images and labels are not used; `unused_entries` names them.

    Raises:
        ValueError: if it is in another form.
    """
    images, labels = _entries(batch)
    if not isinstance(images, Tensor):
        raise ValueError(f"the images of the batch are a {_kind(images)}; {RETURN} {FORMS} as tensors")
    if labels is not None and not isinstance(labels, Tensor):
        raise ValueError(f"the labels of the batch are a {_kind(labels)}; {RETURN} {FORMS} as tensors")
    return images, labels


def _entries(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, Mapping):
        if "image" not in batch:
            raise ValueError(f"the batch has the entries {_listed(batch)} and no entry 'image'; {RETURN} {FORMS}")
        return batch["image"], batch.get("label")
    if not isinstance(batch, Sequence) or isinstance(batch, str) or not batch:
        raise ValueError(f"the batch is a {_kind(batch)}; {RETURN} {FORMS}")
    return batch[0], batch[1] if len(batch) > 1 else None


def unused_entries(batch: Batch) -> str:
    """The entries of a batch that are neither images nor labels, for a remark; empty if there are none.

    Example:
        >>> unused_entries({"image": torch.zeros(1), "path": torch.zeros(1)})
        "'path'"
        >>> unused_entries((torch.zeros(1), torch.zeros(1), torch.zeros(1)))
        'number 3'
        >>> unused_entries((torch.zeros(1), torch.zeros(1)))
        ''
    """
    if isinstance(batch, Tensor):
        return ""
    if isinstance(batch, Mapping):
        return _listed([key for key in batch if key not in ("image", "label")])
    return ", ".join(f"number {index + 1}" for index in range(2, len(batch)))


def _listed(keys: Any) -> str:
    return ", ".join(repr(key) for key in keys)


def _kind(value: Any) -> str:
    """The type of a value for a message, with the types of the entries of a list or tuple."""
    name = type(value).__name__
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{name} of {', '.join(type(entry).__name__ for entry in value[:4]) or 'nothing'}"
    return name


def fitting_labels(labels: Tensor | None, *, images: int, number_of_classes: int) -> Labels:
    """Labels in the form that models take: class indices as int64, or float rows.

    Args:
        labels: labels of the batch; None if it has none.
        images: number of images in the batch.
        number_of_classes: number of classes of the model.

    Raises:
        ValueError: if labels are missing, or are neither one integer per image nor one row of classes per image.
    """
    if labels is None:
        raise ValueError(
            f"the model has number_of_classes={number_of_classes} but the batch holds no labels; "
            f"{RETURN} {FORMS}, or set number_of_classes to 0"
        )
    if tuple(labels.shape) not in {(images,), (images, number_of_classes)}:
        remedy = "give one index per image, or one row with a column per class"
        if labels.dim() == 2 and labels.shape[1] == 1:
            remedy = "give labels.squeeze(1), which is one index per image"
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit {images} images of {number_of_classes} classes; {remedy}"
        )
    is_index = labels.dim() == 1
    if labels.is_complex() or (is_index and (labels.is_floating_point() or labels.dtype == torch.bool)):
        kind = str(labels.dtype).removeprefix("torch.")
        raise ValueError(f"the labels are {kind}, and class indices are integers; give labels.long()")
    if is_index:
        return labels.long()
    return labels if labels.is_floating_point() else labels.to(torch.get_default_dtype())


def check_label_range(labels: Labels, *, number_of_classes: int) -> None:
    """Check that class indices are in range. It reads the values; multi-hot rows are not checked.

    Raises:
        ValueError: for an index outside of 0 to `number_of_classes` - 1.
    """
    if labels.dim() == 1:
        wrong = labels[(labels < 0) | (labels >= number_of_classes)]
        if len(wrong):
            raise ValueError(label_problem(int(wrong[0]), number_of_classes=number_of_classes))


def label_problem(label: int, *, number_of_classes: int) -> str:
    """What a message says about a class index that is out of range."""
    return (
        f"label {label} is outside of 0..{number_of_classes - 1}, the classes of the model; correct the labels, or "
        "give the model the number_of_classes of the data"
    )
