"""Linear separability: a machine that reaches its minimum, and entropies known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from lightning_gan.metrics.linear_separability import conditional_entropy, linear_separability, support_vector_machine


def normal(count: int, latent: int, *, seed: int = 0) -> Tensor:
    return torch.randn(count, latent, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
def test_the_machine_is_at_the_minimum_of_its_objective(cost: float) -> None:
    latents = normal(300, 6)
    has = latents[:, 0] + 0.5 * normal(300, 1, seed=1)[:, 0] > 0.2
    plane = support_vector_machine(latents, has, cost=cost)
    weight, bias = plane.weight.clone().requires_grad_(), plane.bias.clone().requires_grad_()
    slack = (1 - (has.double() * 2 - 1) * (latents @ weight + bias)).clamp(min=0)
    objective = 0.5 * (weight.square().sum() + bias.square()) + cost * slack.square().sum()
    gradients = torch.autograd.grad(objective, [weight, bias])
    assert max(gradient.abs().max().item() for gradient in gradients) < 1e-8 * (1 + cost)


def test_two_points_by_hand() -> None:
    """Minimum of w^2 / 2 + 2 C (1 - w)^2: w = 4 C / (1 + 4 C)."""
    points, sides = torch.tensor([[-1.0], [1.0]]), torch.tensor([False, True])
    for cost in (0.25, 1.0):
        plane = support_vector_machine(points, sides, cost=cost)
        assert plane.weight.item() == pytest.approx(4 * cost / (1 + 4 * cost))
        assert plane.bias.item() == pytest.approx(0.0, abs=1e-12)


def test_the_machine_does_not_mind_turned_latents() -> None:
    latents = normal(100, 3)
    has = latents[:, 0] > 0.3
    rotation, _ = torch.linalg.qr(normal(3, 3, seed=2))
    plane, turned = support_vector_machine(latents, has), support_vector_machine(latents @ rotation.T, has)
    torch.testing.assert_close(turned.weight, rotation @ plane.weight)
    torch.testing.assert_close(turned.bias, plane.bias)


def test_entropy_by_hand() -> None:
    """X = 1: three of four have it; X = 0: none of four: half of H(3/4)."""
    guesses = torch.tensor([True] * 4 + [False] * 4)
    answers = torch.tensor([True, True, True, False] + [False] * 4)
    expected = 0.5 * (-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert conditional_entropy(answers, guesses).item() == pytest.approx(expected)
    assert conditional_entropy(answers, answers).item() == 0.0
    assert conditional_entropy(answers, ~answers).item() == 0.0


def test_attributes_that_are_directions_score_one() -> None:
    latents = normal(2000, 4)
    score, each = linear_separability(latents, latents[:, :2], kept_share=0.5)
    assert score.item() == pytest.approx(1.0, abs=0.01)
    assert each.tolist() == pytest.approx([0.0, 0.0], abs=0.01)


def test_an_attribute_that_no_plane_finds_scores_two() -> None:
    latents = normal(4000, 2)
    score, _ = linear_separability(latents, latents.prod(dim=1, keepdim=True))
    assert score.item() == pytest.approx(2.0, abs=0.01)


def test_an_attribute_flipped_for_some_scores_the_entropy_of_a_coin() -> None:
    """A tenth, picked without regard to the latent, are said to have the opposite: exp(h(0.1)) = 1.384."""
    latents = normal(8000, 2)
    flipped = 1 - 2 * (torch.arange(8000) % 10 == 0).double()
    # All equally sure, so that the half that is kept is as mixed as the whole.
    score, (entropy,) = linear_separability(latents, (latents[:, 0].sign() * flipped)[:, None], kept_share=1.0)
    expected = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    assert entropy.item() == pytest.approx(expected, abs=0.01)
    assert score.item() == pytest.approx(math.exp(entropy.item()))


def test_the_unsure_half_is_left_out_for_each_attribute() -> None:
    """Where the classifier is unsure it answers at random; the sure half is a direction."""
    latents = normal(2000, 2)
    sure = torch.arange(2000) % 2 == 0
    coin = normal(2000, 1, seed=3)[:, 0].sign()
    first = torch.where(sure, 10 * latents[:, 0].sign(), 0.1 * coin)
    second = torch.where(sure, 0.1 * coin, 10 * latents[:, 1].sign())
    logits = torch.stack([first, second], dim=1)
    assert linear_separability(latents, logits, kept_share=0.5)[0].item() == pytest.approx(1.0, abs=0.05)
    assert linear_separability(latents, logits, kept_share=1.0)[0].item() > 2.0


def test_an_attribute_that_all_have_says_nothing() -> None:
    assert linear_separability(normal(50, 2), torch.ones(50, 1))[0].item() == pytest.approx(1.0)


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kept_share=0.01 of 50 samples leaves 0"):
        linear_separability(normal(50, 2), torch.ones(50, 1), kept_share=0.01)
