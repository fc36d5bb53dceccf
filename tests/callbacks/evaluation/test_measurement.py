"""What a measurement that this package does not know needs: its own file, and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.evaluation.measurement import Measurement
from lightning_gan.metrics.report import Record
from tests.toys import toy_gan, toy_loader, toy_trainer


class Brightness(Measurement):
    """A metric as a user writes it: the mean and the largest value of samples."""

    def __init__(self, *, every_kimg: float | None = None, name: str = "brightness") -> None:
        super().__init__(every_kimg=every_kimg, batch_size=4, seed=0, name=name)

    def check(self, module: LightningModule) -> None:
        """Nothing."""

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        return {"count": 4, "metrics": {"mean_brightness": 0.25, "largest": torch.ones(1).item()}}

    def headline(self, numbers: dict[str, float]) -> str:
        return f"brightness {numbers['mean_brightness']:.2f}"


class Titled(Brightness):
    """The same with a title for one of its numbers."""

    def titles(self) -> dict[str, str]:
        return {"mean_brightness": "mean of all pixels"}


def fit(callback: Measurement, *others: Measurement, folder: Path) -> Trainer:
    trainer = toy_trainer(callback, *others, limit_train_batches=2, default_root_dir=str(folder))
    trainer.fit(toy_gan(), toy_loader())
    return trainer


def test_numbers_without_titles_are_printed_by_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Brightness(every_kimg=0.008), folder=tmp_path)
    (record,) = json.loads((tmp_path / "brightness.json").read_text())
    *table, cost = capsys.readouterr().out.splitlines()
    assert cost.startswith("Brightness: 1 measurement took ")
    assert table == [
        "0.0 kimg: brightness 0.25",
        "mean_brightness  0.2500",
        "largest          1.0000",
        f"(stage fit, kimg 0.008, checkpoint None, weights {record['weights']}, trained here",
        "True, count 4)",
    ]
    assert record["metrics"] == {"mean_brightness": 0.25, "largest": 1.0}


def test_titles_are_the_measurements_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Titled(), folder=tmp_path)
    assert capsys.readouterr().out.splitlines()[:2] == ["mean of all pixels  0.2500", "largest             1.0000"]


def test_two_of_a_kind_need_two_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Brightness: the trainer has 2 of them with the same name"):
        fit(Brightness(), Brightness(), folder=tmp_path)
    trainer = fit(Brightness(), Brightness(name="again"), folder=tmp_path)
    assert {"brightness", "again"} <= {path.stem for path in Path(trainer.default_root_dir).glob("*.json")}
