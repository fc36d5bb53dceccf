"""What every regularizer is asked: whether it changes the update, and whether it survives a resume."""

from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import Tensor

from lightning_gan.loop.gan import GAN
from tests.callbacks.training.growing_toys import assert_same_state
from tests.toys import FAST, toy_gan, toy_loader, toy_trainer, weights_of


def fast_gan() -> GAN:
    """A toy GAN that moves visibly within a few batches."""
    return toy_gan(training=FAST)


def moved_by(*callbacks: Callback, module: GAN, batches: int = 3) -> dict[str, list[Tensor]]:
    """Both players' weights after some batches."""
    toy_trainer(*callbacks, limit_train_batches=batches).fit(module, toy_loader())
    return {"discriminator": weights_of(module.discriminator), "generator": weights_of(module.generator)}


def assert_resumes(callback: Callable[[], Callback], folder: Path, *, make: Callable[[], GAN] = fast_gan) -> None:
    """Three epochs of two batches end bit for bit like one epoch and two more after a checkpoint."""
    settings = {"limit_train_batches": 2}
    whole = toy_trainer(callback(), max_epochs=3, **settings)
    whole.fit(make(), toy_loader())
    cut = toy_trainer(callback(), max_epochs=1, **settings)
    cut.fit(make(), toy_loader())
    cut.save_checkpoint(folder / "cut.ckpt")
    resumed = toy_trainer(callback(), max_epochs=3, **settings)
    resumed.fit(make(), toy_loader(), ckpt_path=folder / "cut.ckpt")
    assert_same_state(whole, resumed)
    assert resumed.global_step == 6
    torch.load(folder / "cut.ckpt", weights_only=True)
