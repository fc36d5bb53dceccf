"""Learning rates as functions of images seen.

Lightning does not step the schedulers of modules with manual optimization.
"""

import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.schedules.rates import LearningRateSchedule


class LearningRate(ImageClock):
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
        self.schedules = schedules
        self.network = network

    def factor_at(self, images_seen: int) -> float:
        """Returns the product of all schedules' factors after `images_seen` images."""
        return math.prod(schedule.at(images_seen) for schedule in self.schedules)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="network")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if not self._optimizers(trainer, pl_module):
            raise ValueError(
                f"LearningRate: no optimizer has parameters of network={self.network!r}; name a network that is "
                "trained, or leave network out to schedule all optimizers"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        factor = self.factor_at(self.images_seen)
        for optimizer in self._optimizers(trainer, pl_module):
            for group in optimizer.param_groups:
                # Saved with the optimizer, so that a resumed run multiplies the same rate.
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def _optimizers(self, trainer: Trainer, pl_module: LightningModule) -> list[Optimizer]:
        if self.network is None:
            return list(trainer.optimizers)
        network = host_of(pl_module).network(self.network, setting="LearningRate(network=...)")
        own = {id(parameter) for parameter in network.parameters()}
        return [
            optimizer
            for optimizer in trainer.optimizers
            if any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"])
        ]

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network)
