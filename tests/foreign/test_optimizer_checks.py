"""Which optimizer updates which network is checked when fit starts."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1, R2
from tests.foreign.games import IMAGES, NAMES, Critic, Game, adam, check_equal, distance, fit, r1, twin_of


class InNone(Game):
    def configure_optimizers(self) -> Any:
        return [adam(self.G), torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])]


class InTwo(Game):
    def configure_optimizers(self) -> Any:
        return [adam(self.G, self.D), adam(self.D)]


class Split(Game):
    def configure_optimizers(self) -> Any:
        return [adam(self.G), adam(self.D.conv), adam(self.D.last)]


class Shared(Game):
    def configure_optimizers(self) -> Any:
        return [adam(self.G, self.D), adam(torch.nn.Linear(1, 1))]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (InNone, r"R1: no optimizer updates a parameter of 'D' of InNone; name the network that is trained"),
        (InTwo, r"R1: the parameters of 'D' are in 2 optimizers \(numbers 0, 1 of configure_optimizers\)"),
        (Split, r"R1: the parameters of 'D' are in 2 optimizers \(numbers 1, 2 of configure_optimizers\)"),
        (Shared, r"R1: the parameters of 'D' and of 'G' are in one optimizer"),
    ],
)
def test_turns_that_cannot_be_known_are_refused(kind: type[Game], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(kind, IMAGES, R1(**NAMES))


def test_a_part_of_a_critic_may_be_frozen() -> None:
    class Frozen(Game):
        def __init__(self) -> None:
            super().__init__()
            self.D.conv.requires_grad_(False)  # type: ignore[union-attr]

        def configure_optimizers(self) -> Any:
            return [adam(self.G), adam(self.D.last)]  # type: ignore[arg-type]

    check_equal(Frozen, IMAGES, R1(**NAMES), r1)


class StepsEverySecond(Game):
    """Gradients are accumulated over two batches by hand."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        _, critic = self.optimizers()  # type: ignore[attr-defined]
        self.manual_backward(self.critic_loss(batch) / 2)
        if batch_idx % 2:
            critic.step()
            critic.zero_grad()


def test_gradients_that_are_accumulated_by_hand_are_refused() -> None:
    with pytest.raises(ValueError, match="R1: the gradients of 'D' are accumulated over several batches before a step"):
        fit(StepsEverySecond, IMAGES, R1(**NAMES))


class TrainsEverySecond(Game):
    """The critic is called in every batch, and trained in every second one."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        _, critic = self.optimizers()  # type: ignore[attr-defined]
        if batch_idx % 2 == 0:
            self.manual_backward(self.D(batch).mean())
        else:
            self.play(critic, self.critic_loss(batch))


def test_gradients_that_are_deleted_are_not_accumulated() -> None:
    check_equal(TrainsEverySecond, IMAGES, R1(**NAMES), r1)


class Two(Game):
    def __init__(self) -> None:
        super().__init__()
        self.E = Critic()

    def configure_optimizers(self) -> Any:
        return [adam(self.G), adam(self.D, self.E)]

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        losses = [self.loss(d(batch), d(fake)) + self.by_hand(d, batch, fake) for d in (self.D, self.E)]
        return torch.stack(losses).sum()


def test_two_penalties_of_a_class_log_two_numbers() -> None:
    callbacks = [R1(**NAMES), R1(discriminator="E", generator="G"), R2(**NAMES)]
    logged = fit(Two, IMAGES, *callbacks, limit_train_batches=1).trainer.callback_metrics
    assert sorted(logged) == ["discriminator/r1", "discriminator/r1_2", "discriminator/r2"]
    assert logged["discriminator/r1"] != logged["discriminator/r1_2"]
    assert distance(fit(Two, IMAGES, *callbacks[:2]), fit(twin_of(Two, r1), IMAGES)) < 1e-12


def test_names_do_not_depend_on_which_penalty_is_due() -> None:
    lazy = R1(discriminator="E", generator="G", every_n_turns=2)
    module = fit(Two, IMAGES, R1(every_n_turns=3, **NAMES), lazy, limit_train_batches=3)
    assert sorted(module.trainer.callback_metrics) == ["discriminator/r1", "discriminator/r1_2"]
