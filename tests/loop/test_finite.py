"""Numbers that are not finite are noticed, named, and never saved: in losses, gradients, weights and pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1, KimgCheckpoint
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.checkpointing import AtomicCheckpointIO, CheckpointError
from lightning_gan.loop.finite import TURNS_OF_A_SCALER, NonFiniteError, NumberRecord, Numbers
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import Player, Turn
from tests.toys import FAST, toy_gan, toy_images, toy_loader, toy_trainer
from tests.two_ranks import run

NAN = float("nan")


class Poison(Callback):
    """Puts a value into a weight before a batch, or into a gradient before a player's step, from batch `at` on."""

    def __init__(self, *, at: int, gradient: bool, value: float = NAN, player: Player = "discriminator") -> None:
        self.at, self.gradient, self.value, self.player = at, gradient, value, player

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.batch_idx = batch_idx
        if batch_idx == self.at and not self.gradient:
            with torch.no_grad():
                self._weight(pl_module).view(-1)[0] = self.value

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        gradient = self._weight(pl_module).grad
        if self.gradient and self.batch_idx >= self.at and gradient is not None:
            gradient.view(-1)[0] = self.value

    def _weight(self, pl_module: LightningModule) -> nn.Parameter:
        assert isinstance(pl_module, GAN)
        network = pl_module.discriminator if self.player == "discriminator" else pl_module.generator
        assert isinstance(network.output, nn.Linear)
        return network.output.weight


class Spoiled(Penalty):
    """A penalty that is not a number from the n-th turn on."""

    name: ClassVar[str] = "spoiled"
    player: ClassVar[Player] = "generator"
    turns = 0
    good = 3

    @property
    def weight(self) -> float:
        return 1.0

    def penalty(self, turn: Turn) -> Tensor:
        self.turns += 1
        return turn.fake_logits.mean() * (NAN if self.turns > self.good else 0.0)


def images_with(value: float, *, row: int, count: int = 64) -> DataLoader[Any]:
    images = toy_images(count)
    images[row, 0, 1, 1] = value
    return DataLoader(TensorDataset(images), batch_size=4)


# ---------------------------------------------------------------------- what is named

NAMED: list[tuple[Callable[[], tuple[list[Callback], DataLoader[Any]]], str]] = [
    (lambda: ([Spoiled()], toy_loader()), r"^generator/spoiled is nan at 0\.012 kimg; lower .*generator_optimizer\.lr"),
    (
        lambda: ([Poison(at=2, gradient=True)], toy_loader()),
        r"gradient of discriminator\.output\.weight is nan at 0\.008",
    ),
    (
        lambda: ([Poison(at=3, gradient=True, value=-torch.inf, player="generator")], toy_loader()),
        r"gradient of generator\.output\.weight is inf at 0\.012 kimg; .*training\.generator_clip_norm",
    ),
    (lambda: ([Poison(at=1, gradient=False)], toy_loader()), r"^discriminator/adversarial is nan at 0\.004 kimg"),
    (lambda: ([], images_with(NAN, row=21)), r"^a pixel of the real images is nan at 0\.020 kimg; .*torch\.isfinite"),
    (lambda: ([], images_with(torch.inf, row=63)), r"^a pixel of the real images is inf at 0\.060 kimg"),
    (lambda: ([], images_with(NAN, row=2)), r"^a pixel of the first batch is nan"),
]


@pytest.mark.parametrize("every_n_steps", [1, 1000])
@pytest.mark.parametrize(("setting", "message"), NAMED)
def test_training_stops_and_names_the_first_number(setting: Any, message: str, every_n_steps: int) -> None:
    """Whether it is logged or not: at the latest when the epoch ends."""
    callbacks, loader = setting()
    with pytest.raises(ValueError, match=message) as raised:
        toy_trainer(*callbacks, log_every_n_steps=every_n_steps).fit(toy_gan(training=FAST), loader)
    assert "\n" not in str(raised.value)


