"""Orthogonal regularization of a network's weights (Brock et al. 2016, arXiv:1609.07093; BigGAN, arXiv:1809.11096)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from lightning_gan.callbacks.regularizers.late_networks import network_in_setup
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.orthogonality import off_diagonal_orthogonality, orthogonality
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class OrthogonalPenalty(Penalty):
    """The base class of `OrthogonalDiscriminator` and `OrthogonalGenerator`.

    The penalty is a sum over all weights of two or more dimensions. For layers with an equalized learning rate, it uses
    the stored, standard normal weights: beta has 1 / fan_in^2 of the effect that it has for other layers.

    Args:
        beta: factor of the penalty, the paper's beta; BigGAN's 1e-4 is 2e-4 in BigGAN-PyTorch, which takes half the
            gradient.
        off_diagonal: whether only the off-diagonal elements of WW' are penalized, as in BigGAN, which leaves the norms
            of the filters free; False also penalizes norms other than 1.
        excluded: names within the network of layers or weights that are not penalized; BigGAN excludes the shared class
            embedding.
        every_n_turns: interval, in turns of the player, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative beta, an unknown network or excluded name, or if no weight is left to penalize.
    """

    name: ClassVar[str] = "orthogonal"

    beta: float = 1e-4
    off_diagonal: bool = True
    excluded: tuple[str, ...] = ()

    @property
    def weight(self) -> float:
        return self.beta

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        network_in_setup(trainer, pl_module, self.only_path, setting=self._setting)
        self._weights = self._find_weights(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._weights = self._find_weights(pl_module)  # again, because sharding replaces parameters

    def penalty(self, turn: Turn) -> Scalar:
        measure = off_diagonal_orthogonality if self.off_diagonal else orthogonality
        return torch.stack([measure(_filters_first(weight, axis)) for weight, axis in self._weights]).sum()

    @property
    def _setting(self) -> str:
        return f"{type(self).__name__}({self.player}=...)"

    def _find_weights(self, pl_module: LightningModule) -> list[tuple[Tensor, int]]:
        """The weights to penalize, each with the dimension of its output filters.

        Raises:
            ValueError: for an unknown network or excluded name, or if no weight is left to penalize.
        """
        name = type(self).__name__
        network = host_of(pl_module).network(self.only_path, setting=self._setting)
        weights = {path: weight for path, weight in network.named_parameters() if weight.dim() >= 2}
        for excluded in self.excluded:
            matching = [weight for weight in weights if f"{weight}.".startswith(f"{excluded}.")]
            if not matching:
                raise ValueError(
                    f"{name}: excluded={excluded!r} is no weight of {self.only_path!r}; its weights are "
                    f"{', '.join(weights)}"
                )
            for weight in matching:
                del weights[weight]
        if not weights:
            raise ValueError(f"{name}: {self.only_path!r} has no weights of two or more dimensions to regularize")
        return [(weight, _filter_axis(network, path)) for path, weight in weights.items()]


@dataclass(kw_only=True, eq=False)
class OrthogonalDiscriminator(OrthogonalPenalty):
    """Adds ``beta * ||WW' (1 - I)||^2`` (or ``beta * ||WW' - I||^2``) over the discriminator's weights W.

    The rows of W are the filters of a layer.

    Args:
        beta: factor of the penalty, the paper's beta; BigGAN's 1e-4 is 2e-4 in BigGAN-PyTorch, which takes half the
            gradient.
        off_diagonal: whether only the off-diagonal elements of WW' are penalized, as in BigGAN, which leaves the norms
            of the filters free; False also penalizes norms other than 1.
        excluded: names within the network of layers or weights that are not penalized.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative beta, an unknown network or excluded name, or if no weight is left to penalize.
    """

    player: ClassVar[Player] = "discriminator"


@dataclass(kw_only=True, eq=False)
class OrthogonalGenerator(OrthogonalPenalty):
    """Adds ``beta * ||WW' (1 - I)||^2`` (or ``beta * ||WW' - I||^2``) over the generator's weights W, as in BigGAN.

    The rows of W are the filters of a layer.

    Args:
        beta: factor of the penalty, the paper's beta; BigGAN's 1e-4 is 2e-4 in BigGAN-PyTorch, which takes half the
            gradient.
        off_diagonal: whether only the off-diagonal elements of WW' are penalized, as in BigGAN, which leaves the norms
            of the filters free; False also penalizes norms other than 1.
        excluded: names within the network of layers or weights that are not penalized; BigGAN excludes the shared class
            embedding.
        every_n_turns: interval, in turns of the generator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative beta, an unknown network or excluded name, or if no weight is left to penalize.
    """

    player: ClassVar[Player] = "generator"


def _filter_axis(network: nn.Module, weight_path: str) -> int:
    """The dimension of a weight's output filters: 1 for transposed convolutions, 0 for other layers."""
    path = weight_path.split(".")
    # A re-parametrized weight is stored as LAYER.parametrizations.weight.original.
    end = path.index("parametrizations") if "parametrizations" in path else -1
    layer = network.get_submodule(".".join(path[:end]))
    return 1 if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) else 0


def _filters_first(weight: Tensor, axis: int) -> Tensor:
    """The unsharded weight, with its output filters in dimension 0."""
    whole: Tensor = weight.full_tensor() if isinstance(weight, DTensor) else weight
    return whole.transpose(0, axis)
