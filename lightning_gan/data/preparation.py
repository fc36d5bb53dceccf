"""Converts images to files of one size with a `dataset.json`, in a folder, zip or shards that training reads.

The work is done in threads. A killed run goes on where it stopped, and its result has the same bytes as that of a run
that was not cut: the name of an image depends on its number in the source alone, and files are renamed when they are
whole. The index of shards alone has the time at which it was written.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lightning_gan.atomic_files import put_in_place, written_whole
from lightning_gan.data.decoding import Resampling, Resize, size_of
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.image_files import TRIED
from lightning_gan.data.images import pixel_size
from lightning_gan.data.made_images import Making, made_images, name_at
from lightning_gan.data.named_files import LABELS_FILE
from lightning_gan.data.numbered_files import NumberedFiles
from lightning_gan.data.preparation_report import RECORD, SHARDS, Prepared, is_of_settings, reasons, report
from lightning_gan.data.preparation_sources import source_of
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.data.shard_files import litdata, write_shards
from lightning_gan.data.shown import shown
from lightning_gan.data.table_source import Columns
from lightning_gan.data.value_range import value_range_of

_LOCK = ".lock"
_UNFINISHED = ".preparing"  # the end of the name of the folder that becomes the result
_UNFINISHED_SHARDS = ".sharding"  # behind the name of the folder of shards that becomes the result
_TIME_IN_ZIP = (1980, 1, 1, 0, 0, 0)  # the earliest one of the format, so that the bytes do not depend on the day
_THREADS = min(16, 2 * (os.cpu_count() or 1))


def prepare(
    source: str,
    destination: str,
    *,
    image_size: int | None = None,
    image_width: int | None = None,
    image_channels: int = 3,
    resize: Resize = Resize.center_crop,
    resampling: Resampling = Resampling.box_or_lanczos,
    enlarge: bool = False,
    duplicates: bool = True,
    labels: bool = True,
    split: str = "train",
    image_column: str | None = None,
    label_column: str | None = None,
    threads: int | None = None,
    value_range: tuple[float, float] | None = None,
) -> None:
    """Convert images to files of one size, with their labels, in a folder, or in a zip if its name ends in .zip.

    The result is what `fit --images` reads without any further work: images in folders of a thousand, and a
    dataset.json. If the name ends in .shards, it is a folder of shards for an object store, which `ImageShards` reads
    (pip install 'lightning-gan[streaming]'). Broken images and images that are too small are left out, counted by
    reason, and all named in `.prepared.json` in the result. If none of the first 100 can be used, all for the same
    reason and not for their size, the work ends there. The source is not changed. A killed run goes on when the command
    is given again.

    Images of 8 bits become PNG files. With a value_range, images of 16 bits, of floats and arrays keep their values, in
    .npy files: unchanged and of the same type if they have the size already, and as floats if they are resized.

    Args:
        source: a folder or a zip of images; an lmdb database such as LSUN's, or a folder of several, which are classes;
            the archive or folder of CIFAR-10, CIFAR-100 or STL-10; a folder that the package datasets has written;
            hub:OWNER/NAME for a data set on the Hugging Face hub, or hub:FOLDER for a folder of its parquet files (pip
            install 'lightning-gan[hub-data]').
        destination: folder, zip or folder of shards that is written; it must not exist.
        image_size: height in pixels, and width if image_width is not given. None takes that of the first image, and all
            must be squares of this size.
        image_width: width in pixels beside image_size, for models that take it (StyleGAN2, R3GAN). None makes squares.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA; of
            arrays, and of images with more than 8 bits, the number that they have.
        resize: treatment of images of another size: exact leaves them out, center_crop resizes the central square (the
            largest central rectangle of these proportions), shorter_side resizes the whole image and cuts the square
            (the rectangle), squash changes the image's proportions.
        resampling: how images are resized: box_or_lanczos, lanczos or bilinear.
        enlarge: whether images with fewer pixels than image_size are enlarged. If not, they are left out.
        duplicates: whether images stay that have the same pixels as an image before them, after resizing.
        labels: whether labels are kept, from a dataset.json, from folders, or from the data set.
        split: part of a data set that has parts: CIFAR, STL-10, and data sets of the hub.
        image_column: name of the column of images in a data set of the hub; None takes the only one.
        label_column: name of the column of labels in a data set of the hub; None takes the only one with classes.
        threads: number of images that are converted at the same time; None takes two for each processor core.
        value_range: lowest and highest value of images of 16 bits, of floats or of several channels, such as
            [0, 65535]; training on the result takes the same. Images with other values are left out. None is for
            images of 8 bits.

    Raises:
        ValueError: if the source cannot be read or has no image that can be used, the destination exists or was begun
            with other settings, or a number is out of range.
    """
    values = value_range_of(value_range)
    for setting, value in (("image_size", image_size), ("image_width", image_width), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{setting}={value} must be at least 1")
    if image_width is not None and image_size is None:
        raise ValueError(f"image_width={image_width} is given without a height; give image_size, too")
    goal = Path(destination).expanduser()
    if goal.suffix.lower() == SHARDS:
        litdata()  # if it is missing, that is said before hours of work
    _refuse_inside(Path(source).expanduser(), goal)
    columns = Columns(image=image_column, label=label_column)
    images = source_of(source, labels=labels, split=split, columns=columns)
    decoder = ImageDecoder(
        size=pixel_size(image_size or _side_of_first(images), image_width),
        image_channels=image_channels,
        resize=Resize.exact if image_size is None else resize,
        resampling=resampling,
        value_range=values,
    )
    making = Making(decoder=decoder, enlarge=enlarge, duplicates=duplicates)
    settings = {**_plain(making), "labels": labels, "source": images.fingerprint()}
    if _is_done(goal, settings):
        print(f"{shown(goal)} is prepared already, by the same settings from the same images")
        return
    draft = goal.with_name(f"{goal.name}{_UNFINISHED}")
    _begin(draft, settings)
    lock = FileLock(draft / _LOCK, timeout=0)
    try:
        with lock:
            prepared = _convert(images, making, draft=draft, threads=threads or _THREADS)
            if not prepared.names:
                shutil.rmtree(draft)  # which holds nothing, and would refuse other settings
                tried = len(prepared.left_out)
                none = "no image" if tried == len(images) else f"none of the first {tried} images"
                raise ValueError(
                    f"{none} of {shown(source)} can be used: {reasons(prepared)}; give other settings or images"
                )
            _finish(images, prepared, settings, source=source, draft=draft)
    except Timeout as error:
        raise ValueError(
            f"another process is preparing {shown(goal)}; wait for it, or give another destination"
        ) from error
    if goal.suffix.lower() == ".zip":
        _pack(draft, goal)
    elif goal.suffix.lower() == SHARDS:
        _shard(draft, goal, names=prepared.names.values())
    else:
        put_in_place(draft, goal, previous=None)
    print(report(images, prepared, making, goal=goal, source=source))


def _refuse_inside(source: Path, goal: Path) -> None:
    """Refuses a destination within the source, whose images a second run would read."""
    if source.is_dir() and goal.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{shown(goal)} lies within the source {shown(source)}; give a destination outside of it")


def _side_of_first(images: NumberedFiles) -> int:
    try:
        width, height = size_of(images.contents(0))
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{shown(images.name(0))} cannot be read, which would give the size; give image_size"
        ) from error
    if width != height:
        raise ValueError(
            f"{shown(images.name(0))} has {width}x{height} pixels and is no square; give image_size, and image_width "
            "for images that are no squares"
        )
    return width


def _plain(making: Making) -> dict[str, Any]:
    decoder = making.decoder
    settings: dict[str, Any] = {
        "image_size": decoder.size.height,
        "image_channels": decoder.image_channels,
        "resize": decoder.resize.value,
        "resampling": decoder.resampling.value,
        "enlarge": making.enlarge,
        "duplicates": making.duplicates,
    }
    if decoder.size.given_width is not None:  # left out, so that results of earlier versions stay valid
        settings["image_width"] = decoder.size.width
    if decoder.value_range is not None:  # as above
        settings["value_range"] = [decoder.value_range.low, decoder.value_range.high]
    return settings


# ---------------------------------------------------------------------- beginning, and going on


def _is_done(goal: Path, settings: dict[str, Any]) -> bool:
    """Whether the destination is the finished result of the same work.

    Raises:
        ValueError: if it is something else.
    """
    if not goal.exists() and not goal.is_symlink():
        return False
    try:
        if goal.is_dir():
            text = (goal / RECORD).read_bytes()
        else:
            with zipfile.ZipFile(goal) as archive:
                text = archive.read(RECORD)
        same = json.loads(text)["settings"] == settings
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        same = False
    if not same:
        raise ValueError(
            f"{shown(goal)} exists and is no result of this work; give another destination, or move it away"
        )
    return True


def _begin(draft: Path, settings: dict[str, Any]) -> None:
    """Makes the folder of unfinished work, or checks that it is of the same work.

    Raises:
        ValueError: if it was begun with other settings or another source.
    """
    record = draft / RECORD
    if draft.exists():
        try:
            before = json.loads(record.read_bytes())["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            before = None
        if before is None and (not draft.is_dir() or any(path.name != _LOCK for path in draft.iterdir())):
            raise ValueError(f"{shown(draft)} is no unfinished work of this command; move it away")
        if before is not None and before != settings:
            other = [name for name in {**settings, **before} if before.get(name) != settings.get(name)]
            raise ValueError(
                f"{shown(draft)} was begun with another {' and '.join(other)}; give the same as then, another "
                "destination, or remove it"
            )
    with written_whole(record) as file:
        file.write(json.dumps({"settings": settings}).encode())


# ---------------------------------------------------------------------- converting


def _convert(images: NumberedFiles, making: Making, *, draft: Path, threads: int) -> Prepared:
    """Converts images in threads; the main thread writes them in order, and decides about duplicates.

    It ends early, without an image, if none of the first ones can be used, all for the same reason.
    """
    prepared = Prepared()
    seen: set[bytes] = set()
    progress = ProgressReport(images=len(images), what=f"preparing {shown(draft.name.removesuffix(_UNFINISHED))}")
    with closing(made_images(images, making, draft=draft, threads=threads)) as all_made:
        for index, made in all_made:
            fault = made.fault
            if fault is None and not making.duplicates:
                fault = ("duplicate", "it has the same pixels as an image before it") if made.digest in seen else None
                seen.add(made.digest)
            if fault is not None:
                prepared.left_out.append((images.name(index), ": ".join(fault)))
            else:
                prepared.names[index] = name = name_at(index, suffix=making.suffix)
                if made.contents is not None:
                    _write(draft / name, made.contents)
            progress.report(index + 1)
            if index + 1 == TRIED and not prepared.names and is_of_settings(prepared):
                break
    return prepared


def _write(path: Path, contents: bytes) -> None:
    """Writes a file and renames it when it is whole. All files are flushed to the disk together, at the end."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(contents)
    unfinished.replace(path)