def test_numbers_are_read_at_least_every_fifty_batches() -> None:
    module = toy_gan(training=FAST)
    with pytest.raises(NonFiniteError, match=r"at 0\.012 kimg"):
        toy_trainer(Poison(at=3, gradient=True), log_every_n_steps=1000).fit(module, toy_loader(count=4 * 300))
    assert module.images_seen == 4 * 51  # the first batch is read, and then every fiftieth


def test_finite_training_is_the_same_bit_for_bit_however_often_it_is_read() -> None:
    ends = []
    for every_n_steps in (1, 1000):
        module = toy_gan(training=FAST)
        toy_trainer(R1(gamma=1.0), log_every_n_steps=every_n_steps).fit(module, toy_loader())
        ends.append([p.detach().clone() for p in module.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_infinite_buffers_are_allowed_and_buffers_that_are_not_a_number_are_not() -> None:
    """Masks of attention are infinite; running statistics that are spoiled are not a number."""
    module = toy_gan()
    module.generator.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    toy_trainer(limit_train_batches=2).fit(module, toy_loader())
    module.generator.register_buffer("mask", torch.tensor([0.0, -torch.inf, NAN]))
    with pytest.raises(NonFiniteError, match=r"the weight generator\.mask is not finite at"):
        toy_trainer(limit_train_batches=2).fit(module, toy_loader())


def test_several_weights_are_counted() -> None:
    module = toy_gan()
    with torch.no_grad():
        module.generator_ema.output.weight.fill_(NAN)  # type: ignore[union-attr]
        module.generator_ema.output.bias.fill_(torch.inf)  # type: ignore[union-attr]
    with pytest.raises(NonFiniteError, match=r"weight generator_ema\.output\.weight and 1 other weights are"):
        toy_trainer(limit_train_batches=1).fit(module, toy_loader())


# ---------------------------------------------------------------------- what is never saved or measured


@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")  # saved after the step, as meant
@pytest.mark.parametrize("gradient", [True, False])
def test_no_checkpoint_is_written_of_numbers_that_are_not_finite(tmp_path: Path, gradient: bool) -> None:
    """Saved after every two batches; the third batch spoils the weights."""
    checkpoints = KimgCheckpoint(every_kimg=0.008, keep_every_kimg=0.008, dirpath=str(tmp_path))
    trainer = toy_trainer(
        Poison(at=2, gradient=gradient),
        checkpoints,
        ModelCheckpoint(dirpath=tmp_path / "theirs", every_n_train_steps=1, save_top_k=-1),
        enable_checkpointing=True,
        log_every_n_steps=1000,
    )
    with pytest.raises((NonFiniteError, CheckpointError), match=r"not finite|nan"):  # whichever looks first
        trainer.fit(toy_gan(training=FAST), toy_loader())
    files = sorted(tmp_path.rglob("*.ckpt"))
    assert len(files) == 4  # two of each callback
    for file in files:
        saved = AtomicCheckpointIO().load_checkpoint(file)
        assert all(value.isfinite().all() for value in saved["state_dict"].values())
        toy_gan().load_state_dict(saved["state_dict"])


def test_save_checkpoint_of_a_spoiled_module_writes_nothing(tmp_path: Path) -> None:
    module, trainer = toy_gan(), toy_trainer(limit_train_batches=1)
    trainer.fit(module, toy_loader())
    trainer.save_checkpoint(tmp_path / "good.ckpt")
    with torch.no_grad():
        module.generator.output.bias.fill_(NAN)  # type: ignore[union-attr]
    with pytest.raises(NonFiniteError, match=r"the weight generator\.output\.bias is not finite"):
        trainer.save_checkpoint(tmp_path / "bad.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["good.ckpt"]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_spoiled_module_is_not_evaluated(command: str) -> None:
    module = toy_gan()
    with torch.no_grad():
        module.generator.output.bias.fill_(NAN)  # type: ignore[union-attr]
    with pytest.raises(NonFiniteError, match=r"the weight generator\.output\.bias"):
        getattr(toy_trainer(), command)(module, toy_loader(), verbose=False)


def test_validation_within_a_training_reads_first() -> None:
    seen: list[str] = []

    class Measures(Callback):
        def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            seen.append("measured")

    trainer = toy_trainer(Poison(at=1, gradient=True), Measures(), val_check_interval=3, log_every_n_steps=1000)
    with pytest.raises(NonFiniteError):
        trainer.fit(toy_gan(training=FAST), toy_loader(), toy_loader(8))
    assert not seen


def test_a_new_fit_forgets_the_numbers_of_an_earlier_one() -> None:
    module, trainer = toy_gan(training=FAST), toy_trainer(Poison(at=1, gradient=True), limit_train_batches=2)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(NonFiniteError):
        trainer.fit(module, toy_loader())
    module.load_state_dict(state)
    toy_trainer(limit_train_batches=2).fit(module, toy_loader())


# ---------------------------------------------------------------------- the record


def recorded_gradient(record: NumberRecord, value: float, *, scaled: bool) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    gradients = [(parameter, torch.tensor([0.0, value]))]
    record.add_gradients(gradients, images_seen=0, advice="advice", scaled=scaled)


def test_infinite_gradients_of_a_loss_scaler_are_normal_unless_they_never_end() -> None:
    record, module = NumberRecord(clock_unit="kimg"), toy_gan()
    for turn in range(3 * TURNS_OF_A_SCALER):
        recorded_gradient(record, 0.0 if turn % TURNS_OF_A_SCALER == 5 else torch.inf, scaled=True)
        assert record.read(module, images_seen=0, weights=False) is None
    for _ in range(TURNS_OF_A_SCALER):
        recorded_gradient(record, torch.inf, scaled=True)
    found = record.read(module, images_seen=0, weights=False)
    assert found is not None and found.numbers is Numbers.GRADIENT


def test_labels_out_of_range_are_limited_and_named() -> None:
    """As on a GPU, where an index out of range ends the program."""
    record = NumberRecord(clock_unit="kimg")
    assert record.add_labels(torch.tensor([0, 2]), number_of_classes=3, images_seen=0).tolist() == [0, 2]
    assert record.add_labels(torch.tensor([1, 2**40, -1]), number_of_classes=3, images_seen=4).tolist() == [1, 2, 0]
    found = record.read(nn.Linear(1, 1), images_seen=8, weights=True)
    assert found is not None and found.numbers is Numbers.LABELS
    assert found.message.startswith(f"label {2**40} is outside of 0..2") and "(seen at 0.004 kimg)" in found.message
    assert record.read(nn.Linear(1, 1), images_seen=8, weights=True) is None  # reading empties the record


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_large_finite_numbers_of_other_precisions_are_finite(dtype: torch.dtype) -> None:
    record = NumberRecord(clock_unit="kimg")
    record.add_pixels(torch.full((4, 4), 6e4, dtype=dtype), images_seen=0)
    assert record.read(nn.Linear(1, 1).to(dtype), images_seen=0, weights=True) is None


# ---------------------------------------------------------------------- ranks


@pytest.mark.slow
def test_a_number_of_one_rank_stops_all_ranks_with_the_same_message(tmp_path: Path) -> None:
    run("tests.loop.finite_worker", tmp_path, ranks=2)
    messages = [(tmp_path / f"{name}_{rank}.txt").read_text() for name in ("loss", "weight") for rank in (0, 1)]
    assert messages[0] == messages[1] and messages[2] == messages[3]
    assert "generator/adversarial is nan at 0.016 kimg" in messages[0] and messages[0].endswith("(rank 1)")
    assert "weight generator.output.bias is not finite" in messages[2] and messages[2].endswith("(rank 1)")
    assert not list(tmp_path.glob("*.ckpt"))
