"""StyleGAN, "A Style-Based Generator Architecture for Generative Adversarial Networks".

Karras et al. 2019, arXiv:1812.04948.

A mapping network turns a latent z into a style w; styles modulate a synthesis network that starts from a learned
constant and gets fresh noise at every layer. The discriminator is PGGAN's with a blur. Both grow from 4x4 up.

We train each stage at its own resolution; the authors upscale everything to the full size first, which changes nothing
but the scale of image gradients (`Turn.gradient_scale`). Resampling convolutions are fused at every resolution, which
the authors do from 128x128 on; the result is the same.
"""

from itertools import pairwise

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import conv2d, instance_norm, leaky_relu

from lightning_gan.gan import GAN, unsaved_arguments
from lightning_gan.layers import (
    DownsamplingConv2d,
    EqualizedConv2d,
    EqualizedLinear,
    Growing,
    GrowingDiscriminator,
    UpsamplingConv2d,
    channels_of_stages,
    label_vectors,
    nearest_upsample,
    pixel_norm,
    stage_of,
)
from lightning_gan.loop import Loop
from lightning_gan.losses import AdversarialLoss
from lightning_gan.optimizers import GANAdam
from lightning_gan.precision import full_precision
from lightning_gan.shapes import Images, Labels, Latents, Logits


class Blur(nn.Module):
    """Smooth every channel with [1, 2, 1] x [1, 2, 1] / 16, zeros beyond the border."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 3, 3)
        return conv2d(features, kernel, padding=1, groups=channels)


class MappingNetwork(nn.Module):
    """z, and a label's embedding beside it, to the style w; eight layers in the paper, 100 times slower than the rest.

    Args:
        latent_dim: size of z.
        style_dim: size of w.
        layers: fully connected layers.
        width: size of the hidden layers.
        learning_rate_multiplier: 0.01 in the paper.
        number_of_classes: 0 for no labels.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        style_dim: int,
        layers: int,
        width: int,
        learning_rate_multiplier: float,
        number_of_classes: int,
    ) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        if number_of_classes:
            self.label_weight = nn.Parameter(torch.randn(number_of_classes, latent_dim))
        sizes = [latent_dim * 2 if number_of_classes else latent_dim, *[width] * (layers - 1), style_dim]
        self.layers = nn.Sequential(
            *[
                nn.Sequential(
                    EqualizedLinear(before, after, learning_rate_multiplier=learning_rate_multiplier),
                    nn.LeakyReLU(0.2),
                )
                for before, after in pairwise(sizes)
            ]
        )

    def forward(self, latents: Latents, labels: Labels | None = None) -> Tensor:
        if self.number_of_classes:
            assert labels is not None
            embedded = label_vectors(labels, number_of_classes=self.number_of_classes) @ self.label_weight
            latents = torch.cat([latents, embedded], dim=1)
        styles: Tensor = self.layers(pixel_norm(latents))  # batch style_dim
        return styles


class Epilogue(nn.Module):
    """What follows every convolution: noise, bias, leaky ReLU, instance norm, style (the paper's AdaIN, eq. 1).

    Args:
        channels: feature maps.
        style_dim: size of w.
    """

    def __init__(self, *, channels: int, style_dim: int) -> None:
        super().__init__()
        self.noise_weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style = EqualizedLinear(style_dim, 2 * channels, gain=1.0)

    def forward(self, features: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        batch, _, height, width = features.shape
        if noise is None:
            noise = torch.randn(batch, 1, height, width, dtype=features.dtype, device=features.device)
        features = torch.addcmul(self.bias[:, None, None], noise, self.noise_weight[:, None, None]) + features
        features = leaky_relu(features, 0.2)
        # fp32: a variance, and a tiny eps
        normalized = instance_norm(full_precision(features), eps=1e-8).to(features.dtype)
        scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)  # b c 1 1 each
        return torch.addcmul(shift, normalized, scale + 1)


class FirstBlock(nn.Module):
    """4x4: the learned constant, then one convolution."""

    def __init__(self, *, channels: int, style_dim: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.ones(1, channels, 4, 4))
        self.epilogue0 = Epilogue(channels=channels, style_dim=style_dim)
        self.conv1 = EqualizedConv2d(channels, channels, kernel_size=3, bias=False)
        self.epilogue1 = Epilogue(channels=channels, style_dim=style_dim)

    def forward(self, styles: Tensor, noises: tuple[Tensor | None, Tensor | None]) -> Tensor:
        features = self.constant.expand(len(styles), -1, -1, -1)
        features = self.epilogue0(features, styles[:, 0], noises[0])
        output: Tensor = self.epilogue1(self.conv1(features), styles[:, 1], noises[1])
        return output


