"""What `prepare` says at its end: what it made, what it left out, and the command that trains on it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from lightning_gan.data.made_images import ANOTHER_SIZE, TOO_SMALL, Making
from lightning_gan.data.named_files import LABELS_FILE
from lightning_gan.data.numbered_files import NumberedFiles
from lightning_gan.data.shown import shown

RECORD = ".prepared.json"
"""File in the result that says what it was made of and what was left out. Hidden files are no images of a data set."""

SHARDS = ".shards"
"""The end of the name of a folder of shards."""


@final
@dataclass(kw_only=True)
class Prepared:
    """What became of the images of a source.

    Attributes:
        names: names of the images in the result, by their numbers in the source.
        left_out: names of images of the source that were left out, with the reason.
    """

    names: dict[int, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def reasons(prepared: Prepared) -> str:
    """Returns how many images were left out for which reason, with the first of each."""
    kinds = Counter(reason.partition(":")[0] for _, reason in prepared.left_out)
    first = {
        reason.partition(":")[0]: f"{shown(name)},{reason.partition(':')[2]}"
        for name, reason in reversed(prepared.left_out)
    }
    return "; ".join(f"{count} {kind} (the first is {first[kind]})" for kind, count in kinds.most_common())


def is_of_settings(prepared: Prepared) -> bool:
    """Returns whether all images were left out for one reason that others are likely to have, too.

    Their size is no such reason: small images may come first, and a few large ones be wanted.
    """
    kinds = {reason.partition(":")[0] for _, reason in prepared.left_out}
    return len(kinds) == 1 and not kinds & {TOO_SMALL, ANOTHER_SIZE}


def report(images: NumberedFiles, prepared: Prepared, making: Making, *, goal: Path, source: str) -> str:
    """Returns what was made and left out, and the command that trains on it.

    Args:
        images: the images of the source.
        prepared: what became of them.
        making: how they were made.
        goal: folder, zip or folder of shards that was written.
        source: the source, as it was given.
    """
    decoder, width = making.decoder, making.decoder.size.given_width
    size = f"{decoder.size}x{decoder.image_channels}"
    if decoder.value_range is not None:
        size += f" with values in {decoder.value_range}"
    classes = "without labels"
    if images.labels is not None:
        classes = f"{len(images.class_names)} classes" if images.class_names else "with labels"
    lines = [f"{shown(goal)}: {len(prepared.names)} images of {size}, {classes}, of {len(images)} in {shown(source)}"]
    if prepared.left_out:
        lines.append(f"left out: {reasons(prepared)}; all are named in {RECORD} there")
    lines += [f"not read: {remark}" for remark in images.remarks]
    reading = f"--images {shown(goal)}"
    if goal.suffix.lower() == SHARDS:
        reading = f"--config data/shards.yaml --data.address {shown(goal)} --data.image_size {decoder.size.height}"
        reading += f" --data.image_width {width}" * (width is not None)
        reading += f" --data.labels_file {shown(goal / LABELS_FILE)}" * (images.labels is not None)
    reading += f" --data.image_channels {decoder.image_channels}" * (decoder.image_channels != 3)
    reading += f" --data.value_range '{decoder.value_range}'" * (decoder.value_range is not None)
    config = "stylegan.yaml" if width is None else "stylegan2.yaml"
    return "\n".join([*lines, f"train on it: fit --config {config} {reading}"])
