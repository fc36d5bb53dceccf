"""Convolutions fused with the resampling beside them are the two, one after the other."""

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from lightning_gan.layers.resampling_convolutions import (
    DownsampledConv2d,
    DownsampledPointwise,
    UpsampledConv2d,
    UpsampledPointwise,
)


@pytest.mark.parametrize("size", [(4, 4), (2, 6)])
def test_upsampled_equals_upsampling_then_convolving(size: tuple[int, int]) -> None:
    layer, features = UpsampledConv2d(3, 5).double(), torch.randn(2, 3, *size, dtype=torch.float64)
    doubled = interpolate(features, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(layer(features), conv2d(doubled, layer.weight, layer.bias, padding=1))


@pytest.mark.parametrize("size", [(4, 4), (2, 6)])
def test_downsampled_equals_convolving_then_averaging(size: tuple[int, int]) -> None:
    layer, features = DownsampledConv2d(3, 5).double(), torch.randn(2, 3, *size, dtype=torch.float64)
    convolved = conv2d(features, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), avg_pool2d(convolved, kernel_size=2))


@pytest.mark.parametrize("size", [(4, 4), (2, 6)])
def test_pointwise_layers_equal_resampling_then_convolving(size: tuple[int, int]) -> None:
    up, down = UpsampledPointwise(3, 5).double(), DownsampledPointwise(3, 5).double()
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    doubled = interpolate(features, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(up(features), conv2d(doubled, up.weight, up.bias))
    halved = avg_pool2d(conv2d(features, down.weight, down.bias), kernel_size=2)
    torch.testing.assert_close(down(features), halved)
