"""Penalties on the gradient of a patch discriminator's scores: by the sum of an image's map or by its mean."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import lightning_gan.callbacks.regularizers
from lightning_gan.callbacks import R1, R2, FiniteDifferenceR1, FiniteDifferenceR2, Roth, RothFGAN
from lightning_gan.callbacks.regularizers.gradient_penalty import CriticGradientPenalty, ZeroCenteredGradientPenalty
from lightning_gan.penalties.gradient import one_per_sample
from tests.parts import classes_of, made
from tests.penalties.test_gradient import turn_of

KINDS = classes_of(lightning_gan.callbacks.regularizers, CriticGradientPenalty)


class Patches(nn.Module):
    """A map of 1 x 3 scores per image, curved, or one score: their sum or their mean."""

    def __init__(self, *, joined: Callable[[Tensor], Tensor] = lambda scores: scores) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]]))
        self.joined = joined

    def forward(self, images: Tensor) -> Tensor:
        return self.joined((images.flatten(1) @ self.weight.T).sinh()[:, None])  # batch 1 3


def total(scores: Tensor) -> Tensor:
    return scores.sum(dim=(1, 2))


def average(scores: Tensor) -> Tensor:
    return scores.mean(dim=(1, 2))


def value_of(penalty: CriticGradientPenalty, critic: nn.Module) -> Tensor:
    torch.manual_seed(0)
    return penalty.weighted(turn_of(critic))


def test_all_but_roths_take_the_sum_by_default() -> None:
    assert {kind for kind in KINDS if made(kind).mean_over_patches} == {Roth, RothFGAN}
    assert {R1, R2, FiniteDifferenceR1, FiniteDifferenceR2} < set(KINDS)


@pytest.mark.parametrize("mean", [False, True], ids=["sum", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_map_counts_as_the_critic_that_returns_its_sum_or_its_mean(
    kind: type[CriticGradientPenalty], mean: bool
) -> None:
    """The reference is a critic with one score per image: value and gradient."""
    values, gradients = [], []
    for joined in (lambda scores: scores, average if mean else total):
        critic = Patches(joined=joined)
        values.append(value_of(made(kind, mean_over_patches=mean), critic))
        gradients.append(torch.autograd.grad(values[-1], critic.weight)[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [R1, R2, FiniteDifferenceR1, FiniteDifferenceR2, ZeroCenteredGradientPenalty])
def test_the_sum_costs_as_much_as_the_mean_times_the_squared_number_of_patches(
    kind: type[CriticGradientPenalty],
) -> None:
    summed, averaged = (value_of(made(kind, mean_over_patches=mean), Patches()) for mean in (False, True))
    assert summed.item() == pytest.approx(9 * averaged.item(), rel=1e-4)


def test_a_share_of_the_batch_takes_the_mean_too() -> None:
    summed, averaged = (
        value_of(R1(batch_share=0.5, mean_over_patches=mean), Patches()).item() for mean in (False, True)
    )
    assert summed == pytest.approx(9 * averaged, rel=1e-5)


def test_one_score_per_sample_is_the_same_either_way() -> None:
    scores = torch.tensor([[1.5], [-2.0]])
    for mean in (False, True):
        assert one_per_sample(scores, mean_over_patches=mean).tolist() == [1.5, -2.0]
        assert one_per_sample(scores[:, 0], mean_over_patches=mean).tolist() == [1.5, -2.0]
