"""Growing: who is told what, when, and that a cut anywhere in it makes no difference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, R1, LearningRate, ProgressiveGrowing
from lightning_gan.foreign.host_growing import fade_batch
from lightning_gan.layers.resampling import faded
from lightning_gan.loop.gan import GAN
from lightning_gan.schedules.growth import Growth
from lightning_gan.schedules.rates import LinearDecay
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def growing(**settings: Any) -> ProgressiveGrowing:
    """Stable at 4x4 for 8 images, fading in 8x8 for 16, stable from 24 on."""
    return ProgressiveGrowing(**{"hold_kimg": 0.008, "fade_kimg": 0.016, **settings})


class Diary(Callback):
    """Writes down what every batch is played with."""

    def __init__(self) -> None:
        self.phases: list[tuple[int, float]] = []
        self.sizes: list[tuple[int, ...]] = []
        self.rates: list[list[float]] = []
        self.with_moments: list[bool] = []
        self.scales: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        images = batch[0]
        self.sizes.append((len(images), images.shape[-1]))
        if isinstance(pl_module, GAN):
            assert pl_module.resolution is not None
            for network in (pl_module.generator, pl_module.discriminator, pl_module.generator_ema):
                assert (network.resolution, network.fade_in) == (pl_module.resolution, pl_module.fade_in)
            self.phases.append((pl_module.resolution, pl_module.fade_in))
            self.scales.append(pl_module.gradient_scale)
        self.rates.append([own.param_groups[0]["lr"] for own in trainer.optimizers])
        self.with_moments.append(all(len(own.state) > 0 for own in trainer.optimizers))


def test_networks_average_and_data_grow_by_the_schedule() -> None:
    diary = Diary()
    fit(growing_gan(), growing(), diary, images=28)
    assert diary.phases == [(4, 1.0), (4, 1.0), (8, 1e-3), (8, 0.25), (8, 0.5), (8, 0.75), (8, 1.0)]
    assert [size for _, size in diary.sizes] == [4, 4, 8, 8, 8, 8, 8]


def test_the_phase_and_the_learning_rates_are_logged() -> None:
    """The last batch is the one after 20 images, in the middle of the fade."""
    trainer = fit(growing_gan(), growing(learning_rates={8: 0.5}, batch_sizes={8: 4}), images=24)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert (logged["growth/resolution"], logged["growth/fade_in"], logged["growth/batch_size"]) == (8, 0.75, 4)
    assert logged["discriminator/learning_rate"] == logged["generator/learning_rate"] == 0.5


def test_batches_follow_their_resolution() -> None:
    diary = Diary()
    fit(growing_gan(), growing(batch_sizes={4: 2, 8: 8}), diary, images=24)
    assert diary.sizes == [(2, 4), (2, 4), (2, 4), (2, 4), (8, 8), (8, 8)]


def test_penalties_are_told_the_scale_of_the_gradient() -> None:
    scaled, plain = Diary(), Diary()
    fit(growing_gan(), growing(), scaled, images=12)
    fit(growing_gan(), growing(scale_gradients=False), plain, images=12)
    assert scaled.scales == [0.5, 0.5, 1.0] and plain.scales == [1.0, 1.0, 1.0]


def test_optimizers_forget_at_the_start_and_at_the_end_of_a_fade() -> None:
    diary, kept = Diary(), Diary()
    fit(growing_gan(), growing(), diary, images=32)
    fit(growing_gan(), growing(reset_optimizers=False), kept, images=32)
    assert diary.with_moments == [False, True, False, True, True, True, False, True]
    assert kept.with_moments == [False, True, True, True, True, True, True, True]


def test_learning_rates_follow_their_resolution_and_return_to_the_optimizers_own() -> None:
    diary = Diary()
    fit(growing_gan(), growing(learning_rates={4: 0.5}), diary, images=12)
    assert diary.rates == [[0.5, 0.5], [0.5, 0.5], [0.02, 0.02]]


@pytest.mark.parametrize("schedule_first", [True, False])
def test_a_schedule_multiplies_the_rate_of_the_resolution_in_any_order_of_callbacks(schedule_first: bool) -> None:
    decay = LearningRate(schedules=[LinearDecay(end_kimg=0.016)])
    callbacks = [decay, growing(learning_rates={4: 0.5})]
    diary = Diary()
    fit(growing_gan(), *(callbacks if schedule_first else callbacks[::-1]), diary, images=16)
    assert [rates[0] for rates in diary.rates] == pytest.approx([0.5, 0.375, 0.01, 0.005])


@pytest.mark.parametrize("cut", [4, 8, 16, 20, 24])
def test_a_cut_anywhere_makes_no_difference(cut: int, tmp_path: Path) -> None:
    """Within a stage, at its last batch, in the fade, and at the fade's last batch; with R1, EMA and rates."""

    def callbacks() -> list[Callback]:
        rates = {"learning_rates": {8: 0.01}, "batch_sizes": {8: 2}}
        return [
            growing(**rates),
            LearningRate(schedules=[LinearDecay(end_kimg=0.04)]),
            R1(gamma=1.0, every_n_turns=2),
            EMA(),
        ]

    whole = fit(growing_gan(), *callbacks(), images=32)
    fit(growing_gan(), *callbacks(), images=cut, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(growing_gan(), *callbacks(), images=32, resume=tmp_path / "cut.ckpt"))


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_loaded_gan_is_in_the_phase_it_was_saved_in(tmp_path: Path) -> None:
    fit(growing_gan(), growing(), images=8, save=tmp_path / "small.ckpt")
    module = growing_gan()
    toy_trainer().test(module, toy_loader(), ckpt_path=tmp_path / "small.ckpt", verbose=False)
    latents, _ = module.draw_latents(2, seed=0)
    assert module.resolution == 4 and module.sample(latents).shape == (2, 1, 4, 4)


