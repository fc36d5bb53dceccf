"""The interface of callbacks that average weights, for the loop and for other callbacks."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from lightning.pytorch import Callback, LightningModule


class AveragesGenerator(Callback, ABC):
    """A callback that averages the weights of a generator.

    In a `GAN` it updates `GAN.generator_ema`. A `GAN` whose trainer has no such callback samples its generator.

    Attributes:
        generator: attribute path of the network whose weights are averaged, or a list of paths of several networks in a
            module that is not a `GAN`.
    """

    generator: str | list[str]

    @abstractmethod
    def applied(self, pl_module: LightningModule) -> AbstractContextManager[None]:
        """Context manager inside of which the networks at `generator` have the averaged weights.

        In a `GAN` it changes nothing, because there the averaged weights are in a separate network.
        """
