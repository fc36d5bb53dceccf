"""Conversion of class labels to vectors."""

from torch import Tensor
from torch.nn.functional import one_hot

from lightning_gan.tensors.shapes import Labels


def label_vectors(labels: Labels, *, number_of_classes: int) -> Tensor:
    """Convert labels to float vectors, `batch classes`. Indices become one-hot rows; multi-hot rows are unchanged.

    Args:
        labels: class indices, `batch`, or multi-hot rows, `batch classes`.
        number_of_classes: number of classes.

    Raises:
        ValueError: if multi-hot rows have a different number of classes.
    """
    if labels.dim() == 1:
        return one_hot(labels.long(), number_of_classes).float()
    if labels.shape[1] != number_of_classes:
        raise ValueError(f"labels have {labels.shape[1]} columns for {number_of_classes} classes")
    return labels.float()
