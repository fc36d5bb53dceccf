"""Training ends with the batch that reaches the total, normally, and a finished run stays finished."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerStatus

from lightning_gan.callbacks import StopAtKimg
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, weights_of


@pytest.mark.parametrize(("images", "seen"), [(4, 4), (9, 12), (12, 12)])
def test_the_batch_that_reaches_the_total_is_the_last(images: int, seen: int) -> None:
    module = growing_gan()
    trainer = fit(module, images=images)
    assert module.images_seen == seen and trainer.global_step == seen // 4
    assert trainer.state.status == TrainerStatus.FINISHED and not trainer.interrupted


def test_a_foreign_module_stops_by_its_images() -> None:
    module = ForeignGAN()
    fit(module, images=12)
    assert len(module.seen) == 3


def test_resuming_a_finished_run_trains_nothing(tmp_path: Path) -> None:
    first = growing_gan()
    fit(first, images=12, save=tmp_path / "end.ckpt")
    again = growing_gan()
    trainer = fit(again, images=12, resume=tmp_path / "end.ckpt")
    assert again.images_seen == 12 and trainer.global_step == 3
    assert equal(weights_of(first), weights_of(again))


def test_a_finished_run_can_be_prolonged_bit_for_bit(tmp_path: Path) -> None:
    whole = fit(growing_gan(), images=24)
    fit(growing_gan(), images=12, save=tmp_path / "end.ckpt")
    assert_same_state(whole, fit(growing_gan(), images=24, resume=tmp_path / "end.ckpt"))


@pytest.mark.parametrize("totals", [(8, 16), (16, 8)])
@pytest.mark.parametrize("module", [growing_gan, ForeignGAN])
def test_of_two_totals_the_smaller_one_ends_training(
    module: Callable[[], LightningModule], totals: tuple[int, int]
) -> None:
    first, second = totals
    trainer = fit(module(), StopAtKimg(total_kimg=first / 1000), images=second)
    assert trainer.fit_loop.epoch_loop.batch_progress.current.ready == 2


def test_a_foreign_module_goes_on_from_its_clock_to_another_total(tmp_path: Path) -> None:
    """The clock is saved, whatever the settings of the callbacks that read it."""
    whole = ForeignGAN()
    fit(whole, images=24)
    fit(ForeignGAN(), StopAtKimg(total_kimg=1.0), images=8, save=tmp_path / "cut.ckpt")
    resumed = ForeignGAN()
    fit(resumed, images=24, resume=tmp_path / "cut.ckpt")
    assert len(resumed.seen) == 4 and equal(weights_of(whole), weights_of(resumed))


def test_a_total_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"StopAtKimg: total_kimg=0.0 is less than one image"):
        StopAtKimg(total_kimg=0.0)
