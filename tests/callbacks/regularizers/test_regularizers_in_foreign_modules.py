"""Every penalty, in a module that knows nothing of this package. New ones are found."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1, AdaptivePseudoAugmentation
from lightning_gan.callbacks.regularizers.approximated_gradient_penalty import FiniteDifferenceR1, FiniteDifferenceR2
from lightning_gan.callbacks.regularizers.bottleneck import Bottleneck
from lightning_gan.callbacks.regularizers.consistency_regularization import BCR, ZCRDiscriminator, ZCRGenerator
from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.callbacks.regularizers.lecam import LeCam
from lightning_gan.callbacks.regularizers.orthogonal import OrthogonalDiscriminator, OrthogonalGenerator
from lightning_gan.callbacks.regularizers.path_length import PathLength
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.penalties.kl_divergence import kl_to_standard_normal
from lightning_gan.penalties.orthogonality import orthogonality
from tests.callbacks.regularizers.test_bottleneck import BottleneckCritic
from tests.callbacks.regularizers.test_path_length import CountingSynthesis, Mapping, StyleToy
from tests.parts import made, regularizers, renamed_networks
from tests.toys import LATENT, equal, toy_loader, toy_trainer, weights_of

NETWORKS = {"discriminator": "netD", "generator": "netG"}


class ForeignStyleGAN(LightningModule):
    """Plain steepest descent for both players, and what the critic was last shown."""

    def __init__(self, *, by_hand: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.automatic_optimization = False
        self.by_hand = by_hand
        self.netG = StyleToy(Mapping(), CountingSynthesis())
        self.netD = BottleneckCritic()
        self.shown = torch.empty(0)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(batch_idx)
        (real,) = batch
        critic_optimizer, generator_optimizer = self.optimizers()  # type: ignore[misc]
        fake = self.netG(torch.randn(len(real), LATENT))
        self.shown = torch.cat([real, fake.detach()])
        loss = (softplus(self.netD(fake.detach())) + softplus(-self.netD(real))).mean()
        if self.by_hand:
            weights = [weight for weight in self.netD.parameters() if weight.dim() >= 2]
            loss = loss + self.by_hand * torch.stack([orthogonality(weight) for weight in weights]).sum()
        critic_optimizer.zero_grad()
        self.manual_backward(loss)
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        self.manual_backward(softplus(-self.netD(fake)).mean())
        generator_optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(network.parameters(), lr=0.05) for network in (self.netD, self.netG)]


def fitted(*callbacks: Callback, batches: int = 3, module: ForeignStyleGAN | None = None) -> ForeignStyleGAN:
    module = module or ForeignStyleGAN()
    toy_trainer(*callbacks, limit_train_batches=batches).fit(module, toy_loader())
    return module


def sampler(module: LightningModule, count: int, seed: int) -> Tensor:
    """Images by the module's generator, of latents that the seed decides."""
    images: Tensor = module.netG(torch.randn(count, LATENT, generator=torch.Generator().manual_seed(seed)))
    return images


SETTINGS: dict[type[Penalty], dict[str, Any]] = {
    AdaptivePseudoAugmentation: {"sampler": sampler},
    Bottleneck: {"information_constraint": 0.0, "beta_step_size": 0.5, "encoder": "netD.bottleneck"},
    ConsistencyTerm: {"dropout": {"output": 0.5}},
    FiniteDifferenceR1: {"gamma": 0.01},  # its critic draws codes: two looks differ by more than a step
    FiniteDifferenceR2: {"gamma": 0.01},
    LeCam: {"weight": 1.0, "one_sided": False},
    OrthogonalDiscriminator: {"beta": 0.1},
    OrthogonalGenerator: {"beta": 0.1},
    PathLength: {"every_n_turns": 1},
    ZCRDiscriminator: {"noise": 0.5},
    ZCRGenerator: {"noise": 0.5},
}
"""Settings that suit the two small networks, and by which a penalty makes a difference within three steps."""


def foreign(kind: type[Penalty]) -> Penalty:
    """A penalty for this module's networks."""
    return made(kind, **renamed_networks(kind, NETWORKS), **SETTINGS.get(kind, {}))


PENALTIES = [kind for kind in regularizers() if issubclass(kind, Penalty)]


@pytest.mark.parametrize("kind", PENALTIES)
def test_it_moves_its_players_network_by_a_finite_amount(kind: type[Penalty]) -> None:
    plain, regular = fitted(), fitted(foreign(kind))
    network = "netD" if kind.player == "discriminator" else "netG"
    weights = weights_of(getattr(regular, network))
    assert not equal(weights_of(getattr(plain, network)), weights), (
        f"{kind.__name__} changes nothing in three steps; give settings by which it does in SETTINGS of this file"
    )
    assert all(weight.isfinite().all() for weight in weights)


def test_orthogonal_regularization_equals_the_same_written_into_the_step() -> None:
    written = fitted(module=ForeignStyleGAN(by_hand=0.1))
    settled = fitted(OrthogonalDiscriminator(beta=0.1, off_diagonal=False, **NETWORKS))
    for own, other in zip(weights_of(written), weights_of(settled), strict=True):
        torch.testing.assert_close(other, own, rtol=0, atol=1e-6)


@pytest.mark.parametrize("beside", [[], [R1(gamma=1.0, **NETWORKS)], [BCR(largest_shift=1, **NETWORKS)]])
def test_the_bottleneck_hears_real_and_fake_images_once_whoever_looks_beside_it(beside: list[Penalty]) -> None:
    fresh = ForeignStyleGAN()
    penalty = Bottleneck(information_constraint=0.0, beta_step_size=1.0, encoder="netD.bottleneck", **NETWORKS)
    module = fitted(*beside, penalty, batches=1)
    code: tuple[Tensor, Tensor] = fresh.netD.bottleneck(module.shown.flatten(1))
    assert penalty.beta.item() == pytest.approx(kl_to_standard_normal(*code).mean().item(), rel=1e-5)


@pytest.mark.parametrize("kind", [LeCam, Bottleneck])
def test_it_survives_a_resume(tmp_path: Path, kind: type[Penalty]) -> None:
    def run(*, epochs: int, resume: Path | None = None) -> tuple[ForeignStyleGAN, Penalty]:
        module, regularizer = ForeignStyleGAN(), foreign(kind)
        trainer = toy_trainer(regularizer, limit_train_batches=2, max_epochs=epochs)
        trainer.fit(module, toy_loader(), ckpt_path=resume)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return module, regularizer

    whole, state = run(epochs=2)
    run(epochs=1)
    resumed, resumed_state = run(epochs=2, resume=tmp_path / "1.ckpt")
    assert equal(weights_of(whole), weights_of(resumed))
    assert state.state_dict() == resumed_state.state_dict()
    torch.load(tmp_path / "1.ckpt", weights_only=True)
