"""The growth schedule; `test_growth_of_the_authors.py` replays those of PGGAN and StyleGAN."""

import pickle
from dataclasses import replace

import pytest

from lightning_gan.schedules.growth import Growth, GrowthSchedule


def test_sizes_never_shrink_and_weights_are_never_zero() -> None:
    schedule = GrowthSchedule(final_resolution=32, hold_kimg=[0.5, 1.0, 2.0, 0.0], fade_kimg=[0.25, 0.0, 1.0])
    growths = [schedule.at(images) for images in range(0, 6000, 7)]
    assert [g.resolution for g in growths] == sorted(g.resolution for g in growths)
    assert all(0 < g.fade_in <= 1 for g in growths)


def test_stages_can_have_lengths_of_their_own() -> None:
    schedule = GrowthSchedule(final_resolution=16, hold_kimg=[1.0, 2.0, 3.0], fade_kimg=[0.5, 0.25])
    assert schedule.stage_starts == (0, 1000, 3500)
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
    """Data loaders hand it to their workers; that it was asked before makes no difference."""
    asked, fresh = (GrowthSchedule(final_resolution=64, batch_sizes={32: 4}) for _ in range(2))
    assert asked.at(700_000) == pickle.loads(pickle.dumps(asked)).at(700_000)
    assert asked == fresh == pickle.loads(pickle.dumps(asked))
    assert replace(asked, start_resolution=16).at(0).resolution == 16


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
