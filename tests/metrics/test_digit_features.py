"""The shipped digit features: that they know digits, and that the Fréchet distance can use them."""

import pytest
import torch
from torch.nn.functional import avg_pool2d, pad

from lightning_gan.data.digits import load_digits
from lightning_gan.metrics import DigitFeatures, frechet_distance, frechet_floor, gaussian
from lightning_gan.metrics.digit_features import WEIGHTS
from lightning_gan.tensors.image_bytes import NotFiniteImagesError, nearest_bytes, to_bytes


@pytest.fixture(scope="module")
def network() -> DigitFeatures:
    return DigitFeatures()


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits()
    every_tenth = slice(0, None, 10)  # the file is sorted by class
    return pad(images, [2, 2, 2, 2])[every_tenth], labels[every_tenth]


def test_it_names_the_digits_that_it_was_trained_on(
    network: DigitFeatures, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, labels = digits
    assert (network.classify(images).argmax(1) == labels).float().mean() > 0.99


def test_it_names_them_in_colour_and_in_other_sizes(
    network: DigitFeatures, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, labels = digits
    assert torch.allclose(network(images[:8].expand(-1, 3, -1, -1)), network(images[:8]), atol=1e-5)
    large = images.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    small = avg_pool2d(images.float(), 2).byte()
    assert (network.classify(large).argmax(1) == labels).float().mean() > 0.97
    assert (network.classify(small).argmax(1) == labels).float().mean() > 0.6


def test_its_features_are_standardized_and_none_is_dead(
    network: DigitFeatures, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    features = network(digits[0])
    assert features.shape == (500, 64)
    assert features.mean(0).abs().max() < 0.2
    assert torch.allclose(features.std(0), torch.ones(64), atol=0.2)
    # No feature is a combination of others.
    assert torch.linalg.cond(gaussian(features).covariance) < 1e4


def test_worse_digits_are_further_away(network: DigitFeatures, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images = digits[0]
    real = gaussian(network(images))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, generator=generator)
    distances = [
        frechet_distance(real, gaussian(network((images + level * noise).clamp(0, 255).byte()))).item()
        for level in (0.0, 20.0, 60.0, 120.0)
    ]
    assert distances == sorted(distances)
    assert distances[-1] > 2 * frechet_floor(network(images), seed=0)
    nine_classes = gaussian(network(images[:450]))
    assert frechet_distance(real, nine_classes) > 0.5


def test_its_weights_are_frozen_and_small() -> None:
    network = DigitFeatures()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) == 56826
    assert len(WEIGHTS.read_bytes()) < 130_000


def test_images_with_transparency_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 1 or 3 channels, but the images have 4"):
        DigitFeatures(pretrained=False)(torch.zeros(1, 4, 32, 32, dtype=torch.uint8))


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every_byte = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_bytes(every_byte.float() / 127.5 - 1), every_byte)
    assert to_bytes(torch.tensor([-9.0, 9.0]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_images_that_are_not_finite_have_no_bytes(value: float, dtype: torch.dtype) -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=dtype)
    images[1, 0, 0, 1] = value
    with pytest.raises(NotFiniteImagesError, match="1 of 3 images have values that are not finite"):
        to_bytes(images)
    assert torch.equal(to_bytes(images[::2]), nearest_bytes(images[::2]))
