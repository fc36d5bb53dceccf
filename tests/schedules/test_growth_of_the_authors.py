"""The schedules of PGGAN and StyleGAN, against the `lod` algebra of their code and boundaries worked out by hand.

The settings are those of the authors' `config.py` and `train.py`; times are in thousands of images.
"""

import math
from bisect import bisect_left
from typing import Any

import pytest

from lightning_gan.schedules.growth import Growth, GrowthSchedule

EIGHT_GPUS = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 32, 256: 32, 512: 32, 1024: 32}
RATES = {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}
STYLEGAN_FFHQ = GrowthSchedule(
    final_resolution=1024,
    start_resolution=8,
    batch_sizes={size: batch for size, batch in EIGHT_GPUS.items() if size >= 8},
    learning_rates=RATES,
)
PGGAN_CELEBAHQ = GrowthSchedule(final_resolution=1024, batch_sizes=EIGHT_GPUS, learning_rates=RATES)
PGGAN_CELEBAHQ_PAPER = GrowthSchedule(
    final_resolution=1024, hold_kimg=800.0, fade_kimg=800.0, batch_sizes={256: 14, 512: 6, 1024: 3}
)
PGGAN_CIFAR = GrowthSchedule(final_resolution=32, hold_kimg=400.0, fade_kimg=400.0)

ALL = [
    pytest.param(STYLEGAN_FFHQ, 600, 25_000, id="stylegan_ffhq"),
    pytest.param(PGGAN_CELEBAHQ, 600, 12_000, id="pggan_celebahq"),
    pytest.param(PGGAN_CELEBAHQ_PAPER, 800, 19_000, id="pggan_celebahq_paper"),
    pytest.param(PGGAN_CIFAR, 400, 20_000, id="pggan_cifar"),
]


def lod_phase(images: int, *, final: int, start: int, hold: float, fade: float) -> tuple[int, float]:
    """Resolution and weight of the new block by the authors' algebra, in thousands of images.

    ``lod = log2(final) - log2(start) - i - max(k - hold, 0) / fade``, at least 0, after i phases and k of the next one.
    """
    phase, position = divmod(images / 1000, hold + fade)
    lod = max(math.log2(final) - math.log2(start) - phase - max(position - hold, 0.0) / fade, 0.0)
    return int(2 ** (math.log2(final) - math.floor(lod))), 1.0 - (lod - math.floor(lod))


