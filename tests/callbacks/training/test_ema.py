"""The averaged generator: its half-life counts images, and what it leaves alone."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, ProgressiveGrowing
from lightning_gan.callbacks.training.ema import ema_decay, move_average
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.settings import Training
from lightning_gan.schedules import Cosine
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.operators import Operators
from tests.toys import equal, fast_adam, toy_gan, toy_loader, toy_trainer, weights_of


@pytest.mark.parametrize("batches", [[1000], [1, 999], [10] * 100, [500, 20, 480]])
def test_after_one_half_life_the_old_weights_count_half_whatever_the_batch_sizes(batches: list[int]) -> None:
    average, weights = [torch.zeros(3, dtype=torch.float64)], [torch.ones(3, dtype=torch.float64)]
    for batch_images in batches:
        move_average(average, weights, decay=ema_decay(batch_images, half_life_images=1000.0))
    torch.testing.assert_close(average[0], torch.full((3,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_fifty_weights_are_averaged_by_as_many_operators_as_one(decay: float) -> None:
    def operators(count: int) -> Counter[str]:
        averages, weights = ([torch.ones(3) for _ in range(count)] for _ in range(2))
        with Operators() as counted:
            move_average(averages, weights, decay=decay)
        return counted.calls

    assert operators(50) == operators(1)


def test_a_decay_of_zero_copies_exactly() -> None:
    average, weights = [torch.randn(5)], [torch.randn(5)]
    move_average(average, weights, decay=0.0)
    assert torch.equal(average[0], weights[0])


def test_an_endless_half_life_freezes_the_average() -> None:
    assert ema_decay(16, half_life_images=float("inf")) == 1.0


def test_the_decay_is_that_of_the_authors_batches_and_half_lives() -> None:
    """StyleGAN2: 32 images and 10 kimg; ADA's CIFAR-10: 64 images and 500 kimg."""
    assert ema_decay(32, half_life_images=10_000.0) == pytest.approx(0.99778439, abs=5e-9)
    assert ema_decay(64, half_life_images=500_000.0) == pytest.approx(0.99991128, abs=5e-9)


def test_the_half_life_ramps_up_with_the_images_seen() -> None:
    """ADA: the half-life is 5 % of the images seen before the batch, until it is the full one."""
    ema = EMA(half_life_kimg=10.0, ramp_up=0.05)
    assert ema.decay_at(0, batch_images=32) == 0
    assert ema.decay_at(100_000, batch_images=5_000) == 0.5
    assert ema.decay_at(1_000_000, batch_images=10_000) == 0.5
    assert EMA(half_life_kimg=10.0).decay_at(0, batch_images=10_000) == 0.5


def test_before_its_start_the_average_follows() -> None:
    ema = EMA(half_life_kimg=10.0, start_kimg=1.0)
    assert ema.decay_at(999, batch_images=32) == 0
    assert ema.decay_at(1000, batch_images=10_000) == 0.5


def test_the_half_life_may_be_a_schedule_which_is_logged() -> None:
    """R3GAN: from 0, at which the average is a copy, to its final length."""
    rising = Cosine(first=0.0, last=0.008, end_kimg=0.008)
    ema, module = EMA(half_life_kimg=rising), toy_gan(training=Training(generator_optimizer=fast_adam))
    assert ema.decay_at(0, batch_images=4) == 0.0
    assert ema.decay_at(4, batch_images=4) == pytest.approx(0.5)
    assert ema.decay_at(8, batch_images=4) == pytest.approx(0.5**0.5)
    record, start = Record(), weights_of(module.generator)
    trainer = toy_trainer(record, ema, limit_train_batches=2, log_every_n_steps=1)
    trainer.fit(module, toy_loader())
    assert trainer.logged_metrics["ema/half_life_kimg"] == pytest.approx(0.004)
    for index, average in enumerate(module.generator_ema.parameters()):
        expected = (record.weights[0][index] + record.weights[1][index]) / 2
        torch.testing.assert_close(average.detach(), expected)
        assert not torch.equal(average, start[index])


