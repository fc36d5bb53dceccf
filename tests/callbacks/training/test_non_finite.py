"""What happens at numbers that are not finite: training stops, leaves steps out, or goes back to a good checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, R1, KimgCheckpoint, LearningRate, NonFinite, NonFinitePolicy, SampleGrid
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from lightning_gan.loop.finite import NonFiniteError
from lightning_gan.loop.gan import GAN
from lightning_gan.schedules import RampUp
from tests.loop.test_finite import NAN, Poison
from tests.toys import FAST, Spy, equal, toy_gan, toy_loader, toy_trainer, weights_of


class Classifier(LightningModule):
    """Somebody's module with automatic optimization, whose loss a function spoils."""

    def __init__(self, spoil: Callable[[int, Tensor], Tensor] = lambda batch_idx, loss: loss) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.network = nn.Linear(16, 1)
        self.spoil = spoil

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.spoil(batch_idx, self.network(batch[0].flatten(1)).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class TwoOptimizers(Classifier):
    """The same with manual optimization."""

    def __init__(self, spoil: Callable[[int, Tensor], Tensor]) -> None:
        super().__init__(spoil)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # type: ignore[override]
        optimizer: Any = self.optimizers()
        loss = super().training_step(batch, batch_idx)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


def nan_at(*batches: int) -> Callable[[int, Tensor], Tensor]:
    """The loss, and with it every gradient, is not a number in these batches."""
    return lambda batch_idx, loss: loss * NAN if batch_idx in batches else loss


class PoisonAt(Poison):
    """A gradient of the discriminator is not a number in some batches alone."""

    def __init__(self, *batches: int) -> None:
        super().__init__(at=0, gradient=True)
        self.batches = batches

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if self.batch_idx in self.batches:
            super().on_before_optimizer_step(trainer, pl_module, optimizer)


# ---------------------------------------------------------------------- stop


@pytest.mark.parametrize("kind", [Classifier, TwoOptimizers])
def test_other_peoples_modules_stop_and_name_the_loss(kind: type[Classifier]) -> None:
    module = kind(nan_at(3))
    with pytest.raises(NonFiniteError, match=r"^the loss is nan at batch 3; lower the learning rates"):
        toy_trainer(NonFinite(every_n_batches=5)).fit(module, toy_loader())
    with pytest.raises(NonFiniteError, match=r"the loss is nan at batch 3"):  # at the end, if not earlier
        toy_trainer(NonFinite()).fit(kind(nan_at(3)), toy_loader())


def test_other_peoples_gradients_and_weights_are_named() -> None:
    class Spoil(Callback):
        def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
            assert isinstance(pl_module, Classifier) and pl_module.network.bias.grad is not None
            pl_module.network.bias.grad.fill_(torch.inf)

    with pytest.raises(NonFiniteError, match=r"the gradient of network\.bias is inf at batch 0"):
        toy_trainer(Spoil(), NonFinite(every_n_batches=1)).fit(Classifier(), toy_loader())
    module = Classifier()
    with torch.no_grad():
        module.network.weight[0, 3] = NAN
    with pytest.raises(NonFiniteError, match=r"the loss is nan at batch 0"):
        toy_trainer(NonFinite()).fit(module, toy_loader())


def test_other_peoples_checkpoints_are_not_overwritten(tmp_path: Path) -> None:
    trainer = toy_trainer(
        NonFinite(),
        KimgCheckpoint(every_kimg=0.004, dirpath=str(tmp_path)),
        enable_checkpointing=True,
    )
    with pytest.raises(NonFiniteError, match="the loss is nan at batch 2"):
        trainer.fit(Classifier(nan_at(2)), toy_loader())
    saved = AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    assert saved["global_step"] == 2
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_a_gan_is_read_as_often_as_it_is_said() -> None:
    module = toy_gan(training=FAST)
    with pytest.raises(NonFiniteError):
        toy_trainer(NonFinite(every_n_batches=3), PoisonAt(2), log_every_n_steps=1000).fit(module, toy_loader())
    assert module.images_seen == 4 * 4  # batches 1, 4, 7, ... are read


# ---------------------------------------------------------------------- skip


def test_a_step_that_is_left_out_changes_nothing_of_its_player() -> None:
    seen: list[tuple[str, list[Tensor], dict[str, Any]]] = []

    class See(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            assert isinstance(pl_module, GAN)
            moments = [trainer.optimizers[0].state[p].get("exp_avg") for p in pl_module.discriminator.parameters()]
            seen.append(("", weights_of(pl_module.discriminator), {"moments": [m.clone() for m in moments]}))

    callback = NonFinite(policy=NonFinitePolicy.skip)
    trainer = toy_trainer(callback, R1(gamma=1.0), PoisonAt(3, 4), See())
    trainer.fit(toy_gan(training=FAST), toy_loader())
    for before, after, same in [(2, 3, True), (3, 4, True), (1, 2, False), (4, 5, False)]:
        assert equal(seen[before][1], seen[after][1]) is same
        assert equal(seen[before][2]["moments"], seen[after][2]["moments"]) is same
    assert callback.steps_left_out == 2
    assert trainer.callback_metrics["non_finite/steps_left_out"] == 2
    assert callback.state_dict()["steps_left_out"] == 2


@pytest.mark.parametrize("kind", [Classifier, TwoOptimizers])
def test_other_peoples_steps_are_left_out(kind: type[Classifier]) -> None:
    """As if the batch had not been there: Adam with the remaining batches ends in the same weights."""
    module = kind(nan_at(1, 2, 7))
    callback = NonFinite(policy=NonFinitePolicy.skip)
    toy_trainer(callback).fit(module, toy_loader())
    dataset: Any = toy_loader().dataset
    kept = [item for place, item in enumerate(dataset) if place // 4 not in (1, 2, 7)]
    without = Classifier()
    toy_trainer().fit(without, DataLoader(kept, batch_size=4))
    assert equal(weights_of(module), weights_of(without)) and callback.steps_left_out == 3


def test_too_many_steps_in_a_row_are_an_error() -> None:
    with pytest.raises(NonFiniteError, match=r"4 steps in a row of GANAdam \(optimizer 0\)"):
        toy_trainer(NonFinite(policy=NonFinitePolicy.skip, most_in_a_row=3), PoisonAt(*range(2, 9))).fit(
            toy_gan(training=FAST), toy_loader()
        )
    toy_trainer(NonFinite(policy=NonFinitePolicy.skip, most_in_a_row=1), PoisonAt(2, 4, 6)).fit(
        toy_gan(training=FAST), toy_loader()
    )


def test_a_weight_that_is_not_finite_stops_a_training_that_leaves_steps_out() -> None:
    with pytest.raises(NonFiniteError, match=r"the weight discriminator\.output\.weight is not finite|in a row"):
        toy_trainer(NonFinite(policy=NonFinitePolicy.skip), Poison(at=2, gradient=False)).fit(
            toy_gan(training=FAST), toy_loader()
        )


# ---------------------------------------------------------------------- roll back


def rolling(tmp_path: Path, *callbacks: Callback, **settings: Any) -> tuple[NonFinite, Trainer]:
    """Saved after the second, fourth, ... batch."""
    callback = NonFinite(policy=NonFinitePolicy.roll_back, **settings)
    checkpoints = KimgCheckpoint(every_kimg=0.008, dirpath=str(tmp_path))
    return callback, toy_trainer(callback, *callbacks, checkpoints, enable_checkpointing=True, log_every_n_steps=1000)


def test_rolling_back_takes_the_checkpoint_and_lowers_the_rates(tmp_path: Path) -> None:
    """After a roll-back in the batch behind a save, everything but the clock and the rates is as it was saved."""
    states: list[dict[str, Tensor]] = []
    rates: list[float] = []

    class See(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            states.append({name: value.clone() for name, value in pl_module.state_dict().items()})
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    callback, trainer = rolling(tmp_path, EMA(half_life_kimg=0.01), R1(gamma=1.0), PoisonAt(4), See(), rate_factor=0.25)
    module = toy_gan(training=FAST)
    with pytest.warns(UserWarning, match=r"gradient of disc.*Rolled back to .*last\.ckpt.*times 0\.25 \(.* 1 of 3"):
        trainer.fit(module, toy_loader())
    weights = [name for name in states[3] if name != "_counts" and "ema" not in name]
    assert all(torch.equal(states[3][name], states[4][name]) for name in weights)
    assert any(not torch.equal(states[4][name], states[5][name]) for name in weights)
    assert all(value.isfinite().all() for value in states[4].values())
    assert (rates[3], rates[4], rates[15]) == (0.02, 0.005, 0.005)
    assert module.images_seen == 64 and callback.roll_backs == 1
    assert callback.state_dict()["roll_backs"] == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_samples_of_the_batch_that_is_rolled_back_are_those_of_the_checkpoint(
    tmp_path: Path, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = SampleGrid(every_kimg=0.004, rows=2, columns=2)  # after every batch; it refuses images that are not finite
    others = [grid, PoisonAt(4)] if is_first else [PoisonAt(4), grid]
    callback, trainer = rolling(tmp_path, *others)
    with pytest.warns(UserWarning, match="Rolled back"):
        trainer.fit(toy_gan(training=FAST), toy_loader())
    assert callback.roll_backs == 1 and len(list(tmp_path.rglob("kimg_*.png"))) == 17


def test_the_lower_rate_survives_a_schedule(tmp_path: Path) -> None:
    rates: list[float] = []
    see = Spy(lambda player, gan: rates.append(gan.trainer.optimizers[0].param_groups[0]["lr"]))
    schedule = LearningRate(schedules=[RampUp(kimg=0.001)])
    _, trainer = rolling(tmp_path, schedule, PoisonAt(4), see)
    with pytest.warns(UserWarning, match="Rolled back"):
        trainer.fit(toy_gan(training=FAST), toy_loader())
    assert rates[-1] == pytest.approx(0.01)


def test_after_too_many_roll_backs_training_stops(tmp_path: Path) -> None:
    _, trainer = rolling(tmp_path, PoisonAt(*range(4, 16)), most_roll_backs=2)
    with (
        pytest.warns(UserWarning, match=r"roll-back \d of 2"),
        pytest.raises(NonFiniteError, match=r"gradient of disc.*\(after 2 roll-backs, as many as are allowed\)"),
    ):
        trainer.fit(toy_gan(training=FAST), toy_loader())


def test_without_a_checkpoint_of_this_training_it_stops(tmp_path: Path) -> None:
    """A checkpoint of an earlier training in the same folder is of other weights."""
    _, earlier = rolling(tmp_path)
    earlier.fit(toy_gan(), toy_loader())
    _, trainer = rolling(tmp_path, PoisonAt(1))
    with pytest.raises(NonFiniteError, match="there is no checkpoint of this training to roll back to"):
        trainer.fit(toy_gan(training=FAST), toy_loader())


def test_other_peoples_modules_roll_back(tmp_path: Path) -> None:
    module = Classifier(nan_at(4))
    _, trainer = rolling(tmp_path)
    with pytest.warns(UserWarning, match=r"the loss is nan at batch 4; .*Rolled back to"):
        trainer.fit(module, toy_loader())
    assert all(weight.isfinite().all() for weight in weights_of(module))
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.005


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_batches": 0}, "every_n_batches=0 must be at least 1"),
        ({"most_in_a_row": 0}, "most_in_a_row=0 must be at least 1"),
        ({"most_roll_backs": -1}, "most_roll_backs=-1 must be at least 1"),
        ({"rate_factor": 0.0}, "rate_factor=0.0 must be above 0"),
        ({"rate_factor": 1.5}, "rate_factor=1.5 must be above 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NonFinite(**settings)


def test_what_cannot_work_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"needs checkpoints to go back to; add the callback KimgCheckpoint"):
        toy_trainer(NonFinite(policy=NonFinitePolicy.roll_back)).fit(toy_gan(), toy_loader())
    with pytest.raises(ValueError, match=r"R1 adds its gradient after this callback.*list NonFinite behind"):
        toy_trainer(NonFinite(policy=NonFinitePolicy.skip), R1(gamma=1.0)).fit(Classifier(), toy_loader())
