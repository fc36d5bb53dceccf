"""Prints how many times as long as gathering its images a batch from memory takes, without checks of shapes."""

import time
from collections.abc import Callable

import torch

from lightning_gan.data.datamodule import Pace
from lightning_gan.data.images import MemoryImages
from tests.data.test_stream import stream_of


def seconds(work: Callable[[], object]) -> float:
    """This thread's own time."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def main() -> None:
    images, sixteen = torch.zeros(5000, 1, 32, 32, dtype=torch.uint8), torch.arange(0, 5000, 313)
    source = MemoryImages(images=images, labels=torch.zeros(5000, dtype=torch.long))
    batches = iter(stream_of(source, pace=Pace(batch_size=16, image_size=32, schedule=None), mirror=True))
    # The best of many, taken in turn: the machine may be busy with something else.
    costs = [(seconds(lambda: next(batches)), seconds(lambda: images[sixteen])) for _ in range(400)]
    batch, gathering = (min(times) for times in zip(*costs, strict=True))
    print(batch / gathering)


if __name__ == "__main__":
    main()
