"""What callbacks share that change settings of optimizers as functions of images seen."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of


class OptimizerSchedule(ImageClock):
    """Base class of callbacks that change the optimizers' settings before every batch.

    Args:
        network: attribute path of the network whose optimizers are scheduled, such as "discriminator"; None schedules
            all optimizers. To schedule networks differently, give one callback for each.

    Raises:
        ValueError: before training, if there is no such network, or no optimizer that has parameters of this network.
    """

    def __init__(self, *, network: str | None = None) -> None:
        self.network = network

    @abstractmethod
    def set_group(self, group: dict[str, Any]) -> None:
        """Change the settings of one parameter group of an optimizer, for the batch after `images_seen` images."""

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Check before training that an optimizer has the settings. The base class accepts every optimizer."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="network")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        optimizers = list(self._optimizers(trainer, pl_module))
        if not optimizers:
            raise ValueError(
                f"{type(self).__name__}: no optimizer has parameters of network={self.network!r}; name a network that "
                "is trained, or leave network out to schedule all optimizers"
            )
        for optimizer in optimizers:
            self.check_optimizer(optimizer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        for optimizer in self._optimizers(trainer, pl_module):
            for group in optimizer.param_groups:
                self.set_group(group)

    def _optimizers(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Optimizer]:
        if self.network is None:
            yield from trainer.optimizers
            return
        network = host_of(pl_module).network(self.network, setting=f"{type(self).__name__}(network=...)")
        own = {id(parameter) for parameter in network.parameters()}
        for optimizer in trainer.optimizers:
            if any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
                yield optimizer

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network)
