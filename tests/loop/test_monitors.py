"""`ModelCheckpoint` and `EarlyStopping` look whenever their number is logged, and only then."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lightning_gan.callbacks import EMA, KimgCheckpoint
from lightning_gan.callbacks.evaluation.measurement import Measurement
from lightning_gan.compat import skips_own_looks
from tests.callbacks.evaluation.test_evaluation import Foreign, evaluation, sample_foreign
from tests.toys import toy_gan, toy_images, toy_loader, toy_trainer

NUMBER = "metrics/number"


class Endless(IterableDataset[Tensor]):
    """The same images again and again."""

    def __iter__(self) -> Iterator[Tensor]:
        images = toy_images(8)
        return (images[index % 8] for index in count())


class Numbers(Measurement):
    """Logs given numbers, one after the other, every 4 images; the last one again if there are no more."""

    def __init__(self, *numbers: float, every_kimg: float | None = 0.004, number: str = "number") -> None:
        super().__init__(every_kimg=every_kimg, batch_size=1, seed=0, name="metrics")
        self.numbers, self.number, self.measurements = numbers, number, 0

    def check(self, module: LightningModule) -> None:
        """Nothing."""

    def headline(self, numbers: dict[str, float]) -> str:
        return ""

    def titles(self) -> dict[str, str]:
        return {self.number: self.number}

    def measured(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        value = self.numbers[min(self.measurements, len(self.numbers) - 1)]
        self.measurements += 1
        return {"metrics": {self.number: value}}


def fit(
    *callbacks: Callback, folder: Path, module: LightningModule | None = None, endless: bool = True, **settings: Any
) -> Trainer:
    limits: dict[str, Any] = {"max_epochs": -1} if endless else {"max_epochs": 3, "limit_train_batches": 2}
    limits["enable_checkpointing"] = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    trainer = toy_trainer(*callbacks, default_root_dir=str(folder), **{**limits, "max_steps": 6, **settings})
    loader = DataLoader(Endless(), batch_size=4) if endless else toy_loader()
    trainer.fit(module or toy_gan(), loader, toy_loader(8))
    return trainer


def best(folder: Path, **settings: Any) -> ModelCheckpoint:
    return ModelCheckpoint(dirpath=folder / "best", monitor=NUMBER, **settings)


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "best").glob("*.ckpt"))


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("endless", [True, False])
def test_the_best_measurement_is_saved_beside_the_last_checkpoint(tmp_path: Path, foreign: bool, endless: bool) -> None:
    """Its weights are those that were measured; the name of its file has the number and the kimg."""
    module = Foreign() if foreign else toy_gan()
    numbers = Numbers(5.0, 3.0, 7.0, 2.0, 8.0, 9.0)
    fit(KimgCheckpoint(every_kimg=0.004), best(tmp_path), numbers, folder=tmp_path, module=module, endless=endless)
    assert saved(tmp_path) == ["number_2.0000_kimg_000000.016.ckpt"]
    checkpoint = torch.load(tmp_path / "best" / saved(tmp_path)[0], weights_only=True)
    (of_best,) = (entry for entry in json.loads((tmp_path / "metrics.json").read_text()) if entry["kimg"] == 0.016)
    assert of_best["metrics"] == {"number": 2.0}
    module.load_state_dict(checkpoint["state_dict"])
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_the_saved_state_is_that_after_the_batch_of_every_callback(tmp_path: Path) -> None:
    """A run that goes on from the best checkpoint is the run that never stopped, bit for bit."""
    torch.manual_seed(0)
    whole = toy_gan()
    fit(Numbers(5.0, 1.0, 7.0), best(tmp_path), EMA(half_life_kimg=0.01), folder=tmp_path, module=whole, endless=False)
    (name,) = saved(tmp_path)
    assert name.endswith("kimg_000000.008.ckpt")
    again = toy_gan()
    trainer = toy_trainer(EMA(half_life_kimg=0.01), max_epochs=3, limit_train_batches=2, default_root_dir=str(tmp_path))
    trainer.fit(again, toy_loader(), toy_loader(8), ckpt_path=tmp_path / "best" / name, weights_only=True)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_several_checkpoints_look_at_the_same_numbers(tmp_path: Path) -> None:
    largest = ModelCheckpoint(dirpath=tmp_path / "largest", monitor=NUMBER, mode="max", filename="{kimg:.3f}")
    fit(Numbers(5.0, 3.0, 7.0, 4.0), best(tmp_path, save_top_k=2), largest, folder=tmp_path, max_steps=4)
    assert saved(tmp_path) == ["number_3.0000_kimg_000000.008.ckpt", "number_4.0000_kimg_000000.016.ckpt"]
    assert [path.name for path in (tmp_path / "largest").iterdir()] == ["kimg=0.012.ckpt"]


def test_the_measurement_at_the_end_of_fit_is_looked_at(tmp_path: Path) -> None:
    trainer = fit(Numbers(5.0, every_kimg=None), best(tmp_path), folder=tmp_path)
    assert saved(tmp_path) == ["number_5.0000_kimg_000000.024.ckpt"]
    assert trainer.callback_metrics[NUMBER] == 5.0


def test_an_earlier_number_is_replaced_by_that_of_the_end(tmp_path: Path) -> None:
    trainer = fit(Numbers(5.0, 4.0, every_kimg=0.016), best(tmp_path), folder=tmp_path)
    assert saved(tmp_path) == ["number_4.0000_kimg_000000.024.ckpt"]
    assert trainer.callback_metrics[NUMBER] == 4.0


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("endless", [True, False])
def test_training_stops_early_after_so_many_measurements(
    tmp_path: Path, foreign: bool, endless: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every measurement counts once, also where epochs end; all of this is in the checkpoint."""
    stopping = EarlyStopping(monitor=NUMBER, patience=3)
    module = Foreign() if foreign else toy_gan()
    trainer = fit(Numbers(5.0), stopping, folder=tmp_path, module=module, endless=endless)
    assert trainer.global_step == 4  # one best and three without a better one
    assert "EarlyStopping ends training: Monitored metric metrics/number did not improve in the last 3 records" in (
        capsys.readouterr().out
    )


