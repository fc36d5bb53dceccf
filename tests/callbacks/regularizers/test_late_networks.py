"""Callbacks that change layers find networks that the module makes in `configure_model`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import Bottleneck, InstanceNoise, OrthogonalDiscriminator, SpectralNorm, WeightClipping
from lightning_gan.callbacks.regularizers.late_networks import check_not_sharded
from lightning_gan.layers.gaussian_code import Bottlenecked
from lightning_gan.layers.spectral_normalization import parametrizations_of
from tests.callbacks.training.growing_toys import assert_same_state
from tests.toys import LATENT, ToyCritic, ToyGenerator, fast_adam, toy_loader, toy_trainer


class Late(LightningModule):
    """A GAN whose networks are made in `configure_model`, which returns at once in its second call."""

    G: nn.Module | None
    D: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G = self.D = None

    def make(self) -> None:
        torch.manual_seed(7)
        self.G, self.D = ToyGenerator(), ToyCritic()

    def configure_model(self) -> None:
        if self.D is None:
            self.make()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        assert self.G is not None and self.D is not None
        return [fast_adam(self.G.parameters()), fast_adam(self.D.parameters())]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        assert self.G is not None and self.D is not None
        torch.manual_seed(batch_idx + 10 * self.current_epoch)
        (real,) = batch
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[misc]
        fake = self.G(torch.randn(len(real), LATENT))
        critic_optimizer.zero_grad()
        self.manual_backward((softplus(self.D(fake.detach())) + softplus(-self.D(real))).mean())
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        self.manual_backward(softplus(-self.D(fake)).mean())
        generator_optimizer.step()


class Early(Late):
    """The same with networks from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.make()


class Anew(Late):
    """A module whose networks are made again in every call."""

    def configure_model(self) -> None:
        self.make()


class InSetup(Late):
    """A module that makes its networks in `setup`."""

    def configure_model(self) -> None:
        """Nothing."""

    def setup(self, stage: str) -> None:
        self.make()


class NeedsSetup(InSetup):
    """A module whose `configure_model` needs what its `setup` makes."""

    def configure_model(self) -> None:
        self.width.bit_count()  # type: ignore[operator, union-attr]

    def setup(self, stage: str) -> None:
        self.width = 3


CALLBACKS: dict[str, Callable[[], Callback]] = {
    "SpectralNorm": lambda: SpectralNorm(network="D"),
    "Bottleneck": lambda: Bottleneck(
        layer="D.output",
        code_features=3,
        discriminator="D",
        generator="G",
        information_constraint=0.0,
        beta_step_size=0.5,
    ),
    "OrthogonalDiscriminator": lambda: OrthogonalDiscriminator(discriminator="D", generator="G"),
    "WeightClipping": lambda: WeightClipping(network="D", limit=0.1),
    "InstanceNoise": lambda: InstanceNoise(network="D"),
}
IN_SETUP = {name: make for name, make in CALLBACKS.items() if name != "InstanceNoise"}


def fitted(module: LightningModule, callback: Callback, *, epochs: int = 1, resume: Path | None = None) -> Any:
    trainer = toy_trainer(callback, limit_train_batches=2, max_epochs=epochs)
    trainer.fit(module, toy_loader(), ckpt_path=resume)
    return trainer


@pytest.mark.parametrize("callback", CALLBACKS.values(), ids=CALLBACKS)
def test_late_networks_train_as_early_ones_and_resume(callback: Callable[[], Callback], tmp_path: Path) -> None:
    torch.manual_seed(0)  # of the weights that a bottleneck adds
    whole = fitted(Late(), callback(), epochs=3)
    fitted(Late(), callback()).save_checkpoint(tmp_path / "cut.ckpt")
    assert_same_state(whole, fitted(Late(), callback(), epochs=3, resume=tmp_path / "cut.ckpt"))
    assert_same_state(whole, fitted(Early(), callback(), epochs=3))


@torch.no_grad()
def test_the_layers_of_late_networks_are_changed() -> None:
    module = fitted(Late(), CALLBACKS["SpectralNorm"]()).lightning_module
    assert all(parametrizations_of(layer) for layer in (module.D.conv, module.D.output))
    trainer = fitted(Late(), CALLBACKS["Bottleneck"]())
    module = trainer.lightning_module
    assert isinstance(module.D.output, Bottlenecked)
    trained = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    assert {id(parameter) for parameter in module.D.parameters()} <= trained


@pytest.mark.parametrize("callback", IN_SETUP.values(), ids=IN_SETUP)
def test_networks_that_come_too_late_or_again_are_refused(callback: Callable[[], Callback]) -> None:
    for module, message in [
        (Anew(), r"configure_model of Anew makes the network 'D' anew in each call, .*; let it return at once"),
        (InSetup(), r"InSetup has no network 'D'; its networks are none; networks that its setup makes come too late"),
        (NeedsSetup(), r"configure_model of NeedsSetup must run before its setup, .*'width'; make what it needs in"),
    ]:
        with pytest.raises(ValueError, match=rf"^{type(callback()).__name__}\(\w+=\.\.\.\): {message}"):
            fitted(module, callback())


@pytest.mark.parametrize("callback", CALLBACKS.values(), ids=CALLBACKS)
def test_unknown_names_are_refused_with_the_networks_that_configure_model_makes(
    callback: Callable[[], Callback],
) -> None:
    class Renamed(Late):
        def __init__(self) -> None:
            super().__init__()
            del self.D  # it would make other networks in each call
            self.critic: nn.Module | None = None

        def configure_model(self) -> None:
            if self.critic is None:
                self.G, self.critic = ToyGenerator(), ToyCritic()

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [fast_adam(self.parameters())]

    with pytest.raises(ValueError, match=r"Renamed has no network 'D'; its networks are G, critic$"):
        fitted(Renamed(), callback())


def test_weights_get_the_precision_of_the_trainer() -> None:
    module = Late()
    trainer = toy_trainer(SpectralNorm(network="D"), limit_train_batches=1, precision="64-true")
    trainer.fit(module, toy_loader())
    assert module.D is not None
    assert {parameter.dtype for parameter in module.D.parameters()} == {torch.float64}


def test_sharded_weights_are_refused(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        module = Early()
        assert isinstance(module.D, ToyCritic)
        whole = distribute_tensor(module.D.output.weight.detach(), init_device_mesh("cpu", (1,)))
        module.D.output.weight = nn.Parameter(whole)
        assert isinstance(module.D.output.weight, DTensor)
        with pytest.raises(ValueError, match=r"^Norm: the weights of the network 'D' are already sharded"):
            check_not_sharded(module.D, "D", setting="Norm")
    finally:
        torch.distributed.destroy_process_group()
