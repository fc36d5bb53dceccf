"""Scores images that are there already, without a model: the work of `test --images FOLDER --reals FOLDER`."""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from lightning_gan.callbacks.evaluation.comparison import Comparison, Reals
from lightning_gan.callbacks.evaluation.evaluation import Evaluation
from lightning_gan.callbacks.evaluation.torch_fidelity import TorchFidelity
from lightning_gan.data.checked_files import check_once
from lightning_gan.data.decoding import Resize
from lightning_gan.data.first_image import size_of_first
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import PixelSize, pixel_size
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.data.shown import shown
from lightning_gan.inference.images_out import check_absent, write_new
from lightning_gan.inference.run_tables import TextTable
from lightning_gan.inference.trained_model import Device
from lightning_gan.metrics import FeatureExtractor, InceptionFeatures
from lightning_gan.metrics.report import Record, not_finite, rows, settings_of
from lightning_gan.tensors.image_bytes import nearest_bytes

PAGE = "metrics.md"
"""The page in the folder that is written."""


def score_images(
    *,
    images: str,
    reals: str,
    extractor: FeatureExtractor | None = None,
    protocol: Literal["torch-fidelity"] | None = None,
    image_size: int | None = None,
    image_width: int | None = None,
    image_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    batch_size: int = 64,
    neighbours: int = 3,
    score_splits: int = 10,
    seed: int = 0,
    device: Device = Device.auto,
    out: str | None = None,
    overwrite: bool = False,
) -> None:
    """Measure images in a folder or a zip, without a model: how far they are from real images.

    The numbers are those of `test`: Fréchet distance (FID with Inception's features), kernel distance (KID), precision
    and recall, density and coverage, and the Inception Score. Images are read as 8 bits per channel, unless
    --value_range says otherwise; transparent pixels are put onto white, and grey images get three equal channels unless
    --image_channels says otherwise. All images of both sets must be of one size, or --image_size must be given. The
    extractor resizes them on its own account: InceptionFeatures to 299x299 as in the original FID, which is stated in
    the record.

    Args:
        images: folder or zip of the images that are measured.
        reals: folder or zip of the real images that they are compared with.
        extractor: class of the features, such as InceptionFeatures or RandomFeatures; --extractor.weights FILE gives it
            a setting. By default InceptionFeatures, whose weights must be on this machine.
        protocol: torch-fidelity lets that library measure the same images, too.
        image_size: width and height in pixels to which the central square of each image of both sets is resized.
        image_width: width in pixels beside image_size, which is then the height: of each image the largest central
            rectangle of these proportions is resized.
        image_channels: number of channels: 1 grey, 3 RGB, 4 RGBA; of .npy files the number that they have.
        value_range: lowest and highest value of images of 16 bits or floats in both sets, such as [0, 65535]. They are
            rounded to 256 levels, which extractors take.
        batch_size: number of images that are read and described at once.
        neighbours: number of neighbours of precision, recall, density and coverage.
        score_splits: number of splits of the Inception Score.
        seed: seed of random subsets and halves.
        device: where the features are computed. auto is the GPU if there is one.
        out: folder for the numbers: metrics.json, and metrics.md with a table. By default they are printed alone.
        overwrite: replace files of OUT if they exist.

    Raises:
        ValueError: for folders that cannot be read, images of different sizes, too few images, numbers that are not
            finite, missing weights, and files that exist.
    """
    if batch_size < 1:
        raise ValueError(f"--batch_size {batch_size} must be at least 1")
    size = _given_size(image_size, image_width)
    fake_files, real_files = _opened(images, reals, size=size, image_channels=image_channels, value_range=value_range)
    least = max(4, neighbours + 1)
    for option, files in (("--images", fake_files), ("--reals", real_files)):
        if len(files) < least:
            raise ValueError(f"{option} {shown(files.path)} has {len(files)} images, but at least {least} are needed")
    evaluation = Evaluation(
        extractor=_default_extractor() if extractor is None else extractor,
        fake_count=len(fake_files),
        batch_size=batch_size,
        neighbours=neighbours,
        score_splits=score_splits,
        seed=seed,
    )
    comparisons: list[Comparison] = [evaluation]
    if protocol is not None:
        other = TorchFidelity.beside(evaluation)
        other.check_memory(fake_files.decoded_bytes // len(fake_files), real_count=len(real_files))
        comparisons.append(other)
    names = [PAGE, *(f"{comparison.name}.json" for comparison in comparisons)]
    if out is not None:
        check_absent(*(Path(out) / name for name in names), overwrite=overwrite)
    for files in (fake_files, real_files):
        check_once(files)  # so that broken files are named before time is lost
    some = torch.arange(min(batch_size, len(real_files)))
    evaluation.refuse_coloured(real_files.read(some, resolution=real_files.decoder.size.height))
    of_fakes = _described(comparisons, fake_files, batch_size=batch_size, device=device.found())
    of_reals = _described(comparisons, real_files, batch_size=batch_size, device=device.found())
    if evaluation.few_images is not None:
        print(evaluation.few_images, file=sys.stderr)
    read_at = fake_files.decoder.size
    origin = {
        "images": fake_files.origin.place,
        "reals": real_files.origin.place,
        "image_size": read_at.height,
        **({} if read_at.given_width is None else {"image_width": read_at.width}),
        "image_channels": image_channels,
        **({} if value_range is None else {"value_range": list(value_range)}),
        "central_squares" if read_at.given_width is None else "central_rectangles": size is not None,
    }
    records: list[Record] = []
    for comparison, fake, real in zip(comparisons, of_fakes, of_reals, strict=True):
        floors = comparison.floors([real])
        drawn = {"fake_count": len(fake), "seed": seed}
        record = comparison.compare(Reals(parts=[real], floors=floors, classes=None), [fake], asked=None, drawn=drawn)
        records.append(_checked({**origin, **record}))
        print(comparison.report(records[-1]))
    if out is not None:
        tables = [_markdown(record, titles=each.titles()) for each, record in zip(comparisons, records, strict=True)]
        contents = ["\n\n".join([f"# {origin['images']}", *tables]) + "\n"]
        contents += [json.dumps([record], indent=2, allow_nan=False) for record in records]
        for name, text in zip(names, contents, strict=True):
            write_new(Path(out) / name, text.encode(), overwrite=overwrite)
        print(f"wrote {', '.join(names)} to {out}")


def _given_size(image_size: int | None, image_width: int | None) -> PixelSize | None:
    if image_size is None and image_width is not None:
        raise ValueError(f"--image_width {image_width}: give --image_size, too, the height in pixels")
    return None if image_size is None else pixel_size(image_size, image_width)


def _opened(
    images: str,
    reals: str,
    *,
    size: PixelSize | None,
    image_channels: int,
    value_range: tuple[float, float] | None,
) -> tuple[ImageFiles, ImageFiles]:
    """The files of both sets, of one size."""
    given = {"--images": images, "--reals": reals}
    first = PixelSize(height=1, width=1)
    sizes = {
        option: size_of_first(_files(path, first, image_channels, value_range, resizes=False), option=option)
        for option, path in given.items()
        if size is None
    }
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"--images {shown(images)} has images of {sizes['--images']} pixels, and --reals {shown(reals)} of "
            f"{sizes['--reals']}; give --image_size, to which the central square of each image is resized"
        )
    opened = [
        _files(path, size or sizes[option], image_channels, value_range, resizes=size is not None)
        for option, path in given.items()
    ]
    return opened[0], opened[1]


