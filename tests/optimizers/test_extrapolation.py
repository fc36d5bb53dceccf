"""Optimizers for games, on the bilinear game and as Adam's relatives.

With moments of no memory and an enormous epsilon Adam's direction is ``gradient / epsilon``, so that a learning rate of
``h * epsilon`` makes plain steps of size h: the optimizers themselves have then the spectral radii of the literature.
"""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gan.loop.settings import Training
from lightning_gan.optimizers import ExtraAdam, OptimisticAdam
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of

EPSILON = 1e14
"""So large that the gradient beside it drowns."""


def plainly(optimizer: Callable[..., Optimizer], weights: list[Tensor], step_size: float) -> Optimizer:
    return optimizer(weights, lr=step_size * EPSILON, betas=(0.0, 0.0), eps=EPSILON, fused=False)


def play(optimizer: Callable[..., Optimizer], *, start: tuple[float, float], step_size: float, steps: int) -> Tensor:
    """``min_theta max_phi theta phi`` in simultaneous steps: all points."""
    point = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    stepper = plainly(optimizer, [point], step_size)
    points = [point.detach().clone()]
    for _ in range(steps):
        theta, phi = point.detach()
        point.grad = torch.stack([phi, -theta])
        stepper.step()
        points.append(point.detach().clone())
    return torch.stack(points)


@pytest.mark.parametrize(("step_size", "radius"), [(0.6, 0.87726849), (0.2, math.sqrt(1 - 0.04 + 0.0016)), (1.0, 1.0)])
def test_an_extragradient_iteration_contracts_the_bilinear_game(step_size: float, radius: float) -> None:
    """``sqrt(1 - h^2 + h^4)``: less than 1 below h = 1."""
    points = play(ExtraAdam, start=(1.0, 1.0), step_size=step_size, steps=20)[::2].norm(dim=1)
    assert (points[1:] / points[:-1]).tolist() == pytest.approx([radius] * 10, rel=1e-6)


def test_the_update_starts_from_the_copy_and_not_from_the_extrapolated_point() -> None:
    points = play(ExtraAdam, start=(1.0, 0.0), step_size=0.5, steps=2)
    torch.testing.assert_close(points[1], torch.tensor([1.0, 0.5], dtype=torch.float64))  # w - h (phi, -theta)
    torch.testing.assert_close(points[2], torch.tensor([0.75, 0.5], dtype=torch.float64))  # w - h (0.5, -1)


@pytest.mark.parametrize(("step_size", "radius"), [(0.5, 0.70710678), (0.57, 0.9807), (0.58, 1.0069)])
def test_an_optimistic_step_has_the_radius_of_its_recurrence(step_size: float, radius: float) -> None:
    """The largest root of ``r^2 - (1 + 2ih) r + ih``: convergence below h = 1 / sqrt(3) = 0.577."""
    points = play(OptimisticAdam, start=(1.0, 1.0), step_size=step_size, steps=400).norm(dim=1)
    assert ((points[400] / points[300]) ** 0.01).item() == pytest.approx(radius, abs=6e-5 if step_size > 0.5 else 2e-2)


def test_at_one_half_the_optimistic_recurrence_has_a_double_root() -> None:
    """``(1 + i) / 2``, so that distances shrink like ``k * 0.7071^k``; the points obey the recurrence exactly."""
    h = 0.5
    points = torch.view_as_complex(play(OptimisticAdam, start=(1.0, 1.0), step_size=h, steps=30))
    # (theta, phi) as theta + i phi: the descent direction -(phi, -theta) is i w.
    expected = points[1:-1] + 2j * h * points[1:-1] - 1j * h * points[:-2]
    torch.testing.assert_close(points[2:], expected)
    assert (1 + 2j * h) ** 2 == 4j * h  # the discriminant is 0
    assert abs((1 + 2j * h) / 2) == pytest.approx(0.70710678)


