"""What a policy is trained on: advantages, the clipped surrogate, and the rewards that a critic of transitions pays.

Proximal policy optimization (PPO; Schulman et al. 2017, arXiv:1707.06347), generalized advantage estimation (GAE;
Schulman et al. 2016, arXiv:1506.02438), generative adversarial imitation learning (GAIL; Ho and Ermon 2016,
arXiv:1606.03476), adversarial inverse reinforcement learning (AIRL; Fu et al. 2018, arXiv:1710.11248), and the last two
with a bottleneck (VAIL and VAIRL; Peng et al. 2019, arXiv:1810.00821).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.tensors.shapes import PerSample, Scalar


def generalized_advantages(
    rewards: Float[Tensor, "steps environments"],
    values: Float[Tensor, "steps environments"],
    next_values: Float[Tensor, "steps environments"],
    terminated: Bool[Tensor, "steps environments"],
    truncated: Bool[Tensor, "steps environments"],
    *,
    discount: float,
    trace_decay: float,
) -> Float[Tensor, "steps environments"]:
    """``A_t = sum_l (gamma lambda)^l delta_(t+l)``, ``delta_t = r_t + gamma V(s_(t+1)) - V(s_t)`` (GAE, eq. 16 and 12).

    The sum ends with the episode. Behind a terminal state nothing can be earned, so V is 0 there; where an episode was
    only cut off, V stands for what would have followed.

    Args:
        rewards: of each step.
        values: V of the observations before the steps.
        next_values: V of the observations after them, of the episode that ends there.
        terminated: the episode ended in a terminal state.
        truncated: the episode was cut off.
        discount: gamma.
        trace_decay: lambda; 0 trusts the values, 1 the rewards.

    Example:
        >>> never, cut = torch.tensor([[False], [False]]), torch.tensor([[False], [True]])
        >>> one = torch.ones(2, 1)
        >>> generalized_advantages(one, one, one, never, cut, discount=0.5, trace_decay=0.5).flatten().tolist()
        [0.625, 0.5]
    """
    errors = rewards + discount * next_values * ~terminated - values
    continues = (~(terminated | truncated)).to(errors)
    advantage = torch.zeros_like(errors[0])
    advantages = torch.empty_like(errors)
    for step in reversed(range(len(errors))):
        advantage = errors[step] + discount * trace_decay * continues[step] * advantage
        advantages[step] = advantage
    return advantages


def normalized(advantages: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """With mean 0 and variance 1 over the whole rollout, so that a reward's scale does not matter to the policy."""
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


def clipped_surrogate(
    log_probabilities: PerSample, old_log_probabilities: PerSample, advantages: PerSample, *, clip: float
) -> Scalar:
    """``-E min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)`` with ``r = pi(a|s) / pi_old(a|s)`` (PPO, eq. 7).

    A step that has already made the ratio gain by more than epsilon gains nothing from going further.

    Args:
        log_probabilities: of the actions, by the policy in training.
        old_log_probabilities: by the policy that took them.
        advantages: of the actions, high for good ones.
        clip: epsilon.

    Example:
        >>> double = torch.tensor([2.0]).log()
        >>> round(clipped_surrogate(double, torch.zeros(1), torch.tensor([1.0]), clip=0.25).item(), 4)
        -1.25
    """
    ratio = (log_probabilities - old_log_probabilities).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def value_error(values: PerSample, returns: PerSample) -> Scalar:
    """``E (V(s) - R)^2`` (PPO, section 5, ``L^VF``)."""
    return (values - returns).square().mean()


def clipped_value_error(values: PerSample, old_values: PerSample, returns: PerSample, *, clip: float) -> Scalar:
    """``E max((V - R)^2, (V_old + clip(V - V_old, -epsilon, epsilon) - R)^2)``: values, too, take small steps.

    Not in the paper, but in most programs for it: there is no gain in moving a value by more than epsilon at once.

    Args:
        values: by the network in training.
        old_values: when the steps were taken.
        returns: what they should have been.
        clip: epsilon, in the unit of the values.

    Example:
        >>> clipped_value_error(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([3.0]), clip=0.5).item()
        2.25
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (near - returns).square()).mean()


def imitation_reward(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``-log(1 - D)`` with ``D = sigmoid(logits)`` the critic's belief in an expert (VAIL, section 4.2).

    It is GAIL's ``-log D`` (arXiv:1606.03476, algorithm 1), whose D is high for the policy. Always positive: it also
    pays for going on, which suits tasks that end in failure.

    Example:
        >>> round(imitation_reward(torch.tensor(0.0)).item(), 4)
        0.6931
    """
    return softplus(logits)


def shaped_reward(
    rewards: PerSample, shaping: PerSample, next_shaping: PerSample, terminated: PerSample, *, discount: float
) -> PerSample:
    """``f = g(s) + gamma h(s') - h(s)`` (AIRL, eq. 4; VAIRL, section 4.3): a reward g, shaped by a potential h.

    Behind a terminal state h is 0, as values are, so that along an episode the shaping adds up to ``-h`` of its start.

    Args:
        rewards: g of the state before the step.
        shaping: h of it.
        next_shaping: h of the state after the step.
        terminated: 1 where the episode ended in a terminal state, else 0.
        discount: gamma.
    """
    return rewards + discount * (1 - terminated) * next_shaping - shaping


def policy_relative_logits(shaped: PerSample, log_probabilities: PerSample) -> PerSample:
    """``f - log pi(a|s)``: the logit of ``D = e^f / (e^f + pi(a|s))`` (AIRL, section 6; VAIRL, section 4.3).

    It is also the reward of the policy, ``log D - log(1 - D)``, whose second part pays for entropy.

    Args:
        shaped: f of the transitions.
        log_probabilities: of their actions, by the policy in training.
    """
    return shaped - log_probabilities
