"""What policies are trained on: by hand, against other ways to compute it, and by what must not change it."""

import math

import pytest
import torch
from torch import Tensor, tensor

from lightning_gan.imitation.policy_losses import (
    clipped_surrogate,
    clipped_value_error,
    generalized_advantages,
    imitation_reward,
    normalized,
    policy_relative_logits,
    shaped_reward,
    value_error,
)

STEPS, ENVIRONMENTS = 7, 3


def random_rollout(seed: int = 0) -> dict[str, Tensor]:
    """Rewards and values of some steps, with episodes that end in both ways."""
    random = torch.Generator().manual_seed(seed)
    shape = (STEPS, ENVIRONMENTS)
    rewards, values, next_values = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(3))
    terminated = torch.rand(shape, generator=random) < 0.2
    truncated = (torch.rand(shape, generator=random) < 0.2) & ~terminated
    truncated[-1] = ~terminated[-1]
    return {
        "rewards": rewards,
        "values": values,
        "next_values": next_values,
        "terminated": terminated,
        "truncated": truncated,
    }


def column(*numbers: float) -> Tensor:
    """One environment."""
    return tensor(numbers, dtype=torch.float64)[:, None]


def flags(*numbers: int) -> Tensor:
    return tensor(numbers, dtype=torch.bool)[:, None]


# ---------------------------------------------------------------------- advantages


def test_advantages_by_hand() -> None:
    """delta = (1 + 2 - 3, 1 + 0 - 4, 1 + 5 - 2), and the last step begins another episode."""
    advantages = generalized_advantages(
        column(1, 1, 1),
        column(3, 4, 2),
        column(4, 9, 10),
        flags(0, 1, 0),
        flags(0, 0, 1),
        discount=0.5,
        trace_decay=0.5,
    )
    assert advantages.flatten().tolist() == [0.0 + 0.25 * -3.0, -3.0, 4.0]


def test_behind_a_terminal_state_there_is_nothing_and_behind_a_cut_there_is_the_next_value() -> None:
    settings = {"discount": 0.5, "trace_decay": 1.0}
    numbers = column(1), column(0), column(8)
    assert generalized_advantages(*numbers, flags(1), flags(0), **settings).item() == 1.0
    assert generalized_advantages(*numbers, flags(0), flags(1), **settings).item() == 5.0


def test_both_kinds_of_ends_cut_the_trace() -> None:
    rollout = random_rollout()
    later = {name: numbers.clone() for name, numbers in rollout.items()}
    rollout["terminated"][3], rollout["truncated"][3] = tensor([True, False, False]), tensor([False, True, False])
    later["terminated"][3], later["truncated"][3] = rollout["terminated"][3], rollout["truncated"][3]
    later["rewards"][4:] += 100
    later["terminated"][:3] = rollout["terminated"][:3] = False
    later["truncated"][:3] = rollout["truncated"][:3] = False
    first, second = (generalized_advantages(**numbers, discount=0.9, trace_decay=0.8) for numbers in (rollout, later))
    assert torch.equal(first[:4, :2], second[:4, :2])
    assert (first[:4, 2] != second[:4, 2]).all()


@pytest.mark.parametrize("trace_decay", [0.0, 0.7, 1.0])
def test_advantages_are_the_sum_of_discounted_errors(trace_decay: float) -> None:
    """Eq. 16 of GAE as it stands, with a loop forward through each episode."""
    rollout, discount = random_rollout(), 0.9
    advantages = generalized_advantages(**rollout, discount=discount, trace_decay=trace_decay)
    for environment in range(ENVIRONMENTS):
        for start in range(STEPS):
            total, weight = 0.0, 1.0
            for step in range(start, STEPS):
                at = {name: numbers[step, environment].item() for name, numbers in rollout.items()}
                ahead = 0.0 if at["terminated"] else at["next_values"]
                total += weight * (at["rewards"] + discount * ahead - at["values"])
                weight *= discount * trace_decay
                if at["terminated"] or at["truncated"]:
                    break
            assert advantages[start, environment].item() == pytest.approx(total, abs=1e-12)


def test_without_decay_advantages_are_returns_less_values() -> None:
    """lambda = 1 (eq. 18 of GAE): values in between cancel, if those after a step are those before the next."""
    rewards, values = column(1, 2, 3), column(5, 6, 7)
    next_values = column(6, 7, 9)
    advantages = generalized_advantages(
        rewards, values, next_values, flags(0, 0, 0), flags(0, 0, 1), discount=0.5, trace_decay=1.0
    )
    returns = column(1 + 1 + 0.75 + 9 / 8, 2 + 1.5 + 9 / 4, 3 + 9 / 2)
    torch.testing.assert_close(advantages, returns - values)


def test_a_potential_that_moves_rewards_and_values_changes_no_advantage() -> None:
    """r + gamma h(s') - h(s) with values V - h has the advantages of r with V: so shaping is free (AIRL, section 5)."""
    rollout = random_rollout()
    h, next_h = torch.randn(2, STEPS, ENVIRONMENTS, dtype=torch.float64)
    next_h[rollout["terminated"]] = 0
    shaped = {
        **rollout,
        "rewards": rollout["rewards"] + 0.9 * next_h - h,
        "values": rollout["values"] - h,
        "next_values": rollout["next_values"] - next_h,
    }
    settings = {"discount": 0.9, "trace_decay": 0.7}
    torch.testing.assert_close(
        generalized_advantages(**shaped, **settings), generalized_advantages(**rollout, **settings)
    )


