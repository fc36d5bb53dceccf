"""Spectral normalization of networks that were written without it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightning_gan.callbacks import EMA, R1
from lightning_gan.callbacks.regularizers.spectral_norm import SpectralNorm, copies_of
from lightning_gan.layers.spectral_normalization import parametrizations_of, spectrally_normalized
from lightning_gan.loop.gan import GAN
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit
from tests.toys import ToyGenerator, equal, toy_loader, toy_trainer


def normalized(network: nn.Module) -> list[str]:
    return [name for name, layer in network.named_modules() if parametrizations_of(layer)]


def norms(network: nn.Module) -> list[float]:
    network.eval()
    layers = [network.get_submodule(name) for name in normalized(network)]
    return [torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2).item() for layer in layers]  # type: ignore[operator]


def train(module: GAN, *callbacks: Callback, batches: int = 4) -> GAN:
    toy_trainer(*callbacks, limit_train_batches=batches).fit(module, toy_loader())
    return module


def test_it_normalizes_the_named_network_alone_and_training_keeps_the_norms() -> None:
    module = train(fast_gan(), SpectralNorm(), R1(gamma=1.0))
    assert normalized(module) == ["discriminator.conv", "discriminator.output"]
    assert norms(module.discriminator) == pytest.approx([1.0, 1.0], abs=0.05)


def test_it_changes_the_update_of_every_normalized_weight() -> None:
    plain, normal = moved_by(module=fast_gan()), moved_by(SpectralNorm(), module=fast_gan())
    assert not equal(sorted_by_size(plain["discriminator"]), sorted_by_size(normal["discriminator"]))


def sorted_by_size(weights: list[Tensor]) -> list[Tensor]:
    return sorted(weights, key=Tensor.numel)


def test_optimizers_train_the_stored_weights() -> None:
    module = fast_gan()
    trainer = toy_trainer(SpectralNorm(), limit_train_batches=1)
    trainer.fit(module, toy_loader())
    owned = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert owned == {id(parameter) for parameter in module.discriminator.parameters()}


def test_the_averaged_generator_is_normalized_with_the_generator_and_never_iterates() -> None:
    """Its singular vectors are those of the generator, whatever it is used for."""
    module = train(fast_gan(), SpectralNorm(network="generator"), EMA(half_life_kimg=0.01))
    assert normalized(module.generator) == normalized(module.generator_ema) == ["hidden", "output"]
    names = [name for name in module.generator.state_dict() if name.endswith(("left", "right"))]
    for _ in range(2):
        own, averaged = module.generator.state_dict(), module.generator_ema.state_dict()
        assert len(names) == 4
        for name in names:
            assert torch.equal(own[name], averaged[name])
            assert own[name].data_ptr() != averaged[name].data_ptr()
        module.train()
        module.sample(*module.draw_latents(4, seed=0))
    assert not any(parameter.requires_grad for parameter in module.generator_ema.parameters())


def test_before_training_the_average_samples_what_the_generator_does() -> None:
    module = train(fast_gan(), SpectralNorm(network="generator"), EMA(), batches=0)
    latents, _ = module.draw_latents(3, seed=0)
    module.averaged = True
    assert torch.equal(module.sample(latents), module.sample(latents, ema=False))


def test_a_part_of_a_network_can_be_named_and_layers_left_out() -> None:
    module = train(fast_gan(), SpectralNorm(network="generator.output"), batches=0)
    assert normalized(module) == ["generator.output", "generator_ema.output"]
    assert normalized(train(fast_gan(), SpectralNorm(excluded=("conv",)), batches=0)) == ["discriminator.output"]


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(SpectralNorm, tmp_path)


def test_a_second_fit_and_a_test_run_normalize_nothing_twice(tmp_path: Path) -> None:
    module = fast_gan()
    trainer = toy_trainer(SpectralNorm(), limit_train_batches=1)
    trainer.fit(module, toy_loader())
    names = list(module.state_dict())
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    toy_trainer(SpectralNorm(), limit_train_batches=1).fit(module, toy_loader())
    assert list(module.state_dict()) == names
    fresh = fast_gan()
    toy_trainer(SpectralNorm(), limit_test_batches=1).test(
        fresh, toy_loader(), ckpt_path=tmp_path / "end.ckpt", verbose=False
    )
    assert list(fresh.state_dict()) == names


def test_foreign_modules_are_normalized_and_resume(tmp_path: Path) -> None:
    def norm() -> SpectralNorm:
        return SpectralNorm(network="netD")

    whole = fit(ForeignGAN(), norm(), images=16)
    assert normalized(whole.lightning_module) == ["netD.coarse", "netD.fine"]
    fit(ForeignGAN(), norm(), images=8, save=tmp_path / "cut.ckpt")
    assert_same_state(whole, fit(ForeignGAN(), norm(), images=16, resume=tmp_path / "cut.ckpt"))


def test_bad_settings_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match="power_iterations=0 must be at least 1"):
        SpectralNorm(power_iterations=0)
    with pytest.raises(ValueError, match="has no network 'critic'"):
        train(fast_gan(), SpectralNorm(network="critic"))
    with pytest.raises(ValueError, match="excluded='embedding' is no linear"):
        train(fast_gan(), SpectralNorm(excluded=("embedding",)))


class Averaging(ForeignGAN):
    """A GAN that keeps averages of its generator itself, in one of two usual ways."""

    def __init__(self, *, library: bool, normalized_before: bool = False) -> None:
        super().__init__()
        self.library = library
        if normalized_before:
            spectrally_normalized(self.netG)
        self.average = AveragedModel(self.netG) if library else deepcopy(self.netG)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if isinstance(self.average, AveragedModel):
            self.average.update_parameters(self.netG)


@pytest.mark.parametrize(("library", "path"), [(True, r"average\.module"), (False, "average")])
def test_copies_of_the_network_that_were_made_before_are_refused(library: bool, path: str) -> None:
    """They have other parameters, in another order: an average over pairs of parameters would be wrong."""
    message = rf"^SpectralNorm: network='netG' has the copy '{path}', which is not normalized with it; average .*$"
    with pytest.raises(ValueError, match=message):
        fit(Averaging(library=library), SpectralNorm(network="netG"), images=8)
    fit(Averaging(library=library), SpectralNorm(network="netD"), images=8)


def test_a_copy_of_a_network_that_was_normalized_before_is_normalized_too() -> None:
    trainer = fit(Averaging(library=True, normalized_before=True), images=16)
    module: Any = trainer.lightning_module
    assert norms(module.average.module) == pytest.approx([1.0, 1.0], abs=0.05)
    fit(
        Averaging(library=True, normalized_before=True), SpectralNorm(network="netG"), images=8
    )  # nothing is left to do


def test_the_package_averages_a_normalized_generator_of_any_module() -> None:
    trainer = fit(ForeignGAN(), SpectralNorm(network="netG"), EMA(generator="netG"), images=16)
    assert normalized(trainer.lightning_module) == ["netG.coarse", "netG.fine"]


def test_networks_of_one_class_with_their_own_weights_are_no_copies() -> None:
    """As the two generators of a CycleGAN."""
    module = nn.ModuleDict({"first": ToyGenerator(), "second": ToyGenerator()})
    assert copies_of(module["first"], module=module) == []
    module["third"] = deepcopy(module["first"])
    assert copies_of(module["first"], module=module) == ["third"]
    module["same"] = module["first"]
    assert copies_of(module["first"], module=module) == ["third"]


def test_layers_with_weight_norm_are_refused_with_their_name() -> None:
    module = ForeignGAN()
    nn.utils.parametrizations.weight_norm(module.netD.fine)
    with pytest.raises(ValueError, match=r"layer='fine' of GrowingCritic has .*weight_norm already; remove it with .*"):
        fit(module, SpectralNorm(network="netD"), images=8)
    fit(module, SpectralNorm(network="netD", excluded=("fine",)), images=8)
    assert normalized(module) == ["netD.coarse"]
