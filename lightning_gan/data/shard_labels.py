"""The labels of images in shards: a `dataset.json` with the images in the order of the shards."""

from dataclasses import dataclass
from typing import final

import fsspec

from lightning_gan.data.dataset_json import labels_in, names_in
from lightning_gan.data.shown import shown
from lightning_gan.tensors.shapes import Labels


@final
@dataclass(frozen=True, kw_only=True)
class ShardLabels:
    """Labels, and the names of the images that they are for.

    Args:
        place: path or address of the file that they are from.
        image_names: the name of every image, in the order of the shards.
        labels: class index of every image, int64, or one row of numbers for each, float32.
        class_names: names of the classes; empty for rows of numbers.
        remarks: what is no error, for a person to read.
    """

    place: str
    image_names: tuple[str, ...]
    labels: Labels
    class_names: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def number_of_classes(self) -> int:
        """The number of classes, or of numbers in a row."""
        return len(self.class_names) if self.labels.ndim == 1 else self.labels.shape[1]


def labels_at(place: str) -> ShardLabels | None:
    """Returns the labels in a `dataset.json`, or None if it says that there are none.

    Args:
        place: path of the file, or its address in a store that fsspec knows.

    Raises:
        ValueError: if it cannot be read or understood.
    """
    try:
        with fsspec.open(place, "rb") as file:
            text = file.read()
    # Of the disk, of the network and of the store's own library: nearly anything.
    except Exception as error:
        raise ValueError(
            f"labels_file={shown(place)} cannot be read ({shown(error)}); give the dataset.json of these images, or "
            "leave it out to train without classes"
        ) from error
    try:
        names = names_in(text)
        found = labels_in(text, images=names, top="")
    except ValueError as error:
        raise ValueError(f"{shown(place)}: {error}") from error
    if found.labels is None:
        return None
    return ShardLabels(
        place=place,
        image_names=tuple(names),
        labels=found.labels,
        class_names=found.names,
        remarks=found.remarks,
    )
