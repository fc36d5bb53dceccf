"""Spectral normalization of a network that has none (Miyato et al. 2018, arXiv:1802.05957)."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_gan.foreign.host import host_of
from lightning_gan.layers.spectral_normalization import parametrizations_of, spectrally_normalized


class SpectralNorm(Callback):
    """Applies spectral normalization to every linear, convolution and embedding layer of a network.

    It does so in `setup`, before optimizers are made and weights are sharded. Each forward pass of a layer in training
    mode runs the power iteration. The EMA copy of a `GAN`'s generator is normalized with the generator, but runs no
    power iteration: `EMA` copies the singular vectors.

    The callback works in any LightningModule. Checkpoints hold the normalized layers' stored weights and singular
    vectors. To load them, use this callback, or call `layers.spectral_normalization.spectrally_normalized` on the
    network.

    Args:
        network: attribute path of the network, or of a part of it; SAGAN and BigGAN have one callback for each network.
        power_iterations: number of power iterations in each forward pass of a layer, at least 1.
        excluded: names within the network of layers, or of modules with layers, that are not normalized.

    Raises:
        ValueError: for a count below 1, unknown names, or a network without layers to normalize.
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
        layers = self._normalize(pl_module, self.network)
        for path in host_of(pl_module).averaged_copies(self.network):
            for layer, twin in zip(layers, self._normalize(pl_module, path), strict=True):
                for own, copied in zip(parametrizations_of(layer), parametrizations_of(twin), strict=True):
                    copied.load_state_dict(own.state_dict())

    def _normalize(self, pl_module: LightningModule, path: str) -> list[nn.Module]:
        return spectrally_normalized(
            host_of(pl_module).network(path, setting="SpectralNorm(network=...)"),
            power_iterations=self.power_iterations,
            excluded=self.excluded,
        )
