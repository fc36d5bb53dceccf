"""Losses and rewards of a policy: advantages, the clipped surrogate, and rewards computed by a discriminator.

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

    The sum ends with the episode. After a terminal state there are no rewards, so its V counts as 0. If the episode was
    only cut off, V of the last observation estimates the rewards that would have followed.

    Args:
        rewards: reward of each step.
        values: V of the observation before each step.
        next_values: V of the observation after each step; at the end of an episode, of its last observation.
        terminated: whether the episode ended in a terminal state after the step.
        truncated: whether the episode was cut off after the step.
        discount: discount factor gamma, in [0, 1].
        trace_decay: lambda, in [0, 1]; 0 relies on the values alone, 1 on the rewards.

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
    """Returns the advantages with mean 0 and variance 1, so that the rewards' scale does not change the policy's step.

    Args:
        advantages: advantages of the whole rollout.
    """
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


def clipped_surrogate(
    log_probabilities: PerSample, old_log_probabilities: PerSample, advantages: PerSample, *, clip: float
) -> Scalar:
    """``-E min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)`` with ``r = pi(a|s) / pi_old(a|s)`` (PPO, eq. 7).

    Once the ratio has changed by more than epsilon in the direction that lowers the loss, the gradient is 0.

    Args:
        log_probabilities: log-probabilities of the actions under the policy in training.
        old_log_probabilities: log-probabilities of the actions under the policy that took them.
        advantages: advantages of the actions; good actions have high ones.
        clip: epsilon, the largest change of the ratio; positive.

    Example:
        >>> double = torch.tensor([2.0]).log()
        >>> round(clipped_surrogate(double, torch.zeros(1), torch.tensor([1.0]), clip=0.25).item(), 4)
        -1.25
    """
    ratio = (log_probabilities - old_log_probabilities).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def value_error(values: PerSample, returns: PerSample) -> Scalar:
    """``E (V(s) - R)^2`` (PPO, section 5, ``L^VF``).

    Args:
        values: V of the observations by the network in training.
        returns: targets R of the values.
    """
    return (values - returns).square().mean()


def clipped_value_error(values: PerSample, old_values: PerSample, returns: PerSample, *, clip: float) -> Scalar:
    """``E max((V - R)^2, (V_old + clip(V - V_old, -epsilon, epsilon) - R)^2)``: it also limits the steps of the values.

    The paper does not have this clipping, but most implementations do. Moving a value by more than epsilon towards its
    target does not lower the loss.

    Args:
        values: V of the observations by the network in training.
        old_values: V of the observations by the network that collected the rollout.
        returns: targets R of the values.
        clip: epsilon, in the unit of the values.

    Example:
        >>> clipped_value_error(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([3.0]), clip=0.5).item()
        2.25
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (near - returns).square()).mean()


def imitation_reward(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``-log(1 - D)``, where ``D = sigmoid(logits)`` is the probability of an expert's transition (VAIL, section 4.2).

    It equals GAIL's ``-log D`` (arXiv:1606.03476, algorithm 1), whose D is high for the policy. The reward is always
    positive, so that it also rewards long episodes; this suits tasks whose episodes end in failure.

    Example:
        >>> round(imitation_reward(torch.tensor(0.0)).item(), 4)
        0.6931
    """
    return softplus(logits)


def shaped_reward(
    rewards: PerSample, shaping: PerSample, next_shaping: PerSample, terminated: PerSample, *, discount: float
) -> PerSample:
    """``f = g(s) + gamma h(s') - h(s)`` (AIRL, eq. 4; VAIRL, section 4.3): a reward g, shaped by a potential h.

    After a terminal state h counts as 0, as values do, so that over an episode the shaping adds up to ``-h`` of its
    first state.

    Args:
        rewards: g of the state before each step.
        shaping: h of the state before each step.
        next_shaping: h of the state after each step.
        terminated: 1 where the episode ended in a terminal state, else 0.
        discount: discount factor gamma, in [0, 1].
    """
    return rewards + discount * (1 - terminated) * next_shaping - shaping


def policy_relative_logits(shaped: PerSample, log_probabilities: PerSample) -> PerSample:
    """``f - log pi(a|s)``: the logit of ``D = e^f / (e^f + pi(a|s))`` (AIRL, section 6; VAIRL, section 4.3).

    It is also the policy's reward, ``log D - log(1 - D)``. Its second part, ``-log pi(a|s)``, rewards entropy.

    Args:
        shaped: f of the transitions.
        log_probabilities: log-probabilities of the transitions' actions under the policy in training.
    """
    return shaped - log_probabilities