def test_a_real_evaluation_is_monitored(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "best", monitor="metrics/frechet_distance", save_top_k=-1)
    fit(evaluation(every_kimg=0.012, sampler=sample_foreign), checkpoint, folder=tmp_path, module=Foreign())
    records = json.loads((tmp_path / "metrics.json").read_text())
    distances = [entry["metrics"]["frechet_distance"] for entry in records]
    expected = [
        f"frechet_distance_{value:.4f}_kimg_{kimg}.ckpt"
        for value, kimg in zip(distances, ("000000.012", "000000.024"), strict=True)
    ]
    assert saved(tmp_path) == sorted(expected)


def test_terms_of_the_loop_are_looked_at_when_they_are_logged(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "best", monitor="generator/adversarial", save_top_k=-1)
    stopping = EarlyStopping(monitor="discriminator/adversarial", patience=2, min_delta=1e9)
    trainer = fit(checkpoint, stopping, folder=tmp_path, log_every_n_steps=2, max_steps=9)
    assert sorted(name[-15:-5] for name in saved(tmp_path)) == ["000000.008", "000000.016", "000000.024"]
    assert trainer.global_step == 6


def test_a_stated_interval_stays_lightnings(tmp_path: Path) -> None:
    checkpoint = best(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    with pytest.warns(UserWarning, match="Using ModelCheckpoint with manual optimization"):
        fit(Numbers(5.0), checkpoint, folder=tmp_path)
    assert len(saved(tmp_path)) == 2 and not skips_own_looks(checkpoint)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            EarlyStopping(monitor="metrics/numbr"),
            r"^EarlyStopping: monitor='metrics/numbr', but nothing .*; did you mean metrics/number\? ",
        ),
        (ModelCheckpoint(monitor="number"), r"^ModelCheckpoint: monitor='number', .* did you mean metrics/number\? "),
        (
            EarlyStopping(monitor="val_loss"),
            r"^EarlyStopping: monitor='val_loss', .*; numbers that are logged: metrics/number$",
        ),
    ],
)
def test_a_number_that_is_never_logged_is_refused_before_training(
    tmp_path: Path, callback: Callback, message: str
) -> None:
    module = toy_gan()
    with pytest.raises(ValueError, match=message):
        fit(Numbers(5.0), callback, folder=tmp_path, module=module)
    assert module.images_seen == 0


def test_a_number_of_nothing_is_refused_before_training(tmp_path: Path) -> None:
    module = toy_gan()
    with pytest.raises(
        ValueError, match=r"monitor='metrics/frechet_distance', would never be looked at, .*: discriminator"
    ):
        fit(EarlyStopping(monitor="metrics/frechet_distance"), folder=tmp_path, module=module)
    assert module.images_seen == 0


def test_a_number_that_its_measurement_did_not_measure_is_refused_at_the_first_one(tmp_path: Path) -> None:
    class Untitled(Numbers):
        def titles(self) -> dict[str, str]:
            return {}

    module = toy_gan()
    with pytest.raises(
        ValueError,
        match=r"monitor='metrics/other' is a number that nothing logs; .* numbers that are logged: kimg, metrics/num",
    ):
        fit(Untitled(5.0), EarlyStopping(monitor="metrics/other"), folder=tmp_path, module=module)
    assert module.images_seen == 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_decide_the_same(tmp_path: Path) -> None:
    numbers = Numbers(5.0, 3.0, 7.0, 7.0, 7.0)
    stopping = EarlyStopping(monitor=NUMBER, patience=2)
    trainer = toy_trainer(
        numbers,
        stopping,
        best(tmp_path),
        default_root_dir=str(tmp_path),
        max_epochs=-1,
        max_steps=9,
        enable_checkpointing=True,
        strategy="ddp_spawn",
        devices=2,
    )
    trainer.fit(toy_gan(), DataLoader(Endless(), batch_size=2), toy_loader(8))
    assert saved(tmp_path) == ["number_3.0000_kimg_000000.008.ckpt"]
    assert len(json.loads((tmp_path / "metrics.json").read_text())) == 4
