"""What the loop and other callbacks know of a callback that averages weights."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from lightning.pytorch import Callback, LightningModule


class AveragesGenerator(Callback, ABC):
    """A callback that averages a generator's weights.

    In a `GAN` it moves `GAN.generator_ema`; without one in the trainer, the generator itself is sampled.

    Attributes:
        generator: attribute path of the network whose weights it averages.
    """

    generator: str

    @abstractmethod
    def applied(self, pl_module: LightningModule) -> AbstractContextManager[None]:
        """A context in which the network at `generator` has the averaged weights.

        In a `GAN` nothing has to happen, because its average is a network of its own.
        """
