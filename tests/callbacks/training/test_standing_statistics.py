"""Standing statistics: there whenever something samples, of the weights that are sampled, and training as it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, SampleGrid
from lightning_gan.callbacks.training.standing_statistics import StandingStatistics
from lightning_gan.layers.batch_norm import BatchNorm, batch_moments, batch_norms_of
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.seeds import derived_seed
from tests.callbacks.training.standing_statistics_worker import normalized_gan
from tests.loop.distributed_worker import Toys
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of
from tests.two_ranks import assert_same_weights

ROOT = Path(__file__).parents[3]


def standing() -> StandingStatistics:
    return StandingStatistics(forwards=3, batch_size=5)


def statistics_of(network: nn.Module) -> list[Tensor]:
    (layer,) = batch_norms_of(network)
    return [statistic.clone() for statistic in layer.evaluation_statistics()]


def expected_statistics(module: GAN, network: nn.Module) -> list[Tensor]:
    """By hand, of the same latents and the given network's weights."""
    moments = []
    for index in range(3):
        random = torch.Generator().manual_seed(derived_seed(0, "standing statistics", index))
        hidden = network.get_submodule("hidden")(torch.randn(5, module.latent_dim, generator=random))
        moments.append(batch_moments(hidden, across_ranks=False)[:2])
    return [torch.stack(statistic).mean(dim=0).detach() for statistic in zip(*moments, strict=True)]


class Sampler(Callback):
    """Samples after every batch, twice, and keeps the statistics it was done with."""

    def __init__(self, *, ema: bool = True) -> None:
        self.ema = ema
        self.seen: list[tuple[list[Tensor], list[Tensor]]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GAN)
        network = pl_module.sampling_generator if self.ema else pl_module.generator
        for seed in range(2):
            pl_module.sample(*pl_module.draw_latents(2, seed=seed), ema=self.ema)
            self.seen.append((statistics_of(network), expected_statistics(pl_module, network)))


@pytest.mark.parametrize("averages", [[], [EMA(half_life_kimg=0.01, average_statistics=True)]])
@pytest.mark.parametrize("ema", [True, False])
def test_whatever_samples_gets_the_statistics_of_the_weights_of_now(averages: list[Callback], ema: bool) -> None:
    sampler, module = Sampler(ema=ema), normalized_gan()
    toy_trainer(standing(), *averages, sampler, limit_train_batches=3).fit(module, toy_loader())
    assert len(sampler.seen) == 6
    for seen, expected in sampler.seen:
        torch.testing.assert_close(seen, expected)
    assert not equal(sampler.seen[0][0], sampler.seen[2][0])


def test_training_stays_bit_for_bit_as_it_was(tmp_path: Path) -> None:
    """Networks, running averages and the averaged generator's; random state shows in the batches that follow."""

    def run(*callbacks: Callback) -> GAN:
        module = normalized_gan()
        ema = EMA(half_life_kimg=0.01, average_statistics=True)
        toy_trainer(ema, *callbacks, limit_train_batches=4).fit(module, toy_loader())
        return module

    plain = run()
    sampled = run(standing(), SampleGrid(every_kimg=0.004, rows=1, columns=2, directory=str(tmp_path)), Sampler())
    for (name, one), (_, two) in zip(plain.state_dict().items(), sampled.state_dict().items(), strict=True):
        if name.startswith("generator_ema") and "standing" in name:
            assert not torch.equal(one, two)
        else:
            assert torch.equal(one, two), name


def test_after_the_fit_the_module_samples_with_them_alone() -> None:
    module = normalized_gan()
    toy_trainer(standing(), limit_train_batches=1).fit(module, toy_loader())
    torch.testing.assert_close(statistics_of(module.generator), expected_statistics(module, module.generator))
    assert not module.generator._forward_pre_hooks
    latents = torch.randn(3, 4)
    torch.testing.assert_close(module.sample(latents)[:1], module.sample(latents[:1]))


def test_checkpoints_hold_them_and_a_resume_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def fit(batches: int, **settings: Any) -> GAN:
        module = normalized_gan()
        trainer = toy_trainer(EMA(half_life_kimg=0.01), standing(), max_steps=batches, max_epochs=-1)
        trainer.fit(module, Toys(), weights_only=True, **settings)
        trainer.save_checkpoint(tmp_path / f"{batches}.ckpt")
        return module

    whole = fit(4)
    half = fit(2)
    saved = torch.load(tmp_path / "2.ckpt", weights_only=True)["state_dict"]
    assert saved["generator_ema.norm.standing_batches"] == 3
    torch.testing.assert_close(
        saved["generator_ema.norm.standing_mean"] / 3, expected_statistics(half, half.generator_ema)[0]
    )
    resumed = fit(4, ckpt_path=tmp_path / "2.ckpt")
    for (name, one), (_, two) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(one, two), name


def test_a_conditional_generator_gets_classes() -> None:
    module = normalized_gan(classes=3)
    toy_trainer(standing(), limit_train_batches=1).fit(module, toy_loader(classes=3))
    assert batch_norms_of(module.generator)[0].standing_batches == 3


def test_networks_without_batch_normalization_are_refused() -> None:
    with pytest.raises(ValueError, match="ToyGenerator has no"):
        toy_trainer(standing()).fit(toy_gan(), toy_loader())
    with pytest.raises(ValueError, match="forwards=0"):
        StandingStatistics(forwards=0)


def test_evaluation_mode_is_what_starts_it() -> None:
    """The generator's own forwards in training do not."""
    module = normalized_gan()
    toy_trainer(standing(), limit_train_batches=1).fit(module, toy_loader())
    layer = batch_norms_of(module.generator)[0]
    assert isinstance(layer, BatchNorm)
    before = weights_of(layer)
    layer.forget_standing()
    module.generator.train()(torch.randn(4, 4))
    assert layer.standing_batches == 0 and equal(before, weights_of(layer))


@pytest.mark.slow
def test_two_ranks_have_the_statistics_of_one_process(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    worker = [str(ROOT / "tests" / "callbacks" / "training" / "standing_statistics_worker.py"), str(tmp_path)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    for command in ([*launcher, *worker], worker):
        finished = subprocess.run(
            [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
    one = torch.load(tmp_path / "ranks1.pt", weights_only=True)
    assert one["generator_ema.norm.standing_batches"] == 3
    assert_same_weights(tmp_path / "ranks1.pt", tmp_path / "ranks2.pt", relative=1e-12)
