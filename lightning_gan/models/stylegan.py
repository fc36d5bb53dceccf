"""StyleGAN, "A Style-Based Generator Architecture for Generative Adversarial Networks".

Karras et al. 2019, arXiv:1812.04948. A mapping network maps a latent z to a style w. Styles modulate a synthesis
network that starts from a learned constant and gets new noise at every layer. The discriminator is PGGAN's with a blur.
Both networks grow from 4x4.

We train each stage at its own resolution. The authors upscale all images to the full size first, which changes only the
scale of gradients with respect to images (`Turn.gradient_scale`). Our upsampling convolution upsamples, then convolves;
the authors' fused one, from 128x128 on, has a mirrored kernel, which `interop.stylegan_official` mirrors back.

Table 1 of the paper goes from PGGAN (row A, `models.PGGAN`) to StyleGAN (row F, the defaults here):
B tunes PGGAN (the blur), C adds mapping and styles, D the learned constant, E noise, F style mixing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers import (
    Blur,
    DownsamplingConv2d,
    EqualizedConv2d,
    EqualizedLinear,
    GrowingDiscriminator,
    GrowingGenerator,
    GrowingSizes,
    InstanceNorm,
    MappingNetwork,
    PixelNorm,
    UpsamplingConv2d,
    label_vectors,
    stage_of,
    stddev_over_samples,
)
from lightning_gan.layers.equalized import SQRT2
from lightning_gan.loop.hyperparameters import plain_data, unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.style_based_gan import StyleBasedGAN, StyleBasedGenerator, Styles
from lightning_gan.tensors.draws_by_position import normal_like
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import Images, Labels, Logits


@dataclass(frozen=True, kw_only=True)
class SynthesisParts:
    """The parts of the synthesis network, for rows B to E of the paper's table 1.

    Args:
        constant_input: True starts from a learned constant, False from a fully connected layer on w, as in PGGAN.
        style_modulation: Whether w modulates every layer.
        noise_inputs: Whether every layer gets noise.
        pixel_norm: Whether the features of each pixel are normalized over channels, as in PGGAN.
        instance_norm: Whether each feature map is normalized over its pixels.

    Raises:
        ValueError: if images would not depend on the latent.
    """

    constant_input: bool = True
    style_modulation: bool = True
    noise_inputs: bool = True
    pixel_norm: bool = False
    instance_norm: bool = True

    def __post_init__(self) -> None:
        if self.constant_input and not self.style_modulation:
            raise ValueError(
                "constant_input=True with style_modulation=False makes images that do not depend on the latent; "
                "set constant_input=False, or style_modulation=True"
            )


class Epilogue(nn.Module):
    """What follows every convolution, as `parts` says: noise, bias, leaky ReLU, normalization, style (AdaIN, eq. 1)."""

    noise_weight: Tensor | None

    def __init__(self, *, channels: int, style_dim: int, parts: SynthesisParts) -> None:
        super().__init__()
        self.register_parameter("noise_weight", nn.Parameter(torch.zeros(channels)) if parts.noise_inputs else None)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.normalization = nn.Sequential(
            *([PixelNorm()] if parts.pixel_norm else []), *([InstanceNorm()] if parts.instance_norm else [])
        )
        self.style = EqualizedLinear(style_dim, 2 * channels, gain=1.0) if parts.style_modulation else None

    def forward(self, features: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """Features `batch channels height width`, style `batch style_dim`, and noise (None draws it), to features."""
        bias = self.bias[:, None, None]
        if self.noise_weight is not None:
            if noise is None:
                noise = normal_like(features[:, :1])
            bias = torch.addcmul(bias, noise, self.noise_weight[:, None, None])
        normalized: Tensor = self.normalization(leaky_relu(bias + features, 0.2, inplace=True))
        if self.style is None:
            return normalized
        scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)  # b c 1 1 each
        return torch.addcmul(shift, normalized, scale + 1)


class FirstBlock(nn.Module):
    """The block at 4x4: the learned constant, or PGGAN's fully connected layer, then one convolution."""

    def __init__(self, *, channels: int, style_dim: int, parts: SynthesisParts) -> None:
        super().__init__()
        self.parts = parts
        if parts.constant_input:
            self.constant = nn.Parameter(torch.ones(1, channels, 4, 4))
        else:
            # sqrt(2) because of the activation, a quarter because 16 pixels share each latent, as in PGGAN
            self.dense = EqualizedLinear(style_dim, channels * 16, gain=SQRT2 / 4, bias=False)
        self.epilogue0 = Epilogue(channels=channels, style_dim=style_dim, parts=parts)
        self.conv1 = EqualizedConv2d(channels, channels, kernel_size=3, bias=False)
        self.epilogue1 = Epilogue(channels=channels, style_dim=style_dim, parts=parts)

    def forward(self, styles: Tensor, noises: tuple[Tensor | None, Tensor | None]) -> Tensor:
        """Styles `batch 2 style_dim`, and a noise for each, to features `batch channels 4 4`."""
        if self.parts.constant_input:
            # The shape and not `len`, which would fix the batch size of an exported graph.
            features = self.constant.expand(styles.shape[0], -1, -1, -1)
        else:
            features = self.dense(styles[:, 0]).unflatten(1, (-1, 4, 4))
        features = self.epilogue0(features, styles[:, 0], noises[0])
        output: Tensor = self.epilogue1(self.conv1(features), styles[:, 1], noises[1])
        return output


