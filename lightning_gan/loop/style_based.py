"""What GANs offer whose images are made from a style for each layer, as StyleGAN's (arXiv:1812.04948) are."""

from collections.abc import Collection
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.tensors.shapes import Images, Labels, Latents

Styles: TypeAlias = Float[Tensor, "batch layers style_dim"]
"""The styles of images, one for each layer of the synthesis network."""


@runtime_checkable
class StyleBased(Protocol):
    """A GAN whose images are made from a style for each layer, and from noise."""

    @property
    def style_resolutions(self) -> list[int]:
        """The resolution of every layer that is active: 4, 4, 8, 8 ..."""

    def styles(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Styles:
        """Latents to styles, by a network in evaluation mode."""

    def synthesize(self, styles: Styles, *, noisy_layers: Collection[int] | None = None, ema: bool = True) -> Images:
        """Styles to images, with fresh noise for each image in these layers, None being all, and none in the others."""


def style_based_of(module: LightningModule, *, asker: str, remedy: str) -> StyleBased:
    """The module, as one that has styles.

    Args:
        module: the model.
        asker: the callback, for the error.
        remedy: what to do instead, for the error.

    Raises:
        ValueError: if it has none.
    """
    if not isinstance(module, StyleBased):
        raise ValueError(f"{asker}: {type(module).__name__} has no styles; {remedy}")
    return module
