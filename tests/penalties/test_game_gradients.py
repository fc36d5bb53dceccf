"""Regularizers on the players' gradients, on games whose second derivatives are known by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.penalties.game_gradients import (
    GameGradients,
    alignment,
    consensus,
    consensus_size,
    derivative_by,
    game_gradients,
    inner_product,
    nagarajan_kolter,
    squared_norm,
    symplectic_of_discriminator,
    symplectic_of_generator,
)


def detached(gradients: GameGradients) -> GameGradients:
    return gradients.refilled([gradient.detach() for gradient in gradients.flat()])


def means_of_samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def linear_game() -> tuple[GameGradients, Tensor, list[Tensor], Tensor]:
    """D(x) = w.x + b at 0 and G(z) = z + theta, with the non-saturating objective; also mean(fake) - mean(real)."""
    real, latents = means_of_samples()
    theta = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    slope, bias = torch.zeros(3, dtype=torch.float64, requires_grad=True), torch.zeros((), dtype=torch.float64)
    bias.requires_grad_()
    fake = latents + theta
    real_logits, fake_logits = real @ slope + bias, fake @ slope + bias
    gradients = game_gradients(
        softplus(-fake_logits).mean(),
        softplus(-real_logits).mean() + softplus(fake_logits).mean(),
        generator_weights=[theta],
        discriminator_weights=[slope, bias],
        by_opponent=True,
    )
    return gradients, theta, [slope, bias], (fake.mean(0) - real.mean(0)).detach()


def test_at_a_critic_of_zero_consensus_is_an_eighth_of_the_squared_distance_of_the_means() -> None:
    gradients, _, _, distance = linear_game()
    torch.testing.assert_close(consensus_size(detached(gradients)), distance.square().sum() / 8)


def test_nagarajan_kolter_moves_the_fakes_to_the_reals_where_the_plain_gradient_is_zero() -> None:
    """The term is ``||distance||^2 / 4``, its gradient by theta ``distance / 2``."""
    gradients, theta, _, distance = linear_game()
    assert squared_norm(gradients.generator).item() == 0
    torch.testing.assert_close(squared_norm(gradients.discriminator), distance.square().sum() / 4)
    (change,) = derivative_by(nagarajan_kolter(gradients, detached(gradients)), [theta])
    assert change is not None
    torch.testing.assert_close(change, distance / 2)


def bilinear_game(matrix: Tensor) -> tuple[GameGradients, Tensor, Tensor]:
    """``L_G = theta' M phi = -L_D``."""
    generator = torch.Generator().manual_seed(1)
    theta, phi = (torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in matrix.shape)
    value = theta @ matrix @ phi
    gradients = game_gradients(value, -value, generator_weights=[theta], discriminator_weights=[phi], by_opponent=True)
    return gradients, theta, phi


def test_on_the_scalar_bilinear_game_consensus_and_the_symplectic_adjustment_pull_straight_to_the_middle() -> None:
    """Both change the gradient by gamma times the point, so the eigenvalues of the flow are ``-gamma ± i``."""
    gradients, theta, phi = bilinear_game(torch.eye(1, dtype=torch.float64))
    mean = detached(gradients)
    for term in (consensus, symplectic_of_generator):
        torch.testing.assert_close(derivative_by(term(gradients, mean), [theta])[0], theta.detach())
    for term in (consensus, symplectic_of_discriminator):
        torch.testing.assert_close(derivative_by(term(gradients, mean), [phi])[0], phi.detach())
    gamma = 0.3
    flow = torch.tensor([[0.0, -1.0], [1.0, 0.0]]) - gamma * torch.eye(2)
    for value in torch.linalg.eigvals(flow).tolist():
        assert (value.real, abs(value.imag)) == (pytest.approx(-gamma), pytest.approx(1.0))


