"""Roth's regularizer in training: annealing by the clock, saved and resumed."""

from pathlib import Path

import pytest

from lightning_gan.callbacks.regularizers.roth import Roth, RothFGAN
from lightning_gan.callbacks.training.checkpoint import KimgCheckpoint
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.losses.divergences import KullbackLeibler
from tests.loop.distributed_worker import Toys
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


class Factors(Roth):
    """Remembers the factor on gamma in every due turn."""

    def weighted(self, turn):  # type: ignore[no-untyped-def]
        seen.append(self._factor.item())
        return super().weighted(turn)


seen: list[float] = []


def test_gamma_falls_with_the_images_seen() -> None:
    """Batches of 4 begin at 0, 4, 8 ... images; after 8 gamma is down to a hundredth."""
    seen.clear()
    toy_trainer(Factors(annealing_kimg=0.008), limit_train_batches=4).fit(toy_gan(), toy_loader())
    assert seen == pytest.approx([1.0, 0.1, 0.01, 0.01])


def test_without_annealing_gamma_stays() -> None:
    seen.clear()
    toy_trainer(Factors(), limit_train_batches=3).fit(toy_gan(), toy_loader())
    assert seen == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("penalty", [Roth(gamma=50.0), RothFGAN(gamma=50.0, divergence=KullbackLeibler())])
def test_it_moves_the_critic(penalty: Penalty) -> None:
    modules = [toy_gan(), toy_gan()]
    toy_trainer(limit_train_batches=2).fit(modules[0], toy_loader())
    toy_trainer(penalty, limit_train_batches=2).fit(modules[1], toy_loader())
    assert not equal(*(weights_of(module.discriminator) for module in modules))
    assert modules[1].trainer.callback_metrics[f"discriminator/{penalty.name}"] > 0


def test_a_resumed_run_anneals_on(tmp_path: Path) -> None:
    """Two batches of 8, then two more, of the 32 images over which gamma falls to a hundredth."""
    for batches in (2, 4):
        seen.clear()
        trainer = toy_trainer(
            Factors(annealing_kimg=0.032),
            KimgCheckpoint(every_kimg=1.0),
            default_root_dir=str(tmp_path),
            enable_checkpointing=True,
            max_steps=batches,
            max_epochs=-1,
        )
        last = tmp_path / "checkpoints" / "last.ckpt"
        trainer.fit(toy_gan(), Toys(), ckpt_path=str(last) if last.exists() else None)
    assert seen == pytest.approx([0.1, 0.01**0.75])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"annealing_kimg=0.0 is less than one image"):
        Roth(annealing_kimg=0.0)
    with pytest.raises(ValueError, match=r"final_factor=0.0 must be in \(0, 1\]"):
        Roth(annealing_kimg=1.0, final_factor=0.0)
    with pytest.raises(ValueError, match=r"weight -1.0 must not be negative"):
        Roth(gamma=-2.0)
