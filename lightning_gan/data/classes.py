"""The classes of the images in a folder or a zip: by a `dataset.json`, or by the names of folders."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import final

import torch

from lightning_gan.data.dataset_json import labels_in, largest_bytes
from lightning_gan.data.named_files import LABELS_FILE, Files
from lightning_gan.data.shown import listed, shown
from lightning_gan.tensors.shapes import Labels

_KINDS_OF_SPLITS = (
    {"train", "training", "trainset"},
    {"val", "valid", "validation", "dev", "devel", "eval", "evaluation", "valset", "holdout"},
    {"test", "testing", "testset"},
)
_NEUTRAL_WORDS = {"set", "split", "data", "dataset", "image", "images", "img", "imgs"}
_CHUNK_SIZES = tuple(10**power for power in range(2, 7))


@final
@dataclass(frozen=True, kw_only=True)
class Classes:
    """The labels of images, and where they come from.

    Args:
        labels: class index of every image, int64, or one row of numbers for each, float32; None without labels.
        names: names of the classes; empty without labels, and for rows of numbers.
        origin: where the labels come from, for a person to read.
        remarks: what was left out and is no error, for a person to read.
    """

    labels: Labels | None
    names: tuple[str, ...] = ()
    origin: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def number_of_classes(self) -> int:
        """The number of classes, or of numbers in a row; 0 without labels."""
        if self.labels is None:
            return 0
        return len(self.names) if self.labels.ndim == 1 else self.labels.shape[1]


def top_of(files: Files, *, images: Sequence[str]) -> str:
    """Returns the folder inside of which the data set begins: "" or a name that ends in a slash.

    If all images lie in one folder, it is looked through, and so on, until a folder has a `dataset.json`, or several
    folders, or images of its own.

    Args:
        files: the folder or zip.
        images: names of its images, sorted.

    Raises:
        ValueError: if a `dataset.json` lies beside other images, where it cannot be for all of them.
    """
    ending_so = (name for name in files.listing.names if name.endswith(LABELS_FILE))
    labels_files = {name for name in ending_so if name.rpartition("/")[2] == LABELS_FILE}
    top = ""
    while f"{top}{LABELS_FILE}" not in labels_files:
        # The first and the last of sorted names begin with the same folder only if all names between them do.
        rests = (image[len(top) :].partition("/") for image in (images[0], images[-1]))
        beginnings = {first if slash else "" for first, slash, _ in rests}
        if len(beginnings) != 1 or "" in beginnings:
            if labels_files:
                found = min(labels_files)
                raise ValueError(
                    f"{shown(found)} lies in another folder than some of the images; move it to the top, with names "
                    f"relative to the top, or give the path of its folder if the images there are meant"
                )
            return top
        top += f"{beginnings.pop()}/"
    return top


def classes_of(files: Files, *, images: Sequence[str], top: str, labels: bool) -> Classes:
    """Returns the classes of the images.

    `dataset.json` at the top decides, if there is one (see `labels_in`). Without it, the folders at the top are the
    classes, in alphabetical order, if there are at least two. Folders of numbers with at least four digits are none if
    they surely count images: if all are multiples of 100 (00000, 01000), or if their numbers are those of the files in
    them divided by 100, 1000, ... (00001/img00001234.png).

    Args:
        files: the folder or zip.
        images: names of its images, sorted.
        top: the folder inside of which the data set begins, from `top_of`.
        labels: whether labels are wanted. If not, only those questions are asked that concern the images.

    Raises:
        ValueError: if training and validation images lie side by side, if images lie beside the folders of classes, if
            folders of numbers may be classes or not, or if `dataset.json` cannot be understood.
    """
    inner = [image[len(top) :] for image in images]
    folders = {image.rpartition("/")[0] for image in images}
    file = f"{top}{LABELS_FILE}"
    has_file = file in files.listing.names
    if not has_file:
        _refuse_splits(folders, top=top)
    remarks = _folders_without_images(files, with_images=folders, top=top)
    if not labels:
        return Classes(labels=None, origin="labels are not used", remarks=remarks)
    if has_file:
        size = files.size(file)
        if size is not None and size > largest_bytes(images=len(images)):
            raise ValueError(
                f"{shown(file)} has {size:,} bytes, too many for {len(images)} images; remove or repair it"
            )
        try:
            text = files.contents(file)
        # From a folder an OSError, from a zip nearly anything: BadZipFile, zlib.error, EOFError.
        except Exception as error:
            raise ValueError(f"{shown(file)} cannot be read ({shown(error)}); repair or remove it") from error
        found = labels_in(text, images=inner, top=top)
        origin = f"no labels by {LABELS_FILE}" if found.labels is None else f"from {LABELS_FILE}"
        return Classes(labels=found.labels, names=found.names, origin=origin, remarks=(*remarks, *found.remarks))
    return _classes_by_folders(inner, remarks=remarks)


def _classes_by_folders(images: Sequence[str], *, remarks: tuple[str, ...]) -> Classes:
    folders = sorted({image.partition("/")[0] for image in images if "/" in image})
    strays = [image for image in images if "/" not in image]
    if len(folders) < 2:
        return Classes(labels=None, origin="no classes", remarks=remarks)
    if all(re.fullmatch("[0-9]{4,}", folder) for folder in folders):
        if not _count_images(folders, images=images):
            raise ValueError(
                f"the folders {listed(folders)} may be classes, or parts of one large folder; set labels to false "
                f"(--data.labels=false) to train without classes, or rename the folders if they are classes (class_"
                f'{folders[0]}), or write {{"labels": [["{folders[0]}/file.png", 0], ...]}} into a {LABELS_FILE}'
            )
        return Classes(labels=None, origin="no classes (folders of numbers are parts of one folder)", remarks=remarks)
    if strays:
        raise ValueError(
            f"{listed(strays, most=3)} lies beside the folders {listed(folders)}, which look like classes; move it "
            "into one of them or away, or set labels to false (--data.labels=false) to train without classes"
        )
    class_of = {folder: number for number, folder in enumerate(folders)}
    labels = torch.tensor([class_of[image.partition("/")[0]] for image in images])
    return Classes(labels=labels, names=tuple(folders), origin="from folders", remarks=remarks)


def _count_images(folders: Sequence[str], *, images: Sequence[str]) -> bool:
    """Returns whether the numbers of folders surely count images and are no classes."""
    if int(folders[0]) == 0 and all(int(folder) % _CHUNK_SIZES[0] == 0 for folder in folders):
        return True
    pairs = []
    for image in images:
        folder, _, name = image.partition("/")
        numbers = re.findall("[0-9]+", name.rpartition("/")[2].rpartition(".")[0])
        if not numbers:
            return False
        pairs.append((int(folder), int(numbers[-1])))
    return any(all(folder == number // size for folder, number in pairs) for size in _CHUNK_SIZES)


def _refuse_splits(folders: Set[str], *, top: str) -> None:
    """Refuses training images beside validation or test images, anywhere in the data set."""
    children: dict[str, set[str]] = {}
    for folder in folders:
        parts = folder.split("/") if folder else []
        for depth, part in enumerate(parts):
            children.setdefault("/".join(parts[:depth]), set()).add(part)
    for parent in sorted(children):
        splits: dict[tuple[str, ...], dict[int, str]] = {}
        for folder in sorted(children[parent]):
            kind, others = _split_of(folder)
            if kind is not None:
                splits.setdefault(others, {}).setdefault(kind, folder)
        for names in splits.values():
            if len(names) > 1:
                first, *rest = (f"{parent}/{names[kind]}".removeprefix("/") for kind in sorted(names))
                raise ValueError(
                    f"{shown(first)} lies beside {listed(rest)}: which images are meant? give the path of one folder, "
                    f".../{shown(first)} (unpack a zip), or use all images without classes by a file "
                    f'{shown(top)}{LABELS_FILE} with {{"labels": null}}'
                )


def _split_of(folder: str) -> tuple[int | None, tuple[str, ...]]:
    """Returns what a folder's name says of training (0), validation (1) and test (2), and its other words.

    `train` and `val2017` are the same but for the split, and so are `DIV2K_train_HR` and `DIV2K_valid_HR`.
    """
    words = [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", folder)]
    for place, word in enumerate(words):
        for kind, known in enumerate(_KINDS_OF_SPLITS):
            if word in known:
                rest = words[:place] + words[place + 1 :]
                return kind, tuple(other for other in rest if len(other) > 1 and other not in _NEUTRAL_WORDS)
    return None, ()


def _folders_without_images(files: Files, *, with_images: Set[str], top: str) -> tuple[str, ...]:
    """Returns a remark on folders without images, beside the ones that could be classes."""
    outer = {"/".join(parts[:depth]) for parts in map(_parts, with_images) for depth in range(1, len(parts))}
    not_empty = with_images | outer
    around = {"", *("/".join(_parts(top)[:depth]) for depth in range(1, len(_parts(top)) + 1))}
    empty = [
        folder
        for folder in sorted(files.listing.folders)
        if folder not in not_empty and folder.rpartition("/")[0] in around
    ]
    return (f"no images in {listed(empty)}",) if empty else ()


def _parts(folder: str) -> list[str]:
    return [part for part in folder.split("/") if part]
