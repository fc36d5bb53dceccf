"""What a data set became, in one line for a person who looks at the start of a training."""

import torch

from lightning_gan.data.images import ImageSource
from lightning_gan.data.shown import shown

_NAMED_CLASSES = 10


def description_of(source: ImageSource, *, name: str, size: str, labels: bool, largest_batch: int) -> str:
    """Returns the number of images, their size, their classes with counts and origin, and what is unusual.

    Args:
        source: the images.
        name: name of the data module, for images whose place is unknown.
        size: width, height and channels, such as "64x64x3".
        labels: whether labels are used.
        largest_batch: largest number of images in a global batch.
    """
    origin = source.origin
    parts = [f"{len(source)} images of {size} in {origin.place or name}", _labels_of(source, labels=labels)]
    parts += origin.remarks
    if largest_batch > len(source):
        parts.append(f"a batch of {largest_batch} shows images more than once")
    return f"{parts[0]}, {'; '.join(parts[1:])}"


def _labels_of(source: ImageSource, *, labels: bool) -> str:
    origin, found = source.origin, source.labels
    if found is None:
        return origin.labels or "no classes"
    if not labels:
        return "labels are not used"
    if found.ndim == 2:
        return f"rows of {found.shape[1]} numbers as labels {origin.labels} (samples are drawn of one class each)"
    counts = torch.bincount(found, minlength=source.number_of_classes).tolist()
    numbers = tuple(map(str, range(len(counts))))
    names = origin.class_names if len(origin.class_names) == len(counts) else numbers
    shown_classes = [f"{shown(name)} {count}" for name, count in zip(names, counts, strict=True)][:_NAMED_CLASSES]
    more = f", ...; {min(counts)} to {max(counts)} images each" if len(counts) > _NAMED_CLASSES else ""
    return f"{len(counts)} classes {origin.labels} ({', '.join(shown_classes)}{more})".replace("  ", " ")
