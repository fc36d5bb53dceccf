"""R1 without differentiating by the input."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lightning_gan.callbacks.regularizers.approximated_gradient_penalty import FiniteDifferenceR1
from lightning_gan.callbacks.regularizers.gradient_penalty import R1
from lightning_gan.loop.turn import Turn
from lightning_gan.penalties.gradient import squared_slope_along
from tests.penalties.test_gradient import images_of, linear_critic, turn_of
from tests.penalties.turns import turn_with


class OnceDifferentiable(torch.autograd.Function):
    """tanh with a backward that cannot be differentiated, as in fused kernels."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        result = images.tanh()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradient * (1 - result.square())


class FusedCritic(nn.Module):
    """A critic with such a kernel in its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(OnceDifferentiable.apply(self.first(images.flatten(1))))
        return logits


def turn_at(images: Tensor, critic: nn.Module) -> Turn:
    logits = critic(images)
    return turn_with(real_logits=logits, fake_logits=logits, real=images, fake=images, critic=critic)


def test_along_the_axes_it_is_exact_on_a_linear_critic() -> None:
    """For directions with the mean u u' = I, here sqrt(2) times both axes, the mean is ||w||^2 = 25."""
    images = images_of(2).detach().double()
    critic = linear_critic().double()
    axes = (2**0.5 * torch.eye(2, dtype=torch.float64)).view(2, 1, 1, 2)
    for step in (1e-3, 0.1, 10.0):
        squares = squared_slope_along(critic, critic(images), images, axes, step=step)
        torch.testing.assert_close(squares, torch.tensor([18.0, 32.0], dtype=torch.float64))
        assert squares.mean().item() == pytest.approx(25.0)


def test_its_expectation_is_r1() -> None:
    """(u.w)^2 has the mean ||w||^2 and the standard deviation sqrt(2) ||w||^2 over standard normal directions."""
    torch.manual_seed(0)
    critic = linear_critic()
    turn = turn_at(torch.zeros(40_000, 1, 1, 2), critic)
    estimate = FiniteDifferenceR1(gamma=10.0).weighted(turn).item()
    assert estimate == pytest.approx(125.0, abs=4 * 125 * 2**0.5 / 200)


def test_in_its_mean_the_update_is_r1s_too() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    image = torch.tensor([[[[0.3, -0.5]]]], dtype=torch.float64)
    turn = turn_at(image.expand(20_000, 1, 1, 2).clone().requires_grad_(), critic)
    gradients = [
        torch.autograd.grad(penalty.weighted(turn), critic[1].weight, retain_graph=True)[0]
        for penalty in (R1(gamma=2.0), FiniteDifferenceR1(gamma=2.0, step=1e-3))
    ]
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[0].norm()


def test_it_serves_critics_that_cannot_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    critic = FusedCritic()
    turn = turn_of(critic)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        R1(gamma=2.0).weighted(turn).backward()
    FiniteDifferenceR1(gamma=2.0).weighted(turn_of(critic)).backward()
    assert critic.first.weight.grad is not None and critic.first.weight.grad.abs().max() > 1e-4


def test_a_score_map_counts_with_the_sum_of_its_scores() -> None:
    """As under R1."""
    images = torch.zeros(1, 1, 1, 2)
    weight = torch.tensor([[1.0, 2.0], [2.0, 2.0]])
    along = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    squares = squared_slope_along(lambda x: x.flatten(1) @ weight, torch.zeros(1, 2), images, along, step=1.0)
    assert squares.item() == pytest.approx(9.0)


def test_the_gradient_scale_enters_squared() -> None:
    values = []
    for scale in (1.0, 0.25):
        torch.manual_seed(0)
        values.append(FiniteDifferenceR1().weighted(turn_of(linear_critic(), gradient_scale=scale)).item())
    assert values[1] == pytest.approx(values[0] / 16)


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"step=0.0 must be positive"):
        FiniteDifferenceR1(step=0.0)
