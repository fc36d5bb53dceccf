"""Penalties that begin later, and weights that change with the images seen."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1, LeCam, ProgressiveGrowing
from lightning_gan.schedules.rates import LinearDecay
from tests.foreign.games import IMAGES, NAMES, Game, check_equal, distance, fit, r1, twin_of
from tests.toys import toy_gan, toy_loader, toy_trainer


class Asleep(Game):
    """The loss of the critic is multiplied by 0 in the first two batches (four steps), as in VQGAN."""

    def critic_loss(self, batch: Any) -> Tensor:
        return super().critic_loss(batch) * (self.global_step >= 4)


def test_a_critic_that_sleeps_is_refused_in_its_first_turn() -> None:
    with pytest.raises(ValueError, match=r"R1: the gradient of the loss of 'D' is 0 in its first turn; .*start_step="):
        fit(Asleep, IMAGES, R1(**NAMES))


@pytest.mark.parametrize("start", [{"start_step": 4}, {"start_kimg": 0.008}])
def test_a_penalty_begins_with_the_loss(start: dict[str, Any]) -> None:
    check_equal(Asleep, IMAGES, R1(**start, **NAMES), r1)


def test_a_penalty_that_begins_later_is_checked_in_the_first_turn() -> None:
    with pytest.raises(ValueError, match=r"R1: not every call has a tensor .* image='x'"):
        fit(Game, IMAGES, R1(start_step=1000, image="x", **NAMES))


def test_until_it_begins_a_penalty_changes_nothing() -> None:
    """Not even the random numbers, or the measurements of a penalty with a state."""
    plain = fit(Game, IMAGES)
    for penalty in (R1(start_step=1000, **NAMES), LeCam(start_step=1000, **NAMES)):
        assert distance(fit(Game, IMAGES, penalty), plain) == 0
        assert penalty.state_dict()["turns_seen"] == 0
    assert penalty.state_dict()["real_average"] == 0


def test_the_interval_is_counted_from_the_beginning() -> None:
    class Lazy(Game):
        def by_hand(self, score: Any, real: Tensor, fake: Tensor) -> Tensor | float:
            batch = self.trainer.fit_loop.epoch_loop.batch_idx
            return 2 * r1(score, real, fake) if batch in (1, 3) else 0.0

    ours = fit(Game, IMAGES, R1(start_step=2, every_n_turns=2, **NAMES))
    assert distance(ours, fit(Lazy, IMAGES)) < 1e-12


def test_a_weight_may_follow_a_schedule() -> None:
    class Falling(Game):
        def by_hand(self, score: Any, real: Tensor, fake: Tensor) -> Tensor | float:
            return r1(score, real, fake) * (1 - 0.25 * self.trainer.fit_loop.epoch_loop.batch_idx)

    schedule = LinearDecay(end_kimg=0.016)
    assert distance(fit(Game, IMAGES, R1(weight_schedule=schedule, **NAMES)), fit(Falling, IMAGES)) < 1e-12


def test_both_settings_work_in_a_gan() -> None:
    def losses(**settings: Any) -> list[float]:
        module, values = toy_gan(), []
        penalty = R1(gamma=10.0, **settings)

        trainer = toy_trainer(penalty, limit_train_batches=4, max_epochs=1)
        original = penalty.penalty

        def counted(turn: Any) -> Tensor:
            values.append(1.0)
            return original(turn)

        penalty.penalty = counted  # type: ignore[method-assign]
        trainer.fit(module, toy_loader())
        return [*values, float(module.trainer.callback_metrics.get("discriminator/r1", torch.tensor(0.0)))]

    assert len(losses()) == 5
    assert len(losses(start_kimg=0.008)) == 3
    assert len(losses(start_step=3)) == 2
    whole = losses()[-1]
    assert losses(weight_schedule=LinearDecay(end_kimg=0.008))[-1] == 0 < whole


@pytest.mark.parametrize("settings", [{"start_kimg": -1.0}, {"start_step": -1}])
def test_negative_beginnings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"R1: start_kimg=.* must not be negative"):
        R1(**settings)


class Growing(Game):
    """Images of 4x4 pixels, of 8x8 in the end."""

    def __init__(self) -> None:
        super().__init__()
        for network in (self.G, self.D):
            network.grow = lambda resolution, fade_in: None  # type: ignore[assignment, union-attr]


def test_growing_scales_gradients_in_every_module() -> None:
    growing: dict[str, Any] = {"start_resolution": 4, "final_resolution": 8, "hold_kimg": 10.0, "networks": ("G", "D")}
    scaled = fit(Growing, IMAGES, ProgressiveGrowing(**growing), R1(gamma=10.0, **NAMES))
    quarter = fit(twin_of(Growing, lambda *given: r1(*given) / 4), IMAGES)
    assert distance(scaled, quarter) < 1e-12
    plain = fit(Growing, IMAGES, ProgressiveGrowing(**growing, scale_gradients=False), R1(gamma=10.0, **NAMES))
    assert distance(plain, fit(twin_of(Growing, r1), IMAGES)) < 1e-12
