"""The stream shows every image once per epoch, and neither workers, ranks nor a restart change what it shows."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_gan.data.datamodule import Pace
from lightning_gan.data.images import MemoryImages
from lightning_gan.data.stream import (
    Batch,
    Stream,
    StreamLoader,
    global_batches,
    indices_at,
    mirrored_at,
    order_of_epoch,
    position_after,
    share_of_rank,
)
from lightning_gan.schedules.growth import GrowthSchedule

LENGTH = 10


def numbered(length: int = LENGTH, *, size: int = 8) -> MemoryImages:
    """Images that tell their own number: black, but for the number in the left half."""
    images = torch.zeros(length, 1, size, size, dtype=torch.uint8)
    images[..., : size // 2] = torch.arange(length, dtype=torch.uint8)[:, None, None, None]
    return MemoryImages(images=images, labels=torch.arange(length) % 3)


def stream_of(
    source: MemoryImages,
    *,
    pace: Pace | None = None,
    mirror: bool = False,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
) -> Stream:
    pace = Pace(batch_size=4, image_size=8, schedule=None) if pace is None else pace
    return Stream(
        source=source,
        seed=7,
        batch_size_at=pace.batch_size_at,
        resolution_at=pace.resolution_at,
        mirror=mirror,
        rank=rank,
        world_size=world_size,
        start=start,
    )


def first(batches: int, stream: Stream, *, workers: int = 0, position: int = 0) -> list[Batch]:
    loader = StreamLoader(stream=stream, position=lambda: position, number_of_workers=workers, pin_memory=False)
    return list(islice(loader, batches))


def numbers(batches: list[Batch]) -> list[int]:
    return [int(image.max()) for images, _ in batches for image in images]


def equal(left: list[Batch], right: list[Batch]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)


def test_the_order_of_an_epoch_is_a_permutation() -> None:
    assert sorted(order_of_epoch(3, length=50, seed=0).tolist()) == list(range(50))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(order_of_epoch(epoch, length=50, seed=seed).tolist()) for epoch in range(3) for seed in range(3)]
    assert len(set(orders)) == 9


def test_a_batch_wraps_over_the_end_of_an_epoch() -> None:
    expected = torch.cat([order_of_epoch(0, length=10, seed=1)[8:], order_of_epoch(1, length=10, seed=1)[:2]])
    assert torch.equal(indices_at(8, count=4, length=10, seed=1), expected)


def test_a_batch_may_be_longer_than_the_data_set() -> None:
    indices = indices_at(0, count=7, length=3, seed=0).tolist()
    assert [sorted(indices[:3]), sorted(indices[3:6])] == [[0, 1, 2], [0, 1, 2]]


def test_every_image_is_shown_once_per_epoch() -> None:
    shown = numbers(first(10, stream_of(numbered())))
    assert [sorted(shown[epoch * 10 : epoch * 10 + 10]) for epoch in range(4)] == [list(range(10))] * 4


def test_labels_belong_to_their_images() -> None:
    batches = first(5, stream_of(numbered()))
    assert torch.cat([labels for _, labels in batches]).tolist() == [number % 3 for number in numbers(batches)]


def test_labels_are_zeros_when_there_are_none() -> None:
    source = MemoryImages(images=torch.zeros(5, 1, 8, 8, dtype=torch.uint8), labels=None)
    ((images, labels),) = first(1, stream_of(source))
    assert (images.dtype, labels.dtype, labels.tolist()) == (torch.uint8, torch.int64, [0, 0, 0, 0])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_do_not_change_what_is_shown(workers: int) -> None:
    expected = first(7, stream_of(numbered(), mirror=True))
    assert equal(first(7, stream_of(numbered(), mirror=True), workers=workers), expected)


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_read_the_same_batches_as_one_process(world_size: int) -> None:
    alone = first(6, stream_of(numbered(), mirror=True))
    ranks = [first(6, stream_of(numbered(), mirror=True, rank=r, world_size=world_size)) for r in range(world_size)]
    together = [tuple(map(torch.cat, zip(*shares, strict=True))) for shares in zip(*ranks, strict=True)]
    assert equal(together, alone)


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_at_a_position_equals_skipping_to_it(workers: int) -> None:
    full = first(8, stream_of(numbered(), mirror=True))
    assert equal(first(5, stream_of(numbered(), mirror=True), workers=workers, position=12), full[3:])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_asks_for_the_position_at_every_iteration(workers: int) -> None:
    seen = [0]
    loader = StreamLoader(
        stream=stream_of(numbered()), position=lambda: seen[0], number_of_workers=workers, pin_memory=False
    )
    shown = list(islice(loader, 3))
    seen[0] = 12
    shown += list(islice(loader, 3))
    assert equal(shown, first(6, stream_of(numbered())))


def test_reading_leaves_the_global_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    first(3, stream_of(numbered(), mirror=True), workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_about_half_of_the_images_are_mirrored() -> None:
    share = torch.cat([mirrored_at(position, count=16, seed=0) for position in range(0, 16_000, 16)]).float().mean()
    assert abs(share - 0.5) < 0.02  # five standard deviations


def test_mirroring_flips_left_to_right_those_that_are_drawn_and_nothing_else() -> None:
    plain, mirrored = (first(4, stream_of(numbered(), mirror=mirror)) for mirror in (False, True))
    for batch, ((images, _), (flipped, _)) in enumerate(zip(plain, mirrored, strict=True)):
        for image, other, is_drawn in zip(images, flipped, mirrored_at(4 * batch, count=4, seed=7), strict=True):
            assert torch.equal(other, image.flip(-1) if is_drawn else image)


def test_mirroring_does_not_change_the_source() -> None:
    source = numbered()
    before = source.read(torch.arange(LENGTH), resolution=8).clone()
    first(5, stream_of(source, mirror=True))
    assert torch.equal(source.read(torch.arange(LENGTH), resolution=8), before)


def test_growth_changes_batch_size_and_resolution_at_their_positions() -> None:
    schedule = GrowthSchedule(
        final_resolution=8, start_resolution=2, hold_kimg=0.012, fade_kimg=0.0, batch_sizes={2: 6, 4: 4, 8: 2}
    )
    pace = Pace(batch_size=99, image_size=8, schedule=schedule)
    shapes = [tuple(images.shape) for images, _ in first(7, stream_of(numbered(), pace=pace))]
    assert shapes == [(6, 1, 2, 2)] * 2 + [(4, 1, 4, 4)] * 3 + [(2, 1, 8, 8)] * 2


def test_growth_does_not_disturb_the_order() -> None:
    schedule = GrowthSchedule(final_resolution=8, start_resolution=4, hold_kimg=0.01, fade_kimg=0.0, batch_sizes={4: 3})
    pace = Pace(batch_size=4, image_size=8, schedule=schedule)
    images = 4 * 3 + 2 * 4
    assert (
        numbers(first(6, stream_of(numbered(), pace=pace))) == indices_at(0, count=images, length=10, seed=7).tolist()
    )


def test_a_resolution_missing_from_the_schedule_takes_the_loaders_batch_size() -> None:
    schedule = GrowthSchedule(final_resolution=8, start_resolution=4, hold_kimg=0.01, batch_sizes={4: 3})
    pace = Pace(batch_size=5, image_size=8, schedule=schedule)
    assert (pace.batch_size_at(0), pace.batch_size_at(10)) == (3, 5)


def test_a_schedule_that_outgrows_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match="grows to 16 pixels and the images have 8"):
        Pace(batch_size=4, image_size=8, schedule=GrowthSchedule(final_resolution=16))


def test_positions_add_up_the_batch_sizes() -> None:
    def batch_size_at(position: int) -> int:
        return 3 if position < 6 else 5

    assert list(islice(global_batches(0, batch_size_at=batch_size_at), 4)) == [(0, 3), (3, 3), (6, 5), (11, 5)]
    assert [position_after(n, start=0, batch_size_at=batch_size_at) for n in range(4)] == [0, 3, 6, 11]


def test_a_batch_that_cannot_be_shared_equally_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch size 6 .* by 4 processes.* multiple of 4"):
        share_of_rank(6, rank=0, world_size=4)


@pytest.mark.slow
def test_a_batch_from_memory_costs_less_than_gathering_its_images_eight_times() -> None:
    """It is four to five times: 0.05 ms. Among the slow tests, because a machine that is shared gives other ratios."""
    command = [sys.executable, "-m", "tests.data.memory_batch_worker"]
    process = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert 1 < float(process.stdout) < 8


def test_the_sources_own_tensor_is_what_labels_index() -> None:
    labels: Tensor | None = numbered().labels
    assert labels is not None and labels.dtype == torch.int64
