"""Top-k training: which fakes the generator learns from, and when it begins to drop some."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, tensor

from lightning_gan.callbacks.training.top_k_schedule import TopKSchedule
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from lightning_gan.losses.relativistic import RelativisticStandard
from lightning_gan.losses.top_k import TopK
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import FAST, equal, fast_adam, toy_gan, toy_loader, toy_trainer, weights_of

EVERY_LOSS = [NonSaturating(), Minimax(), Hinge(), Wasserstein(), LeastSquares()]
SCORES = tensor([[0.5], [2.0], [-1.0], [1.5]])

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: type(loss).__name__)


@every_loss
def test_all_fakes_kept_is_the_objective_itself(loss: AdversarialLoss) -> None:
    fake = torch.randn(7, 1)
    assert torch.equal(TopK(loss=loss).generator(None, fake), loss.generator(None, fake))


@every_loss
def test_it_is_the_objective_on_the_best_fakes(loss: AdversarialLoss) -> None:
    half = TopK(loss=loss, fraction=0.5).generator(None, SCORES)
    torch.testing.assert_close(half, loss.generator(None, tensor([[2.0], [1.5]])))


@every_loss
def test_dropped_fakes_have_no_gradient(loss: AdversarialLoss) -> None:
    fake = SCORES.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(TopK(loss=loss, fraction=0.5).generator(None, fake), fake)
    assert (slopes != 0).flatten().tolist() == [False, True, False, True]


@every_loss
def test_the_critic_learns_from_all_fakes(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(4, 1), torch.randn(4, 1)
    assert torch.equal(TopK(loss=loss, fraction=0.25).discriminator(real, fake), loss.discriminator(real, fake))


def test_the_order_of_fakes_does_not_matter() -> None:
    fake = torch.randn(8, 1, dtype=torch.float64)
    loss = TopK(loss=NonSaturating(), fraction=0.5)
    torch.testing.assert_close(loss.generator(None, fake.flip(0)), loss.generator(None, fake))


@pytest.mark.parametrize(("fraction", "count", "kept"), [(0.5, 64, 32), (0.99, 64, 63), (0.01, 64, 1), (0.3, 1, 1)])
def test_a_fraction_is_a_whole_number_of_fakes_and_at_least_one(fraction: float, count: int, kept: int) -> None:
    assert TopK(loss=Hinge(), fraction=fraction).kept_of(count) == kept


def test_a_patch_critic_ranks_images_by_their_mean_score() -> None:
    """Means 0, 2 and 1: the second and third image stay, with all their scores."""
    maps = tensor([[9.0, -9.0], [2.0, 2.0], [5.0, -3.0]]).view(3, 1, 1, 2)
    assert TopK(loss=Wasserstein(), fraction=2 / 3).generator(None, maps).item() == pytest.approx(-1.5)


def test_bad_settings_are_refused() -> None:
    for fraction in (0.0, -0.5, 1.5):
        with pytest.raises(ValueError, match=f"fraction={fraction} must be above 0"):
            TopK(loss=Hinge(), fraction=fraction)
    with pytest.raises(ValueError, match="cannot drop fakes of RelativisticStandard"):
        TopK(loss=RelativisticStandard())
    with pytest.raises(ValueError, match=r"factor=1\.1"):
        TopKSchedule(factor=1.1)
    with pytest.raises(ValueError, match=r"smallest_fraction=0\.0"):
        TopKSchedule(smallest_fraction=0.0)
    with pytest.raises(ValueError, match=r"every_kimg=0\.0"):
        TopKSchedule(every_kimg=0.0)


def test_the_fraction_falls_step_by_step_to_the_smallest() -> None:
    """The paper's max(gamma^epoch, nu), in images."""
    schedule = TopKSchedule(factor=0.5, every_kimg=1.0, smallest_fraction=0.2)
    assert [schedule.fraction_at(seen) for seen in (0, 999, 1000, 2000, 3000, 10**9)] == [1, 1, 0.5, 0.25, 0.2, 0.2]
    assert TopKSchedule().fraction_at(50_000 * 3) == pytest.approx(0.99**3)


class Fractions(Callback):
    """Writes down the fraction that every batch is played with."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GAN) and isinstance(pl_module.loss, TopK)
        self.seen.append(pl_module.loss.fraction)


def test_every_batch_has_the_fraction_of_the_images_seen_before_it() -> None:
    fractions = Fractions()
    schedule = TopKSchedule(factor=0.5, every_kimg=0.008, smallest_fraction=0.1)
    module = toy_gan(training=Training(loss=TopK(loss=NonSaturating())))
    toy_trainer(fractions, schedule, limit_train_batches=5).fit(module, toy_loader(batch_size=4))
    assert fractions.seen == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_it_changes_the_generators_update() -> None:
    def trained(fraction: float) -> list[Tensor]:
        loss = TopK(loss=NonSaturating(), fraction=fraction)
        module = toy_gan(training=Training(loss=loss, generator_optimizer=fast_adam, discriminator_optimizer=fast_adam))
        toy_trainer(limit_train_batches=1).fit(module, toy_loader())
        return weights_of(module.generator)

    assert not equal(trained(1.0), trained(0.5))


def test_a_schedule_that_keeps_all_changes_nothing() -> None:
    alone, scheduled = toy_gan(), toy_gan(training=Training(loss=TopK(loss=NonSaturating())))
    toy_trainer(limit_train_batches=3).fit(alone, toy_loader())
    toy_trainer(TopKSchedule(), limit_train_batches=3).fit(scheduled, toy_loader())
    assert equal(weights_of(alone), weights_of(scheduled))


def test_a_resumed_run_drops_the_same_fakes(tmp_path: Path) -> None:
    def schedule() -> TopKSchedule:
        return TopKSchedule(factor=0.5, every_kimg=0.008, smallest_fraction=0.25)

    def module() -> GAN:
        return growing_gan(replace(FAST, loss=TopK(loss=NonSaturating())))

    whole = fit(module(), schedule(), images=24)
    fit(module(), schedule(), images=12, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(module(), schedule(), images=24, resume=tmp_path / "cut.ckpt"))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            lambda: toy_gan(training=Training(loss=Hinge())),
            r"the loss is Hinge; give the model training=Training\(loss=TopK\(loss=Hinge\(\)\)\)",
        ),
        (ForeignGAN, "ForeignGAN is no lightning_gan.GAN, so which loss it trains with is not known"),
        (lambda: toy_gan(training=Training(loss=TopK(loss=Hinge()), compile=True)), "every k would be compiled anew"),
    ],
)
def test_a_module_without_such_a_loss_is_refused_before_the_first_step(module: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy_trainer(TopKSchedule(), limit_train_batches=1).fit(module(), toy_loader())
