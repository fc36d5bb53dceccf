"""Spectral normalization of networks that were written without it."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, R1
from lightning_gan.callbacks.regularizers.spectral_norm import SpectralNorm
from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.loop.gan import GAN
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit
from tests.toys import equal, toy_loader, toy_trainer


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
