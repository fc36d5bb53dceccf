"""Import of the authors' published BigGAN-deep generators from `pytorch-pretrained-BigGAN` (Hugging Face).

They were converted from TensorFlow and keep its layout: the first layer's output is `4 4 channels`, and conditions are
[latent, class], while those of this package are [class, latent]. `conv_to_rgb` has as many outputs as inputs, of which
the first three are used. Batch normalization has statistics for each of 51 truncations from 0 to 1.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.batch_norm import Affine, BatchNorm, VectorAffine
from lightning_gan.layers.projection import ClassEmbedding
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.models.biggan import BOTTOM
from lightning_gan.models.biggan_deep import GeneratorBlock
from lightning_gan.tensors.shapes import Images, Labels, Latents


class BatchNormByTruncation(BatchNorm):
    """Batch normalization that uses the published statistics of a truncation in evaluation mode.

    Once it has been trained, they are those of other weights. It then uses its own averages, as every `BatchNorm` does.

    Args:
        channels: number of channels of the features.
        affine: layer that returns gain and bias; None learns them for each channel.
        eps: number added to the variance.
        steps: number of truncations, evenly spaced from 0 to 1, that have statistics.
    """

    running_means: Tensor
    running_variances: Tensor
    is_as_published: Tensor

    def __init__(self, channels: int, *, affine: Affine | None = None, eps: float, steps: int) -> None:
        super().__init__(channels, affine=affine, eps=eps)
        self.register_buffer("running_means", torch.zeros(steps, channels))
        self.register_buffer("running_variances", torch.ones(steps, channels))
        self.register_buffer("is_as_published", torch.ones((), dtype=torch.bool))
        self.truncation = 1.0

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalized features, as in `BatchNorm`."""
        if self.training:
            self.is_as_published.fill_(False)
        return super().forward(features, condition)

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        """The mean and the variance of the truncation, or the layer's own once it has been trained or measured."""
        own_mean, own_variance = super().evaluation_statistics()
        mean, variance = self._published_statistics()
        is_published = self.is_as_published & (self.standing_batches == 0)
        return torch.where(is_published, mean, own_mean), torch.where(is_published, variance, own_variance)

    def _published_statistics(self) -> tuple[Tensor, Tensor]:
        """Between two steps their weights are swapped, as in the authors' code."""
        step_size = 1.0 / (len(self.running_means) - 1)
        fraction, below = math.modf(self.truncation / step_size)
        step = int(below)
        if fraction == 0.0:
            return self.running_means[step], self.running_variances[step]
        mean = self.running_means[step] * fraction + self.running_means[step + 1] * (1 - fraction)
        variance = self.running_variances[step] * fraction + self.running_variances[step + 1] * (1 - fraction)
        return mean, variance


class PublishedGenerator(nn.Module):
    """BigGAN-deep's generator as published, with any list of layers, and statistics by truncation.

    Args:
        layers: whether each block doubles the resolution, its input width and its output width; widths are factors of
            `base_channels`.
        attention_position: number of blocks before self-attention.
        base_channels: unit of the blocks' widths in channels, the authors' `channel_width`.
        latent_dim: size of z.
        embedding_dim: size of the class embedding.
        number_of_classes: number of classes; 1000 in the published networks.
        image_channels: number of the last convolution's outputs that are used.
        eps: number added to the variance in all batch normalizations.
        steps: number of truncations, evenly spaced from 0 to 1, that have statistics.
    """

    def __init__(
        self,
        *,
        layers: list[tuple[bool, int, int]],
        attention_position: int,
        base_channels: int,
        latent_dim: int,
        embedding_dim: int,
        number_of_classes: int,
        image_channels: int = 3,
        eps: float = 1e-4,
        steps: int = 51,
    ) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.embedding = ClassEmbedding(number_of_classes, embedding_dim)
        condition_dim = latent_dim + embedding_dim
        first, last = layers[0][1] * base_channels, layers[-1][2] * base_channels
        self.linear = nn.Linear(condition_dim, first * BOTTOM**2)

        def norm(of: int) -> BatchNorm:
            affine = VectorAffine(of, condition_dim=condition_dim)
            return BatchNormByTruncation(of, affine=affine, eps=eps, steps=steps)

        self.blocks = nn.ModuleList(
            GeneratorBlock(
                in_channels=before * base_channels,
                out_channels=after * base_channels,
                upsamples=upsamples,
                norm=norm,
            )
            for upsamples, before, after in layers
        )
        if 0 < attention_position <= len(layers):
            block = self.blocks[attention_position - 1]
            assert isinstance(block, GeneratorBlock)
            block.attention = SelfAttention(block.out_channels)
        self.norm = BatchNormByTruncation(last, eps=eps, steps=steps)
        self.to_rgb = nn.Conv2d(last, last, kernel_size=3, padding=1)

    def forward(self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0) -> Images:
        """Generates images in [-1, 1].

        Args:
            latents: `batch latent_dim`, already truncated, for example by `layers.truncated_normal.truncated_latents`.
            labels: class indices or multi-hot rows.
            truncation: truncation of the latents, in (0, 1].

        Raises:
            ValueError: for a truncation out of range, or without labels.
        """
        if not 0.0 < truncation <= 1.0:
            raise ValueError(f"truncation={truncation} must be above 0 and at most 1")
        if labels is None:
            raise ValueError("the published BigGAN-deep generators are conditional: give labels")
        for module in self.modules():
            if isinstance(module, BatchNormByTruncation):
                module.truncation = truncation
        condition = torch.cat([self.embedding(labels).to(latents.dtype), latents], dim=1)
        features: Tensor = self.linear(condition).unflatten(1, (-1, BOTTOM, BOTTOM))
        for block in self.blocks:
            features = block(features, condition)
        images: Tensor = self.to_rgb(relu(self.norm(features)))[:, : self.image_channels]
        return images.tanh()


