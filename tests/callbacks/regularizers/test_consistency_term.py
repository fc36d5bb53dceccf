"""CT-GAN's term in training: before the first step it checks the critic, afterwards it leaves it as it was."""

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.loop.gan import GAN
from tests.toys import SIZE, ToyCritic, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer, weights_of


class DropoutCritic(nn.Module):
    """A toy critic with dropout before its last two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.hidden = nn.Linear(4 * SIZE * SIZE, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.hidden(self.dropout(self.conv(images).tanh().flatten(1))).tanh())
        return logits


def train(*penalties: ConsistencyTerm, batches: int = 3) -> GAN:
    torch.manual_seed(3)
    module = GAN(generator=ToyGenerator(), discriminator=DropoutCritic(), latent_dim=4)
    toy_trainer(*penalties, limit_train_batches=batches).fit(module, toy_loader())
    return module


@pytest.mark.parametrize("features", [None, "hidden"])
def test_it_moves_the_critic_and_is_logged(features: str | None) -> None:
    plain, penalized = train(), train(ConsistencyTerm(weight=20.0, features=features))
    assert not equal(weights_of(plain.discriminator), weights_of(penalized.discriminator))
    assert penalized.trainer.callback_metrics["discriminator/ct"] > 1e-4


def test_it_leaves_no_hook_behind() -> None:
    module = train(ConsistencyTerm(features="hidden", dropout={"conv": 0.2}))
    assert not any(layer._forward_hooks for layer in module.discriminator.modules())


def test_a_critic_without_dropout_is_refused_before_the_first_step() -> None:
    module = toy_gan()
    before = weights_of(module)
    with pytest.raises(ValueError, match="ToyCritic has no dropout module"):
        toy_trainer(ConsistencyTerm(), limit_train_batches=1).fit(module, toy_loader())
    assert equal(before, weights_of(module))


def test_dropout_behind_a_layer_serves_a_critic_without_its_own() -> None:
    module = toy_gan()
    assert isinstance(module.discriminator, ToyCritic)
    toy_trainer(ConsistencyTerm(dropout={"conv": 0.5}), limit_train_batches=1).fit(module, toy_loader())
    assert module.trainer.callback_metrics["discriminator/ct"] > 1e-4


def test_an_unknown_layer_is_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match="no network 'penultimate'; its networks are conv, dropout, hidden, output"):
        train(ConsistencyTerm(features="penultimate"))
