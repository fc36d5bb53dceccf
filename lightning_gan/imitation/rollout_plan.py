"""The sizes of rollouts and of their minibatches."""

from dataclasses import dataclass, fields
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """The sizes of rollouts and of their minibatches.

    Args:
        number_of_environments: number of environments that are stepped side by side, over all processes.
        steps_per_rollout: number of steps in each environment per rollout.
        epochs_per_rollout: number of training epochs on each rollout.
        batch_size: GLOBAL batch size in transitions, over all processes.

    Raises:
        ValueError: for counts below 1, and if a rollout does not divide into batches.
    """

    number_of_environments: int
    steps_per_rollout: int
    epochs_per_rollout: int
    batch_size: int

    def __post_init__(self) -> None:
        for setting in fields(self):
            if getattr(self, setting.name) < 1:
                raise ValueError(f"{setting.name}={getattr(self, setting.name)} must be at least 1")
        if self.rows % self.batch_size:
            divisors = [size for size in range(1, self.rows + 1) if self.rows % size == 0]
            nearest = {
                max(size for size in divisors if size < self.batch_size),
                min((size for size in divisors if size > self.batch_size), default=self.rows),
            }
            raise ValueError(
                f"a rollout of {self.number_of_environments} environments x {self.steps_per_rollout} steps = "
                f"{self.rows} rows does not divide into batches of batch_size={self.batch_size}; "
                f"give {' or '.join(map(str, sorted(nearest)))}, or change the rollout"
            )

    @property
    def rows(self) -> int:
        """Number of transitions in a rollout, over all environments."""
        return self.number_of_environments * self.steps_per_rollout

    @property
    def batches(self) -> int:
        """Number of batches from one rollout to the next."""
        return self.rows // self.batch_size * self.epochs_per_rollout
