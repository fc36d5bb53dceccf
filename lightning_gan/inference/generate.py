"""Makes images of a checkpoint, one for each seed: the work of the command `generate`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_gan.callbacks.figures.figure import columns_for
from lightning_gan.callbacks.figures.pictures import Table, image_grid
from lightning_gan.data.decoding import PICTURES
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.inference.chosen_classes import chosen_classes, title_of
from lightning_gan.inference.images_out import check_size, check_writable, png_bytes, write_new
from lightning_gan.inference.number_lists import numbers_in, whole_numbers
from lightning_gan.inference.trained_model import Device, TrainedModel, trained_model
from lightning_gan.inference.values_out import suffix_of, values_file
from lightning_gan.tensors.shapes import ImageBytes, Labels, Latents


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One image that is wanted.

    Attributes:
        seed: seed of its latent, which is the first row of `draw_latents(1, seed=seed)`.
        label: number of its class; None without classes.
        names_class: whether the name of its file has the class, because the user asked for classes.
        truncation: strength of the truncation trick.
    """

    seed: int
    label: int | None
    names_class: bool
    truncation: float

    def file_name(self, suffix: str = ".png") -> str:
        """The name of its file: seed0007.png, or seed0007_class3.png.

        Args:
            suffix: its ending.
        """
        of_class = f"_class{self.label}" if self.names_class else ""
        return f"seed{self.seed:04d}{of_class}{suffix}"


def generate(
    checkpoint: str,
    out: str | None = None,
    *,
    seeds: str = "0-15",
    sheet: bool = False,
    columns: int | None = None,
    classes: str | None = None,
    truncation: float = 1.0,
    truncations: str | None = None,
    fresh_noise: bool = False,
    ema: bool = True,
    device: Device = Device.auto,
    overwrite: bool = False,
) -> None:
    """Make images of a checkpoint: one numbered PNG file for each seed, or one sheet of all images.

    Images of 2 channels or of more than 4, and those of a model that was trained on data with a value_range, are .npy
    files in the original values, `height width channels`; grey images in [0, 65535] are PNG files of 16 bits.

    An image depends on the weights, its seed, its class and the truncation alone. The network is called once per image,
    because sums in another order change the last digits: so the files are the same, byte for byte, for any selection
    and order of the seeds. Images are clipped to [-1, 1]; models that grow make images of the resolution of the
    checkpoint. In Python, lightning_gan.load(checkpoint).sample(1, labels, seed=7) is the image of seed 7.

    Args:
        checkpoint: a checkpoint file, the folder of a run such as runs/stylegan, or its folder of checkpoints.
        out: folder of the files, or a file NAME.png for a sheet. If it is left out, the folder `generated` of the run,
            or of the working directory for a checkpoint that is of no run.
        seeds: seeds of the images, such as 0-99 or 1,5,7.
        sheet: write one picture of all images, sheet.png, in place of a file for each.
        columns: number of images in a row of the sheet. By default one per class if there are 2 to 16 classes, else 8.
        classes: classes of the images, such as 3 or 0-4 or cat,dog or all: every seed is drawn in each of them. By
            default the image of seed s has class s modulo the number of classes.
        truncation: strength of the truncation trick, for models that have one. 1 does not truncate.
        truncations: several strengths, such as -1,0,0.5,1, for a sheet with one row for each.
        fresh_noise: draw the noise of StyleGAN's layers from the seed of the image, in place of the noise that is
            stored with the weights.
        ema: use averaged weights if the checkpoint has them.
        device: where the networks compute. auto is the GPU if there is one.
        overwrite: replace files that exist with other contents.

    Raises:
        ValueError: for settings that do not fit the model or each other, and for files that exist with other contents.
    """
    numbers = whole_numbers(seeds, option="seeds")
    strengths = [truncation] if truncations is None else numbers_in(truncations, option="truncations")
    file = None if out is None or not out.lower().endswith(".png") else Path(out)
    is_sheet = sheet or file is not None or truncations is not None
    if truncations is not None and (truncation != 1.0 or columns is not None):
        raise ValueError("truncations makes a row for each strength; leave out --truncation and --columns")
    if columns is not None and (not is_sheet or columns < 1):
        raise ValueError(f"columns={columns} is for a sheet and at least 1; give --sheet, or leave out --columns")
    trained = trained_model(checkpoint, device=device, ema=ema)
    labels = None if classes is None else chosen_classes(classes, trained=trained)
    each: list[int | None] = [None] if labels is None else [*labels]
    rows = [
        [_wanted(seed, label, trained=trained, truncation=strength) for seed in numbers for label in each]
        for strength in strengths
    ]
    for row in rows:
        if row[0].truncation != 1.0:  # so that one that the model does not support is refused at once
            image_of(trained, row[0], fresh_noise=False)
    print(trained.description, file=sys.stderr)
    if not is_sheet:
        folder = trained.out_folder(out, name="generated")
        _write_files(trained, rows[0], folder=folder, fresh_noise=fresh_noise, overwrite=overwrite)
        return
    path = file or trained.out_folder(out, name="generated") / "sheet.png"
    if truncations is None:
        rows = _in_rows(rows[0], columns=columns or _columns(trained, labels))
    check_writable(path.parent)
    table = _table(trained, rows, by_truncation=truncations is not None, fresh_noise=fresh_noise)
    write_new(path, png_bytes(table.drawn()), overwrite=overwrite)
    print(f"wrote a sheet of {sum(map(len, rows))} images to {path}")