def general_game() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Costs that are neither zero-sum nor quadratic, of two and three weights."""
    theta = torch.tensor([0.4, -0.7], dtype=torch.float64, requires_grad=True)
    phi = torch.tensor([0.2, 0.9, -0.5], dtype=torch.float64, requires_grad=True)
    generator_cost = (theta.prod() * phi.square().sum()).sin() + theta[0] ** 3 * phi[1]
    discriminator_cost = (phi[0] * theta[1]).exp() + phi.prod() * theta.sum() + phi[2] ** 2 * theta[0]
    return theta, phi, generator_cost, discriminator_cost


def jacobian_and_gradient() -> tuple[Tensor, Tensor]:
    """J and xi of the general game, row by row: the definition, written without any of our functions."""
    theta, phi, generator_cost, discriminator_cost = general_game()
    (by_theta,) = torch.autograd.grad(generator_cost, theta, create_graph=True)
    (by_phi,) = torch.autograd.grad(discriminator_cost, phi, create_graph=True)
    xi = torch.cat([by_theta, by_phi])
    rows = [torch.cat(torch.autograd.grad(entry, [theta, phi], retain_graph=True)) for entry in xi]
    return torch.stack(rows), xi.detach()


def test_the_symplectic_adjustment_is_the_antisymmetric_part_of_the_jacobian_times_the_gradient() -> None:
    jacobian, xi = jacobian_and_gradient()
    expected = (jacobian - jacobian.T).T @ xi / 2
    theta, phi, generator_cost, discriminator_cost = general_game()
    part = game_gradients(
        generator_cost, discriminator_cost, generator_weights=[theta], discriminator_weights=[phi], by_opponent=True
    )
    mean = detached(part)
    (by_theta,) = derivative_by(symplectic_of_generator(part, mean), [theta])
    (by_phi,) = derivative_by(symplectic_of_discriminator(part, mean), [phi])
    assert by_theta is not None
    assert by_phi is not None
    torch.testing.assert_close(torch.cat([by_theta, by_phi]), expected)


def test_the_gradient_of_consensus_is_the_transposed_jacobian_times_the_gradient() -> None:
    jacobian, xi = jacobian_and_gradient()
    theta, phi, generator_cost, discriminator_cost = general_game()
    part = game_gradients(generator_cost, discriminator_cost, generator_weights=[theta], discriminator_weights=[phi])
    value = consensus(part, detached(part))
    changes = [change for change in derivative_by(value, [theta, phi]) if change is not None]
    torch.testing.assert_close(torch.cat(changes), jacobian.T @ xi)


def test_parts_of_a_batch_give_the_gradient_of_the_whole() -> None:
    """The mean over parts of our number's gradient is that of the squared mean, not of the mean square."""
    weight = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    critic = torch.tensor([0.1, 0.3], dtype=torch.float64, requires_grad=True)
    points = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def gradients(batch: Tensor) -> GameGradients:
        cost = ((batch * weight) @ critic).tanh().mean()
        return game_gradients(cost, -cost, generator_weights=[weight], discriminator_weights=[critic])

    whole = gradients(points)
    (expected,) = torch.autograd.grad((squared_norm(whole.generator) + squared_norm(whole.discriminator)) / 2, weight)
    parts = [gradients(half) for half in points.chunk(2)]
    mean = parts[0].refilled([(a + b).detach() / 2 for a, b in zip(parts[0].flat(), parts[1].flat(), strict=True)])
    changes = [derivative_by(consensus(part, mean), [weight])[0] for part in parts]
    torch.testing.assert_close((changes[0] + changes[1]) / 2, expected)  # type: ignore[operator]
    naive = [derivative_by(consensus(part, detached(part)), [weight])[0] for part in parts]
    assert not torch.allclose((naive[0] + naive[1]) / 2, expected)  # type: ignore[operator]


def test_weights_that_a_term_does_not_depend_on_have_no_gradient() -> None:
    used, unused = (torch.ones(2, requires_grad=True) for _ in range(2))
    assert derivative_by((used**2).sum(), [used, unused])[1] is None
    assert derivative_by(torch.zeros(()), [used]) == [None]


def test_weights_that_a_cost_does_not_depend_on_count_as_zeros() -> None:
    used, sleeping = (torch.ones(2, requires_grad=True) for _ in range(2))
    gradients = game_gradients(
        used.square().sum(), used.sum() * 0, generator_weights=[used, sleeping], discriminator_weights=[used]
    )
    assert [gradient.tolist() for gradient in gradients.generator] == [[2.0, 2.0], [0.0, 0.0]]


def test_alignment_pulls_to_stable_points_and_away_from_unstable_ones() -> None:
    """xi = S w + A w near 0, with S = ±1: then grad H is (1 + a^2) w, and only <xi, grad H> changes its sign with S."""
    turn = torch.tensor([[0.0, -3.0], [3.0, 0.0]])
    point = torch.tensor([1.0, 2.0])
    for stability, expected in ((1.0, 1.0), (-1.0, -1.0)):
        jacobian = stability * torch.eye(2) + turn
        xi = jacobian @ point
        sign = alignment([xi], [turn.T @ xi], [jacobian.T @ xi])
        assert sign.item() == expected
    assert alignment([xi * 0], [xi], [xi]).item() == 1.0  # the paper's 1/10 settles what is undecided


def test_alignment_divides_by_the_number_of_weights_as_the_paper_and_not_of_tensors() -> None:
    """With one tensor of 100 weights and a product of -5: -5/100 + 1/10 is positive. The authors' notebook
    (google-deepmind/symplectic-gradient-adjustment, `SymplecticOptimizer`) divides by `len(vars_)`, 1, and has -1."""
    axis = torch.zeros(100)
    axis[0] = 1.0
    assert alignment([axis], [-5 * axis], [axis]).item() == 1.0
    assert alignment([axis[:1]], [-5 * axis[:1]], [axis[:1]]).item() == -1.0


def test_the_inner_product_runs_over_all_tensors() -> None:
    first, second = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])], [torch.tensor([4.0, 5.0]), torch.tensor([[6.0]])]
    assert inner_product(first, second).item() == 32.0
