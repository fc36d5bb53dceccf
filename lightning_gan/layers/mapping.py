"""The mapping networks of StyleGAN (Karras et al. 2019, arXiv:1812.04948, section 2) and of StyleGAN2."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_gan.layers.activated_convolution import ScaledLeakyReLU
from lightning_gan.layers.equalized import EqualizedLinear
from lightning_gan.layers.labels import label_vectors
from lightning_gan.layers.normalization import PixelNorm
from lightning_gan.tensors.shapes import Labels, Latents


class MappingNetwork(nn.Module):
    """Maps a latent z to a style w. With classes, the embedding of the label is concatenated to z.

    In the paper the network has eight layers and a learning rate that is 100 times smaller than that of the others.

    Args:
        latent_dim: size of z.
        style_dim: size of w.
        layers: number of fully connected layers, at least 0. With 0 layers, w is the normalized z (and embedding).
        width: size of the hidden layers.
        learning_rate_multiplier: factor on the learning rate, relative to the other networks.
        number_of_classes: number of classes; 0 without labels.

    Raises:
        ValueError: for a negative number of layers, or for 0 layers and a `style_dim` that is not the input's size.
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
        self.style_dim = style_dim
        self.number_of_classes = number_of_classes
        if number_of_classes:
            self.label_weight = nn.Parameter(torch.randn(number_of_classes, latent_dim))
        input_dim = latent_dim * 2 if number_of_classes else latent_dim
        if layers < 0:
            raise ValueError(f"mapping_layers={layers} must not be negative")
        if layers == 0 and style_dim != input_dim:
            raise ValueError(
                f"mapping_layers=0 makes the {input_dim} numbers of the latent (and of its label) the style, "
                f"which has style_dim={style_dim}; set style_dim={input_dim}"
            )
        self.normalization: nn.Module = PixelNorm()
        sizes = [input_dim, *[width] * (layers - 1), style_dim] if layers else [input_dim]
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
        """Styles w, `batch style_dim`, of latents z, `batch latent_dim`, and of labels if there are classes."""
        if self.number_of_classes:
            assert labels is not None
            vectors = label_vectors(labels, number_of_classes=self.number_of_classes)
            embedded = vectors.to(self.label_weight.dtype) @ self.label_weight
            latents = torch.cat([latents, embedded], dim=1)
        styles: Tensor = self.layers(self.normalization(latents))  # batch style_dim
        return styles


class LabelEmbedding(nn.Module):
    """Maps labels to vectors whose mean square is 1, by a linear layer (Karras et al. 2020, arXiv:2006.06676).

    Args:
        number_of_classes: number of classes.
        width: size of the vectors.
    """

    def __init__(self, *, number_of_classes: int, width: int) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes
        self.linear = EqualizedLinear(number_of_classes, width, gain=1.0)
        self.normalization = PixelNorm()

    def forward(self, labels: Labels) -> Tensor:
        """Vectors, `batch width`."""
        vectors = label_vectors(labels, number_of_classes=self.number_of_classes)
        embedded: Tensor = self.normalization(self.linear(vectors.to(self.linear.weight.dtype)))
        return embedded


def mapping_layers(sizes: list[int], *, learning_rate_multiplier: float) -> nn.Sequential:
    """The fully connected layers of StyleGAN2's mapping, each followed by a leaky ReLU and a factor of sqrt(2).

    Args:
        sizes: sizes of the input and of all outputs.
        learning_rate_multiplier: factor on the learning rate, relative to the other layers.
    """
    return nn.Sequential(
        *[
            nn.Sequential(
                EqualizedLinear(before, after, gain=1.0, learning_rate_multiplier=learning_rate_multiplier),
                ScaledLeakyReLU(),
            )
            for before, after in pairwise(sizes)
        ]
    )


class StyleGAN2Mapping(nn.Module):
    """Maps a latent z to a style w, as StyleGAN2-ADA does: latent and embedded label are normalized separately.

    Args:
        latent_dim: size of z.
        style_dim: size of w, of all hidden layers, and of the embedded label.
        layers: number of fully connected layers, at least 1.
        learning_rate_multiplier: factor on the learning rate, relative to the other networks.
        number_of_classes: number of classes; 0 without labels.

    Raises:
        ValueError: for less than one layer.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        style_dim: int,
        layers: int,
        learning_rate_multiplier: float,
        number_of_classes: int,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"mapping_layers={layers} must be at least 1; 8 in StyleGAN2, 2 in ADA's auto settings")
        self.style_dim = style_dim
        self.normalization = PixelNorm()
        self.label_embedding = (
            LabelEmbedding(number_of_classes=number_of_classes, width=style_dim) if number_of_classes else None
        )
        first = latent_dim + style_dim if number_of_classes else latent_dim
        self.layers = mapping_layers([first, *[style_dim] * layers], learning_rate_multiplier=learning_rate_multiplier)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Tensor:
        """Styles w, `batch style_dim`, of latents z, `batch latent_dim`, and of labels if there are classes."""
        inputs = self.normalization(latents)
        if self.label_embedding is not None:
            assert labels is not None
            inputs = torch.cat([inputs, self.label_embedding(labels)], dim=1)
        styles: Tensor = self.layers(inputs)  # batch style_dim
        return styles


class LabelMapping(nn.Module):
    """Maps labels to vectors for the discriminator's projection: an embedding, and fully connected layers.

    Args:
        number_of_classes: number of classes.
        width: size of the vectors.
        layers: number of fully connected layers, at least 0.
        learning_rate_multiplier: learning rate of these layers relative to the rest.
    """

    def __init__(self, *, number_of_classes: int, width: int, layers: int, learning_rate_multiplier: float) -> None:
        super().__init__()
        self.embedding = LabelEmbedding(number_of_classes=number_of_classes, width=width)
        self.layers = mapping_layers([width] * (layers + 1), learning_rate_multiplier=learning_rate_multiplier)

    def forward(self, labels: Labels) -> Tensor:
        """Vectors, `batch width`."""
        vectors: Tensor = self.layers(self.embedding(labels))
        return vectors