@pytest.mark.parametrize(("schedule", "hold", "total"), ALL)
def test_every_phase_is_the_authors_lod(schedule: GrowthSchedule, hold: float, total: int) -> None:
    """At five thousand points, none of them on a boundary."""
    for images in range(37, 1000 * total, 1000 * total // 5000 + 1):
        resolution, weight = lod_phase(
            images, final=schedule.final_resolution, start=schedule.start_resolution, hold=hold, fade=hold
        )
        growth = schedule.at(images)
        assert growth.resolution == resolution
        assert growth.fade_in == pytest.approx(weight, abs=1e-3 if weight < 1e-3 else 1e-9)


@pytest.mark.parametrize("start", [4, 8, 256])
def test_unequal_phases_are_the_authors_lod_too(start: int) -> None:
    schedule = GrowthSchedule(final_resolution=1024, start_resolution=start, hold_kimg=800.0, fade_kimg=400.0)
    for images in range(37_000, 15_000_000, 61_000):
        resolution, weight = lod_phase(images, final=1024, start=start, hold=800.0, fade=400.0)
        growth = schedule.at(images)
        assert growth.resolution == resolution and growth.fade_in == pytest.approx(weight, abs=1e-3)


@pytest.mark.parametrize(
    ("schedule", "fade", "begins"),
    [
        pytest.param(
            STYLEGAN_FFHQ,
            600,
            {16: 600, 32: 1800, 64: 3000, 128: 4200, 256: 5400, 512: 6600, 1024: 7800},
            id="stylegan_ffhq",
        ),
        pytest.param(
            PGGAN_CELEBAHQ,
            600,
            {8: 600, 16: 1800, 32: 3000, 64: 4200, 128: 5400, 256: 6600, 512: 7800, 1024: 9000},
            id="pggan_celebahq",
        ),
        pytest.param(
            PGGAN_CELEBAHQ_PAPER,
            800,
            {8: 800, 16: 2400, 32: 4000, 64: 5600, 128: 7200, 256: 8800, 512: 10400, 1024: 12000},
            id="pggan_celebahq_paper",
        ),
        pytest.param(PGGAN_CIFAR, 400, {8: 400, 16: 1200, 32: 2000}, id="pggan_cifar"),
    ],
)
def test_each_size_comes_when_the_authors_have_it(schedule: GrowthSchedule, fade: int, begins: dict[int, int]) -> None:
    """The last image before, the first, a quarter of the fade, its last image and the first stable one."""
    assert schedule.at(0) == Growth(resolution=min(begins) // 2, fade_in=1.0)
    for resolution, kimg in begins.items():
        first, images = 1000 * kimg, 1000 * fade
        assert schedule.at(first - 1) == Growth(resolution=resolution // 2, fade_in=1.0)
        assert schedule.at(first) == Growth(resolution=resolution, fade_in=1e-3)
        assert schedule.at(first + images // 4) == Growth(resolution=resolution, fade_in=0.25)
        assert 1.0 - 3e-6 < schedule.at(first + images - 1).fade_in < 1.0
        assert schedule.at(first + images) == Growth(resolution=resolution, fade_in=1.0)
        assert schedule.batch_size_at(first) == schedule.batch_sizes.get(resolution)
        assert schedule.learning_rate_at(first - 1) == schedule.learning_rates.get(resolution // 2)
        assert schedule.learning_rate_at(first) == schedule.learning_rates.get(resolution)


def replayed(schedule: GrowthSchedule, *, total_kimg: int) -> dict[tuple[Any, ...], list[int]]:
    """What holds batch after batch: (resolution, stable, batch size, rate) to its first image and number of batches.

    Batches in which the same holds follow each other, so the last one of them is found by bisection: milliseconds for
    hundreds of thousands of batches.
    """

    def phase_at(images: int) -> tuple[Any, ...]:
        growth = schedule.at(images)
        stable = growth.fade_in == 1.0
        return growth.resolution, stable, schedule.batch_size_at(images), schedule.learning_rate_at(images)

    stretches: dict[tuple[Any, ...], list[int]] = {}
    images = 0
    while images < 1000 * total_kimg:
        phase = phase_at(images)
        starts = range(images, 1000 * total_kimg, phase[2])
        batches = bisect_left(starts, True, key=lambda start, phase=phase: phase_at(start) != phase)
        assert phase not in stretches
        stretches[phase] = [images, batches]
        images += batches * phase[2]
    return stretches


def test_25_million_images_batch_by_batch() -> None:
    """717,968 batches of StyleGAN on FFHQ. A boundary that no batch meets is passed by the batch that is under way."""
    assert replayed(STYLEGAN_FFHQ, total_kimg=25_000) == {
        (8, True, 256, None): [0, 2344],  # 2343.75 batches
        (16, False, 128, None): [600_064, 4687],  # 599,936 images of the fade are left: 4687 batches
        (16, True, 128, None): [1_200_000, 4688],  # 4687.5
        (32, False, 64, None): [1_800_064, 9374],
        (32, True, 64, None): [2_400_000, 9375],
        (64, False, 32, None): [3_000_000, 18_750],
        (64, True, 32, None): [3_600_000, 18_750],
        (128, False, 32, 0.0015): [4_200_000, 18_750],
        (128, True, 32, 0.0015): [4_800_000, 18_750],
        (256, False, 32, 0.002): [5_400_000, 18_750],
        (256, True, 32, 0.002): [6_000_000, 18_750],
        (512, False, 32, 0.003): [6_600_000, 18_750],
        (512, True, 32, 0.003): [7_200_000, 18_750],
        (1024, False, 32, 0.003): [7_800_000, 18_750],
        (1024, True, 32, 0.003): [8_400_000, 518_750],
    }


def test_twelve_million_images_batch_by_batch() -> None:
    """277,733 batches of PGGAN on CelebA-HQ with eight GPUs."""
    stretches = replayed(PGGAN_CELEBAHQ, total_kimg=12_000)
    assert sum(batches for _, batches in stretches.values()) == 277_733
    begun = {resolution: first for (resolution, stable, _, _), (first, _) in stretches.items() if not stable}
    assert begun[8] == 600_064 and begun[16] == 1_800_192 and begun[32] == 3_000_064 and begun[64] == 4_200_000
    assert stretches[1024, True, 32, 0.003] == [9_600_000, 75_000]
