"""DCGAN: the size of the published networks, their initial weights, labels as an input and as a task."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu

from lightning_gan.models.auxiliary_classifier import AuxiliaryClassifier
from lightning_gan.models.dcgan import DCGAN, Discriminator, Generator
from tests.models.networks import network_of
from tests.models.training import moved_by_one_step, parameters_of, trained

SMALL: dict[str, Any] = {"image_channels": 1, "latent_dim": 5, "generator_width": 2, "discriminator_width": 2}


def test_parameter_counts_are_the_authors() -> None:
    with torch.device("meta"):
        module = DCGAN()
    assert parameters_of(module.generator) == 3_576_704
    assert parameters_of(module.discriminator) == 2_765_568


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_has_its_networks(size: int, channels: int) -> None:
    images = network_of(DCGAN, Generator, image_size=size, image_channels=channels, latent_dim=4, width=1)(
        torch.randn(2, 4)
    )
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert network_of(DCGAN, Discriminator, image_size=size, image_channels=channels, width=1, outputs=1)(
        images
    ).shape == (2, 1)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_moves_every_parameter(classes: int) -> None:
    for classifier in (None, AuxiliaryClassifier()):
        module = DCGAN(image_size=16, number_of_classes=classes, auxiliary_classifier=classifier, **SMALL)
        still = [name for name, moved in moved_by_one_step(module, size=16, classes=classes).items() if not moved]
        assert still == []


def test_initial_weights_are_as_in_the_paper() -> None:
    torch.manual_seed(0)
    module = DCGAN(image_size=32, generator_width=32, discriminator_width=32)
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            assert layer.bias is None
            if layer.weight.numel() > 5000:
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert layer.weight.mean().item() == pytest.approx(0, abs=0.001)
    gains = torch.cat([p for name, p in module.generator.named_parameters() if name.endswith("gain")])
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.2)


@torch.no_grad()
def test_the_networks_compute_what_their_layers_say() -> None:
    """By plain functions, from the names of the weights alone."""
    torch.manual_seed(0)
    generator = network_of(DCGAN, Generator, image_size=16, number_of_classes=3, latent_dim=5, width=2)
    discriminator = network_of(DCGAN, Discriminator, image_size=16, number_of_classes=3, width=2, outputs=1)
    latents, labels = torch.randn(4, 5), torch.tensor([0, 1, 2, 1])
    one_hot = torch.eye(3)[labels]

    def normalized(features: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
        return batch_norm(
            features, None, None, weights[f"{name}.affine.gain"], weights[f"{name}.affine.bias"], training=True
        )

    weights: dict[str, Tensor] = dict(generator.named_parameters())
    features = torch.cat([latents, one_hot], dim=1)[:, :, None, None]
    features = conv_transpose2d(features, weights["blocks.0.0.weight"])
    features = normalized(features, weights, "blocks.0.1").relu()
    features = conv_transpose2d(features, weights["blocks.1.0.weight"], stride=2, padding=1)
    features = normalized(features, weights, "blocks.1.1").relu()
    images = conv_transpose2d(features, weights["to_image.weight"], stride=2, padding=1).tanh()
    torch.testing.assert_close(generator(latents, labels), images)

    weights = dict(discriminator.named_parameters())
    features = torch.cat([images, one_hot[:, :, None, None].expand(-1, -1, 16, 16)], dim=1)
    features = leaky_relu(conv2d(features, weights["blocks.0.weight"], stride=2, padding=1), 0.2)
    features = normalized(conv2d(features, weights["blocks.2.weight"], stride=2, padding=1), weights, "blocks.3")
    logits = conv2d(leaky_relu(features, 0.2), weights["last.weight"])[:, :, 0, 0]
    torch.testing.assert_close(discriminator(images, labels), logits)


@torch.no_grad()
def test_labels_change_images_and_logits() -> None:
    torch.manual_seed(0)
    module = DCGAN(image_size=16, number_of_classes=3, **SMALL).eval()
    latents = torch.randn(1, 5).expand(3, -1)
    images = module.generator(latents, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = module.discriminator(images[:1].expand(3, -1, -1, -1), torch.tensor([0, 1, 2])).flatten()
    assert len(set(logits.tolist())) == 3


def test_a_class_without_samples_gets_no_gradient() -> None:
    module = DCGAN(image_size=16, number_of_classes=3, **SMALL)
    labels = torch.tensor([0, 2, 0, 2])
    module.discriminator(module.generator(torch.randn(4, 5), labels), labels).square().sum().backward()
    of_latents_and_labels = dict(module.generator.named_parameters())["blocks.0.0.weight"].grad
    of_images_and_labels = dict(module.discriminator.named_parameters())["blocks.0.weight"].grad
    assert of_latents_and_labels is not None and of_images_and_labels is not None
    assert [bool(rows.any()) for rows in of_latents_and_labels[5:]] == [True, False, True]
    assert [bool(of_images_and_labels[:, 1 + label].any()) for label in range(3)] == [True, False, True]


@torch.no_grad()
def test_the_auxiliary_classifier_is_no_input() -> None:
    """It sees the image alone, and gives a score and a logit per class."""
    module = DCGAN(image_size=16, number_of_classes=3, auxiliary_classifier=AuxiliaryClassifier(), **SMALL)
    images = torch.randn(4, 1, 16, 16)
    assert module.discriminator(images).shape == (4, 4)
    first, second = (module.score(images, torch.full((4,), label)) for label in (0, 1))
    assert torch.equal(first, second)


def test_the_auxiliary_classifier_costs_both_players() -> None:
    module = DCGAN(image_size=16, number_of_classes=3, auxiliary_classifier=AuxiliaryClassifier(generator=0.0), **SMALL)
    terms = trained(module, size=16, classes=3)
    assert terms["discriminator/classification"] > 0
    assert terms["generator/classification"] == 0


@pytest.mark.parametrize("size", [4, 48])
def test_sizes_that_are_no_power_of_two_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size={size}"):
        DCGAN(image_size=size)


def test_labels_that_are_no_classes_are_refused() -> None:
    module = DCGAN(image_size=16, number_of_classes=3, **SMALL)
    with pytest.raises(ValueError, match=r"label 3 is outside of 0\.\.2"):
        module.sample(torch.randn(1, 5), torch.tensor([3]))
    with pytest.raises(ValueError, match="give a label per sample"):
        module.sample(torch.randn(1, 5))


@torch.no_grad()
def test_sampling_does_not_depend_on_the_other_samples() -> None:
    module = DCGAN(image_size=16, **SMALL)
    latents = torch.randn(4, 5)
    torch.testing.assert_close(module.sample(latents)[:2], module.sample(latents[:2]))
