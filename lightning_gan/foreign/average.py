"""Where the averaged weights of a generator are kept, and how they come into use.

A `GAN` has a network for them, which is sampled itself. Of any other module they are kept beside it, and take the place
of the weights while something is sampled.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of


@dataclass(eq=False)
class Shadow:
    """Averaged tensors that are kept beside a module, by their names in the network.

    Attributes:
        tensors: the averages; empty before there are some, and for modules that have a network for them.
        set_aside: the weights, while the averages are in their place.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    set_aside: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def copy_tensors(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Every source into its target, in place."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


class Average(ABC):
    """The average of a network's weights."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network whose weights are averaged.

        Raises:
            ValueError: if it is not there.
        """

    @final
    def check(self) -> None:
        """Refuse a network that is not there, before anything runs.

        Raises:
            ValueError: as `network` does.
        """
        self.network  # noqa: B018

    @property
    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The averaged parameters and buffers, by their names in the network."""

    @abstractmethod
    def begin(self) -> None:
        """Training starts: let the average be the weights, unless there is an average already."""

    @abstractmethod
    def put_in(self) -> bool:
        """Put the average in the place of the weights; false if nothing had to be done."""

    @abstractmethod
    def take_out(self) -> None:
        """Put the weights back, if the average is in their place."""


@final
class OwnAverage(Average):
    """The average of a `GAN`, its submodule `generator_ema`. It never takes the place of the weights."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan

    @property
    def network(self) -> nn.Module:
        return self.gan.generator

    @property
    def tensors(self) -> dict[str, Tensor]:
        return tensors_of_network(self.gan.generator_ema)

    def begin(self) -> None:
        if not self.gan.averaged:
            # Training went on without an average so far: its copy is as old as the beginning.
            copied, live = self.tensors, tensors_of_network(self.network)
            copy_tensors([copied[name] for name in live], list(live.values()))
            self.gan.averaged = True

    def put_in(self) -> bool:
        return False

    def take_out(self) -> None:
        """Nothing: the weights are in their place."""


@final
class ForeignAverage(Average):
    """The average of a network of any other module.

    Args:
        module: has the network.
        path: the network's attribute path.
        shadow: where the average is kept.
        setting: the callback and its argument, for errors.
    """

    def __init__(self, module: LightningModule, path: str, shadow: Shadow, *, setting: str) -> None:
        self.module = module
        self.path = path
        self.shadow = shadow
        self.setting = setting

    @property
    def network(self) -> nn.Module:
        return network_of(self.module, self.path, setting=self.setting)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self.shadow.tensors

    def begin(self) -> None:
        self._to_device()
        self.shadow.tensors = self.shadow.tensors or {
            name: tensor.detach().clone() for name, tensor in self._live().items()
        }

    def put_in(self) -> bool:
        if self.shadow.set_aside:
            return False
        self._to_device()
        if self.shadow.tensors:
            live = list(self._live().values())
            self.shadow.set_aside = [tensor.detach().clone() for tensor in live]
            copy_tensors(live, list(self.shadow.tensors.values()))
        return bool(self.shadow.tensors)

    def take_out(self) -> None:
        if self.shadow.set_aside:
            copy_tensors(list(self._live().values()), self.shadow.set_aside)
            self.shadow.set_aside = []

    def _to_device(self) -> None:
        """Bring a loaded average to where the network is, in the order of its tensors."""
        saved = self.shadow.tensors
        if not saved:
            return
        live = self._live()
        if live.keys() != saved.keys():
            different = sorted(live.keys() ^ saved.keys())[0]
            raise ValueError(
                f"{self.setting}: only one of the saved average and {self.path!r} has a tensor {different!r}; "
                "load a checkpoint of the same network"
            )
        self.shadow.tensors = {name: saved[name].to(tensor.device) for name, tensor in live.items()}

    def _live(self) -> dict[str, Tensor]:
        tensors = tensors_of_network(self.network)
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            raise ValueError(
                f"{self.setting}: {self.path!r} is sharded, but the average of a {type(self.module).__name__}, which "
                "is no lightning_gan.GAN, is kept whole; use strategy='ddp', or make the module a GAN"
            )
        return tensors


def tensors_of_network(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their names."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
