"""Storage and use of the averaged weights of a generator.

A `GAN` has a separate network for them, from which samples are made. For any other module a callback stores them, and
copies them into the generator while it is sampled.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of


@dataclass(eq=False)
class Shadow:
    """Averaged tensors that are stored outside of the module.

    Attributes:
        tensors: averaged parameters and buffers, by their names in the network. It is empty before training, and for a
            `GAN`.
        set_aside: copies of the network's own tensors, while the network has the averaged ones; otherwise empty.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    set_aside: list[Tensor] = field(default_factory=list)


def overlap(first: str, second: str) -> bool:
    """Whether two attribute paths name the same network, or one of them names a part of the other.

    Example:
        >>> overlap("net", "net.decoder"), overlap("net.decoder", "net.decoder2")
        (True, False)
    """
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


def averaged_paths(callback: AveragesGenerator) -> list[str]:
    """The attribute paths of all networks whose weights a callback averages: its `generator` is a path or a list."""
    return [callback.generator] if isinstance(callback.generator, str) else callback.generator


def averages(callback: AveragesGenerator, path: str) -> bool:
    """Whether a callback averages weights of the network at a path, of a part of it, or of a whole around it."""
    return any(overlap(path, own) for own in averaged_paths(callback))


@torch.no_grad()
def copy_tensors(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy every source into the target at the same position, in place."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def saved_shadow(tensors: Mapping[str, dict[str, Tensor]], generator: str | list[str]) -> dict[str, Tensor]:
    """What a checkpoint contains of the averages.

    The names are those in the network for one path, and those in the module for a list of paths.

    Args:
        tensors: averaged tensors by the attribute path of the network and their names in it.
        generator: the attribute path, or the list of paths, of the callback.
    """
    if isinstance(generator, str):
        return tensors[generator]
    return {f"{path}.{name}": tensor for path, own in tensors.items() for name, tensor in own.items()}


def loaded_shadow(saved: Mapping[str, Tensor], generator: str | list[str]) -> dict[str, dict[str, Tensor]]:
    """The averaged tensors by the path of the network and their names in it: the opposite of `saved_shadow`.

    Args:
        saved: what a checkpoint contains of the averages; it may be empty.
        generator: the attribute path, or the list of paths, of the callback.
    """
    if isinstance(generator, str):
        return {generator: dict(saved)}
    return {
        path: {name.removeprefix(f"{path}."): own for name, own in saved.items() if name.startswith(f"{path}.")}
        for path in generator
    }


class Average(ABC):
    """The average of a network's weights."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network whose weights are averaged.

        Raises:
            ValueError: if it does not exist.
        """

    @final
    def check(self) -> None:
        """Check before training that the network exists.

        Raises:
            ValueError: if it does not exist.
        """
        self.network  # noqa: B018

    @property
    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The averaged parameters and buffers, by their names in the network."""

    @abstractmethod
    def values(self, names: Iterable[str]) -> list[Tensor]:
        """The averaged tensors of these names, in their order; once training has begun."""

    @abstractmethod
    def begin(self) -> None:
        """Copy the weights to the average when training starts, unless there is an average already."""

    @abstractmethod
    def put_in(self) -> bool:
        """Replace the weights by the average. The result is False if this was not necessary or there is no average."""

    @abstractmethod
    def take_out(self) -> None:
        """Restore the weights, if the average has replaced them."""


@final
class OwnAverage(Average):
    """The average of a `GAN`, which is its submodule `generator_ema`. It never replaces the weights."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan
        self._places: TensorPlaces | None = None

    @property
    def network(self) -> nn.Module:
        return self.gan.generator

    @property
    def tensors(self) -> dict[str, Tensor]:
        return tensors_of_network(self.gan.generator_ema)

    def values(self, names: Iterable[str]) -> list[Tensor]:
        self._places = self._places or TensorPlaces(self.gan.generator_ema)
        return self._places.tensors(names)

    def begin(self) -> None:
        if not self.gan.averaged:
            # Training ran without an average until now, so `generator_ema` still has the initial weights.
            copied, live = self.tensors, tensors_of_network(self.network)
            copy_tensors([copied[name] for name in live], list(live.values()))
            self.gan.averaged = True

    def put_in(self) -> bool:
        return False

    def take_out(self) -> None:
        """Do nothing, because the average never replaces the weights."""


@final
class ForeignAverage(Average):
    """The average of a network of a module that is not a `GAN`.

    Args:
        module: module that contains the network.
        path: attribute path of the network.
        shadow: storage of the average.
        setting: name of the callback and its argument, for error messages.
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

    def values(self, names: Iterable[str]) -> list[Tensor]:
        return [self.shadow.tensors[name] for name in names]

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
        """Move a loaded average to the network's device, and put its tensors into the network's order."""
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
                f"{self.setting}: {self.path!r} is sharded, but {type(self.module).__name__} is no lightning_gan.GAN, "
                "and the average of such a module cannot be sharded; use strategy='ddp', or make the module a GAN"
            )
        return tensors


class TensorPlaces:
    """Where the parameters and buffers of a network are, so that its modules are walked through once.

    The tensors themselves are looked up each time, because a module may put another tensor in the place of a buffer.

    Args:
        network: network that gets no other modules, parameters or buffers afterwards.
    """

    def __init__(self, network: nn.Module) -> None:
        self._places: dict[str, tuple[nn.Module, str]] = {}
        for name in tensors_of_network(network):
            path, _, own_name = name.rpartition(".")
            self._places[name] = (network.get_submodule(path), own_name)

    def tensors(self, names: Iterable[str]) -> list[Tensor]:
        """The present tensors of these names, in their order."""
        return [getattr(*self._places[name]) for name in names]


def tensors_of_network(network: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of a network, by their names."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
