"""Policies: their distributions, the noise that decides, and inputs whose scale does not move while they act."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.distributions import Categorical, Independent, Normal

from lightning_gan.imitation.policy import (
    ActionDistribution,
    CategoricalActions,
    GaussianActions,
    Policy,
    RunningScale,
    multilayer_perceptron,
)
from tests.models.training import parameters_of


def uniform(count: int, size: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---------------------------------------------------------------------- actions that are numbers


def gaussian() -> tuple[GaussianActions, Tensor]:
    """Two numbers with deviations 2 and 0.5, and the parameters for five observations."""
    actions = GaussianActions(action_size=2, bound=2.0).double()
    with torch.no_grad():
        actions.raw_deviation[1] = math.log(1 / 7)  # sigmoid 1/8
    return actions, actions(torch.randn(5, 2, dtype=torch.float64)).detach()


def test_gaussian_densities_and_entropies_are_those_of_torch() -> None:
    actions, parameters = gaussian()
    taken = torch.randn(5, 2, dtype=torch.float64)
    reference = Independent(Normal(parameters[:, :2], tensor([2.0, 0.5], dtype=torch.float64)), 1)
    torch.testing.assert_close(actions.log_probabilities(parameters, taken), reference.log_prob(taken))
    torch.testing.assert_close(actions.entropy(parameters), reference.entropy())
    torch.testing.assert_close(actions.likeliest(parameters), reference.mean)


def test_a_gaussian_density_by_hand() -> None:
    """At one deviation from the mean: -(1/2 + log(1/2) + log(2 pi) / 2)."""
    actions = GaussianActions(action_size=1, bound=0.5)
    density = actions.log_probabilities(actions(torch.zeros(1, 1)), tensor([[0.5]]))
    assert density.item() == pytest.approx(-0.5 + math.log(2) - 0.5 * math.log(2 * math.pi))


def test_gaussian_noise_goes_through_the_inverse_distribution() -> None:
    actions, parameters = gaussian()
    noise = uniform(5, 2)
    reference = Normal(parameters[:, :2], tensor([2.0, 0.5], dtype=torch.float64)).icdf(noise)
    torch.testing.assert_close(actions.draw(parameters, noise), reference)
    torch.testing.assert_close(actions.draw(parameters, torch.full_like(noise, 0.5)), parameters[:, :2])


def test_noise_that_rounds_to_0_or_1_is_not_infinitely_far_out() -> None:
    for distribution in (GaussianActions(action_size=2), CategoricalActions(action_size=2)):
        drawn = distribution.draw(distribution(torch.zeros(2, 2)), tensor([[0.0, 1.0], [1.0, 0.0]]))
        assert drawn.isfinite().all()


def test_means_stay_within_the_bounds() -> None:
    actions = GaussianActions(action_size=1, bound=2.0)
    means = actions.likeliest(actions(tensor([[-100.0], [0.0], [0.5], [100.0]])))
    assert means.flatten().tolist() == pytest.approx([-2.0, 0.0, 2 * math.tanh(0.5), 2.0])


def test_deviations_stay_below_twice_what_they_were() -> None:
    actions = GaussianActions(action_size=3, bound=0.5).double()
    with torch.no_grad():
        actions.raw_deviation.copy_(tensor([-50.0, 0.0, 50.0]))
    deviations = actions(torch.zeros(1, 3, dtype=torch.float64))[0, 3:].exp()
    assert deviations.tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_a_bound_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bound of the actions 0\.0"):
        GaussianActions(action_size=1, bound=0.0)


# ---------------------------------------------------------------------- discrete actions


def test_discrete_probabilities_and_entropies_are_those_of_torch() -> None:
    actions, features = CategoricalActions(action_size=3), torch.randn(5, 3, dtype=torch.float64)
    chosen = tensor([0, 1, 2, 1, 0])
    reference = Categorical(logits=features)
    rows = torch.eye(3, dtype=torch.float64)[chosen]
    torch.testing.assert_close(actions.log_probabilities(actions(features), rows), reference.log_prob(chosen))
    torch.testing.assert_close(actions.entropy(actions(features)), reference.entropy())
    assert torch.equal(actions.likeliest(actions(features)).argmax(1), features.argmax(1))


def test_discrete_actions_come_as_often_as_they_should() -> None:
    probabilities = tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    actions, count = CategoricalActions(action_size=3), 20_000
    drawn = actions.draw(probabilities.log().expand(count, 3), uniform(count, 3))
    assert torch.equal(drawn.sum(1), torch.ones(count, dtype=torch.float64))
    # Four standard errors of a share of 20,000.
    assert (drawn.mean(0) - probabilities).abs().max().item() < 4 * math.sqrt(0.25 / count)


# ---------------------------------------------------------------------- the scale of inputs


def test_what_is_observed_counts_when_it_is_adopted() -> None:
    scale, rows = RunningScale(size=2), tensor([[1.0, 10.0], [3.0, 30.0]])
    scale.observe(rows)
    assert torch.equal(scale(rows), rows.clamp(max=10))
    scale.adopt()
    assert scale(rows).tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    scale.adopt()  # nothing is pending any more
    assert scale.count == 2 and scale.mean.tolist() == [2.0, 20.0]


def test_scales_of_parts_join_to_the_scale_of_all() -> None:
    rows = torch.randn(60, 3, dtype=torch.float64) * tensor([1.0, 5.0, 0.1]) + tensor([0.0, 100.0, -3.0])
    whole, parts = RunningScale(size=3).double(), RunningScale(size=3).double()
    whole.observe(rows)
    whole.adopt()
    for part in rows.split([10, 30, 20]):
        parts.observe(part)
        parts.adopt()
    torch.testing.assert_close(parts.mean, rows.mean(0))
    torch.testing.assert_close(parts.variance, rows.var(0, correction=0))
    torch.testing.assert_close(parts(rows), whole(rows))


def test_outliers_are_clipped_and_constants_keep_their_unit() -> None:
    scale = RunningScale(size=2, limit=3.0)
    scale.observe(tensor([[-1.0, 7.0], [1.0, 7.0]]))
    scale.adopt()
    assert scale(tensor([[100.0, 7.5], [-100.0, 7.0]])).tolist() == [[3.0, 0.5], [-3.0, 0.0]]


# ---------------------------------------------------------------------- the networks


def small(actions: ActionDistribution | None = None, **settings: Any) -> Policy:
    torch.manual_seed(0)
    actions = actions if actions is not None else GaussianActions(action_size=2)
    return Policy(observation_size=3, actions=actions, width=5, **settings)


def test_parameter_counts() -> None:
    """Actor 3 -> 5 -> 5 -> 2 and two deviations; values 3 -> 5 -> 5 -> 1."""
    assert parameters_of(small()) == (20 + 30 + 12) + 2 + (20 + 30 + 6)
    assert parameters_of(small(CategoricalActions(action_size=4))) == (20 + 30 + 24) + (20 + 30 + 6)


def test_it_begins_undecided() -> None:
    policy = small(CategoricalActions(action_size=4))
    parameters, _ = policy(100 * torch.randn(50, 3))
    assert (parameters.exp() - 0.25).abs().max() < 0.02


def test_hidden_layers_start_orthogonal() -> None:
    network = multilayer_perceptron(in_features=6, out_features=2, width=4, hidden_layers=2, last_gain=0.01)
    first, second, last = (layer.weight for layer in network if isinstance(layer, torch.nn.Linear))
    torch.testing.assert_close(first @ first.T, 2 * torch.eye(4))
    torch.testing.assert_close(second @ second.T, 2 * torch.eye(4))
    torch.testing.assert_close(last @ last.T, 1e-4 * torch.eye(2))


def test_the_unit_of_values_scales_them_alone() -> None:
    observations = torch.randn(4, 3)
    (parameters, values), (same, hundredfold) = (small(value_unit=unit)(observations) for unit in (1.0, 100.0))
    torch.testing.assert_close(hundredfold, 100 * values)
    assert torch.equal(parameters, same)


def test_half_precision_around_it_changes_nothing() -> None:
    policy, observations = small(), torch.randn(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = policy(observations)
    assert all(torch.equal(one, other) for one, other in zip(outputs, policy(observations), strict=True))
