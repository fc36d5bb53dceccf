"""Gradient penalties in training: whom they move, what they refuse, what they warn of, and resuming."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks.regularizers.approximated_gradient_penalty import FiniteDifferenceR1, FiniteDifferenceR2
from lightning_gan.callbacks.regularizers.gradient_penalty import (
    DRAGAN,
    R1,
    R2,
    CriticGradientPenalty,
    DivergencePenalty,
    Drift,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
    warn_about_batch_norm,
)
from lightning_gan.callbacks.regularizers.roth import Roth
from lightning_gan.callbacks.training.checkpoint import KimgCheckpoint
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.schedules import LinearDecay
from tests.loop.distributed_worker import Toys
from tests.toys import FAST, SIZE, Spy, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer, weights_of

PENALTIES = [
    FiniteDifferenceR1,
    FiniteDifferenceR2,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
    DivergencePenalty,
    DRAGAN,
    Drift,
]


def heavy(kind: Callable[..., Penalty]) -> Penalty:
    """Heavy enough to matter on a toy; the toy's slopes are below 1, where one side alone costs nothing."""
    if kind in (FiniteDifferenceR1, FiniteDifferenceR2):
        return kind(gamma=20.0)
    return kind(weight=20.0)


def train(*penalties: Penalty, batches: int = 2, classes: int = 0) -> GAN:
    module = toy_gan(training=FAST, number_of_classes=classes)
    with torch.no_grad():
        for parameter in module.discriminator.parameters():
            parameter.mul_(4)
    toy_trainer(*penalties, limit_train_batches=batches).fit(module, toy_loader(classes=classes))
    return module


@pytest.mark.parametrize("kind", PENALTIES)
def test_it_changes_the_critics_update_and_is_logged(kind: Callable[..., Penalty]) -> None:
    plain, penalized = train(), train(heavy(kind))
    difference = max(
        (a - b).abs().max().item()
        for a, b in zip(weights_of(plain.discriminator), weights_of(penalized.discriminator), strict=True)
    )
    assert difference > 1e-3
    assert penalized.trainer.callback_metrics[f"discriminator/{kind.name}"] > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", PENALTIES)
def test_the_generators_turn_knows_nothing_of_it(kind: Callable[..., Penalty]) -> None:
    def first_step(penalty: Penalty | None) -> list[Tensor]:
        """The generator's gradients in its first turn, with the discriminator's learning rate 0."""
        module = toy_gan(
            training=Training(discriminator_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
        )
        found: list[Tensor] = []
        spy = Spy(
            lambda player, gan: found.extend(
                p.grad.clone() for p in gan.generator.parameters() if player == "generator" and p.grad is not None
            )
        )
        penalties = [] if penalty is None else [penalty]
        toy_trainer(spy, *penalties, limit_train_batches=1).fit(module, toy_loader())
        return found

    assert equal(first_step(None), first_step(heavy(kind)))


@pytest.mark.parametrize("kind", PENALTIES)
def test_labels_go_along(kind: Callable[..., Penalty]) -> None:
    value = train(heavy(kind), classes=3).trainer.callback_metrics[f"discriminator/{kind.name}"]  # type: ignore[attr-defined]
    assert value > 0


def test_several_penalties_work_side_by_side() -> None:
    metrics = train(R1(gamma=1.0), R2(gamma=1.0), *(heavy(kind) for kind in PENALTIES)).trainer.callback_metrics
    assert {f"discriminator/{kind.name}" for kind in [R1, R2, *PENALTIES]} <= set(metrics)  # type: ignore[attr-defined]


def test_the_points_of_a_batch_are_the_same_in_every_run() -> None:
    assert equal(weights_of(train(GradientPenalty())), weights_of(train(GradientPenalty())))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """Lazily too: the interval goes on where it stopped, and the points depend on the clock alone."""

    def run(folder: Path, *, batches: int, resume: bool = False) -> list[Tensor]:
        module = toy_gan(training=FAST)
        trainer = toy_trainer(
            GradientPenalty(every_n_turns=2),
            DRAGAN(every_n_turns=3),
            FiniteDifferenceR1(batch_share=0.5),
            KimgCheckpoint(every_kimg=1.0),
            default_root_dir=str(folder),
            enable_checkpointing=True,
            max_steps=batches,
            max_epochs=-1,
        )
        last = folder / "checkpoints" / "last.ckpt"
        trainer.fit(module, Toys(), ckpt_path=str(last) if resume else None)
        return weights_of(module)

    whole = run(tmp_path / "whole", batches=6)
    run(tmp_path / "cut", batches=3)
    assert equal(whole, run(tmp_path / "cut", batches=6, resume=True))


class NormalizingCritic(nn.Module):
    """A critic with the normalization given."""

    def __init__(self, normalization: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.normalization = normalization
        self.output = nn.Linear(4 * (SIZE - 2) ** 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.normalization(self.conv(images)).flatten(1))
        return logits


@pytest.mark.parametrize("normalization", [nn.BatchNorm2d, BatchNorm])
@pytest.mark.parametrize("penalty_class", [R1, FiniteDifferenceR1, GradientPenalty, DRAGAN, Roth])
def test_batch_normalization_in_the_critic_is_warned_of(
    penalty_class: Callable[[], CriticGradientPenalty], normalization: Callable[[int], nn.Module]
) -> None:
    penalty = penalty_class()
    module = GAN(generator=ToyGenerator(), discriminator=NormalizingCritic(normalization(4)), latent_dim=4)
    with pytest.warns(UserWarning, match=rf"{type(penalty).__name__}: .*batch normalization \(normalization\)"):
        toy_trainer(penalty, limit_train_batches=1).fit(module, toy_loader())


@pytest.mark.parametrize(
    "normalization", [lambda: nn.InstanceNorm2d(4), lambda: nn.GroupNorm(2, 4), lambda: nn.BatchNorm2d(4).eval()]
)
def test_other_normalization_keeps_samples_apart(normalization: Callable[[], nn.Module]) -> None:
    warn_about_batch_norm(NormalizingCritic(normalization()), "R1")  # and a warning would fail the test


def test_a_scheduled_weight_is_logged_and_a_constant_one_is_not() -> None:
    """Gamma 4 is a weight of 2, which has fallen by half after 8 of 16 images."""
    falling = R1(gamma=4.0, weight_schedule=LinearDecay(end_kimg=0.016))
    trainer = toy_trainer(falling, R2(), limit_train_batches=3, log_every_n_steps=1)
    trainer.fit(toy_gan(), toy_loader())
    assert trainer.logged_metrics["discriminator/r1_weight"] == pytest.approx(1.0)
    assert "discriminator/r2_weight" not in trainer.logged_metrics
