"""Convolutions with the gain on the activation, and labels' vectors for both networks."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

from lightning_gan.layers.activated_convolution import ActivatedConv2d, DownsampledSkip, ScaledLeakyReLU, clamped
from lightning_gan.layers.binomial_filter import BinomialFilter
from lightning_gan.layers.mapping import LabelMapping, StyleGAN2Mapping


@pytest.mark.parametrize("gain", [1.0, math.sqrt(0.5)])
@pytest.mark.parametrize("downsamples", [False, True])
def test_the_gain_is_on_the_activation(downsamples: bool, gain: float) -> None:
    torch.manual_seed(0)
    layer = ActivatedConv2d(5, 4, kernel_size=3, downsamples=downsamples, gain=gain)
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    features = torch.randn(2, 5, 8, 6)
    weight = layer.weight / math.sqrt(45)
    if downsamples:
        linear = conv2d(BinomialFilter(padding=2)(features), weight, layer.bias, stride=2)
    else:
        linear = conv2d(features, weight, layer.bias, padding=1)
    outputs = layer(features)
    assert outputs.shape == ((2, 4, 4, 3) if downsamples else (2, 4, 8, 6))
    torch.testing.assert_close(outputs, ScaledLeakyReLU()(linear) * gain)


def test_both_branches_of_a_residual_block_see_the_same_pixels() -> None:
    """A linear ramp stays one, at the centers of the larger pixels, in the shortcut and in the convolution."""
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    skip = DownsampledSkip(1, 1, gain=1.0)
    layer = ActivatedConv2d(1, 1, kernel_size=3, downsamples=True, gain=1 / math.sqrt(2))
    with torch.no_grad():
        skip.conv.weight.fill_(1.0)
        layer.weight.zero_()[0, 0, 1, 1] = 3.0
    expected = torch.arange(8.0) * 2 + 0.5
    assert torch.allclose(skip(ramp)[0, 0, 4, 1:-1], expected[1:-1])
    assert torch.allclose(layer(ramp)[0, 0, 4, 1:-1], expected[1:-1])


def test_a_clamp_limits_the_output_times_the_gain() -> None:
    layer = ActivatedConv2d(5, 4, kernel_size=1, gain=0.5, clamp=0.1)
    assert layer(torch.randn(2, 5, 8, 8)).abs().max().item() == pytest.approx(0.05)
    features = torch.randn(3)
    assert clamped(features, None) is features


def test_the_scaled_activation_keeps_most_of_the_mean_square() -> None:
    assert ScaledLeakyReLU()(torch.tensor([1.0, -1.0])).tolist() == pytest.approx([2**0.5, -(2**0.5) / 5])


def mapping(**settings: int) -> StyleGAN2Mapping:
    sizes = {"latent_dim": 6, "style_dim": 8, "layers": 2, "number_of_classes": 0, **settings}
    return StyleGAN2Mapping(**sizes, learning_rate_multiplier=0.01)


def test_only_the_direction_of_a_latent_counts_with_and_without_classes() -> None:
    latents, labels = torch.randn(4, 6), torch.tensor([0, 2, 1, 2])
    torch.testing.assert_close(mapping_of := (own := mapping())(latents), own(latents * 3), rtol=1e-4, atol=1e-5)
    assert mapping_of.shape == (4, 8)
    labelled = mapping(number_of_classes=3)
    assert labelled.label_embedding is not None
    before = labelled(latents, labels)
    torch.testing.assert_close(before, labelled(latents * 3, labels), rtol=1e-4, atol=1e-5)
    with torch.no_grad():  # the embedded label is normalized by itself
        labelled.label_embedding.linear.weight.mul_(5.0)
    torch.testing.assert_close(before, labelled(latents, labels), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(before, labelled(latents, torch.eye(3)[labels]))
    assert not torch.allclose(before[1], labelled(latents, labels.roll(1))[1])


@pytest.mark.parametrize(("layers", "parameters"), [(8, 2_101_248), (2, 525_312)])
def test_a_mapping_network_has_its_share_of_parameters(layers: int, parameters: int) -> None:
    with torch.device("meta"):
        own = mapping(latent_dim=512, style_dim=512, layers=layers)
        assert sum(parameter.numel() for parameter in own.parameters()) == parameters


def test_a_label_is_mapped_by_its_normalized_embedding() -> None:
    torch.manual_seed(0)
    own = LabelMapping(number_of_classes=3, width=4, layers=1, learning_rate_multiplier=0.01)
    weight, bias = own.embedding.linear.weight, own.embedding.linear.bias
    assert bias is not None
    nn.init.normal_(bias)
    embedded = weight[:, 1] / math.sqrt(3) + bias
    embedded = embedded / embedded.square().mean().sqrt()
    dense = own.layers[0][0]  # type: ignore[index]
    expected = leaky_relu(embedded @ dense.weight.T * 0.01 / 2, 0.2) * 2**0.5
    torch.testing.assert_close(own(torch.tensor([1]))[0], expected)


def test_a_mapping_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="mapping_layers=0 must be at least 1"):
        mapping(layers=0)
