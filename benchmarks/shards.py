"""What reading an image costs from files, from a zip, from shards in a folder, and from shards in an object store.

    python -m benchmarks.shards
    python -m benchmarks.shards --delay-seconds 0.1

The same PNG files at their final size are read through the training stream, shuffled, in batches of 32, by one process,
in turns. The store is another process of this machine that speaks S3's language and answers after a delay. It prints
the processor time of the reading process for each image, and images per second: medians with the quartiles. Images per
second of the store depend on the delay, and on the store's own work, which needs about a core.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.loading import BATCH, our_batches, quartiles, write_images
from lightning_gan.data import ImageFiles, ImageSource, Shards, checked_files
from lightning_gan.data.preparation import prepare
from tests.data.shard_sets import Store, variables_of

SIZE = 64
BATCHES = 8


def serve(folder: Path, *, delay_seconds: float) -> None:
    store = Store(folder, delay_seconds=delay_seconds)
    print(store.server_port, flush=True)
    store.serve_forever()


@contextmanager
def store_in_another_process(folder: Path, *, delay_seconds: float) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.shards", "--serve", str(folder)]
    store = subprocess.Popen([*command, "--delay-seconds", str(delay_seconds)], stdout=subprocess.PIPE, text=True)
    assert store.stdout is not None
    os.environ.update(variables_of(int(store.stdout.readline())))
    try:
        yield
    finally:
        store.kill()


def costs(batches: Iterator[Any]) -> tuple[float, float]:
    """Processor time in milliseconds for each image, and images per second."""
    start, start_of_work = time.perf_counter(), time.process_time()
    for _ in islice(batches, BATCHES):
        pass
    images = BATCHES * BATCH
    return 1000 * (time.process_time() - start_of_work) / images, images / (time.perf_counter() - start)


def compare(sources: dict[str, ImageSource], *, rounds: int) -> None:
    streams = {name: our_batches(source, image_size=SIZE, workers=0) for name, source in sources.items()}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in streams}
    for number in range(rounds + 1):
        for name, batches in streams.items():
            found = costs(batches)
            if number > 0:  # the first one warms up
                measured[name].append(found)
    print(f"{'images in':>24}{'processor, ms':>28}{'images/s':>28}")
    for name, values in measured.items():
        work, rate = zip(*values, strict=True)
        print(f"{name:>24}{quartiles(list(work)):>28}{quartiles(list(rate), digits=0):>28}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each variant is measured")
    parser.add_argument("--delay-seconds", type=float, default=0.03, help="after which the store answers")
    parser.add_argument("--serve", type=Path, help="only be the store, of this folder")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve, delay_seconds=arguments.delay_seconds)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checked_files.user_cache = lambda: folder / "cache"  # nothing is left in the user's own
        write_images(folder / "written", suffix="png", files=2000, image_size=SIZE)
        for prepared in ("files", "images.zip", "images.shards"):
            prepare(str(folder / "written"), str(folder / prepared), image_size=SIZE)
        with store_in_another_process(folder, delay_seconds=arguments.delay_seconds):
            settings: dict[str, int] = {"image_size": SIZE, "image_channels": 3}
            sources: dict[str, ImageSource] = {
                "files": ImageFiles(path=folder / "files", **settings),
                "a zip": ImageFiles(path=folder / "images.zip", **settings),
                "shards in a folder": Shards(address=str(folder / "images.shards"), **settings),
                "shards in a store": Shards(address="s3://bucket/images.shards", **settings),
            }
            compare(sources, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