@pytest.mark.parametrize("setting", [{"half_life_kimg": -1.0}, {"ramp_up": 0.0}, {"start_kimg": -1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"EMA: .*{next(iter(setting))}="):
        EMA(**setting)


class Record(Callback):
    """Keeps the generator's weights of every batch."""

    def __init__(self) -> None:
        self.weights: list[list[Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.weights.append(weights_of(pl_module.get_submodule("generator")))


def test_the_average_of_a_gan_is_the_weighted_sum_of_its_past() -> None:
    record, module = Record(), toy_gan(training=Training(generator_optimizer=fast_adam))
    start = weights_of(module.generator)
    toy_trainer(record, EMA(half_life_kimg=0.004), limit_train_batches=3).fit(module, toy_loader())
    for index, average in enumerate(module.generator_ema.parameters()):
        past = [weights[index] for weights in (start, *record.weights)]
        expected = (past[0] + past[1] + 2 * past[2] + 4 * past[3]) / 8
        torch.testing.assert_close(average.detach(), expected)
    assert module.averaged and module.sampling_generator is module.generator_ema


def test_the_ramp_starts_from_nothing() -> None:
    """No image was seen before the first batch: after it, the average is the generator."""
    module = toy_gan(training=Training(generator_optimizer=fast_adam))
    toy_trainer(EMA(ramp_up=0.5), limit_train_batches=1).fit(module, toy_loader())
    assert equal(weights_of(module.generator), weights_of(module.generator_ema))


def test_the_average_and_the_weights_share_no_storage_and_both_move() -> None:
    module = toy_gan(training=Training(generator_optimizer=fast_adam))
    start = weights_of(module.generator)
    toy_trainer(EMA(half_life_kimg=0.01), limit_train_batches=2).fit(module, toy_loader())
    for old, live, average in zip(start, module.generator.parameters(), module.generator_ema.parameters(), strict=True):
        assert live.data_ptr() != average.data_ptr()
        assert not torch.equal(live, average) and not torch.equal(average, old)


def test_averaging_leaves_training_as_it_is() -> None:
    alone, averaged = toy_gan(), toy_gan()
    toy_trainer(limit_train_batches=3).fit(alone, toy_loader())
    toy_trainer(EMA(), limit_train_batches=3).fit(averaged, toy_loader())
    for network in ("generator", "discriminator"):
        assert equal(weights_of(alone.get_submodule(network)), weights_of(averaged.get_submodule(network)))


def test_buffers_are_copied_and_not_averaged() -> None:
    module = toy_gan()
    for network, value in ((module.generator, 8), (module.generator_ema, 0)):
        network.register_buffer("batches", torch.tensor(value))
    toy_trainer(EMA(half_life_kimg=10.0), limit_train_batches=1).fit(module, toy_loader())
    assert module.generator_ema.get_buffer("batches") == 8


@pytest.mark.parametrize(("average_statistics", "expected"), [(True, 0.5), (False, 1.0)])
def test_running_statistics_are_averaged_if_asked(average_statistics: bool, expected: float) -> None:
    """One batch of a half-life's images: half the way from 0 to 1. Other buffers are copied."""
    module = toy_gan()
    for network, value in ((module.generator, 1.0), (module.generator_ema, 0.0)):
        network.add_module("norms", nn.ModuleList([nn.BatchNorm2d(1), BatchNorm(1)]))
        for buffer in network.buffers():
            buffer.fill_(value)
        network.register_buffer("vector", torch.tensor(value))
    ema = EMA(half_life_kimg=0.004, average_statistics=average_statistics)
    toy_trainer(ema, limit_train_batches=1).fit(module, toy_loader())
    buffers = {name: buffer.item() for name, buffer in module.generator_ema.named_buffers()}
    assert buffers["norms.0.running_mean"] == buffers["norms.1.running_mean"] == pytest.approx(expected)
    assert buffers["norms.0.running_var"] == buffers["norms.1.running_variance"] == pytest.approx(expected)
    assert buffers["vector"] == buffers["norms.0.num_batches_tracked"] == buffers["norms.1.standing_batches"] == 1


def test_a_block_that_wakes_up_starts_in_the_average_as_it_is() -> None:
    module = growing_gan()
    fine = weights_of(module.generator.get_submodule("fine"))
    growing = ProgressiveGrowing(hold_kimg=0.012, fade_kimg=0.008, final_resolution=8)
    fit(module, growing, EMA(half_life_kimg=0.002), images=12)
    for network in (module.generator, module.generator_ema):
        assert equal(weights_of(network.get_submodule("fine")), fine)


def test_a_resumed_average_goes_on_bit_for_bit(tmp_path: Path) -> None:
    ema = {"half_life_kimg": 0.01, "ramp_up": 0.5}
    whole = fit(growing_gan(), EMA(**ema), images=24)
    fit(growing_gan(), EMA(**ema), images=12, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(growing_gan(), EMA(**ema), images=24, resume=tmp_path / "cut.ckpt"))


def test_an_average_that_joins_a_run_late_starts_from_the_weights_of_then(tmp_path: Path) -> None:
    fit(growing_gan(), images=12, save=tmp_path / "cut.ckpt")
    module = growing_gan()
    fit(module, EMA(), images=12, resume=tmp_path / "cut.ckpt")
    assert equal(weights_of(module.generator), weights_of(module.generator_ema))
    assert module.averaged


# ------------------------------------------------------------------ modules that are no GAN


class Watch(Callback):
    """Looks at the generator in the middle of a validation, and may fail there."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.seen: list[list[Tensor]] = []

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(weights_of(pl_module.get_submodule("netG")))
        if self.fails:
            raise RuntimeError("out of memory")


def shadow_of(ema: EMA, network: nn.Module) -> list[Tensor]:
    return [ema.state_dict()["shadow"][name] for name, _ in network.named_parameters()]


def test_a_foreign_generator_validates_with_the_average_and_trains_without() -> None:
    ema, watch, module = EMA(half_life_kimg=0.01, generator="netG"), Watch(), ForeignGAN()
    loader = torch.utils.data.DataLoader(torch.randn(16, 1, 8, 8), batch_size=4)
    toy_trainer(ema, watch).fit(module, loader, loader)
    assert equal(watch.seen[0], shadow_of(ema, module.netG))
    assert not equal(watch.seen[0], weights_of(module.netG))
    alone = ForeignGAN()
    toy_trainer().fit(alone, loader, loader)
    assert equal(weights_of(alone), weights_of(module))
    for average, live in zip(shadow_of(ema, module.netG), module.netG.parameters(), strict=True):
        assert average.data_ptr() != live.data_ptr()


def test_a_crash_in_validation_leaves_the_weights_of_training() -> None:
    ema, module = EMA(half_life_kimg=0.01, generator="netG"), ForeignGAN()
    loader = torch.utils.data.DataLoader(torch.randn(16, 1, 8, 8), batch_size=4)
    watch = Watch(fails=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        toy_trainer(ema, watch).fit(module, loader, loader)
    alone = ForeignGAN()
    toy_trainer().fit(alone, loader, loader)
    assert equal(weights_of(alone), weights_of(module)) and not equal(watch.seen[0], weights_of(module.netG))


def test_the_average_can_be_applied_by_hand_and_is_taken_back_on_an_error() -> None:
    ema, module = EMA(half_life_kimg=0.01, generator="netG"), ForeignGAN()
    fit(module, ema, images=12)
    raw = weights_of(module.netG)
    with pytest.raises(KeyError), ema.applied(module):
        assert equal(weights_of(module.netG), shadow_of(ema, module.netG))
        with ema.applied(module):
            assert equal(weights_of(module.netG), shadow_of(ema, module.netG))
        assert equal(weights_of(module.netG), shadow_of(ema, module.netG))
        raise KeyError
    assert equal(weights_of(module.netG), raw)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_foreign_average_survives_a_resume_and_tests_from_a_checkpoint(tmp_path: Path) -> None:
    def ema() -> EMA:
        return EMA(half_life_kimg=0.01, generator="netG")

    whole = fit(ForeignGAN(), ema(), images=24)
    fit(ForeignGAN(), ema(), images=12, save=tmp_path / "cut.ckpt")
    assert_same_state(
        whole, fit(ForeignGAN(), ema(), images=24, save=tmp_path / "end.ckpt", resume=tmp_path / "cut.ckpt")
    )

    class WatchTest(Callback):
        def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.seen = weights_of(pl_module.get_submodule("netG"))

    torch.load(tmp_path / "end.ckpt", weights_only=True)
    watch, loaded = WatchTest(), ema()
    loader = torch.utils.data.DataLoader(torch.randn(4, 1, 8, 8), batch_size=4)
    module = ForeignGAN()
    toy_trainer(loaded, watch).test(module, loader, ckpt_path=tmp_path / "end.ckpt", verbose=False)
    assert equal(watch.seen, shadow_of(loaded, module.netG)) and not equal(watch.seen, weights_of(module.netG))


def test_a_wrong_name_fails_before_training() -> None:
    with pytest.raises(ValueError, match="ForeignGAN has no network 'generator'"):
        fit(ForeignGAN(), EMA(), images=4)
