"""The interface of GANs that make images from one style per layer, such as StyleGAN (arXiv:1812.04948)."""

from collections.abc import Collection
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.tensors.shapes import Images, Labels, Latents

Styles: TypeAlias = Float[Tensor, "batch layers style_dim"]
"""The styles w of images, one for each layer of the synthesis network."""


@runtime_checkable
class StyleBased(Protocol):
    """A GAN that makes images from one style per layer, and from noise."""

    @property
    def style_resolutions(self) -> list[int]:
        """The resolutions of the active layers, in pixels: 4, 4, 8, 8, ..."""

    def styles(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Styles:
        """Map latents to styles, `batch layers style_dim`, with a network in evaluation mode.

        Args:
            latents: standard normal latents z, `batch latent_dim`.
            labels: class indices or multi-hot rows; required if the model has classes.
            truncation: factor psi of the truncation trick; 1 does not truncate.
            ema: True uses the averaged weights, if a callback updates them.
        """

    def synthesize(
        self,
        styles: Styles,
        *,
        noisy_layers: Collection[int] | None = None,
        fresh_noise: bool = False,
        ema: bool = True,
    ) -> Images:
        """Make images in about [-1, 1], `batch channels height width`, of styles, with a gradient if those require it.

        Args:
            styles: styles w, `batch layers style_dim`.
            noisy_layers: indices of the layers that add noise; the others add none. None means all layers.
            fresh_noise: True draws new noise for each image; False takes the noise that is stored with the weights.
            ema: True uses the averaged weights, if a callback updates them.
        """


def style_based_of(module: LightningModule, *, asker: str, remedy: str) -> StyleBased:
    """The module, typed as `StyleBased`.

    Args:
        module: the model.
        asker: name of the callback, for the error message.
        remedy: advice to the user, for the error message.

    Raises:
        ValueError: if the module has no styles.
    """
    if not isinstance(module, StyleBased):
        raise ValueError(f"{asker}: {type(module).__name__} has no styles; {remedy}")
    return module