def _files(
    path: str, size: PixelSize, image_channels: int, value_range: tuple[float, float] | None, *, resizes: bool
) -> ImageFiles:
    return ImageFiles(
        path=path,
        image_size=size.height,
        image_width=size.given_width,
        image_channels=image_channels,
        value_range=value_range,
        resize=Resize.center_crop if resizes else Resize.exact,
        labels=False,
    )


def _default_extractor() -> InceptionFeatures:
    try:
        return InceptionFeatures()
    except ValueError as error:
        raise ValueError(
            f"{error}. On the command line: --extractor InceptionFeatures --extractor.weights FILE, or "
            "--extractor.download true; --extractor RandomFeatures needs no weights, and compares without numbers that "
            "can be quoted"
        ) from error


def _described(
    comparisons: Sequence[Comparison], files: ImageFiles, *, batch_size: int, device: torch.device
) -> list[Tensor]:
    """The rows of all images, one tensor for each comparison. Every file is decoded once."""
    progress = ProgressReport(images=len(files), what=f"describing the images of {shown(files.path)}")
    found: list[list[Tensor]] = [[] for _ in comparisons]
    decoded = (levels[0] for levels in files.decoded([files.decoder.size.height]))
    done = 0
    with torch.no_grad():
        while batch := list(islice(decoded, batch_size)):
            pixels = torch.from_numpy(np.stack(batch))
            images = rearrange(pixels, "batch height width channels -> batch channels height width").to(device)
            images = images if images.dtype == torch.uint8 else nearest_bytes(images)
            positions = torch.arange(done, done + len(batch))
            for rows_so_far, comparison in zip(found, comparisons, strict=True):
                (part,) = comparison.describe(images, positions)
                if not part.rows.isfinite().all():
                    raise ValueError(
                        f"{comparison.title}: features of the images {done} to {done + len(batch) - 1} of "
                        f"{shown(files.path)} are not finite (NaN or infinite); give another extractor or other weights"
                    )
                rows_so_far.append(part.rows)
            done += len(batch)
            progress.report(done)
    return [torch.cat(parts) for parts in found]


def _checked(record: Record) -> Record:
    if broken := not_finite(record):
        raise ValueError(
            f"{', '.join(broken)}: a number that is not finite is not written; give more images, or another extractor"
        )
    return record


def _markdown(record: Record, *, titles: Mapping[str, str]) -> str:
    cells = [(title.strip(), [value, error]) for title, value, error in rows(record, titles=titles)]
    title = f"by {record['extractor']}"
    return TextTable(title=title, columns=["value", "error"], rows=cells, notes=[settings_of(record)]).markdown()
