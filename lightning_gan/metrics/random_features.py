"""Features of a network with random weights: for images for which there is no trained network, and for comparing runs.

Naeem et al. 2020 (arXiv:2002.09797, section 5) recommend such features for images far from ImageNet's. Two trainings on
the same data can be compared by them. No other number is comparable: not those of other data, and not FID.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu

from lightning_gan.metrics.extractors import FeatureExtractor
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, ImageBytes

WIDTHS = (32, 32, 32, 32)
"""Feature maps of the layers; the averages and deviations of each one over the pixels are two features."""

SMALLEST = 2 ** (len(WIDTHS) - 1)


class RandomFeatures(FeatureExtractor):
    """256 features of images with any number of channels, from four 3x3 convolutions with random weights.

    The features are averages and standard deviations over the pixels, so that images may have any size from 8 pixels;
    only images of one size are comparable.

    Args:
        seed: seed of the weights. They are drawn on the CPU, so that they are the same on every machine.

    Example:
        >>> RandomFeatures()(torch.zeros(2, 5, 16, 16, dtype=torch.uint8)).shape
        torch.Size([2, 256])
    """

    remark: ClassVar[str] = "for comparing runs on the same data, not for quoting"

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        check_at_least(0, seed=seed)
        self.seed = seed
        self._layers: dict[int, list[Tensor]] = {}  # by the number of channels of the images

    def forward(self, images: ImageBytes) -> Features:
        """Returns features, `[batch, 256]`, of uint8 images.

        Raises:
            ValueError: if the images are smaller than 8 pixels, or not uint8.
        """
        if images.dtype != torch.uint8 or min(images.shape[-2:]) < SMALLEST:
            raise ValueError(
                f"RandomFeatures takes uint8 images of at least {SMALLEST} pixels, but got {images.dtype} "
                f"{list(images.shape)}; measure larger images"
            )
        features = images.float() / 127.5 - 1.0
        found: list[Tensor] = []
        for index, weight in enumerate(self._weights(images.shape[1], images.device)):
            features = gelu(conv2d(features, weight, stride=1 if index == 0 else 2, padding=1))
            found += [features.mean(dim=(2, 3)), features.flatten(2).std(dim=2, correction=0)]
        return torch.cat(found, dim=1)

    def _weights(self, channels: int, device: torch.device) -> list[Tensor]:
        if channels not in self._layers:
            random = torch.Generator().manual_seed(derived_seed(self.seed, "random features"))
            layers = [torch.empty(outputs, inputs, 3, 3) for inputs, outputs in pairwise((channels, *WIDTHS))]
            self._layers[channels] = [nn.init.kaiming_normal_(layer, generator=random) for layer in layers]
        self._layers[channels] = [layer.to(device) for layer in self._layers[channels]]
        return self._layers[channels]