class SynthesisBlock(nn.Module):
    """A block that doubles the resolution and has two convolutions."""

    def __init__(self, *, in_channels: int, out_channels: int, style_dim: int, parts: SynthesisParts) -> None:
        super().__init__()
        self.conv0_up = UpsamplingConv2d(in_channels, out_channels, bias=False)
        self.blur: nn.Module = Blur()
        self.epilogue0 = Epilogue(channels=out_channels, style_dim=style_dim, parts=parts)
        self.conv1 = EqualizedConv2d(out_channels, out_channels, kernel_size=3, bias=False)
        self.epilogue1 = Epilogue(channels=out_channels, style_dim=style_dim, parts=parts)

    def forward(self, features: Tensor, styles: Tensor, noises: tuple[Tensor | None, Tensor | None]) -> Tensor:
        """Features, styles `batch 2 style_dim`, and a noise for each, to features of twice the resolution."""
        features = self.epilogue0(self.blur(self.conv0_up(features)), styles[:, 0], noises[0])
        output: Tensor = self.epilogue1(self.conv1(features), styles[:, 1], noises[1])
        return output


class SynthesisNetwork(GrowingGenerator):
    """Maps styles, one per layer, to images."""

    def __init__(self, *, sizes: GrowingSizes, style_dim: int, parts: SynthesisParts) -> None:
        channels = sizes.channels
        super().__init__(
            sizes=sizes,
            first=FirstBlock(channels=channels[0], style_dim=style_dim, parts=parts),
            blocks=[
                SynthesisBlock(in_channels=before, out_channels=after, style_dim=style_dim, parts=parts)
                for before, after in pairwise(channels)
            ],
        )
        self.parts = parts
        for layer in range(2 * len(channels) if parts.noise_inputs else 0):
            size = 4 * 2 ** (layer // 2)
            self.register_buffer(f"noise{layer}", torch.randn(1, 1, size, size))

    @property
    def active_layers(self) -> int:
        """Number of layers with a style at the active resolution: 18 at 1024x1024, 1 if only the first layer gets w."""
        return 2 * (stage_of(self.resolution) + 1) if self.parts.style_modulation else 1

    @property
    def style_resolutions(self) -> list[int]:
        """Resolutions in pixels of the layers that take a style, up to the active resolution: 4, 4, 8, 8 ..."""
        return [4 * 2 ** (layer // 2) for layer in range(self.active_layers)]

    def forward(
        self, styles: Styles, *, random_noise: bool = True, noisy_layers: Collection[int] | None = None
    ) -> Images:
        """Images of the active resolution in about [-1, 1].

        Args:
            styles: Styles w, one for each of the `active_layers`, `batch layers style_dim`.
            random_noise: True draws new noise, False uses the stored noise.
            noisy_layers: Numbers of the layers that get noise, from 0; None is all layers.
        """
        stage = stage_of(self.resolution)
        noises = [
            self._noise(layer, random_noise=random_noise, is_noisy=noisy_layers is None or layer in noisy_layers)
            for layer in range(2 * stage + 2)
        ]
        if not self.parts.style_modulation:
            styles = styles.expand(-1, 2 * stage + 2, -1)  # the first alone is used
        features = before = self.first(styles[:, :2], (noises[0], noises[1]))
        for index, block in enumerate(self.blocks[:stage]):
            before, layer = features, 2 * index + 2
            features = block(features, styles[:, layer : layer + 2], (noises[layer], noises[layer + 1]))
        return self.project(features, before=before)

    def _noise(self, layer: int, *, random_noise: bool, is_noisy: bool) -> Tensor | None:
        """A layer's noise. None lets the epilogue draw it, in the precision of its features."""
        if not is_noisy:
            return self.fade_in.new_zeros(1, 1, 1, 1)
        return None if random_noise or not self.parts.noise_inputs else self.get_buffer(f"noise{layer}")


class Generator(StyleBasedGenerator):
    """StyleGAN's mapping and synthesis network, which grow.

    Args:
        mapping: Network that maps latents to styles.
        synthesis: Network that maps styles to images.

    Raises:
        ValueError: for a `style_mixing` outside of [0, 1], or above 0 without style modulation; in a call, for a
            truncation other than 1 without style modulation.
    """

    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(self, *, mapping: MappingNetwork, synthesis: SynthesisNetwork, style_mixing: float) -> None:
        if style_mixing and not synthesis.parts.style_modulation:
            raise ValueError(
                f"style_mixing={style_mixing} with style_modulation=False has no styles to mix; set style_mixing=0"
            )
        super().__init__(mapping=mapping, synthesis=synthesis, style_mixing=style_mixing)

    def grow(self, resolution: int, fade_in: float) -> None:
        """Sets the active resolution in pixels, and the weight of its block in (0, 1], as `Growing.grow` does."""
        self.synthesis.grow(resolution, fade_in)

    def truncated(self, styles: Styles, *, truncation: float, truncation_layers: int | None) -> Styles:
        """``w_avg + truncation * (w - w_avg)`` for the first `truncation_layers` layers, and w for the others."""
        if truncation != 1.0 and not self.synthesis.parts.style_modulation:
            raise ValueError(
                f"truncation={truncation} with style_modulation=False has no styles to truncate; set it to 1"
            )
        return super().truncated(styles, truncation=truncation, truncation_layers=truncation_layers)


class DiscriminatorBlock(nn.Module):
    """A block that has two convolutions and halves the resolution."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualizedConv2d(in_channels, in_channels, kernel_size=3)
        self.blur: nn.Module = Blur()
        self.conv1_down = DownsamplingConv2d(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """`batch in_channels height width -> batch out_channels height/2 width/2`."""
        features = leaky_relu(self.conv0(features), 0.2, inplace=True)
        return leaky_relu(self.conv1_down(self.blur(features)), 0.2, inplace=True)


class Discriminator(GrowingDiscriminator):
    """Maps images of the active resolution to one logit each. The arguments are described in `StyleGAN`.

    With classes the last layer has one output per class, and the logit is that of the label (Mescheder et al. 2018).
    """

    def __init__(
        self,
        *,
        sizes: GrowingSizes,
        number_of_classes: int,
        minibatch_stddev_group: int,
        minibatch_stddev_within_classes: bool,
    ) -> None:
        super().__init__(
            sizes=sizes,
            blocks=[
                DiscriminatorBlock(in_channels=here, out_channels=below) for below, here in pairwise(sizes.channels)
            ],
            outputs=max(number_of_classes, 1),
            minibatch_stddev=stddev_over_samples(
                group_size=minibatch_stddev_group,
                within_classes=minibatch_stddev_within_classes,
                number_of_classes=number_of_classes,
            ),
        )
        self.number_of_classes = number_of_classes

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Images in [-1, 1], and labels if there are classes, to logits `batch 1`."""
        logits = self.judge(images, labels)
        if not self.number_of_classes:
            return logits
        assert labels is not None
        chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
        return (logits * chosen).sum(dim=1, keepdim=True)


class StyleGAN(StyleBasedGAN):
    """StyleGAN with the paper's settings as defaults; add the callbacks `R1`, `EMA` and `ProgressiveGrowing`.

    Args:
        image_size: Full height and width of the images in pixels, a power of two from 8 to 1024.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        style_dim: Size of the style w.
        mapping_layers: Number of fully connected layers of the mapping network. 0 uses the normalized z as w (row B).
        mapping_width: Number of units of each hidden layer of the mapping network.
        mapping_learning_rate_multiplier: Learning rate of the mapping network relative to the rest; 0.01 in the paper.
        channel_base: Numerator of the number of feature maps: `2 * channel_base / resolution`, up to `channel_max`.
        channel_max: Largest number of feature maps at any resolution.
        parts: The parts of the synthesis network.
        style_mixing: Probability that a batch gets its later layers' styles from second latents (section 3.1).
        truncation_layers: Number of layers, from the lowest resolution, that truncation applies to in sampling.
        minibatch_stddev_group: Number of samples per group of the minibatch standard deviation.
        minibatch_stddev_within_classes: Whether the minibatch standard deviation is over the samples of the batch that
            have the same class, and not over groups of mixed classes, which hide that a generator makes one image for
            each class. It is ours, used with classes only, and needs batches with several images of each class.

    Raises:
        ValueError: for a number out of range, and for settings that exclude each other.
    """

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        mapping_width: int = 512,
        mapping_learning_rate_multiplier: float = 0.01,
        channel_base: int = 8192,
        channel_max: int = 512,
        parts: SynthesisParts = SynthesisParts(),
        style_mixing: float = 0.9,
        truncation_layers: int = 8,
        minibatch_stddev_group: int = 4,
        minibatch_stddev_within_classes: bool = False,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            style_dim=style_dim,
            mapping_width=mapping_width,
            channel_base=channel_base,
            channel_max=channel_max,
            minibatch_stddev_group=minibatch_stddev_group,
        )
        check_at_least(
            0,
            number_of_classes=number_of_classes,
            mapping_learning_rate_multiplier=mapping_learning_rate_multiplier,
            truncation_layers=truncation_layers,
        )
        sizes = GrowingSizes(
            image_size=image_size, image_channels=image_channels, channel_base=channel_base, channel_max=channel_max
        )
        super().__init__(
            generator=Generator(
                mapping=MappingNetwork(
                    latent_dim=latent_dim,
                    style_dim=style_dim,
                    layers=mapping_layers,
                    width=mapping_width,
                    learning_rate_multiplier=mapping_learning_rate_multiplier,
                    number_of_classes=number_of_classes,
                ),
                synthesis=SynthesisNetwork(sizes=sizes, style_dim=style_dim, parts=parts),
                style_mixing=style_mixing,
            ),
            discriminator=Discriminator(
                sizes=sizes,
                number_of_classes=number_of_classes,
                minibatch_stddev_group=minibatch_stddev_group,
                minibatch_stddev_within_classes=minibatch_stddev_within_classes,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments("parts"))
        if "parts" not in self.hparams:  # made in Python
            self.hparams.update(plain_data(parts=parts))
        self.image_size = image_size
        self.truncation_layers = truncation_layers
