"""CT-GAN's small networks: layers, initial weights, dropout, and training with its two penalties."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu, linear

from lightning_gan.callbacks import ConsistencyTerm, GradientPenalty
from lightning_gan.models.ct_gan import Discriminator, Generator, SmallCTGAN
from tests.models.networks import network_of
from tests.models.training import moved_by_one_step, parameters_of, trained

SMALL: dict[str, Any] = {"image_size": 16, "image_channels": 1, "latent_dim": 4, "width": 2}


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_trains(size: int, channels: int) -> None:
    generator = network_of(SmallCTGAN, Generator, image_size=size, image_channels=channels, latent_dim=4, width=1)
    discriminator = network_of(SmallCTGAN, Discriminator, image_size=size, image_channels=channels, width=1)
    images = generator(torch.randn(2, 4))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    discriminator(images).sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_critic_of_32_pixels_has_three_convolutions_with_dropout_of_a_half_behind_each() -> None:
    kinds = [type(layer).__name__ for layer in network_of(SmallCTGAN, Discriminator, width=2).features]
    assert kinds == ["Conv2d", "LeakyReLU", "Dropout"] * 3 + ["Flatten"]
    assert all(
        layer.p == 0.5
        for layer in network_of(SmallCTGAN, Discriminator, width=2).features
        if isinstance(layer, nn.Dropout)
    )


@torch.no_grad()
def test_the_critic_without_dropout_computes_what_its_layers_say() -> None:
    torch.manual_seed(0)
    critic, images = (
        network_of(SmallCTGAN, Discriminator, image_size=16, image_channels=1, width=2).eval(),
        torch.randn(2, 1, 16, 16),
    )
    weights, features = dict(critic.named_parameters()), images
    for layer in (0, 3):
        weight, bias = weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"]
        features = leaky_relu(conv2d(features, weight, bias, stride=2, padding=2), 0.2)
    expected = linear(features.flatten(1), weights["output.weight"], weights["output.bias"])
    torch.testing.assert_close(critic(images), expected)


@pytest.mark.parametrize(
    ("width", "generator", "critic"),
    [(128, 5_179_907, 4_114_689), (64, 1_565_955, 1_033_345)],
    ids=["CT_gan_cifar.py", "as its comment advises"],
)
def test_parameter_counts_are_those_of_the_authors_layers(width: int, generator: int, critic: int) -> None:
    """Counted by hand from CT_gan_cifar.py of biuyq/CT-GAN, whose `DIM` is 128: 5.18 and 4.11 million.

    Every convolution has a bias, every batch norm a gain and a bias; that before the reshape is per feature.
    """
    d = width
    into = 128 * 64 * d + 64 * d + 2 * 64 * d
    out_of = 25 * (4 * d * 2 * d + 2 * d * d + d * 3) + 2 * d + d + 3 + 2 * (2 * d + d)
    assert into + out_of == generator
    assert 25 * (3 * d + d * 2 * d + 2 * d * 4 * d) + d + 2 * d + 4 * d + 64 * d + 1 == critic
    with torch.device("meta"):
        module = SmallCTGAN(width=width)
    assert [parameters_of(network) for network in (module.generator, module.discriminator)] == [generator, critic]


def test_initial_weights_count_the_taps_that_are_met() -> None:
    """Of a convolution of stride 2 a pixel meets a quarter of the taps."""
    torch.manual_seed(0)
    generator, discriminator = (
        network_of(SmallCTGAN, Generator, width=32),
        network_of(SmallCTGAN, Discriminator, width=32),
    )
    for layer in [*discriminator.features, *generator.layers]:
        if isinstance(layer, nn.Conv2d):
            fans = 25 * layer.in_channels + 25 * layer.out_channels / 4
        elif isinstance(layer, nn.ConvTranspose2d):
            fans = 25 * layer.in_channels / 4 + 25 * layer.out_channels
        else:
            continue
        limit = math.sqrt(3) * math.sqrt(4 / fans)
        assert 0.97 * limit < layer.weight.abs().max() <= limit
        assert layer.bias is not None and not layer.bias.any()


def test_training_with_both_penalties_moves_every_parameter() -> None:
    module = SmallCTGAN(**SMALL)
    penalties = GradientPenalty(), ConsistencyTerm(features="features")
    moved = moved_by_one_step(module, *penalties, size=16)
    # Behind these biases are batch norm, or a difference of scores in which the last one cancels.
    silent = ("input.bias", "layers.0.bias", "discriminator.output.bias")
    assert [name for name, has_moved in moved.items() if not has_moved and not name.endswith(silent)] == []
    assert module._latest_terms["discriminator/ct"] > 0


def test_labels_of_the_data_are_refused_where_the_model_is_told_of_them() -> None:
    with pytest.raises(ValueError, match="labels: false"):
        SmallCTGAN(number_of_classes=10, **SMALL)


@pytest.mark.parametrize(("setting", "value"), [("image_size", 20), ("dropout", 1.0)])
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}"):
        SmallCTGAN(**{**SMALL, setting: value})


def test_without_dropout_the_consistency_term_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="dropout"):
        trained(SmallCTGAN(**{**SMALL, "dropout": 0.0}), ConsistencyTerm(features="features"), size=16)
