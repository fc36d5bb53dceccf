"""The progress bar: what it says, on a terminal and in a log."""

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from lightning_gan.callbacks import KimgProgressBar, ProgressiveGrowing, StopAtKimg
from lightning_gan.callbacks.training import progress
from lightning_gan.callbacks.training.progress import progress_text
from lightning_gan.loop.gan import GAN
from lightning_gan.schedules.growth import Growth
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
    text = progress_text(
        kimg=40.0,
        total_kimg=100.0,
        seconds_per_kimg=30.0,
        growth=Growth(resolution=32, fade_in=1.0),
        losses={"discriminator": 1.25},
    )
    assert text == "40.0/100.0 kimg | 32x32 stable | 30.0 sec/kimg | ETA 0:30:00 | discriminator 1.250"


def test_what_is_not_known_is_left_out() -> None:
    assert progress_text(kimg=1.0, total_kimg=None, seconds_per_kimg=None, growth=None, losses={}) == "1.0 kimg"
    paced = progress_text(kimg=1.0, total_kimg=None, seconds_per_kimg=2.0, growth=None, losses={})
    assert paced == "1.0 kimg | 2.0 sec/kimg"


def test_a_game_without_images_counts_in_its_own_unit(capsys: pytest.CaptureFixture[str]) -> None:
    class Steps(GAN):
        clock_unit: ClassVar[str] = "k transitions"

    toys = toy_gan()
    steps = Steps(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
    trainer = toy_trainer(KimgProgressBar(line_seconds=0.0), enable_progress_bar=True, limit_train_batches=1)
    trainer.fit(steps, toy_loader())
    assert capsys.readouterr().out.startswith("0.0 k transitions | ")


def test_beyond_the_total_nothing_remains() -> None:
    assert "ETA 0:00:00" in progress_text(kimg=2.0, total_kimg=1.0, seconds_per_kimg=9.0, growth=None, losses={})


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


def test_a_terminal_gets_one_bar(capsys: pytest.CaptureFixture[str]) -> None:
    run(KimgProgressBar(terminal=True))
    text = capsys.readouterr().out
    assert "100%|" in text and "sec/kimg" in text and text.count("\n") <= 1


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
