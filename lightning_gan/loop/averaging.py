"""The interface of callbacks that average weights, for the loop and for other callbacks."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import final

from lightning.pytorch import Callback, LightningModule


def overlap(first: str, second: str) -> bool:
    """Whether two attribute paths name the same network, or one of them names a part of the other.

    Example:
        >>> overlap("net", "net.decoder"), overlap("net.decoder", "net.decoder2")
        (True, False)
    """
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


class AveragesGenerator(Callback, ABC):
    """A callback that averages the weights of a generator, or of several networks.

    In a `GAN` it updates `GAN.generator_ema`. A `GAN` whose trainer has no such callback samples its generator.

    Attributes:
        generator: attribute path of the network whose weights are averaged, or a list of such paths.
    """

    generator: str | list[str]

    @final
    @property
    def paths(self) -> list[str]:
        """The attribute paths of all networks whose weights are averaged."""
        return [self.generator] if isinstance(self.generator, str) else list(self.generator)

    @final
    def averages(self, path: str) -> bool:
        """Whether it averages weights of the network at an attribute path, of a part of it, or of a whole around it."""
        return any(overlap(path, own) for own in self.paths)

    @abstractmethod
    def applied(self, pl_module: LightningModule) -> AbstractContextManager[None]:
        """Context manager inside of which the networks at `generator` have the averaged weights.

        In a `GAN` it changes nothing, because there the averaged weights are in a separate network.
        """