def _wanted(seed: int, label: int | None, *, trained: TrainedModel, truncation: float) -> Wanted:
    count = trained.model.number_of_classes
    if label is None and count:
        return Wanted(seed=seed, label=seed % count, names_class=False, truncation=truncation)
    return Wanted(seed=seed, label=label, names_class=label is not None, truncation=truncation)


def image_of(trained: TrainedModel, wanted: Wanted, *, fresh_noise: bool) -> ImageBytes:
    """The image that is wanted, `1 channels height width`.

    Args:
        trained: the model.
        wanted: seed, class and truncation.
        fresh_noise: whether noise is drawn from the seed, or is the one that is stored with the weights.
    """
    return trained.image(*_inputs(trained, wanted), **_settings(wanted, fresh_noise=fresh_noise))


def _inputs(trained: TrainedModel, wanted: Wanted) -> tuple[Latents, Labels | None]:
    latents, _ = trained.model.draw_latents(1, seed=wanted.seed)
    return latents, None if wanted.label is None else torch.tensor([wanted.label])


def _settings(wanted: Wanted, *, fresh_noise: bool) -> dict[str, Any]:
    noise_seed = wanted.seed if fresh_noise else None
    return {"truncation": wanted.truncation, "noise_seed": noise_seed, "what": f"seed {wanted.seed}"}


def _file_of(trained: TrainedModel, wanted: Wanted, *, fresh_noise: bool) -> bytes:
    """The contents of the file of an image: a picture of 8 bits, or its original values if these say more."""
    channels = trained.image_shape[0]
    if trained.value_range is None and channels in PICTURES:
        return png_bytes(image_grid(image_of(trained, wanted, fresh_noise=fresh_noise), columns=1))
    floats = trained.floats(*_inputs(trained, wanted), **_settings(wanted, fresh_noise=fresh_noise))
    return values_file(floats, trained.value_range)


def _write_files(
    trained: TrainedModel, wanted: Sequence[Wanted], *, folder: Path, fresh_noise: bool, overwrite: bool
) -> None:
    check_writable(folder)
    progress = ProgressReport(images=len(wanted), what="generating")
    # Files that exist come first, so that one with other contents is refused before anything is written.
    suffix = suffix_of(trained.image_shape[0], trained.value_range)
    paths = {folder / one.file_name(suffix): one for one in wanted}
    for done, path in enumerate(sorted(paths, key=lambda path: not path.exists()), start=1):
        write_new(path, _file_of(trained, paths[path], fresh_noise=fresh_noise), overwrite=overwrite)
        progress.report(done)
    first, last = wanted[0].file_name(suffix), wanted[-1].file_name(suffix)
    names = first if len(wanted) == 1 else f"{first} ... {last}"
    print(f"wrote {len(wanted)} image{'s' * (len(wanted) > 1)} to {folder} ({names})")


def _columns(trained: TrainedModel, labels: list[int] | None) -> int:
    """How many images a row has by default: one per chosen class, or as in all figures."""
    if labels is not None and len(labels) > 1:
        return len(labels)
    return columns_for(trained.model.number_of_classes if labels is None else 0)


def _in_rows(wanted: Sequence[Wanted], *, columns: int) -> list[list[Wanted]]:
    return [list(wanted[start : start + columns]) for start in range(0, len(wanted), columns)]


def _table(trained: TrainedModel, rows: list[list[Wanted]], *, by_truncation: bool, fresh_noise: bool) -> Table:
    """The sheet. Its last row is filled up with white if it is shorter."""
    channels, height, width = trained.image_shape
    columns = len(rows[0])
    check_size(rows=len(rows), columns=columns, height=height, width=width)
    progress = ProgressReport(images=sum(map(len, rows)), what="generating")
    drawn: list[ImageBytes] = []
    done = 0
    for row in rows:
        images = []
        for one in row:
            images.append(image_of(trained, one, fresh_noise=fresh_noise))
            done += 1
            progress.report(done)
        missing = torch.full((columns - len(row), channels, height, width), 255, dtype=torch.uint8)
        drawn.append(torch.cat([*images, missing]))
    return Table(
        rows=drawn,
        row_labels=[f"truncation {row[0].truncation:g}" for row in rows] if by_truncation else [],
        column_labels=_column_labels(trained, rows, by_truncation=by_truncation),
    )


def _column_labels(trained: TrainedModel, rows: list[list[Wanted]], *, by_truncation: bool) -> list[str]:
    """The class of every column, if all its images have the same; for rows of truncations the seed, too."""
    if by_truncation:
        return [
            f"seed {one.seed}" + ("" if one.label is None else f", {title_of(one.label, trained=trained)}")
            for one in rows[0]
        ]
    of_columns = [{row[column].label for row in rows if column < len(row)} for column in range(len(rows[0]))]
    labels = [next(iter(found)) for found in of_columns if len(found) == 1]
    if len(labels) < len(of_columns) or len(set(labels)) == 1:
        return []
    return [title_of(label, trained=trained) for label in labels if label is not None]