class SynthesisBlock(nn.Module):
    """Twice the resolution, and two convolutions."""

    def __init__(self, *, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv0_up = UpsamplingConv2d(in_channels, out_channels, bias=False)
        self.blur = Blur()
        self.epilogue0 = Epilogue(channels=out_channels, style_dim=style_dim)
        self.conv1 = EqualizedConv2d(out_channels, out_channels, kernel_size=3, bias=False)
        self.epilogue1 = Epilogue(channels=out_channels, style_dim=style_dim)

    def forward(self, features: Tensor, styles: Tensor, noises: tuple[Tensor | None, Tensor | None]) -> Tensor:
        features = self.epilogue0(self.blur(self.conv0_up(features)), styles[:, 0], noises[0])
        output: Tensor = self.epilogue1(self.conv1(features), styles[:, 1], noises[1])
        return output


class SynthesisNetwork(Growing):
    """Styles, one per layer, to images; every resolution has its own projection to RGB.

    Args:
        image_size: full resolution.
        image_channels: 1 for grey, 3 for RGB, or any other number.
        style_dim: size of w.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.
    """

    def __init__(
        self, *, image_size: int, image_channels: int, style_dim: int, channel_base: int, channel_max: int
    ) -> None:
        super().__init__(image_size=image_size)
        channels = channels_of_stages(image_size, channel_base=channel_base, channel_max=channel_max)
        self.first = FirstBlock(channels=channels[0], style_dim=style_dim)
        self.blocks = nn.ModuleList(
            SynthesisBlock(in_channels=before, out_channels=after, style_dim=style_dim)
            for before, after in pairwise(channels)
        )
        self.to_rgb = nn.ModuleList(EqualizedConv2d(c, image_channels, kernel_size=1, gain=1.0) for c in channels)
        for layer in range(2 * len(channels)):
            size = 4 * 2 ** (layer // 2)
            self.register_buffer(f"noise{layer}", torch.randn(1, 1, size, size))

    @property
    def active_layers(self) -> int:
        """Layers, each with a style, at the active resolution: 18 at 1024x1024."""
        return 2 * (stage_of(self.resolution) + 1)

    def forward(self, styles: Tensor, *, random_noise: bool = True) -> Images:
        """`batch layers style_dim -> batch channels height width`; without `random_noise`, the stored noise is used."""
        stage = stage_of(self.resolution)
        noises = [None if random_noise else self.get_buffer(f"noise{layer}") for layer in range(2 * stage + 2)]
        features = self.first(styles[:, :2], (noises[0], noises[1]))
        before = features
        for index, block in enumerate(self.blocks[:stage]):
            before, layer = features, 2 * index + 2
            features = block(features, styles[:, layer : layer + 2], (noises[layer], noises[layer + 1]))
        images: Tensor = self.to_rgb[stage](features)
        if self.is_fading:
            coarse = nearest_upsample(self.to_rgb[stage - 1](before), factor=2)
            images = coarse.lerp(images, self.fade_in.to(images.dtype))
        return images


class Generator(nn.Module):
    """Mapping and synthesis, style mixing while training, truncation while sampling.

    Args:
        image_size: full resolution, a power of two from 4 to 1024.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: fully connected layers of the mapping network.
        mapping_width: size of its hidden layers.
        mapping_learning_rate_multiplier: its learning rate relative to the rest.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.
        style_mixing: probability that a batch takes its later layers' styles from second latents (section 3.1).
        w_avg_decay: how slowly the running mean of w follows.

    Raises:
        ValueError: for a probability out of [0, 1], or no mapping layers.
    """

    w_avg: Tensor

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
        style_mixing: float = 0.9,
        w_avg_decay: float = 0.995,
    ) -> None:
        super().__init__()
        if not 0.0 <= style_mixing <= 1.0:
            raise ValueError(f"style_mixing={style_mixing} is a probability; give 0 to 1")
        if mapping_layers < 1:
            raise ValueError(f"mapping_layers={mapping_layers} must be at least 1")
        self.mapping = MappingNetwork(
            latent_dim=latent_dim,
            style_dim=style_dim,
            layers=mapping_layers,
            width=mapping_width,
            learning_rate_multiplier=mapping_learning_rate_multiplier,
            number_of_classes=number_of_classes,
        )
        self.synthesis = SynthesisNetwork(
            image_size=image_size,
            image_channels=image_channels,
            style_dim=style_dim,
            channel_base=channel_base,
            channel_max=channel_max,
        )
        self.style_mixing = style_mixing
        self.w_avg_decay = w_avg_decay
        self.register_buffer("w_avg", torch.zeros(style_dim))

    def grow(self, resolution: int, fade_in: float) -> None:
        """See `Growing.grow`."""
        self.synthesis.grow(resolution, fade_in)

    def forward(
        self,
        latents: Latents,
        labels: Labels | None = None,
        *,
        truncation: float = 1.0,
        truncation_layers: int = 8,
        random_noise: bool = True,
    ) -> Images:
        """Images of the active resolution.

        Args:
            latents: `batch latent_dim`.
            labels: class indices or multi-hot rows, if the network has classes.
            truncation: psi of section 4.3 (appendix B): styles are drawn towards the mean style; 1 leaves them alone.
            truncation_layers: how many layers, from the coarsest, truncation applies to.
            random_noise: fresh noise, or the stored one.
        """
        w = self.mapping(latents, labels)  # batch style_dim
        layers = self.synthesis.active_layers
        styles = w[:, None].expand(-1, layers, -1)  # batch layers style_dim
        if self.training:
            with torch.no_grad():
                self.w_avg.lerp_(full_precision(w).mean(dim=0), 1 - self.w_avg_decay)
            if self.style_mixing:
                styles = self._mixed(styles, self.mapping(torch.randn_like(latents), labels))
        if truncation != 1.0:
            affected = torch.arange(layers, device=w.device)[:, None] < truncation_layers
            w_avg = self.w_avg.to(w.dtype)
            styles = torch.where(affected, w_avg.lerp(styles, truncation), styles)
        images: Tensor = self.synthesis(styles, random_noise=random_noise)
        return images

    def _mixed(self, styles: Tensor, second_w: Tensor) -> Tensor:
        """With probability `style_mixing`, layers from a random one on take the second style.

        One draw for the batch.
        """
        layers, device = styles.shape[1], styles.device
        crossover = torch.randint(1, layers, (), device=device)
        crossover = torch.where(torch.rand((), device=device) < self.style_mixing, crossover, layers)
        keeps_first = torch.arange(layers, device=device)[:, None] < crossover
        return torch.where(keeps_first, styles, second_w[:, None])


class DiscriminatorBlock(nn.Module):
    """Two convolutions, and half the resolution."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualizedConv2d(in_channels, in_channels, kernel_size=3)
        self.blur = Blur()
        self.conv1_down = DownsamplingConv2d(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        features = leaky_relu(self.conv0(features), 0.2)
        return leaky_relu(self.conv1_down(self.blur(features)), 0.2)


class Discriminator(GrowingDiscriminator):
    """Images of the active resolution to one logit each.

    With classes the last layer has an output per class, and the label picks one (Mescheder et al. 2018).

    Args:
        image_size: full resolution.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        number_of_classes: int = 0,
        channel_base: int = 8192,
        channel_max: int = 512,
        minibatch_stddev_group: int = 4,
    ) -> None:
        channels = channels_of_stages(image_size, channel_base=channel_base, channel_max=channel_max)
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            channels=channels,
            blocks=[DiscriminatorBlock(in_channels=here, out_channels=below) for below, here in pairwise(channels)],
            outputs=max(number_of_classes, 1),
            minibatch_stddev_group=minibatch_stddev_group,
        )
        self.number_of_classes = number_of_classes

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits, `batch 1`."""
        logits = self.judge(images)
        if not self.number_of_classes:
            return logits
        assert labels is not None
        chosen = label_vectors(labels, number_of_classes=self.number_of_classes)
        return (logits * chosen).sum(dim=1, keepdim=True)


class StyleGAN(GAN):
    """StyleGAN with the paper's settings as defaults; add `R1`, `EMA` and `ProgressiveGrowing` as callbacks.

    Args:
        image_size: full resolution, a power of two from 8 to 1024.
        image_channels: channels of the images.
        number_of_classes: 0 for no labels.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: fully connected layers of the mapping network.
        mapping_width: size of its hidden layers.
        mapping_learning_rate_multiplier: its learning rate relative to the rest.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.
        style_mixing: probability that a batch mixes the styles of two latents.
        truncation_layers: layers that truncation applies to when sampling.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
        loss: the objective; None is the non-saturating one.
        generator_optimizer: makes the generator's optimizer from its parameters.
        discriminator_optimizer: makes the discriminator's optimizer.
        loop: how the players alternate.
        seed: of latents and noise.
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
        style_mixing: float = 0.9,
        truncation_layers: int = 8,
        minibatch_stddev_group: int = 4,
        loss: AdversarialLoss | None = None,
        generator_optimizer: OptimizerCallable = GANAdam,
        discriminator_optimizer: OptimizerCallable = GANAdam,
        loop: Loop = Loop(),
        seed: int = 0,
    ) -> None:
        super().__init__(
            generator=Generator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                style_dim=style_dim,
                mapping_layers=mapping_layers,
                mapping_width=mapping_width,
                mapping_learning_rate_multiplier=mapping_learning_rate_multiplier,
                channel_base=channel_base,
                channel_max=channel_max,
                style_mixing=style_mixing,
            ),
            discriminator=Discriminator(
                image_size=image_size,
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                channel_base=channel_base,
                channel_max=channel_max,
                minibatch_stddev_group=minibatch_stddev_group,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            loss=loss,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            loop=loop,
            seed=seed,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.image_size = image_size
        self.truncation_layers = truncation_layers

    def finish_batch(self) -> None:
        # Each rank moved the mean style by its own latents: their mean is what one process would have.
        w_avg = self.generator.w_avg
        w_avg.copy_(self.trainer.strategy.reduce(w_avg.clone(), reduce_op="mean"))

    def truncated(self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float) -> Images:
        images: Images = network(latents, labels, truncation=truncation, truncation_layers=self.truncation_layers)
        return images
