"""What StyleGAN and StyleGAN2 share: mapping, style mixing, truncation, and the styles for figures and metrics."""

from collections.abc import Collection
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.tensors.draws_by_position import integer_for_all, normal_like, uniform_for_all
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Labels, Latents

Styles: TypeAlias = Float[Tensor, "batch layers style_dim"]
"""w for every layer that takes a style; for one layer if styles modulate none."""


@runtime_checkable
class StyleMapping(Protocol):
    """A network that maps latents to styles."""

    style_dim: int

    def __call__(self, latents: Latents, labels: Labels | None = None) -> Tensor:
        """Styles w, `batch style_dim`, of latents z, `batch latent_dim`, and of labels if there are classes."""


@runtime_checkable
class StyleSynthesis(Protocol):
    """A network that maps styles to images."""

    @property
    def active_layers(self) -> int:
        """Number of layers that take a style at the active resolution."""

    @property
    def style_resolutions(self) -> list[int]:
        """The resolutions of the active layers, in pixels: 4, 4, 8, 8, ..."""

    def __call__(
        self, styles: Styles, *, random_noise: bool = True, noisy_layers: Collection[int] | None = None
    ) -> Images:
        """Images in about [-1, 1].

        Args:
            styles: Styles w, one for each of the `active_layers`.
            random_noise: True draws new noise, False uses the stored noise.
            noisy_layers: Numbers of the layers that get noise, from 0; None is all layers.
        """


class StyleBasedGenerator(nn.Module):
    """Mapping and synthesis network, with style mixing in training mode, and truncation for sampling.

    Args:
        mapping: Network that maps latents to styles.
        synthesis: Network that maps styles to images.
        style_mixing: Probability that a batch gets its later layers' styles from second latents.
        w_avg_decay: Decay of the running mean of w, from 0 to 1; 0.995 in the authors' code.

    Raises:
        ValueError: for a `style_mixing` outside of [0, 1].
    """

    w_avg: Tensor

    def __init__(
        self, *, mapping: StyleMapping, synthesis: StyleSynthesis, style_mixing: float, w_avg_decay: float = 0.995
    ) -> None:
        super().__init__()
        if not 0.0 <= style_mixing <= 1.0:
            raise ValueError(f"style_mixing={style_mixing} is a probability; give 0 to 1")
        self.mapping = mapping
        self.synthesis = synthesis
        self.style_mixing = style_mixing
        self.w_avg_decay = w_avg_decay
        self.register_buffer("w_avg", torch.zeros(mapping.style_dim))

    def forward(
        self,
        latents: Latents,
        labels: Labels | None = None,
        *,
        truncation: float = 1.0,
        truncation_layers: int | None = None,
        random_noise: bool = True,
    ) -> Images:
        """Images of the active resolution in about [-1, 1].

        Args:
            latents: Latents z, `batch latent_dim`.
            labels: Class indices or multi-hot rows; they are needed if the network has classes.
            truncation: psi (arXiv:1812.04948, appendix B): factor of the distance from the mean style; 1 does not
                truncate.
            truncation_layers: Number of layers, from the lowest resolution, that get truncated styles; None is all.
            random_noise: True draws new noise, False uses the stored noise.

        Raises:
            ValueError: for a truncation other than 1 of a network without styles.
        """
        styles = self.styles(latents, labels)
        if self.training:
            with torch.no_grad():
                self.w_avg.lerp_(full_precision(styles[:, 0]).mean(dim=0), 1 - self.w_avg_decay)
            if self.style_mixing:
                styles = self._mixed(styles, self.mapping(normal_like(latents), labels))
        styles = self.truncated(styles, truncation=truncation, truncation_layers=truncation_layers)
        images: Images = self.synthesis(styles, random_noise=random_noise)
        return images

    def styles(self, latents: Latents, labels: Labels | None = None) -> Styles:
        """w for every layer of the active resolution, without mixing and truncation."""
        w: Tensor = self.mapping(latents, labels)
        return w[:, None].expand(-1, self.synthesis.active_layers, -1)

    def truncated(self, styles: Styles, *, truncation: float, truncation_layers: int | None) -> Styles:
        """``w_avg + truncation * (w - w_avg)`` for the first `truncation_layers` layers, and w for the others."""
        if truncation == 1.0:
            return styles
        truncated = self.w_avg.to(styles.dtype).lerp(styles, truncation)
        if truncation_layers is None:
            return truncated
        affected = torch.arange(styles.shape[1], device=styles.device)[:, None] < truncation_layers
        return torch.where(affected, truncated, styles)

    def _mixed(self, styles: Tensor, second_w: Tensor) -> Tensor:
        """With probability `style_mixing`, once per batch, the layers from a random one on get the second style."""
        layers, device = styles.shape[1], styles.device
        crossover = integer_for_all(1, layers, device)
        crossover = torch.where(uniform_for_all(device) < self.style_mixing, crossover, layers)
        keeps_first = torch.arange(layers, device=device)[:, None] < crossover
        return torch.where(keeps_first, styles, second_w[:, None])


class StyleBasedGAN(GAN):
    """The base class of GANs with a `StyleBasedGenerator`. The arguments are those of `GAN`.

    Attributes:
        truncation_layers: Number of layers, from the lowest resolution, that truncation applies to; None is all.
    """

    generator: StyleBasedGenerator
    generator_ema: StyleBasedGenerator
    truncation_layers: int | None

    def finish_batch(self) -> None:
        """Averages the mean style over ranks, each of which has updated it with its own latents."""
        w_avg = self.generator.w_avg
        w_avg.copy_(self.trainer.strategy.reduce(w_avg.clone(), reduce_op="mean"))

    def truncated(
        self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float, fresh_noise: bool
    ) -> Images:
        """Images of `network` with truncated styles in the first `truncation_layers` layers; 1 does not truncate."""
        images: Images = network(
            latents,
            labels,
            truncation=truncation,
            truncation_layers=self.truncation_layers,
            random_noise=fresh_noise,
        )
        return images

    # ------------------------------------------------------------------ styles, for figures and metrics

    @property
    def style_resolutions(self) -> list[int]:
        """Resolutions in pixels of all layers that take a style, up to the active resolution: 4, 4, 8, 8 ..."""
        return self.generator.synthesis.style_resolutions

    @torch.no_grad()
    def styles(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Styles:
        """w for every active layer, from networks in evaluation mode, with the arguments and errors of `sample`."""
        network = self._style_network(ema)
        with evaluation_mode(network):
            styles = network.styles(latents, self.checked_labels(labels))
            return network.truncated(styles, truncation=truncation, truncation_layers=self.truncation_layers)

    def synthesize(
        self,
        styles: Styles,
        *,
        noisy_layers: Collection[int] | None = None,
        fresh_noise: bool = False,
        ema: bool = True,
    ) -> Images:
        """Images of styles, with new or stored noise in the layers `noisy_layers` (None is all), none in the others.

        Images have a gradient if the styles require one, so that an image can be projected into the styles.
        """
        network = self._style_network(ema)
        with evaluation_mode(network), torch.set_grad_enabled(torch.is_grad_enabled() and styles.requires_grad):
            images: Images = network.synthesis(styles, random_noise=fresh_noise, noisy_layers=noisy_layers)
        return full_precision(images)

    def _style_network(self, ema: bool) -> StyleBasedGenerator:
        return self.generator_ema if ema and self.averaged else self.generator
