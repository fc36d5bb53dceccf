"""Reading images compared with torchvision's ImageFolder and DataLoader: decoding, images in memory, and the start.

    python benchmarks/loading.py
    python benchmarks/loading.py --files 100000 --rounds 9

Like against like: the same files at their final size, shuffled, in batches of uint8 `batch channels height width`, by
one process and one thread, or by the same number of workers. Torchvision's loaders are its two: Pillow (the default of
its ImageFolder) and torchvision.io. Variants alternate within one run, and each ratio is that of neighbours in time:
the median is printed with the quartiles. Files have just been written, so that the disk itself is not measured.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder as TorchvisionFolder
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.functional import pil_to_tensor

from lightning_gan.data import ImageFiles, ImageSource, MemoryImages, Stream, StreamLoader
from lightning_gan.data.checked_files import check_once

BATCH = 32

Variants = Mapping[str, Callable[[], float]]


def smooth_image(rng: np.random.Generator, *, image_size: int) -> Image.Image:
    """Smooth colours with a little noise, which compress about as photos do."""
    blobs = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((image_size, image_size))
    noise = rng.integers(-6, 7, (image_size, image_size, 3))
    return Image.fromarray(np.clip(np.asarray(blobs).astype(np.int64) + noise, 0, 255).astype(np.uint8))


def write_images(folder: Path, *, suffix: str, files: int, image_size: int, classes: int = 4) -> Path:
    """Writes files into folders of classes; up to 64 different images."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(min(files, 64)):
        file = BytesIO()
        smooth_image(rng, image_size=image_size).save(file, {"png": "PNG", "jpg": "JPEG"}[suffix], quality=95)
        contents.append(file.getvalue())
    for number in range(files):
        path = folder / f"class{number % classes:03}" / f"{number:06}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % len(contents)])
    return folder


def read_by_torchvision_io(path: str) -> torch.Tensor:
    return decode_image(path, mode=ImageReadMode.RGB)


def torchvision_batches(path: Path, *, workers: int, reads_by_pillow: bool) -> Iterator[Any]:
    if reads_by_pillow:
        images = TorchvisionFolder(path, transform=pil_to_tensor)
    else:
        images = TorchvisionFolder(path, loader=read_by_torchvision_io)
    while True:
        yield from DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True)


def our_batches(source: ImageSource, *, image_size: int, workers: int) -> Iterator[Any]:
    stream = Stream(
        source=source,
        seed=0,
        batch_size_at=lambda position: BATCH,
        resolution_at=lambda position: image_size,
        mirror=False,
    )
    return iter(StreamLoader(stream=stream, position=lambda: 0, number_of_workers=workers, pin_memory=False))


def seconds_per_image(batches: Iterator[Any], *, count: int) -> float:
    start = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return (time.perf_counter() - start) / (count * BATCH)


def seconds_of(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternated(variants: Variants, *, rounds: int) -> dict[str, list[float]]:
    """Measures all variants in turns; the first round warms up and is left out."""
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, measure in variants.items():
            value = measure()
            if number > 0:
                measured[name].append(value)
    return measured


def quartiles(values: list[float], *, digits: int = 2) -> str:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratios(others: list[float], ours: list[float]) -> str:
    return quartiles([other / our for other, our in zip(others, ours, strict=True)])


def compare_decoding(folder: Path, *, rounds: int, workers: int) -> None:
    print(f"\nreading files, {workers} workers: images/s, and ours / torchvision's")
    print(f"{'files':>12}{'ours':>26}{'/ Pillow':>24}{'/ torchvision.io':>24}")
    for suffix, image_size, files in (("png", 64, 512), ("jpg", 64, 512), ("png", 256, 128), ("jpg", 1024, 64)):
        path = write_images(folder / f"{suffix}{image_size}", suffix=suffix, files=files, image_size=image_size)
        ours = ImageFiles(path=path, image_size=image_size, image_channels=3)
        count = max(files // BATCH // 2, 1)
        streams = {
            "ours": our_batches(ours, image_size=image_size, workers=workers),
            "Pillow": torchvision_batches(path, workers=workers, reads_by_pillow=True),
            "io": torchvision_batches(path, workers=workers, reads_by_pillow=False),
        }
        seconds = alternated(
            {name: partial(seconds_per_image, batches, count=count) for name, batches in streams.items()},
            rounds=rounds,
        )
        rates = quartiles([1 / value for value in seconds["ours"]], digits=0)
        shares = [ratios(seconds[name], seconds["ours"]) for name in ("Pillow", "io")]
        print(f"{suffix + ' ' + str(image_size):>12}{rates:>26}{shares[0]:>24}{shares[1]:>24}")


def compare_memory(*, rounds: int) -> None:
    images = torch.randint(256, (5000, 3, 32, 32), dtype=torch.uint8)
    source = MemoryImages(images=images, labels=None)
    streams = {workers: our_batches(source, image_size=32, workers=workers) for workers in (0, 2)}
    seconds = alternated(
        {str(workers): partial(seconds_per_image, batches, count=60) for workers, batches in streams.items()},
        rounds=rounds,
    )
    print("\nimages in memory, 32 pixels, no workers (the default) against two workers")
    print(f"images/s: {quartiles([1 / value for value in seconds['0']], digits=0)}")
    print(f"as many as with two workers: {ratios(seconds['2'], seconds['0'])} times")


def compare_start(folder: Path, *, rounds: int, files: int) -> None:
    path = write_images(folder / "many", suffix="png", files=files, image_size=16, classes=100)

    def ours() -> ImageFiles:
        return ImageFiles(path=path, image_size=16, image_channels=3)

    def ours_until_training() -> None:
        """What `fit` asks of image files before the first batch, when they have been checked before."""
        found = ours()
        check_once(found)
        assert found.origin.fingerprints

    paths = [os.path.join(path, name) for name in ours().names]

    def sizes_and_times() -> None:
        """What tells whether a file has changed, asked in the shortest way."""
        for name in paths:
            os.stat(name)

    seconds = alternated(
        {
            "os.stat alone": partial(seconds_of, sizes_and_times),
            "listing": partial(seconds_of, ours),
            "until training": partial(seconds_of, ours_until_training),
            "torchvision": partial(seconds_of, lambda: TorchvisionFolder(path)),
        },
        rounds=rounds,
    )
    print(f"\nstart with {files:,} files in 100 classes, seconds, and ours / torchvision's")
    for name, values in seconds.items():
        print(f"{name:>16}{quartiles(values, digits=3):>28}{ratios(values, seconds['torchvision']):>24}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each variant is measured")
    parser.add_argument("--files", type=int, default=100_000, help="how many files the start is measured with")
    parser.add_argument("--workers", type=int, default=0, help="processes that read ahead, of each library")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        compare_decoding(Path(folder), rounds=arguments.rounds, workers=arguments.workers)
        compare_memory(rounds=arguments.rounds)
        compare_start(Path(folder), rounds=arguments.rounds, files=arguments.files)


if __name__ == "__main__":
    main()