def test_normalized_advantages_do_not_feel_the_rewards_scale() -> None:
    advantages = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(normalized(advantages), normalized(100 * advantages + 3))
    assert normalized(advantages).mean().item() == pytest.approx(0, abs=1e-12)
    assert normalized(advantages).square().mean().item() == pytest.approx(1)
    assert normalized(torch.full((2, 2), 3.0)).tolist() == [[0, 0], [0, 0]]


# ---------------------------------------------------------------------- the surrogate


@pytest.mark.parametrize(
    ("ratio", "advantage", "cost", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.5, 2.0, -2.4, 0.0),  # has gained enough
        (0.5, 2.0, -1.0, -1.0),  # worse than it was: nothing holds it back
        (0.5, -2.0, 1.6, 0.0),
        (1.5, -2.0, 3.0, 3.0),
    ],
)
def test_the_surrogate_by_hand(ratio: float, advantage: float, cost: float, slope: float) -> None:
    """Figure 1 of PPO, with epsilon 0.2; the slope is by the log-probability: ratio times the slope by the ratio."""
    log_probability = tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    surrogate = clipped_surrogate(
        log_probability, torch.zeros(1, dtype=torch.float64), tensor([advantage], dtype=torch.float64), clip=0.2
    )
    surrogate.backward()
    assert surrogate.item() == pytest.approx(cost)
    assert log_probability.grad is not None and log_probability.grad.item() == pytest.approx(slope)


def test_the_surrogate_starts_as_the_policy_gradient() -> None:
    """At the policy that acted, its gradient is that of -E A log pi."""
    log_probabilities, advantages = torch.randn(2, 6, dtype=torch.float64)
    log_probabilities.requires_grad_()
    surrogate = clipped_surrogate(log_probabilities, log_probabilities.detach(), advantages, clip=0.2)
    (gradient,) = torch.autograd.grad(surrogate, log_probabilities)
    torch.testing.assert_close(gradient, -advantages / 6)


def test_the_surrogate_is_never_better_than_without_clipping() -> None:
    now, before, advantages = torch.randn(3, 50, dtype=torch.float64)
    unclipped = clipped_surrogate(now, before, advantages, clip=1e9)
    assert clipped_surrogate(now, before, advantages, clip=0.2) > unclipped
    torch.testing.assert_close(unclipped, -((now - before).exp() * advantages).mean())


# ---------------------------------------------------------------------- values


def test_value_errors_by_hand() -> None:
    values, old, returns = tensor([3.0, 1.2, 0.0]), tensor([1.0, 1.0, 1.0]), tensor([3.0, 3.0, 3.0])
    assert value_error(values, returns).item() == pytest.approx((0 + 3.24 + 9) / 3)
    # 1.5 in place of 3; within the range; further away than 0.5 would be.
    assert clipped_value_error(values, old, returns, clip=0.5).item() == pytest.approx((2.25 + 3.24 + 9) / 3)


def test_a_value_that_has_moved_enough_is_not_pulled_any_further() -> None:
    values = tensor([2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(clipped_value_error(values, tensor([1.0]), tensor([3.0]), clip=0.5), values)
    assert gradient.item() == 0


def test_a_wide_range_clips_nothing() -> None:
    values, old, returns = torch.randn(3, 20)
    torch.testing.assert_close(clipped_value_error(values, old, returns, clip=1e9), value_error(values, returns))


# ---------------------------------------------------------------------- rewards


def test_the_imitation_reward_is_minus_the_log_of_doubt() -> None:
    logits = torch.linspace(-5, 5, 11, dtype=torch.float64)
    torch.testing.assert_close(imitation_reward(logits), -torch.log(1 - torch.sigmoid(logits)))
    assert imitation_reward(tensor(math.log(3.0))).item() == pytest.approx(math.log(4))


def test_the_imitation_reward_does_not_saturate() -> None:
    assert imitation_reward(tensor([1000.0, -1000.0])).tolist() == [1000.0, 0.0]


def test_the_relative_logit_is_airls_discriminator() -> None:
    """sigmoid(f - log pi) = e^f / (e^f + pi), and the reward log D - log(1 - D) is the logit itself."""
    f, log_probabilities = torch.randn(2, 9, dtype=torch.float64)
    logits = policy_relative_logits(f, log_probabilities)
    d = f.exp() / (f.exp() + log_probabilities.exp())
    torch.testing.assert_close(torch.sigmoid(logits), d)
    torch.testing.assert_close(logits, d.log() - (1 - d).log())


def test_shaping_by_hand() -> None:
    f = shaped_reward(tensor([1.0, 1.0]), tensor([2.0, 2.0]), tensor([4.0, 4.0]), tensor([0.0, 1.0]), discount=0.5)
    assert f.tolist() == [1.0, -1.0]


def test_shaping_adds_up_to_the_potential_of_the_start() -> None:
    """Along an episode that ends in a terminal state: sum of gamma^t (f - g) is -h of the first state."""
    h, g = torch.randn(2, 6, dtype=torch.float64)
    terminated = tensor([0.0] * 5 + [1.0], dtype=torch.float64)
    f = shaped_reward(g, h, h.roll(-1), terminated, discount=0.9)
    discounts = 0.9 ** torch.arange(6, dtype=torch.float64)
    assert (discounts * (f - g)).sum().item() == pytest.approx(-h[0].item())
