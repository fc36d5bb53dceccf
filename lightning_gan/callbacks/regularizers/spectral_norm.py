"""Spectral normalization of a network that has none (Miyato et al. 2018, arXiv:1802.05957)."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_gan.callbacks.regularizers.late_networks import check_not_sharded, network_in_setup
from lightning_gan.foreign.host import host_of
from lightning_gan.layers.spectral_normalization import parametrizations_of, spectrally_normalized


def copies_of(network: nn.Module, *, module: nn.Module) -> list[str]:
    """Returns the attribute paths of a network's copies in a module: other networks with the same class and weights.

    Two networks of one class that were made one after the other have different weights, and are no copies.

    Args:
        network: network whose copies are searched.
        module: module that contains the network.
    """
    own, parts = dict(network.named_parameters()), set(network.modules())

    def is_copy(other: nn.Module) -> bool:
        if type(other) is not type(network) or other in parts:
            return False
        theirs = dict(other.named_parameters())
        return own.keys() == theirs.keys() and all(
            weight is not theirs[name] and torch.equal(weight, theirs[name]) for name, weight in own.items()
        )

    return [path for path, other in module.named_modules() if is_copy(other)]


class SpectralNorm(Callback):
    """Applies spectral normalization to every linear, convolution and embedding layer of a network.

    It does so in `setup`, before optimizers are made and weights are sharded. Each forward pass of a layer in training
    mode runs the power iteration. The EMA copy of a `GAN`'s generator is normalized with the generator, but runs no
    power iteration: `EMA` copies the singular vectors.

    The callback works in any LightningModule. If a module averages weights itself, its average must not be made before
    `setup`: a copy has other parameters than the normalized network, in another order. Copies that the module holds are
    refused; lists of copied tensors cannot be seen. Checkpoints hold the normalized layers' stored weights and singular
    vectors. To load them, use this callback, or call `layers.spectral_normalization.spectrally_normalized` on the
    network.

    Args:
        network: attribute path of the network, or of a part of it; SAGAN and BigGAN have one callback for each network.
        power_iterations: number of power iterations in each forward pass of a layer, at least 1.
        excluded: names within the network of layers, or of modules with layers, that are not normalized.

    Raises:
        ValueError: for a count below 1, unknown names, a network without layers to normalize, with layers that have
            another normalization, or with weights that are sharded already, and for copies of the network.
    """

    def __init__(
        self, *, network: str = "discriminator", power_iterations: int = 1, excluded: tuple[str, ...] = ()
    ) -> None:
        if power_iterations < 1:
            raise ValueError(f"SpectralNorm: power_iterations={power_iterations} must be at least 1")
        self.network = network
        self.power_iterations = power_iterations
        self.excluded = excluded

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # In every stage, because checkpoints fit only networks with the same parametrization.
        network = network_in_setup(trainer, pl_module, self.network, setting="SpectralNorm(network=...)")
        check_not_sharded(network, self.network, setting="SpectralNorm(network=...)")
        averaged = host_of(pl_module).averaged_copies(self.network)
        if not any(parametrizations_of(layer) for layer in network.modules()):
            self._check_copies(network, pl_module, averaged=averaged)
        layers = self._normalize(network)
        for path in averaged:
            copy = host_of(pl_module).network(path, setting="SpectralNorm(network=...)")
            for layer, twin in zip(layers, self._normalize(copy), strict=True):
                for own, copied in zip(parametrizations_of(layer), parametrizations_of(twin), strict=True):
                    copied.load_state_dict(own.state_dict())

    def _check_copies(self, network: nn.Module, pl_module: LightningModule, *, averaged: list[str]) -> None:
        copies = [path for path in copies_of(network, module=pl_module) if path not in averaged]
        if copies:
            raise ValueError(
                f"SpectralNorm: network={self.network!r} has the copy {copies[0]!r}, which is not normalized with it; "
                "average the weights with lightning_gan.callbacks.EMA, or leave this callback out and call "
                "lightning_gan.layers.spectral_normalization.spectrally_normalized before the copy is made"
            )

    def _normalize(self, network: nn.Module) -> list[nn.Module]:
        return spectrally_normalized(network, power_iterations=self.power_iterations, excluded=self.excluded)
