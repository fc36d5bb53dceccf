"""The objective of proximal policy optimization (PPO; Schulman et al. 2017, arXiv:1707.06347)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lightning_gan.imitation.policy_losses import clipped_surrogate, clipped_value_error, value_error
from lightning_gan.imitation.transitions import Transitions
from lightning_gan.tensors.shapes import Scalar


@dataclass(frozen=True, kw_only=True)
class ProximalObjective:
    """What a policy's turn asks for (PPO, arXiv:1707.06347, eq. 9), and how far ahead it looks.

    Args:
        discount: gamma, in [0, 1); what is earned a step later counts so much less. Values are learned in units of
            ``1 / (1 - gamma)``, the sum of a reward of 1 for ever, so that the network's output is about one reward.
        trace_decay: lambda of generalized advantages, in [0, 1].
        ratio_clip: epsilon: how far a probability may move from the policy that acted.
        value_clip: how far a value may move from what it was, in the units above; None for no limit, as in the paper.
        value_weight: of the error of the values.
        entropy_weight: of the policy's entropy, which is paid for.

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
        """What a reward of 1 in every step is worth."""
        return 1 / (1 - self.discount)

    def terms(
        self,
        transitions: Transitions,
        *,
        log_probabilities: Float[Tensor, " batch"],
        entropy: Float[Tensor, " batch"],
        values: Float[Tensor, " batch"],
    ) -> dict[str, Scalar]:
        """The weighted terms of a turn.

        Args:
            transitions: what happened, and what it was worth.
            log_probabilities: of the actions, by the policy in training.
            entropy: of the policy in training, at the observations.
            values: of the observations, by the network in training.
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
