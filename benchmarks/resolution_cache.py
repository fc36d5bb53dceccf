"""What reading images costs at every resolution of a growing GAN: from PNG, from JPEG, and from the cache on disk.

    python benchmarks/resolution_cache.py
    python benchmarks/resolution_cache.py --image-size 1024 --images 24

Generated images in a temporary folder are read through the training stream, shuffled and mirrored, by one process and
one thread, the three sources in turns within one run. It prints images per second, how much faster the cache is than
PNG, and how long it takes to make. The files and arrays have just been written, so that the disk itself is not
measured: it is decoding that is compared.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lightning_gan.data import ImageFiles, ImageSource, Stream
from lightning_gan.data.resolution_cache import CachedImages

BATCH = 16
ROUNDS = 3


def write_images(folder: Path, *, suffix: str, images: int, image_size: int) -> ImageFiles:
    """Smooth images with a little noise, which compress about as photos do."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        blobs = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((image_size, image_size))
        noise = rng.integers(-6, 7, (image_size, image_size, 3))
        pixels = np.clip(np.asarray(blobs).astype(np.int64) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.{suffix}", quality=95)
    return ImageFiles(path=folder, image_size=image_size, image_channels=3)


def images_per_second(source: ImageSource, *, resolution: int, seconds: float) -> float:
    """Takes batches of the training stream for about so long."""
    stream = Stream(
        source=source,
        seed=0,
        batch_size_at=lambda position: BATCH,
        resolution_at=lambda position: resolution,
        mirror=True,
    )
    batches = iter(stream)
    next(batches)  # opens the arrays
    read, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        next(batches)
        read += BATCH
    return read / passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=256, help="size of the files, a power of two")
    parser.add_argument("--images", type=int, default=64, help="how many files")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each source, at each resolution, in each round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sources: dict[str, ImageSource] = {}
        for suffix in ("png", "jpg"):
            sources[suffix] = write_images(
                Path(folder) / suffix, suffix=suffix, images=arguments.images, image_size=arguments.image_size
            )
        cached = CachedImages(
            files=ImageFiles(path=Path(folder) / "png", image_size=arguments.image_size, image_channels=3),
            directory=Path(folder) / "cache",
        )
        start = time.perf_counter()
        cached.prepare()
        preparing = time.perf_counter() - start
        sources["cached"] = cached
        resolutions = [resolution for resolution in reversed(cached.resolutions) if resolution >= 4]
        print(f"{arguments.images} images of {arguments.image_size} pixels, images/s")
        print(f"{'resolution':>10}{'PNG':>10}{'JPEG':>10}{'cached':>12}{'cached / PNG':>15}")
        for resolution in resolutions:
            rounds = [
                [
                    images_per_second(source, resolution=resolution, seconds=arguments.seconds)
                    for source in sources.values()
                ]
                for _ in range(ROUNDS)
            ]
            png, jpeg, cache = (statistics.median(rates) for rates in zip(*rounds, strict=True))
            ratio = statistics.median(rates[2] / rates[0] for rates in rounds)
            print(f"{resolution:10}{png:10.0f}{jpeg:10.0f}{cache:12.0f}{ratio:15.1f}")
        print(
            f"the cache of all resolutions was made in {preparing:.1f} s, {arguments.images / preparing:.0f} images/s"
        )


if __name__ == "__main__":
    main()