def published_generator(config: dict[str, Any]) -> PublishedGenerator:
    """Returns a new generator without spectral normalization.

    Args:
        config: `BigGANConfig` as a dictionary.
    """
    return PublishedGenerator(
        layers=[(bool(upsamples), before, after) for upsamples, before, after in config["layers"]],
        attention_position=config["attention_layer_position"],
        base_channels=config["channel_width"],
        latent_dim=config["z_dim"],
        embedding_dim=config.get("class_embed_dim", config["z_dim"]),
        number_of_classes=config["num_classes"],
        eps=config.get("eps", 1e-4),
        steps=config.get("n_stats", 51),
    )


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the generator "G" in evaluation mode; its arguments are latents, labels and `truncation`.

    Args:
        state: weights of the whole model, which is the only network there, by their variable names.
        config: `BigGANConfig` as a dictionary: `layers`, `attention_layer_position`, `channel_width`, `z_dim`,
            `class_embed_dim`, `num_classes`, `eps`, `n_stats`.

    Raises:
        ValueError: if there is more than one network.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    if len(state) != 1:
        raise ValueError(f"the published model is one network, but got {len(state)}: {', '.join(state)}; give one")
    (theirs,) = state.values()
    generator = published_generator(config)
    spectrally_normalized(generator, excluded=("embedding",))
    own = generator.state_dict()
    unused = (".standing_mean", ".standing_variance", ".standing_batches", ".is_as_published")
    complete = {name: value for name, value in own.items() if f".{name}".endswith(unused)}
    attention_position, latent_dim = config["attention_layer_position"], config["z_dim"]
    for name, value in theirs.items():
        ours = _name(name, attention_position)
        complete[ours] = _layout(name, value, latent_dim=latent_dim)
        if ours.endswith((".running_means", ".running_variances")):
            complete[ours.removesuffix("s")] = value[-1]  # a training goes on from those without truncation
    generator.load_state_dict(complete)
    return {"G": generator.eval()}


def _name(name: str, attention_position: int) -> str:
    if name == "embeddings.weight":
        return "embedding.weight"
    layer, _, kind = name.removeprefix("generator.").rpartition(".")
    kinds = {
        "weight_orig": "parametrizations.weight.original",
        "weight_u": "parametrizations.weight.0.left",
        "weight_v": "parametrizations.weight.0.right",
        "running_vars": "running_variances",
    }
    if layer == "bn":
        parts = {"weight": "affine.gain", "bias": "affine.bias"}
        return f"norm.{parts.get(kind, kinds.get(kind, kind))}"
    return ".".join([_layer(layer, attention_position), kinds.get(kind, kind)])


def _layer(layer: str, attention_position: int) -> str:
    heads = {"gen_z": "linear", "conv_to_rgb": "to_rgb"}
    if layer in heads:
        return heads[layer]
    _, index, *rest = layer.split(".")
    position = int(index)
    if position == attention_position:
        attention = f"blocks.{position - 1}.attention"
        return f"{attention}.{rest[0].removeprefix('snconv1x1_').removesuffix('_conv')}" if rest else attention
    kind, number = rest[0].split("_")
    block = f"blocks.{position - (position > attention_position)}.{'norm' if kind == 'bn' else kind}{int(number) + 1}"
    parts = {"scale": "affine.gain", "offset": "affine.bias"}
    return f"{block}.{parts[rest[1]]}" if len(rest) > 1 else block


def _layout(name: str, value: Tensor, *, latent_dim: int) -> Tensor:
    """Converts conditions [latent, class] to [class, latent], and the first layer's outputs `4 4 c` to `c 4 4`."""
    if name == "embeddings.weight":
        return value.T
    if name.endswith("gamma"):
        return value.reshape(())
    takes_condition = any(f".{layer}." in name for layer in ("gen_z", "scale", "offset"))
    if takes_condition and name.endswith(("weight_orig", "weight_v")):
        value = torch.cat([value[..., latent_dim:], value[..., :latent_dim]], dim=-1)
    if ".gen_z." in name and not name.endswith("weight_v"):
        value = rearrange(value, "(h w c) ... -> (c h w) ...", h=BOTTOM, w=BOTTOM)
    return value
