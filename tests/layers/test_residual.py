"""Residual blocks are two convolutions beside a shortcut, written out."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.batch_norm import BatchNorm, ClassAffine
from lightning_gan.layers.residual import down_block, start_uniformly, started_uniformly, up_block


def features(channels: int = 3) -> Tensor:
    return torch.randn(4, channels, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def convolved(layer: nn.Module, inputs: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return conv2d(inputs, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)


def test_an_up_block_upsamples_before_the_first_convolution_and_in_the_shortcut() -> None:
    norms = [BatchNorm(channels, affine=ClassAffine(channels, number_of_classes=2)) for channels in (3, 5)]
    for parameter in (p for norm in norms for p in norm.parameters()):
        nn.init.normal_(parameter)
    block = up_block(norms=(norms[0], norms[1]), in_channels=3, out_channels=5).double()
    labels = torch.tensor([0, 1, 1, 0])
    hidden = interpolate(relu(norms[0](features(), labels)), scale_factor=2.0)
    hidden = convolved(block.conv1, hidden)
    hidden = convolved(block.conv2, relu(norms[1](hidden, labels)))
    expected = hidden + convolved(block.shortcut, interpolate(features(), scale_factor=2.0))
    torch.testing.assert_close(block(features(), labels), expected)


@pytest.mark.parametrize("takes_images", [False, True])
@pytest.mark.parametrize("downsamples", [False, True])
def test_a_down_block_averages_behind_the_second_convolution_and_in_the_shortcut(
    takes_images: bool, downsamples: bool
) -> None:
    block = down_block(
        in_channels=3, hidden_channels=4, out_channels=5, takes_images=takes_images, downsamples=downsamples
    ).double()
    hidden = relu(convolved(block.conv1, features() if takes_images else relu(features())))
    expected = convolved(block.conv2, hidden) + convolved(block.shortcut, features())
    torch.testing.assert_close(block(features()), avg_pool2d(expected, 2) if downsamples else expected)


def test_at_one_resolution_and_width_the_shortcut_is_what_came_in() -> None:
    block = down_block(in_channels=3, hidden_channels=4, out_channels=3, downsamples=False).double()
    assert not list(block.shortcut.parameters())
    expected = features() + convolved(block.conv2, relu(convolved(block.conv1, relu(features()))))
    torch.testing.assert_close(block(features()), expected)


def test_attention_is_behind_the_sum() -> None:
    block = down_block(in_channels=8, hidden_channels=8, out_channels=8).double()
    before = block(features(8))
    block.attention = SelfAttention(8).double()
    nn.init.ones_(block.attention.gamma)
    torch.testing.assert_close(block(features(8)), block.attention(before))


def test_each_convolution_starts_as_soon_as_it_is_made() -> None:
    """The random numbers of one layer are drawn before those of the next."""
    torch.manual_seed(0)
    layers = [started_uniformly(nn.Conv2d(2, 2, kernel_size=size, padding=size // 2)) for size in (3, 3, 1)]
    torch.manual_seed(0)
    block = down_block(in_channels=2, hidden_channels=2, out_channels=2, start=started_uniformly)
    for made, layer in zip((block.conv1, block.conv2, block.shortcut), layers, strict=True):
        assert torch.equal(made.get_parameter("weight"), layer.weight)
        assert not made.get_parameter("bias").any()


def test_a_networks_residual_convolutions_start_with_their_own_gain() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(64, 64, kernel_size=3), down_block(in_channels=64, hidden_channels=64, out_channels=64)
    )
    start_uniformly(network, residual_gain=2.0)
    for name, factor in (("0", 1.0), ("1.conv1", 2.0), ("1.conv2", 2.0), ("1.shortcut", 1.0)):
        weight = network.get_parameter(f"{name}.weight")
        limit = factor * math.sqrt(6 / (2 * 64 * weight[0, 0].numel()))
        assert 0.99 * limit < weight.abs().max().item() <= limit
        assert not network.get_parameter(f"{name}.bias").any()
