"""Layers against the plain operations that they fuse or rescale."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from lightning_gan.layers import (
    DownsamplingConv2d,
    EqualizedConv2d,
    EqualizedLinear,
    Growing,
    MinibatchStddev,
    UpsamplingConv2d,
    faded,
    label_vectors,
    nearest_upsample,
    pixel_norm,
)
from lightning_gan.layers.normalization import InstanceNorm


def test_an_equalized_layer_keeps_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    layer = EqualizedLinear(512, 512, gain=1.0)
    assert layer.weight.std().item() == pytest.approx(1.0, abs=0.01)
    assert layer(torch.randn(256, 512)).std().item() == pytest.approx(1.0, abs=0.05)


def test_the_learning_rate_multiplier_changes_the_speed_but_not_the_function() -> None:
    torch.manual_seed(0)
    fast = EqualizedLinear(8, 4)
    slow = EqualizedLinear(8, 4, learning_rate_multiplier=0.01)
    with torch.no_grad():
        slow.weight.copy_(fast.weight * 100)
        fast.bias.fill_(0.5)  # type: ignore[union-attr]
        slow.bias.fill_(50.0)  # type: ignore[union-attr]
    inputs = torch.randn(3, 8)
    torch.testing.assert_close(slow(inputs), fast(inputs))
    assert EqualizedLinear(64, 64, learning_rate_multiplier=0.01).weight.std().item() == pytest.approx(100, rel=0.1)


def test_upsampling_in_the_convolution_equals_upsampling_before_it() -> None:
    torch.manual_seed(0)
    layer = UpsamplingConv2d(3, 5).double()
    features = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    scale = math.sqrt(2) / math.sqrt(3 * 9)
    expected = conv2d(interpolate(features, scale_factor=2), layer.weight * scale, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), expected)


def test_downsampling_in_the_convolution_equals_averaging_after_it() -> None:
    torch.manual_seed(0)
    layer = DownsamplingConv2d(3, 5).double()
    features = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    scale = math.sqrt(2) / math.sqrt(3 * 9)
    expected = avg_pool2d(conv2d(features, layer.weight * scale, layer.bias, padding=1), 2)
    torch.testing.assert_close(layer(features), expected)


def test_an_equalized_convolution_is_a_convolution_with_a_smaller_weight() -> None:
    layer = EqualizedConv2d(2, 3, kernel_size=3, gain=1.0)
    features = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(layer(features), conv2d(features, layer.weight / math.sqrt(18), layer.bias, padding=1))


def test_pixel_norm_gives_a_latent_the_length_of_the_root_of_its_size() -> None:
    assert pixel_norm(torch.randn(4, 512) * 9).norm(dim=1).tolist() == pytest.approx([math.sqrt(512)] * 4)
    features = pixel_norm(torch.randn(2, 8, 3, 3))
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(2, 3, 3))


def test_minibatch_stddev_is_the_mean_deviation_of_strided_groups() -> None:
    """With 4 samples in groups of 2, samples 0 and 2 form one group, 1 and 3 the other."""
    features = torch.tensor([0.0, 10.0, 2.0, 10.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    output = MinibatchStddev(group_size=2)(features)
    assert output.shape == (4, 4, 2, 2)
    torch.testing.assert_close(output[:, -1, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]))
    assert torch.equal(output[:, :3], features)


def test_minibatch_stddev_of_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 6 cannot be cut into groups of 4"):
        MinibatchStddev(group_size=4)(torch.randn(6, 2, 4, 4))
    assert MinibatchStddev(group_size=4)(torch.randn(3, 2, 4, 4)).shape == (3, 3, 4, 4)


def test_minibatch_stddev_has_a_finite_gradient_where_samples_are_equal() -> None:
    features = torch.ones(4, 2, 4, 4, requires_grad=True)
    MinibatchStddev()(features)[:, -1].sum().backward()
    assert torch.isfinite(features.grad).all()  # type: ignore[arg-type]


def test_reals_fade_from_the_coarse_image_to_the_fine_one() -> None:
    images = torch.tensor([[[[0.0, 4.0], [8.0, 4.0]]]])
    assert torch.equal(faded(images, resolution=2, fade_in=1.0), images)
    torch.testing.assert_close(faded(images, resolution=2, fade_in=0.25), 4.0 + 0.25 * (images - 4.0))
    large = nearest_upsample(images, factor=4)
    assert torch.equal(faded(large, resolution=2, fade_in=1.0), images)


def test_reals_smaller_than_the_active_resolution_are_refused() -> None:
    with pytest.raises(ValueError, match="height 8 cannot be shown at the active resolution 16"):
        faded(torch.zeros(1, 1, 8, 8), resolution=16, fade_in=1.0)


def test_labels_are_indices_or_rows() -> None:
    assert label_vectors(torch.tensor([2, 0]), number_of_classes=3).tolist() == [[0, 0, 1], [1, 0, 0]]
    rows = torch.tensor([[1.0, 1.0, 0.0]])
    assert torch.equal(label_vectors(rows, number_of_classes=3), rows)
    with pytest.raises(ValueError, match="3 columns for 4 classes"):
        label_vectors(rows, number_of_classes=4)


def test_levels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size=24"):
        Growing(image_size=24)
    network = Growing(image_size=16)
    for resolution, fade_in, message in (
        (32, 1.0, "resolution=32"),
        (12, 1.0, "resolution=12"),
        (8, 0.0, "fade_in=0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            network.grow(resolution, fade_in)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_has_the_same_gradient_in_every_memory_format(batch: int, memory_format: Any) -> None:
    """PyTorch's own is wrong for a batch of one in channels_last."""
    torch.manual_seed(0)
    features, weights = torch.randn(2, batch, 8, 4, 4, dtype=torch.float64)
    by_hand, by_layer = (
        features.clone(memory_format=memory_format).requires_grad_(),
        features.clone(memory_format=memory_format).requires_grad_(),
    )
    variance, mean = torch.var_mean(by_hand, dim=(2, 3), correction=0, keepdim=True)
    expected = (by_hand - mean) / (variance + 1e-8).sqrt()
    normalized = InstanceNorm()(by_layer)
    torch.testing.assert_close(normalized, expected)
    gradient = weights.clone(memory_format=memory_format)
    expected.backward(gradient)
    normalized.backward(gradient)
    torch.testing.assert_close(by_layer.grad, by_hand.grad)
