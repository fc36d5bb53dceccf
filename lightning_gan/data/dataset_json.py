"""The labels in a `dataset.json`, the layout of StyleGAN2-ADA's data sets; anything unclear in it is refused."""

import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from lightning_gan.data.inner_names import inner_name
from lightning_gan.data.named_files import LABELS_FILE
from lightning_gan.data.shown import listed, shown
from lightning_gan.tensors.shapes import Labels

_REMEDY = f'write {{"labels": [["file.png", 0], ...]}} or {{"labels": null}} into {LABELS_FILE}, or remove it'
_KIND = (
    "write class indices 0, 1, 2, ..., names of classes in quotation marks, or lists of numbers, "
    "and the same kind for all images"
)


@final
@dataclass(frozen=True, kw_only=True)
class FoundLabels:
    """What a `dataset.json` says.

    Args:
        labels: class index of every image, int64, or one row of numbers for each, float32; None for no labels.
        names: names of the classes; empty without labels, and for rows of numbers.
        remarks: what is no error, for a person to read.
    """

    labels: Labels | None
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def largest_bytes(*, images: int) -> int:
    """Returns the largest size in bytes at which a `dataset.json` is read: 64 MiB and 64 KiB for every image."""
    return 64 * 2**20 + images * 64 * 2**10


def labels_in(text: bytes, *, images: Sequence[str], top: str) -> FoundLabels:
    """Returns the labels of images in the text of a `dataset.json`.

    The text is `{"labels": [[file, label], ...]}` or `{"labels": {file: label}}`, in UTF-8, UTF-16 or UTF-32, or
    `{"labels": null}` for no labels. Names of files may have backslashes, begin with `./`, and be composed of other
    Unicode characters that look the same (NFC and NFD). All labels are of one kind:

    - class indices 0, 1, 2, ..., each of at least one image; `"classes"` beside `"labels"`, a number or a list of
      names, allows classes without images,
    - names of classes, which are numbered in alphabetical order, or in the order of `"classes"`,
    - rows with exactly one 1 and otherwise 0, which are read as class indices,
    - other rows of numbers, all of one length: several classes at once, or continuous values.

    Args:
        text: the contents of the file.
        images: names of the images, relative to the folder of the file.
        top: that folder, "" or a name that ends in a slash; names of files may begin with it.

    Raises:
        ValueError: if the text cannot be understood, misses an image, names one twice, or has labels of other kinds.
    """
    content = _parsed(text)
    rows = _rows_of(content)
    if rows is None:
        return FoundLabels(labels=None)
    values, without_image = _by_image(rows, images=images, top=top)
    remarks = [f"{LABELS_FILE} has labels of files that are no images here: {listed(without_image)}"]
    remarks = remarks if without_image else []
    if all(type(value) is list for value in values):
        return _from_vectors(values, images=images, declared=content.get("classes"), remarks=remarks)
    declared = None if "classes" not in content else _declared_names(content["classes"], most=len(images))
    if all(type(value) is str for value in values):
        return _from_names(values, declared=declared, remarks=remarks)
    for image, value in zip(images, values, strict=True):
        if type(value) is not int or value < 0:
            raise ValueError(f"{LABELS_FILE} has the label {shown(json.dumps(value))} for {shown(image)}; {_KIND}")
    return _from_indices(values, declared=declared, remarks=remarks)


def names_in(text: bytes) -> list[str]:
    """Returns the names of the files in the text of a `dataset.json`, in its order; none without labels.

    Args:
        text: the contents of the file.

    Raises:
        ValueError: if the text cannot be understood.
    """
    return [name for name, _ in _rows_of(_parsed(text)) or ()]


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refused_constant)
    except RecursionError as error:
        raise ValueError(f"{LABELS_FILE} cannot be understood (it is nested too deeply); {_REMEDY}") from error
    except ValueError as error:
        raise ValueError(f"{LABELS_FILE} cannot be understood ({shown(error)}); {_REMEDY}") from error
    if not isinstance(content, dict) or "labels" not in content:
        raise ValueError(f'{LABELS_FILE} cannot be understood (it has no "labels"); {_REMEDY}')
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"{shown(key)} stands in it twice")
            seen.add(key)
    return found


def _refused_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _rows_of(content: dict[str, Any]) -> list[tuple[str, Any]] | None:
    labels = content["labels"]
    if labels is None:
        return None
    if isinstance(labels, dict):
        return list(labels.items())
    rows = []
    for row in labels if isinstance(labels, list) else [labels]:
        if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str):
            raise ValueError(f"{LABELS_FILE} cannot be understood at {shown(json.dumps(row))}; {_REMEDY}")
        rows.append((row[0], row[1]))
    return rows


