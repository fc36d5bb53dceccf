"""Weight clipping holds after every step of the critic, in any module."""

from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from lightning_gan.callbacks.regularizers.weight_clipping import WeightClipping
from tests.callbacks.regularizers.regularizers import fast_gan
from tests.callbacks.training.growing_toys import ForeignGAN, fit
from tests.toys import Spy, toy_loader, toy_trainer


def largest(network: torch.nn.Module) -> float:
    return max(parameter.abs().max().item() for parameter in network.parameters())


def test_the_critic_is_clipped_in_every_look_and_the_generator_never() -> None:
    """Before each step, what both players looked at."""
    seen: list[float] = []
    module = fast_gan()
    spy = Spy(lambda player, gan: seen.append(largest(gan.discriminator)))
    toy_trainer(WeightClipping(limit=0.01), spy, limit_train_batches=3).fit(module, toy_loader())
    assert seen == pytest.approx([0.01] * 6) and max(seen) <= 0.01 * (1 + 1e-6)
    assert largest(module.discriminator) == pytest.approx(0.01)
    assert largest(module.generator) > 0.1


def test_values_inside_stay_and_those_outside_are_at_the_limit() -> None:
    module = fast_gan()
    expected = [parameter.detach().clamp(-0.05, 0.05) for parameter in module.discriminator.parameters()]
    toy_trainer(WeightClipping(limit=0.05), limit_train_batches=0).fit(module, toy_loader())
    clipping = WeightClipping(limit=0.05)
    trainer = toy_trainer(clipping, limit_train_batches=1)
    trainer.fit(module, toy_loader())
    for parameter, clipped in zip(module.discriminator.parameters(), expected, strict=True):
        assert (parameter - clipped).abs().max() <= 0.0201  # one step of Adam at a learning rate of 0.02
        assert parameter.abs().max() <= 0.05 * (1 + 1e-6)


def test_another_network_can_be_named() -> None:
    module = fast_gan()
    toy_trainer(WeightClipping(limit=0.02, network="generator"), limit_train_batches=1).fit(module, toy_loader())
    assert largest(module.generator) == pytest.approx(0.02) and largest(module.discriminator) > 0.1


def test_it_works_in_foreign_modules_under_manual_optimization() -> None:
    module = ForeignGAN()
    fit(module, WeightClipping(limit=0.01, network="netD"), images=8)
    assert largest(module.netD) == pytest.approx(0.01) and largest(module.netG) > 0.1


def test_and_under_automatic_optimization() -> None:
    class Critic(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.critic = torch.nn.Linear(16, 1)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            score: torch.Tensor = self.critic(batch[0].flatten(1)).mean()
            return score

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.RMSprop(self.parameters(), lr=1.0)

    module = Critic()
    toy_trainer(WeightClipping(network="critic"), limit_train_batches=2).fit(module, toy_loader())
    assert largest(module) == pytest.approx(0.01)


def test_after_the_fit_steps_are_free_again() -> None:
    module = fast_gan()
    clipping = WeightClipping()
    trainer = toy_trainer(clipping, limit_train_batches=1)
    trainer.fit(module, toy_loader())
    assert not clipping._hooks
    with torch.no_grad():
        module.discriminator.output.bias.fill_(3.0)  # type: ignore[union-attr]
    trainer.optimizers[0].step()
    assert largest(module.discriminator) > 2


def test_bad_settings_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"limit=0\.0 must be positive"):
        WeightClipping(limit=0.0)
    for network, message in [("critic", "has no network 'critic'"), ("generator_ema", "no optimizer has parameters")]:
        with pytest.raises(ValueError, match=message):
            toy_trainer(WeightClipping(network=network), limit_train_batches=1).fit(fast_gan(), toy_loader())
