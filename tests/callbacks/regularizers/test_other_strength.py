"""A penalty whose gamma, weight or interval is another one after a resume goes on with its own state."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import R1
from lightning_gan.callbacks.regularizers.lecam import LeCam
from lightning_gan.loop.penalty_term import keep_states
from tests.callbacks.regularizers.regularizers import fast_gan
from tests.callbacks.regularizers.test_regularizers_in_foreign_modules import NETWORKS, ForeignStyleGAN
from tests.toys import toy_loader, toy_trainer


class FirstStates(Callback):
    """What the states of all other callbacks are when training begins."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self.states = [callback.state_dict() for callback in callbacks if isinstance(callback, (R1, LeCam))]


def saved(folder: Path, module: LightningModule, *callbacks: Callback) -> list[dict[str, Any]]:
    """The states after five batches, which are also in `cut.ckpt`."""
    trainer = toy_trainer(*callbacks, limit_train_batches=5, max_epochs=1)
    trainer.fit(module, toy_loader())
    trainer.save_checkpoint(folder / "cut.ckpt")
    return [callback.state_dict() for callback in callbacks]


def resumed(folder: Path, module: LightningModule, *callbacks: Callback) -> list[dict[str, Any]]:
    """The states with which training goes on from `cut.ckpt`."""
    first = FirstStates()
    trainer = toy_trainer(*callbacks, first, limit_train_batches=5, max_epochs=2)
    trainer.fit(module, toy_loader(), ckpt_path=folder / "cut.ckpt")
    return first.states


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: LeCam(weight=5.0), lambda: LeCam(weight=9.0)),
        (lambda: R1(gamma=1.0, every_n_turns=3), lambda: R1(gamma=2.0, every_n_turns=3)),
        (lambda: R1(gamma=1.0, every_n_turns=3), lambda: R1(gamma=1.0, every_n_turns=4)),
    ],
)
def test_it_goes_on_with_its_state(
    before: Callable[[], Callback], after: Callable[[], Callback], tmp_path: Path
) -> None:
    states = saved(tmp_path, fast_gan(), before())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Be aware that when using")  # Lightning has no callback to miss
        assert resumed(tmp_path, fast_gan(), after()) == states


def test_of_several_each_goes_on_in_its_order(tmp_path: Path) -> None:
    late = R1(gamma=1.0, start_step=8)  # GANs count a batch as one step, and it begins in none of these
    states = saved(tmp_path, fast_gan(), R1(gamma=2.0), late)
    assert [state["turns_seen"] for state in states] == [5, 0]
    assert resumed(tmp_path, fast_gan(), R1(gamma=3.0), R1(gamma=4.0, start_step=8)) == states
    assert resumed(tmp_path, fast_gan(), R1(gamma=2.0), R1(gamma=4.0, start_step=8)) == states
    assert resumed(tmp_path, fast_gan(), R1(gamma=3.0), R1(gamma=1.0, start_step=8)) == states


def test_one_of_another_network_takes_no_state() -> None:
    coarse, fine = (R1(gamma=1.0, discriminator=network) for network in ("coarse", "fine"))
    checkpoint = {"callbacks": {coarse.state_key: {"turns_seen": 5}}}
    keep_states([fine], checkpoint)
    assert list(checkpoint["callbacks"]) == [coarse.state_key]


def test_in_a_foreign_module_too(tmp_path: Path) -> None:
    states = saved(tmp_path, ForeignStyleGAN(), LeCam(weight=5.0, one_sided=False, **NETWORKS))
    with pytest.warns(UserWarning, match="Be aware that when using"):  # Lightning compares keys before any callback can
        assert resumed(tmp_path, ForeignStyleGAN(), LeCam(weight=1.0, one_sided=False, **NETWORKS)) == states
    assert states[0]["turns_seen"] == 5