def test_the_final_resolution_is_that_of_the_data_unless_it_is_given() -> None:
    own, given = growing(), growing(final_resolution=4)
    fit(growing_gan(), own, images=4)
    fit(growing_gan(), given, images=4)
    assert own.schedule.final_resolution == 8 and given.schedule.final_resolution == 4
    with pytest.raises(ValueError, match="neither the data module nor the model has an image_size"):
        toy_trainer(growing()).fit(growing_gan(), toy_loader())


def test_networks_that_cannot_grow_are_refused() -> None:
    with pytest.raises(ValueError, match="ToyGenerator cannot grow"):
        toy_trainer(growing(final_resolution=4)).fit(toy_gan(), toy_loader())


# ------------------------------------------------------------------ modules that are no GAN

FOREIGN = {"networks": ("netG", "netD"), "final_resolution": 8}


def full_size(count: int = 28) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_foreign_module_grows_and_sees_faded_reals() -> None:
    module = ForeignGAN()
    toy_trainer(growing(**FOREIGN)).fit(module, DataLoader(full_size(), batch_size=4))
    phases = [(4, 1.0), (4, 1.0), (8, 1e-3), (8, 0.25), (8, 0.5), (8, 0.75), (8, 1.0)]
    assert len(module.seen) == 7
    for seen, real, (resolution, fade_in) in zip(module.seen, full_size().split(4), phases, strict=True):
        torch.testing.assert_close(seen, faded(real, resolution=resolution, fade_in=fade_in))


@pytest.mark.parametrize("cut", [8, 16])
def test_a_foreign_module_resumes_bit_for_bit(cut: int, tmp_path: Path) -> None:
    def callbacks() -> list[Callback]:
        return [growing(**FOREIGN), EMA(generator="netG")]

    whole = fit(ForeignGAN(), *callbacks(), images=32)
    fit(ForeignGAN(), *callbacks(), images=cut, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(ForeignGAN(), *callbacks(), images=32, resume=tmp_path / "cut.ckpt"))


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_loaded_foreign_module_is_tested_in_the_phase_it_was_saved_in(tmp_path: Path) -> None:
    fit(ForeignGAN(), growing(**FOREIGN), images=16, save=tmp_path / "fading.ckpt")
    module = ForeignGAN()
    toy_trainer(growing(**FOREIGN)).test(
        module, DataLoader(full_size()), ckpt_path=tmp_path / "fading.ckpt", verbose=False
    )
    assert (module.netG.resolution, module.netG.fade_in) == (8, 0.25)


@pytest.mark.parametrize("kind", ["bare", "list", "tuple", "mapping", "nested"])
def test_images_are_faded_in_any_kind_of_batch(kind: str) -> None:
    images, labels = full_size(2), torch.zeros(2)
    inner = images.clone()
    batch = {
        "bare": inner,
        "list": [inner, labels],
        "tuple": (labels, inner),
        "mapping": {"label": labels, "image": inner},
        "nested": ([labels], {"image": inner}),
    }[kind]
    fade_batch(batch, Growth(resolution=4, fade_in=0.5))
    torch.testing.assert_close(inner, faded(images, resolution=4, fade_in=0.5))


def test_bytes_stay_bytes() -> None:
    images = torch.tensor([[[[0, 255], [255, 255]]]], dtype=torch.uint8)
    fade_batch(images, Growth(resolution=1, fade_in=1.0))
    assert images.dtype == torch.uint8 and images.tolist() == [[[[191]]]]


def test_a_batch_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="the batch, a list, holds no images"):
        fade_batch([torch.zeros(3)], Growth(resolution=4, fade_in=1.0))


def test_which_of_several_images_is_faded_is_asked_and_can_be_said() -> None:
    growth, condition, images = Growth(resolution=4, fade_in=1.0), full_size(2), full_size(2)
    batch = {"condition": condition, "image": images.clone()}
    with pytest.raises(ValueError, match=r"several tensors .*condition: 2x1x8x8, .*; give real="):
        fade_batch(batch, growth)
    fade_batch(batch, growth, real=lambda batch: batch["image"])
    assert torch.equal(batch["condition"], full_size(2))
    torch.testing.assert_close(batch["image"], faded(images, resolution=4, fade_in=1.0))
    with pytest.raises(ValueError, match=r"real returned no tensor of the batch, a dict of .* return the tensor"):
        fade_batch(batch, growth, real=lambda batch: batch["image"] * 2)


def test_foreign_networks_that_cannot_grow_are_refused_by_name() -> None:
    module = ForeignGAN()
    module.netD = nn.Linear(1, 1)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="'netD' is a Linear, which cannot grow"):
        fit(module, growing(**FOREIGN), images=4)


def test_growing_moves_no_weights_of_sleeping_blocks() -> None:
    module = growing_gan()
    before = weights_of(module.generator.get_submodule("fine"))
    fit(module, growing(), images=8, data=ToyData())
    assert equal(before, weights_of(module.generator.get_submodule("fine")))
