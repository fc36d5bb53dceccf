"""Learning rates as functions of images seen.

Lightning does not step the schedulers of modules with manual optimization.
"""

import math
from typing import Any

from lightning_gan.callbacks.training.optimizer_schedule import OptimizerSchedule
from lightning_gan.schedules.rates import LearningRateSchedule


class LearningRate(OptimizerSchedule):
    """Multiplies the optimizers' own learning rates by the factors of schedules, before every batch.

    Args:
        schedules: schedules whose factors are multiplied with each other, such as a ramp-up and a later decay.
        network: attribute path of the network whose optimizers are scheduled, such as "discriminator"; None schedules
            all optimizers. To schedule networks differently, give one callback for each.

    Raises:
        ValueError: if there is no schedule, no such network, or no optimizer that has parameters of this network.
    """

    def __init__(self, *, schedules: list[LearningRateSchedule], network: str | None = None) -> None:
        if not schedules:
            raise ValueError("LearningRate: schedules=[] is empty; leave the callback out for constant learning rates")
        super().__init__(network=network)
        self.schedules = schedules

    def factor_at(self, images_seen: int) -> float:
        """Returns the product of all schedules' factors after `images_seen` images."""
        return math.prod(schedule.at(images_seen) for schedule in self.schedules)

    def set_group(self, group: dict[str, Any]) -> None:
        # Saved with the optimizer, so that a resumed run multiplies the same rate.
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * self.factor_at(self.images_seen)