def test_the_optimistic_step_remembers_the_direction_and_not_the_memory_of_the_gradient() -> None:
    """A gradient that is zeroed in place after its step still counts in the next one."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    stepper = plainly(OptimisticAdam, [weight], 0.1)
    gradient = torch.tensor([1.0], dtype=torch.float64)
    weight.grad = gradient
    stepper.step()
    assert weight.item() == pytest.approx(-0.2)  # there is no direction before the first
    gradient.zero_()
    gradient.add_(3.0)
    stepper.step()
    assert weight.item() == pytest.approx(-0.2 - 2 * 0.3 + 0.1)


def test_in_alternating_turns_an_extragradient_iteration_contracts_even_more() -> None:
    """Each player sees the other's newest weight, as in this package's loop: the radius is ``sqrt(1 - h^2)``."""
    h = 0.6
    theta, phi = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    generator, discriminator = plainly(ExtraAdam, [theta], h), plainly(ExtraAdam, [phi], h)
    map_columns = []
    for start in ((1.0, 0.0), (0.0, 1.0)):
        with torch.no_grad():
            theta.fill_(start[0])
            phi.fill_(start[1])
        for _ in range(2):
            phi.grad = -theta.detach()
            discriminator.step()
            theta.grad = phi.detach().clone()
            generator.step()
        map_columns.append(torch.cat([theta, phi]).detach())
    radius = torch.linalg.eigvals(torch.stack(map_columns, dim=1)).abs().max().item()
    assert radius == pytest.approx(math.sqrt(1 - h**2), rel=1e-9)


@pytest.mark.parametrize("fused", [False, True])
def test_extrapolating_is_an_adam_step_and_moments_move_in_both_halves(fused: bool) -> None:
    torch.manual_seed(0)
    ours, reference = (nn.Parameter(torch.ones(5)) for _ in range(2))
    extra = ExtraAdam([ours], lr=0.1, fused=fused)
    adam = torch.optim.Adam([reference], lr=0.1, betas=(0.5, 0.9))
    for half in range(4):
        gradient = torch.randn(5)
        before = reference.detach().clone()
        ours.grad, reference.grad = gradient.clone(), gradient.clone()
        extra.step()
        adam.step()
        torch.testing.assert_close(ours, reference)
        torch.testing.assert_close(extra.state[ours]["exp_avg"], adam.state[reference]["exp_avg"])
        if half % 2 == 0:  # extrapolated: the next step starts from here again
            with torch.no_grad():
                reference.copy_(before)


@pytest.mark.parametrize("optimizer", [ExtraAdam, OptimisticAdam])
def test_weights_without_gradient_stay_and_may_wake_up_later(optimizer: Callable[..., Optimizer]) -> None:
    awake, asleep = (nn.Parameter(torch.ones(2)) for _ in range(2))
    stepper = optimizer([awake, asleep], lr=0.1)
    for step in range(6):
        awake.grad = torch.ones(2)
        asleep.grad = torch.ones(2) if step >= 3 else None
        stepper.step()
        assert torch.equal(asleep, torch.ones(2)) is (step < 3)


@pytest.mark.parametrize("optimizer", [ExtraAdam, OptimisticAdam])
@pytest.mark.parametrize("cut", [2, 3], ids=["between_iterations", "within_an_iteration"])
def test_a_resumed_optimizer_goes_on_exactly(optimizer: Callable[..., Optimizer], cut: int) -> None:
    def steps(weight: nn.Parameter, stepper: Optimizer, which: range) -> None:
        for index in which:
            weight.grad = torch.randn(4, generator=torch.Generator().manual_seed(index))
            stepper.step()

    whole = nn.Parameter(torch.ones(4))
    steps(whole, optimizer([whole], lr=0.1), range(7))
    first = nn.Parameter(torch.ones(4))
    before = optimizer([first], lr=0.1)
    steps(first, before, range(cut))
    second = nn.Parameter(first.detach().clone())
    after = optimizer([second], lr=0.1)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    steps(second, after, range(cut, 7))
    assert torch.equal(second, whole)


@pytest.mark.parametrize("optimizer", [ExtraAdam, OptimisticAdam])
def test_a_closure_is_evaluated_at_the_weights_of_the_moment_and_may_differentiate(optimizer: Any) -> None:
    weight = nn.Parameter(torch.ones(1))
    stepper = optimizer([weight], lr=0.1)
    seen: list[float] = []

    def closure() -> Tensor:
        stepper.zero_grad()
        cost = weight.square().sum()
        seen.append(cost.item())
        cost.backward()
        return cost

    results = [stepper.step(closure).item(), weight.item() ** 2, stepper.step(closure).item()]
    assert seen == [results[0], results[2]]
    assert results[1] == pytest.approx(results[2])


@pytest.mark.parametrize("optimizer", [ExtraAdam, OptimisticAdam])
def test_they_train_a_gan(optimizer: Any) -> None:
    make = partial(optimizer, lr=0.01)
    module = toy_gan(training=Training(generator_optimizer=make, discriminator_optimizer=make))
    before = weights_of(module.generator)
    trainer = toy_trainer(max_steps=4, max_epochs=-1)
    trainer.fit(module, toy_loader())
    assert not equal(before, weights_of(module.generator))
    assert trainer.global_step == 4
