"""Resumed means equal: a run that was cut and goes on ends bit for bit like one that was not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from lightning_gan.callbacks import EMA, R1, R2, KimgCheckpoint, LearningRate, ProgressiveGrowing, StopAtKimg
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.models import StyleGAN
from lightning_gan.schedules import LinearDecay
from lightning_gan.tensors.image_bytes import to_bytes
from tests.models.test_stylegan import SMALL
from tests.toys import FAST, toy_trainer

BATCH = 4
IMAGES = 22  # no multiple of the batch: epochs end in the middle of batches
TOTAL = 80
"""Images of a whole run: 4x4 until 16, fading to 8x8 until 48, then stable."""


class Pictures(GANData):
    """Random grey 8x8 images in memory."""

    def __init__(self, *, number_of_workers: int = 0) -> None:
        super().__init__(
            image_size=8,
            image_channels=1,
            number_of_classes=0,
            batch_size=BATCH,
            seed=0,
            mirror=True,
            number_of_workers=number_of_workers,
        )

    def open_source(self) -> ImageSource:
        images = torch.rand(IMAGES, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
        return MemoryImages(images=to_bytes(images), labels=None)


class Cut(Callback):
    """Stops after the batch that reaches so many images."""

    def __init__(self, images: int) -> None:
        self.images = images

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        if pl_module.images_seen >= self.images:
            trainer.should_stop = True


def run(folder: Path, *, cut: int = TOTAL, resume: bool = False, workers: int = 0, **settings: Any) -> dict[str, Any]:
    """Train until `cut` images, from the beginning or from the last checkpoint; returns the final checkpoint."""
    torch.manual_seed(11 if resume else 5)  # what the global generator was is no matter
    module = StyleGAN(
        image_size=8,
        training=FAST,
        **{**SMALL, "channel_base": 32},
    )
    trainer = toy_trainer(
        ProgressiveGrowing(hold_kimg=[0.016, 1.0], fade_kimg=0.032),
        R1(gamma=1.0, every_n_turns=3),
        R2(gamma=0.5, every_n_turns=2),
        LearningRate(schedules=[LinearDecay(start_kimg=0.0, end_kimg=0.1)]),
        EMA(half_life_kimg=0.02),
        StopAtKimg(total_kimg=TOTAL / 1000),
        KimgCheckpoint(every_kimg=1.0),
        Cut(cut),
        default_root_dir=str(folder),
        enable_checkpointing=True,
        max_epochs=-1,
        **settings,
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(module, Pictures(number_of_workers=workers), ckpt_path=str(last) if resume else None)
    checkpoint: dict[str, Any] = torch.load(last, weights_only=True)
    return checkpoint


def assert_equal(first: Any, second: Any, *, where: str = "checkpoint") -> None:
    """Bit for bit, through nested dictionaries and lists."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], where=f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_equal(a, b, where=f"{where}/{index}")
    else:
        assert first == second, where


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    "cut",
    [4, 12, 16, 32, 44, 48, 76],
    ids=["first", "before_the_fade", "at_the_fade", "mid_fade", "before_its_end", "at_its_end", "before_the_end"],
)
def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path, whole: dict[str, Any], cut: int) -> None:
    """Networks, EMA, both optimizers, the clock, the phase, the callbacks and the position in the data."""
    run(tmp_path, cut=cut)
    resumed = run(tmp_path, resume=True)
    for part in ("state_dict", "optimizer_states", "callbacks", "Pictures", "global_step"):
        assert_equal(resumed[part], whole[part], where=part)


@pytest.mark.parametrize("cut", [20, 40], ids=["last_batch_of_an_epoch", "and_of_the_next"])
def test_a_cut_on_the_last_batch_of_an_epoch_loses_nothing(tmp_path: Path, whole: dict[str, Any], cut: int) -> None:
    run(tmp_path, cut=cut, limit_train_batches=5)
    resumed = run(tmp_path, resume=True, limit_train_batches=5)
    for part in ("state_dict", "optimizer_states", "callbacks"):
        assert_equal(resumed[part], whole[part], where=part)


def test_workers_change_nothing(tmp_path: Path, whole: dict[str, Any]) -> None:
    run(tmp_path, cut=28, workers=2)
    resumed = run(tmp_path, resume=True)
    assert_equal(resumed["state_dict"], whole["state_dict"])


def test_a_cut_run_of_doubles_ends_like_a_whole_one(tmp_path: Path) -> None:
    """Lightning alone loads a checkpoint into the module before it makes its floats doubles."""
    whole_of_doubles = run(tmp_path / "whole", precision="64-true")
    run(tmp_path / "cut", cut=40, precision="64-true")
    resumed = run(tmp_path / "cut", resume=True, precision="64-true")
    assert {value.dtype for value in whole_of_doubles["state_dict"].values()} >= {torch.float64}
    for part in ("state_dict", "optimizer_states", "callbacks"):
        assert_equal(resumed[part], whole_of_doubles[part], where=part)


def test_a_finished_run_trains_nothing_when_it_is_resumed(tmp_path: Path, whole: dict[str, Any]) -> None:
    run(tmp_path)
    again = run(tmp_path, resume=True)
    assert_equal(again["state_dict"], whole["state_dict"])
    assert again["global_step"] == TOTAL // BATCH


def test_the_run_that_is_compared_has_moved(whole: dict[str, Any]) -> None:
    weights = whole["state_dict"]
    assert not torch.equal(weights["generator.synthesis.first.constant"], torch.ones(1, 8, 4, 4))
    assert not torch.equal(
        weights["generator.synthesis.first.constant"], weights["generator_ema.synthesis.first.constant"]
    )