def _by_image(rows: list[tuple[str, Any]], *, images: Sequence[str], top: str) -> tuple[list[Any], list[str]]:
    """Returns the label of every image, and the names of other files."""
    number_of = {_key(image): number for number, image in enumerate(images)}
    if len(number_of) < len(images):
        same = next(image for number, image in enumerate(images) if number_of[_key(image)] != number)
        raise ValueError(f"{shown(same)} and another image have names that look the same; rename one of them")
    inside = _key(top)
    labels: dict[int, Any] = {}
    without_image = []
    for name, label in rows:
        try:
            key = _key(inner_name(name))
        except ValueError as error:
            raise ValueError(f"{LABELS_FILE}: {error}") from error
        number = number_of.get(key, number_of.get(key.removeprefix(inside)))
        if number is None:
            without_image.append(name)
        elif number in labels:
            raise ValueError(
                f"{LABELS_FILE} has several labels for {shown(name)} ({shown(json.dumps(labels[number]))} and "
                f"{shown(json.dumps(label))}); leave one"
            )
        else:
            labels[number] = label
    missing = [image for number, image in enumerate(images) if number not in labels]
    if missing:
        raise ValueError(
            f"{LABELS_FILE} has no label for {len(missing)} images, the first is {shown(missing[0])}; {_REMEDY}"
        )
    return [labels[number] for number in range(len(images))], without_image


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _declared_names(declared: object, *, most: int) -> tuple[str, ...]:
    if type(declared) is int and 1 <= declared <= most:
        return tuple(str(number) for number in range(declared))
    if isinstance(declared, list) and all(isinstance(name, str) for name in declared):
        if len(set(declared)) == len(declared) and 1 <= len(declared) <= most:
            return tuple(declared)
    raise ValueError(
        f'{LABELS_FILE} has "classes": {shown(json.dumps(declared))}; give the number of classes or a list of their '
        f"names, at most {most} for these images and labels"
    )


def _from_indices(values: list[int], *, declared: tuple[str, ...] | None, remarks: list[str]) -> FoundLabels:
    highest = max(values)
    if declared is None and highest >= len(values):
        raise ValueError(
            f"{LABELS_FILE} has the label {shown(highest)}, more classes than the {len(values)} images; number the "
            f'classes 0, 1, 2, ..., or write names such as "id{shown(highest)}"'
        )
    if declared is not None and highest >= len(declared):
        raise ValueError(
            f'{LABELS_FILE} has the label {shown(highest)}, and "classes" has {len(declared)}, numbered from 0; '
            f'correct the label or "classes"'
        )
    names = tuple(str(number) for number in range(highest + 1)) if declared is None else declared
    present = set(values)
    empty = [names[number] for number in range(len(names)) if number not in present]
    if empty and declared is None:
        raise ValueError(
            f"{LABELS_FILE} has labels up to {highest} and no image of class {listed(empty)}; number the classes "
            f'0, 1, 2, ..., or write "classes": {highest + 1} beside "labels" to have classes without images'
        )
    return FoundLabels(labels=torch.tensor(values), names=names, remarks=(*remarks, *_about_empty(empty)))


def _from_names(values: list[str], *, declared: tuple[str, ...] | None, remarks: list[str]) -> FoundLabels:
    numbers = [value for value in values if value.strip().lstrip("+-").replace(".", "", 1).isdigit()]
    if numbers and declared is None:
        raise ValueError(
            f"{LABELS_FILE} has the label {shown(json.dumps(numbers[0]))}, a number in quotation marks; write numbers "
            'without them, or names such as "class1"'
        )
    names = tuple(sorted(set(values))) if declared is None else declared
    class_of = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(f'{LABELS_FILE} has the label {shown(unknown[0])}, which "classes" has not; add it there')
    empty = sorted(set(names) - set(values))
    labels = torch.tensor([class_of[value] for value in values])
    return FoundLabels(labels=labels, names=names, remarks=(*remarks, *_about_empty(empty)))


def _from_vectors(
    values: list[list[Any]], *, images: Sequence[str], declared: object, remarks: list[str]
) -> FoundLabels:
    columns = len(values[0])
    for image, value in zip(images, values, strict=True):
        numbers = all(type(number) in (int, float) for number in value)
        if not value or not numbers or len(value) != columns:
            raise ValueError(
                f"{LABELS_FILE} has the label {shown(json.dumps(value))} for {shown(image)}; a list holds as many "
                f"numbers as that of {shown(images[0])}, at least one"
            )
        if any(abs(number) > torch.finfo(torch.float32).max or not math.isfinite(number) for number in value):
            raise ValueError(f"{LABELS_FILE} has too large a number in the label of {shown(image)}; make it smaller")
    names = tuple(str(number) for number in range(columns))
    if declared is not None:
        names = _declared_names(declared, most=columns)
        if len(names) != columns:
            raise ValueError(
                f'{LABELS_FILE} has {len(names)} "classes" and labels of {columns} numbers; make them equal'
            )
    if all(value.count(1) == 1 and value.count(0) == columns - 1 for value in values):
        labels = torch.tensor([value.index(1) for value in values])
        empty = [names[number] for number in sorted(set(range(columns)) - set(labels.tolist()))]
        return FoundLabels(labels=labels, names=names, remarks=(*remarks, *_about_empty(empty)))
    return FoundLabels(labels=torch.tensor(values, dtype=torch.float32), remarks=tuple(remarks))


def _about_empty(classes: Sequence[str]) -> list[str]:
    return [f"no images of class {listed(classes)}"] if classes else []
