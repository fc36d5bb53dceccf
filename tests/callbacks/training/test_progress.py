"""The progress bar: what it says, on a terminal and in a log."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.callbacks import Evaluation, KimgProgressBar, ProgressiveGrowing, StopAtKimg
from lightning_gan.callbacks.training import progress
from lightning_gan.callbacks.training.pauses import pausing, show_work
from lightning_gan.callbacks.training.progress import progress_parts, terminal_line
from lightning_gan.loop.gan import GAN
from lightning_gan.schedules.growth import Growth
from tests.callbacks.evaluation.test_evaluation import FourMeans
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def run(bar: KimgProgressBar, *callbacks: Any, module: Any = None, images: int = 20) -> None:
    trainer = toy_trainer(
        bar,
        *callbacks,
        StopAtKimg(total_kimg=images / 1000),
        enable_progress_bar=True,
        max_epochs=-1,
        limit_val_batches=0,
    )
    trainer.fit(module or growing_gan(), datamodule=ToyData())


def test_a_line_tells_the_way_the_phase_the_pace_and_the_losses() -> None:
    parts = progress_parts(
        kimg=40.0,
        total_kimg=100.0,
        seconds_per_kimg=30.0,
        growth=Growth(resolution=32, fade_in=1.0),
        losses={"discriminator": 1.25},
    )
    assert parts == ["40.0/100.0 kimg", "32x32 stable", "30.0 sec/kimg", "ETA 0:30:00", "discriminator 1.250"]


def test_what_is_not_known_is_left_out() -> None:
    assert progress_parts(kimg=1.0, total_kimg=None, seconds_per_kimg=None, growth=None, losses={}) == ["1.0 kimg"]
    paced = progress_parts(kimg=1.0, total_kimg=None, seconds_per_kimg=2.0, growth=None, losses={})
    assert paced == ["1.0 kimg", "2.0 sec/kimg"]


@pytest.mark.parametrize("columns", [1, 8, 20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("share", [None, 0.0, 0.004, 0.5, 1.0])
def test_a_line_is_never_as_wide_as_the_terminal_and_keeps_what_matters_most(columns: int, share: float | None) -> None:
    growth = Growth(resolution=1024, fade_in=0.43)
    losses = {"D": 123.4, "G": -1000.0, "another_number": 1.0}
    parts = progress_parts(kimg=12345.6, total_kimg=25000.0, seconds_per_kimg=105.5, growth=growth, losses=losses)
    line = terminal_line(parts, share=share, columns=columns)
    assert len(line) < max(columns, 7)
    assert columns < 40 or "12345.6/25000.0 kimg" in line
    if columns >= 80:
        assert all(part in line for part in parts[:3])
    if columns == 200:
        assert all(part in line for part in parts) and ("█" * 10 + " " * 10 in line) == (share == 0.5)


def test_a_game_without_images_counts_in_its_own_unit(capsys: pytest.CaptureFixture[str]) -> None:
    class Steps(GAN):
        clock_unit: ClassVar[str] = "k transitions"

    toys = toy_gan()
    steps = Steps(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
    trainer = toy_trainer(KimgProgressBar(line_seconds=0.0), enable_progress_bar=True, limit_train_batches=1)
    trainer.fit(steps, toy_loader())
    assert capsys.readouterr().out.startswith("0.0 k transitions | ")


def test_beyond_the_total_nothing_remains() -> None:
    assert "ETA 0:00:00" in progress_parts(kimg=2.0, total_kimg=1.0, seconds_per_kimg=9.0, growth=None, losses={})


def test_a_log_gets_whole_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run(KimgProgressBar(line_seconds=1000.0))
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert "\r" not in text and len(lines) == 2  # the first batch and the end
    assert lines[0].startswith("0.0/0.0 kimg | ") and "sec/kimg" in lines[0] and "ETA" in lines[0]
    assert "discriminator " in lines[1] and "generator " in lines[1]


def test_the_first_line_comes_at_once_on_a_machine_that_was_started_a_second_ago(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 1.0))
    run(KimgProgressBar(line_seconds=1000.0))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_of_two_totals_the_smaller_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run(KimgProgressBar(line_seconds=0.0), StopAtKimg(total_kimg=1000.0))
    assert all("/0.0 kimg" in line for line in capsys.readouterr().out.splitlines())


def test_a_log_of_every_batch_shows_the_phases(capsys: pytest.CaptureFixture[str]) -> None:
    run(KimgProgressBar(line_seconds=0.0), ProgressiveGrowing(hold_kimg=0.008, fade_kimg=0.008))
    phases = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()]
    assert phases[:5] == ["4x4 stable", "4x4 stable", "8x8 fading 0 %", "8x8 fading 50 %", "8x8 stable"]


def test_a_terminal_gets_one_bar_in_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run(KimgProgressBar(terminal=True))
    text = capsys.readouterr().out
    assert "100%|" in text and "sec/kimg" in text and "D " in text and text.count("\n") <= 1
    assert max(map(len, text.replace("\r", "\n").splitlines())) < 80


class Works(Callback):
    """Does something between two batches, and prints its result."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        with pausing(trainer, "Measurement"):
            show_work(trainer, what="generated samples", done=1200, of=2400)
        pl_module.print("a result")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_pause_is_shown_in_the_same_bar_and_results_stand_in_lines_of_their_own(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    run(KimgProgressBar(terminal=terminal, line_seconds=1000.0), Works())
    text = capsys.readouterr().out
    assert (" 50%|" in text and "| Measurement: 1,200 of 2,400 generated samples" in text) is terminal
    assert "a result" in [line.strip() for line in text.replace("\r", "\n").splitlines()]


@pytest.mark.parametrize("loop", ["validate", "test"])
def test_an_evaluation_has_one_bar_that_says_what_it_does(
    loop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    measured = Evaluation(extractor=FourMeans(), fake_count=20, batch_size=10, neighbours=1)
    trainer = toy_trainer(KimgProgressBar(terminal=True), measured, enable_progress_bar=True, default_root_dir=tmp_path)
    (trainer.validate if loop == "validate" else trainer.test)(toy_gan(), toy_loader(16), verbose=False)
    text = capsys.readouterr().out
    name = {"validate": "validation", "test": "test"}[loop]
    assert f"100%|{'█' * 20}| {name}: batch 4 of 4" in text and "DataLoader" not in text
    assert " 50%|" in text and "Evaluation: 10 of 20 generated samples" in text
    assert "Frechet distance" in text
    assert all(len(line) < 80 for line in text.replace("\r", "\n").splitlines() if "| " in line)


def test_the_validation_of_a_training_opens_no_second_bar(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = toy_trainer(KimgProgressBar(terminal=True), enable_progress_bar=True, num_sanity_val_steps=2)
    trainer.fit(toy_gan(), toy_loader(), toy_loader())
    text = capsys.readouterr().out
    assert "Validation" not in text and "Sanity" not in text and text.count("\n") <= 1


def test_a_bar_can_be_copied_with_its_trainers_callbacks() -> None:
    bar = KimgProgressBar(terminal=True)
    run(bar)
    deepcopy(bar).print("a line")


def test_a_foreign_module_is_shown_by_what_it_logs_for_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    class Logging(ForeignGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            super().training_step(batch, batch_idx)
            self.log("critic", torch.tensor(0.5), prog_bar=True)

    run(KimgProgressBar(line_seconds=0.0), module=Logging())
    assert "critic 0.500" in capsys.readouterr().out


def test_showing_progress_leaves_training_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    shown, hidden = toy_gan(), toy_gan()
    toy_trainer(KimgProgressBar(line_seconds=0.0), enable_progress_bar=True, limit_train_batches=3).fit(
        shown, toy_loader()
    )
    toy_trainer(limit_train_batches=3).fit(hidden, toy_loader())
    assert equal(weights_of(shown), weights_of(hidden)) and capsys.readouterr().out


@pytest.mark.parametrize("terminal", [True, False])
def test_validation_and_test_have_no_trouble_with_it(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    bar = KimgProgressBar(terminal=terminal)
    trainer = toy_trainer(bar, enable_progress_bar=True, limit_train_batches=2)
    module = ForeignGAN()
    loader = torch.utils.data.DataLoader(torch.randn(8, 1, 8, 8), batch_size=4)
    trainer.fit(module, loader, loader)
    trainer.test(module, loader, verbose=False)
    bar.print("a table")
    text = capsys.readouterr().out
    assert ("\r" in text) is terminal
    assert terminal or "a table" in text
