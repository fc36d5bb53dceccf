"""Class labels as vectors."""

from torch import Tensor
from torch.nn.functional import one_hot

from lightning_gan.tensors.shapes import Labels


def label_vectors(labels: Labels, *, number_of_classes: int) -> Tensor:
    """`batch classes` in float: indices become one-hot rows, multi-hot rows stay as they are.

    Raises:
        ValueError: if rows have another number of classes.
    """
    if labels.dim() == 1:
        return one_hot(labels.long(), number_of_classes).float()
    if labels.shape[1] != number_of_classes:
        raise ValueError(f"labels have {labels.shape[1]} columns for {number_of_classes} classes")
    return labels.float()
