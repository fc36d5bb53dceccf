"""Spectral normalization of a network that was written without it (Miyato et al. 2018, arXiv:1802.05957)."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_gan.callbacks.training.clock import network_of
from lightning_gan.compat import state_key_of
from lightning_gan.layers.spectral_normalization import parametrizations_of, spectrally_normalized
from lightning_gan.loop.gan import GAN


class SpectralNorm(Callback):
    """Normalizes every linear, convolution and embedding layer of a network, before optimizers and sharding exist.

    Every use of the network in training mode is one step of power iteration. The EMA copy of a `GAN`'s generator is
    normalized with it, but never iterates: `EMA` copies the singular vectors.

    It works in any LightningModule. Checkpoints hold the normalized layers' stored weights and vectors; so they load
    where this callback is among the trainer's, or into a network that `layers.spectral_norm.spectrally_normalized`
    was called on.

    Args:
        network: attribute path of the network, or of a part of it; SAGAN and BigGAN have one callback for each network.
        power_iterations: per use of a layer.
        excluded: names within the network of layers, or of modules of layers, that are left alone.

    Raises:
        ValueError: for a count below 1, unknown names, or a network with nothing to normalize.
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
        root, _, rest = self.network.partition(".")
        if isinstance(pl_module, GAN) and root == "generator":
            twins = self._normalize(pl_module, f"generator_ema.{rest}".rstrip("."))
            for layer, twin in zip(layers, twins, strict=True):
                for own, copied in zip(parametrizations_of(layer), parametrizations_of(twin), strict=True):
                    copied.load_state_dict(own.state_dict())

    def _normalize(self, pl_module: LightningModule, path: str) -> list[nn.Module]:
        return spectrally_normalized(
            network_of(pl_module, path, setting="SpectralNorm(network=...)"),
            power_iterations=self.power_iterations,
            excluded=self.excluded,
        )

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network)
