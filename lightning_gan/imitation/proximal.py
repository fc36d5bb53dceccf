"""The objective of proximal policy optimization (PPO; Schulman et al. 2017, arXiv:1707.06347)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lightning_gan.imitation.policy_losses import clipped_surrogate, clipped_value_error, value_error
from lightning_gan.imitation.transitions import Transitions
from lightning_gan.tensors.shapes import Scalar


@dataclass(frozen=True, kw_only=True)
class ProximalObjective:
    """The objective of a policy's turn (PPO, arXiv:1707.06347, eq. 9), with the discount of its returns.

    Args:
        discount: discount factor gamma of rewards per step, in [0, 1). Values are learned in units of
            ``1 / (1 - gamma)``, the discounted sum of endless rewards of 1, so that the value network's output is about
            the mean reward per step.
        trace_decay: decay lambda of generalized advantage estimation, in [0, 1].
        ratio_clip: largest change epsilon of the ratio of an action's probabilities under the new and the old policy.
        value_clip: largest change of a value from its estimate in the rollout, in units of ``1 / (1 - gamma)``; None
            for no limit, as in the paper.
        value_weight: weight of the squared error of the values (c1 in the paper); at least 0.
        entropy_weight: weight of the bonus for the policy's entropy in nats (c2 in the paper); at least 0.

    Raises:
        ValueError: for settings out of range.
    """

    discount: float = 0.99
    trace_decay: float = 0.95
    ratio_clip: float = 0.2
    value_clip: float | None = None
    value_weight: float = 0.5
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise ValueError(f"discount={self.discount} must be at least 0 and less than 1")
        if not 0 <= self.trace_decay <= 1:
            raise ValueError(f"trace_decay={self.trace_decay} must be between 0 and 1")
        if self.ratio_clip <= 0 or (self.value_clip is not None and self.value_clip <= 0):
            raise ValueError(f"ratio_clip={self.ratio_clip} and value_clip={self.value_clip} must be positive")
        if self.value_weight < 0 or self.entropy_weight < 0:
            raise ValueError(
                f"value_weight={self.value_weight} and entropy_weight={self.entropy_weight} must not be negative"
            )

    @property
    def value_unit(self) -> float:
        """``1 / (1 - gamma)``: the discounted sum of endless rewards of 1."""
        return 1 / (1 - self.discount)

    def terms(
        self,
        transitions: Transitions,
        *,
        log_probabilities: Float[Tensor, " batch"],
        entropy: Float[Tensor, " batch"],
        values: Float[Tensor, " batch"],
    ) -> dict[str, Scalar]:
        """Returns the weighted terms of a turn's cost by name: "surrogate", "value" and "entropy".

        Args:
            transitions: the policy's transitions, with advantages and returns.
            log_probabilities: log-probabilities of the actions under the policy in training.
            entropy: entropy of the policy in training at each observation, in nats.
            values: values of the observations by the network in training.
        """
        unit = self.value_unit
        values, returns = values / unit, transitions.returns / unit
        if self.value_clip is None:
            error = value_error(values, returns)
        else:
            error = clipped_value_error(values, transitions.values / unit, returns, clip=self.value_clip)
        return {
            "surrogate": clipped_surrogate(
                log_probabilities, transitions.log_probabilities, transitions.advantages, clip=self.ratio_clip
            ),
            "value": self.value_weight * error,
            "entropy": -self.entropy_weight * entropy.mean(),
        }