# ---------------------------------------------------------------------- finishing


def _finish(images: NumberedFiles, prepared: Prepared, settings: dict[str, Any], *, source: str, draft: Path) -> None:
    """Writes the labels and the record, and removes what belongs to no image of the result."""
    wanted = set(prepared.names.values())
    for path in sorted(draft.glob("*/*")):
        if path.relative_to(draft).as_posix() not in wanted:
            path.unlink()  # an unfinished file, or a duplicate
    with written_whole(draft / LABELS_FILE) as file:
        file.write(json.dumps(_labels(images, prepared)).encode())
    record = {
        "source": source,
        "settings": settings,
        "images": len(prepared.names),
        "left_out": [list(pair) for pair in prepared.left_out],
    }
    with written_whole(draft / RECORD) as file:
        file.write(json.dumps(record, indent=1).encode())
    (draft / _LOCK).unlink(missing_ok=True)


def _labels(images: NumberedFiles, prepared: Prepared) -> dict[str, Any]:
    """The contents of the `dataset.json`, in StyleGAN2-ADA's layout, with the names of classes beside it."""
    if images.labels is None:
        return {"labels": None}
    values: list[Any] = images.labels.tolist()
    names = list(images.class_names)
    if len(names) > len(prepared.names):  # which a dataset.json may not have: its classes without images are left out
        present = sorted({values[index] for index in prepared.names})
        names = [names[number] for number in present]
        values = [present.index(value) if value in present else None for value in values]
    content: dict[str, Any] = {"labels": [[name, values[index]] for index, name in prepared.names.items()]}
    return content | ({"classes": names} if names else {})


def _pack(draft: Path, goal: Path) -> None:
    """Puts all files into a zip, without compression, in the order of their names, and removes the folder."""
    with written_whole(goal) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in draft.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(draft).as_posix(), _TIME_IN_ZIP)
            member.external_attr = 0o644 << 16
            archive.writestr(member, path.read_bytes())
    shutil.rmtree(draft)


def _shard(draft: Path, goal: Path, *, names: Iterable[str]) -> None:
    """Puts the images into shards, in the order of their names, beside the other files, and removes the folder."""
    shards = goal.with_name(f"{goal.name}{_UNFINISHED_SHARDS}")
    shutil.rmtree(shards, ignore_errors=True)  # of a run that was stopped
    shards.mkdir()
    write_shards(((name, (draft / name).read_bytes()) for name in names), shards)
    for name in (LABELS_FILE, RECORD):
        shutil.copyfile(draft / name, shards / name)
    put_in_place(shards, goal, previous=None)
    shutil.rmtree(draft)
