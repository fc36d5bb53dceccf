"""What generator and encoder minimise together: closed forms, swapped labels, and objectives that have no mirror."""

import math

import pytest
import torch
from torch import Tensor, tensor
from torch.nn.functional import softplus

from lightning_gan.losses import (
    FGAN,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    PearsonChiSquared,
    RelativisticAverage,
    RelativisticStandard,
    TopK,
    Wasserstein,
    joint_generator_cost,
    mirrored_generator_cost,
)

MIRRORED = [NonSaturating(), Minimax(), Hinge(), Wasserstein(), LeastSquares(), TopK(loss=Hinge(), fraction=1.0)]


def logits() -> tuple[Tensor, Tensor]:
    """Scores of five real and five fake pairs."""
    random = torch.Generator().manual_seed(0)
    real, fake = (3 * torch.randn(5, 1, generator=random, dtype=torch.float64) for _ in range(2))
    return real, fake


@pytest.mark.parametrize("loss", MIRRORED, ids=lambda loss: type(loss).__name__)
def test_reflecting_all_scores_exchanges_real_and_fake(loss: AdversarialLoss) -> None:
    """What `neutral_score` promises."""
    real, fake = logits()
    assert loss.neutral_score is not None
    reflected = loss.discriminator(2 * loss.neutral_score - fake, 2 * loss.neutral_score - real)
    torch.testing.assert_close(loss.discriminator(real, fake), reflected)


@pytest.mark.parametrize(
    ("loss", "cost"),
    [
        (NonSaturating(), math.log1p(math.exp(3.0)) + math.log1p(math.exp(-1.0))),
        (Minimax(), -math.log1p(math.exp(-3.0)) - math.log1p(math.exp(1.0))),
        (Hinge(), 2.0),
        (Wasserstein(), 2.0),
        (LeastSquares(), 0.5 * 9 + 0.5 * 0),
        (RelativisticStandard(), math.log1p(math.exp(2.0))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_pair_of_each_kind_by_hand(loss: AdversarialLoss, cost: float) -> None:
    """D(x, E(x)) = 3 and D(G(z), z) = 1."""
    assert joint_generator_cost(loss, tensor([3.0]), tensor([1.0])).item() == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize("loss", [NonSaturating(), LeastSquares(), Wasserstein()], ids=lambda loss: type(loss).__name__)
def test_it_is_the_critics_cost_with_swapped_targets(loss: AdversarialLoss) -> None:
    real, fake = logits()
    torch.testing.assert_close(joint_generator_cost(loss, real, fake), loss.discriminator(fake, real))


def test_swapped_targets_of_the_logistic_objective_are_two_softplus() -> None:
    real, fake = logits()
    expected = softplus(real).mean() + softplus(-fake).mean()
    torch.testing.assert_close(joint_generator_cost(NonSaturating(), real, fake), expected)


def test_the_saturating_game_is_zero_sum() -> None:
    real, fake = logits()
    torch.testing.assert_close(joint_generator_cost(Minimax(), real, fake), -NonSaturating().discriminator(real, fake))


@pytest.mark.parametrize(
    "loss", [*MIRRORED, RelativisticStandard(), RelativisticAverage()], ids=lambda loss: type(loss).__name__
)
def test_generator_and_encoder_pull_the_scores_together(loss: AdversarialLoss) -> None:
    real, fake = (torch.zeros(3, 1, requires_grad=True) for _ in range(2))
    by_real, by_fake = torch.autograd.grad(joint_generator_cost(loss, real, fake), (real, fake))
    if loss.neutral_score == 0.5:  # 0 is the target of real pairs already
        assert (by_real == 0).all()
    else:
        assert (by_real > 0).all()
    assert (by_fake < 0).all()


def test_the_encoder_learns_from_the_pairs_of_real_images_alone() -> None:
    real = tensor([-2.0, 5.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(mirrored_generator_cost(NonSaturating(), real), real)
    torch.testing.assert_close(gradient, real.detach().sigmoid() / 2)


def test_objectives_that_do_not_mirror_real_and_fake_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="FGAN has no neutral score, which an encoder's cost needs"):
        joint_generator_cost(FGAN(divergence=PearsonChiSquared()), *logits())
