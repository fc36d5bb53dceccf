"""The table of all logged numbers: one row for each step, which a resumed run continues."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import R1, StopAtKimg
from lightning_gan.loop.csv_log import CSVLog, read_log
from tests.callbacks.training.growing_toys import ToyData, growing_gan
from tests.toys import toy_trainer


def test_numbers_of_one_step_share_a_row_and_new_numbers_get_a_column(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "run" / "log.csv")
    log.log_metrics({"loss": 0.5}, step=10)
    log.log_metrics({"loss": torch.tensor(0.1), "kimg": 0.02}, step=20)
    log.log_metrics({"distance": 7.0}, step=20)
    log.log_metrics({"loss": 0.25}, step=30)
    text = (tmp_path / "run" / "log.csv").read_text()
    assert text == "step,loss,kimg,distance\n10,0.5,,\n20,0.100000001,0.02,7\n30,0.25,,\n"
    assert [row["distance"] for row in read_log(log.path)] == ["", "7", ""]


def test_every_row_is_in_the_file_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "log.csv")
    for step in range(1, 4):
        log.log_metrics({"loss": 1.0}, step=step)
        log.log_metrics({"loss": 2.0}, step=step)
        assert [(row["step"], row["loss"]) for row in read_log(log.path)] == [(str(s), "2") for s in range(1, step + 1)]


def test_a_run_that_goes_on_removes_the_rows_it_makes_again(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "log.csv")
    for step in (10, 20, 30):
        log.log_metrics({"loss": float(step)}, step=step)
    with log.path.open("a") as file:
        file.write("40,4")  # the process was killed
    log = CSVLog(tmp_path / "log.csv")
    log.continue_after(20)
    log.log_metrics({"loss": 31.0, "new": 1.0}, step=31)
    assert log.path.read_text() == "step,loss,new\n10,10,\n20,20,\n31,31,1\n"
    log.continue_after(5)
    log.log_metrics({"new": 2.0}, step=6)
    assert log.path.read_text() == "step,loss,new\n6,,2\n"


def test_a_run_that_begins_keeps_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    for loss in (1.0, 2.0, 3.0):
        log = CSVLog(tmp_path / "log.csv")
        log.continue_after(0)
        log.log_metrics({"loss": loss}, step=10)
    names = ["log.csv", "log_of_earlier_run_1.csv", "log_of_earlier_run_2.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [read_log(tmp_path / name)[0]["loss"] for name in names] == ["3", "1", "2"]


def test_in_other_modules_the_first_step_says_where_the_run_goes_on(tmp_path: Path) -> None:
    for steps in ((1, 2, 3), (3, 4)):
        log = CSVLog(tmp_path / "log.csv")
        for step in steps:
            log.log_metrics({"loss": float(len(steps))}, step=step)
    assert [(row["step"], row["loss"]) for row in read_log(log.path)] == [
        ("1", "3"),
        ("2", "3"),
        ("3", "2"),
        ("4", "2"),
    ]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,loss\nx,1\n", "step,loss\n1,2,3\n", "step,loss\n1\n"])
def test_a_file_that_is_no_such_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ValueError, match=r"log\.csv is no table .* move it away"):
        CSVLog(tmp_path / "log.csv").continue_after(5)


# ------------------------------------------------------------------ in training


class Logs(Callback):
    """A callback of a user, which logs its own number in some batches."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        pl_module.log("mine", 1.0)


def trained(folder: Path, *, images: int, resume: Path | None = None, save: Path | None = None) -> list[dict[str, str]]:
    """The rows of a run that logs every 3 batches of 4 images."""
    trainer = toy_trainer(
        R1(gamma=1.0),
        Logs(),
        StopAtKimg(total_kimg=images / 1000),
        logger=CSVLog(folder / "log.csv"),
        log_every_n_steps=3,
        max_epochs=-1,
        limit_val_batches=0,
    )
    trainer.fit(growing_gan(), datamodule=ToyData(), ckpt_path=resume, weights_only=True)
    if save is not None:
        trainer.save_checkpoint(save)
    return read_log(folder / "log.csv")


def test_a_gan_logs_over_images_seen_and_the_end_is_no_second_row(tmp_path: Path) -> None:
    rows = trained(tmp_path, images=40)  # ten batches, and the tenth is not logged
    assert [row["step"] for row in rows] == ["12", "24", "36"]
    assert [float(row["kimg"]) for row in rows] == [0.012, 0.024, 0.036]
    names = {"discriminator/adversarial", "generator/adversarial", "discriminator/r1", "discriminator/learning_rate"}
    assert names | {"scores/real", "scores/fake", "mine"} <= rows[0].keys()
    assert all(row[name] for row in rows for name in rows[0]) and len({row["scores/real"] for row in rows}) == 3


def test_a_resumed_run_has_the_rows_of_a_whole_one(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", images=60)
    trained(tmp_path / "cut", images=24, save=tmp_path / "cut.ckpt")
    trained(tmp_path / "lost", images=48)
    (tmp_path / "lost" / "log.csv").replace(tmp_path / "cut" / "log.csv")  # it was killed after the checkpoint
    assert trained(tmp_path / "cut", images=60, resume=tmp_path / "cut.ckpt") == whole
    assert [row["step"] for row in whole] == ["12", "24", "36", "48", "60"]
