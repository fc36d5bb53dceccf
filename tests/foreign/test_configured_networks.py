"""Networks that are made in `configure_model`, which Lightning calls after the callbacks' `setup`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, LearningRate, ProgressiveGrowing, SampleGrid, SingularValues
from lightning_gan.schedules import LinearDecay
from tests.callbacks.training.growing_toys import GrowingCritic, GrowingGenerator
from tests.toys import equal, toy_trainer, weights_of


class Late(LightningModule):
    """A generator and a critic that are made late."""

    def __init__(self) -> None:
        super().__init__()
        self.netG: nn.Module | None = None
        self.seen: list[Tensor] = []

    def configure_model(self) -> None:
        if self.netG is None:
            torch.manual_seed(7)
            self.netG, self.netD = GrowingGenerator(), GrowingCritic()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        assert self.netG is not None
        fakes = self.netG(torch.randn(len(batch), 4))
        return self.netD(fakes).mean() - self.netD(batch).mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        assert self.netG is not None
        self.seen = weights_of(self.netG)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


LOADER = DataLoader(torch.rand(8, 1, 8, 8), batch_size=4)
GROWING: dict[str, Any] = {"hold_kimg": 1.0, "fade_kimg": 1.0, "start_resolution": 8, "final_resolution": 8}


@pytest.mark.parametrize(
    "made",
    [
        lambda folder, path: EMA(generator=path),
        lambda folder, path: EMA(generator=["netD", path]),
        lambda folder, path: SampleGrid(generator=path, latent_dim=4, directory=str(folder)),
        lambda folder, path: SingularValues(networks=(path,)),
        lambda folder, path: ProgressiveGrowing(networks=(path,), **GROWING),
        lambda folder, path: LearningRate(schedules=[LinearDecay(start_kimg=0.0, end_kimg=1.0)], network=path),
    ],
)
def test_networks_are_found_when_they_are_there_and_a_wrong_path_is_refused_before_training(
    tmp_path: Path, made: Any
) -> None:
    toy_trainer(made(tmp_path, "netG")).fit(Late(), LOADER)

    class Fails(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            raise AssertionError("training has begun")

    with pytest.raises(ValueError, match="Late has no network 'generator'; its networks are netG, netD"):
        toy_trainer(made(tmp_path, "generator"), Fails()).fit(Late(), LOADER)


def test_averages_of_late_networks_are_validated_out_of_a_checkpoint(tmp_path: Path) -> None:
    average, module = EMA(half_life_kimg=0.01, generator="netG"), Late()
    trainer = toy_trainer(average)
    trainer.fit(module, LOADER, LOADER)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    loaded, again = EMA(half_life_kimg=0.01, generator="netG"), Late()
    toy_trainer(loaded).validate(again, LOADER, ckpt_path=tmp_path / "end.ckpt", verbose=False)
    assert again.netG is not None and module.netG is not None
    with average.applied(module):
        assert equal(again.seen, weights_of(module.netG))
    assert equal(weights_of(again.netG), weights_of(module.netG)) and not equal(again.seen, weights_of(again.netG))


def test_a_wrong_path_is_refused_before_a_validation() -> None:
    module = Late()
    with pytest.raises(ValueError, match="Late has no network 'generator'"):
        toy_trainer(EMA()).validate(module, LOADER, verbose=False)
    assert module.seen == []
