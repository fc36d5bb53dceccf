"""The growth schedule, replayed against the `lod` algebra of PGGAN and StyleGAN."""

import math
import pickle

import pytest

from lightning_gan.schedules.growth import Growth, GrowthSchedule

STYLEGAN = GrowthSchedule(final_resolution=1024, start_resolution=8)
"""The authors' 25-million-image schedule: 600 thousand stable, 600 thousand fading."""


def lod_phase(kimg: float, *, final: int, start: int, hold: float, fade: float) -> tuple[int, float]:
    """Resolution and weight of the new block by the authors' algebra (arXiv:1710.10196 and 1812.04948, their code):
    ``lod = log2(final) - log2(start) - i - max(k - hold, 0) / fade``, at least 0."""
    phase, position = divmod(kimg, hold + fade)
    lod = max(math.log2(final) - math.log2(start) - phase - max(position - hold, 0.0) / fade, 0.0)
    return int(2 ** (math.log2(final) - math.floor(lod))), 1.0 - (lod - math.floor(lod))


def test_the_authors_schedule_reaches_each_size_when_theirs_does() -> None:
    starts = [0, 600, 1800, 3000, 4200, 5400, 6600, 7800]
    for start, resolution in zip(starts, [8, 16, 32, 64, 128, 256, 512, 1024], strict=True):
        begins, fades = 1000 * start, resolution > 8
        assert STYLEGAN.at(begins).resolution == resolution
        if fades:
            assert STYLEGAN.at(begins - 1) == Growth(resolution=resolution // 2, fade_in=1.0)
            assert STYLEGAN.at(begins + 150_000) == Growth(resolution=resolution, fade_in=0.25)
            assert STYLEGAN.at(begins + 599_999).fade_in < 1.0
            assert STYLEGAN.at(begins + 600_000) == Growth(resolution=resolution, fade_in=1.0)
    assert STYLEGAN.at(8_400_000) == STYLEGAN.at(25_000_000) == Growth(resolution=1024, fade_in=1.0)


@pytest.mark.parametrize("start", [4, 8, 256])
@pytest.mark.parametrize(("hold", "fade"), [(600.0, 600.0), (800.0, 400.0)])
def test_every_phase_is_the_authors_lod(start: int, hold: float, fade: float) -> None:
    schedule = GrowthSchedule(final_resolution=1024, start_resolution=start, hold_kimg=hold, fade_kimg=fade)
    for images in range(37_000, 15_000_000, 61_000):
        resolution, weight = lod_phase(images / 1000, final=1024, start=start, hold=hold, fade=fade)
        growth = schedule.at(images)
        assert growth.resolution == resolution and growth.fade_in == pytest.approx(weight, abs=1e-3)


def test_sizes_never_shrink_and_weights_are_never_zero() -> None:
    schedule = GrowthSchedule(final_resolution=32, hold_kimg=[0.5, 1.0, 2.0, 0.0], fade_kimg=[0.25, 0.0, 1.0])
    growths = [schedule.at(images) for images in range(0, 6000, 7)]
    assert [g.resolution for g in growths] == sorted(g.resolution for g in growths)
    assert all(0 < g.fade_in <= 1 for g in growths)


def test_stages_can_have_lengths_of_their_own() -> None:
    schedule = GrowthSchedule(final_resolution=16, hold_kimg=[1.0, 2.0, 3.0], fade_kimg=[0.5, 0.25])
    assert schedule.stage_starts == [0, 1000, 3500]
    assert schedule.at(1250) == Growth(resolution=8, fade_in=0.5)
    assert schedule.at(1500) == Growth(resolution=8, fade_in=1.0)
    assert schedule.at(3625) == Growth(resolution=16, fade_in=0.5)


def test_without_a_fade_a_stage_is_stable_at_once() -> None:
    schedule = GrowthSchedule(final_resolution=8, hold_kimg=1.0, fade_kimg=0.0)
    assert schedule.at(1000) == Growth(resolution=8, fade_in=1.0)


def test_batch_size_and_rate_change_with_the_first_faded_image() -> None:
    schedule = GrowthSchedule(
        final_resolution=16, hold_kimg=1.0, fade_kimg=1.0, batch_sizes={4: 128, 8: 64}, learning_rates={16: 0.002}
    )
    assert [schedule.batch_size_at(seen) for seen in (999, 1000, 2999, 3000)] == [128, 64, 64, None]
    assert [schedule.learning_rate_at(seen) for seen in (2999, 3000)] == [None, 0.002]


def test_one_size_alone_is_a_schedule() -> None:
    assert GrowthSchedule(final_resolution=8, start_resolution=8).at(10**9) == Growth(resolution=8, fade_in=1.0)


def test_a_schedule_is_a_value() -> None:
    """Data loaders hand it to their workers."""
    assert pickle.loads(pickle.dumps(STYLEGAN)) == STYLEGAN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"final_resolution": 24}, "start_resolution=4 does not reach final_resolution=24"),
        ({"final_resolution": 2}, "final_resolution=2"),
        ({"final_resolution": 16, "hold_kimg": [1.0, 1.0]}, "hold_kimg=.* has 2 values for 3 stages"),
        ({"final_resolution": 16, "fade_kimg": -1.0}, "fade_kimg=.* must not be negative"),
        ({"final_resolution": 16, "batch_sizes": {32: 4}}, "resolution 32 is no stage"),
    ],
)
def test_impossible_schedules_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GrowthSchedule(**settings)  # type: ignore[arg-type]
