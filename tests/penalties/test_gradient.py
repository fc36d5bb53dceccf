"""Gradient penalties on critics whose gradients are known by hand."""

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks import R1, R2
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Turn
from lightning_gan.penalties import squared_gradient_norm, zero_centered
from tests.penalties.turns import turn_with


def images_of(count: int, *, pixels: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 1, pixels, generator=generator).requires_grad_()


def turn_of(critic: nn.Module, *, gradient_scale: float = 1.0) -> Turn:
    real, fake = images_of(8, seed=1), images_of(8, seed=2)
    return turn_with(
        real_logits=critic(real),
        fake_logits=critic(fake),
        real=real,
        fake=fake,
        critic=critic,
        gradient_scale=gradient_scale,
    )


def linear_critic() -> nn.Sequential:
    """D(x) = 3 x1 + 4 x2 + 1."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        critic[1].weight.copy_(torch.tensor([[3.0, 4.0]]))
        critic[1].bias.fill_(1.0)
    return critic


@pytest.mark.parametrize("penalty", [R1(gamma=10.0), R2(gamma=10.0)], ids=["R1", "R2"])
def test_on_a_linear_critic_it_is_gamma_half_times_the_squared_slope(penalty: Penalty) -> None:
    critic = linear_critic()
    value = penalty.weighted(turn_of(critic))
    assert value.item() == pytest.approx(125.0)
    by_weight, by_bias = torch.autograd.grad(value, [critic[1].weight, critic[1].bias], allow_unused=True)
    torch.testing.assert_close(by_weight, torch.tensor([[30.0, 40.0]]))
    assert by_bias is None


def test_on_a_quadratic_critic_every_sample_has_its_own_gradient() -> None:
    """D(x) = x'Ax / 2 has the gradient Ax: with A = [[2, 1], [1, 3]], 5 at (1, 0) and 40 at (0, 2)."""
    matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    images = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).view(2, 1, 1, 2).requires_grad_()
    flat = images.flatten(1)
    logits = 0.5 * (flat @ matrix * flat).sum(dim=1, keepdim=True)
    assert squared_gradient_norm(logits, images).tolist() == [5.0, 40.0]


def test_it_equals_the_norms_that_vmap_finds_sample_by_sample() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4 * 16, 1)
    ).double()
    images = torch.randn(5, 1, 4, 4, dtype=torch.float64).requires_grad_()
    single = torch.func.vmap(torch.func.grad(lambda image: critic(image[None]).squeeze()))(images.detach())
    torch.testing.assert_close(squared_gradient_norm(critic(images), images), single.flatten(1).square().sum(1))


def test_it_does_not_depend_on_a_constant_added_to_the_critic() -> None:
    images = images_of(4)
    logits = images.flatten(1).square().sum(1, keepdim=True)
    torch.testing.assert_close(zero_centered(logits, images), zero_centered(logits + 7, images))


def test_batch_normalization_in_the_critic_hides_the_gradient() -> None:
    """Samples meet in the batch statistics, so that the gradient of the batch's sum is 0 whatever the weights."""
    images = images_of(16)
    logits = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(2), nn.Linear(2, 1))(images)
    assert squared_gradient_norm(logits, images).max() < 1e-9


def test_a_score_map_counts_with_the_sum_of_its_scores() -> None:
    images = images_of(4)
    patches = images.flatten(1) @ torch.tensor([[1.0, 2.0], [2.0, 2.0]])  # batch 2: the sum has slope (3, 4)
    torch.testing.assert_close(squared_gradient_norm(patches, images), torch.full((4,), 25.0))


def test_the_gradient_scale_enters_squared() -> None:
    critic = linear_critic()
    assert R1(gamma=10.0).weighted(turn_of(critic, gradient_scale=0.25)).item() == pytest.approx(125.0 / 16)


def test_a_lazy_penalty_counts_its_interval_times() -> None:
    critic = linear_critic()
    assert R1(gamma=10.0, every_n_turns=16).weighted(turn_of(critic)).item() == pytest.approx(125.0 * 16)
