"""WGAN-GP's residual networks, and CT-GAN's dropout in them: sizes, layers, initial weights, labels."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import (
    avg_pool2d,
    batch_norm,
    conv2d,
    cross_entropy,
    interpolate,
    linear,
    relu,
)

from lightning_gan.callbacks import ConsistencyTerm, GradientPenalty
from lightning_gan.layers.resampling_convolutions import DownsampledConv2d, UpsampledConv2d
from lightning_gan.layers.residual import ResidualBlock
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.losses import Wasserstein
from lightning_gan.models.layer_norm_resnet_gan import LayerNormResNetGAN
from lightning_gan.models.resnet_gan import Generator, ResNetGAN, plain_critic, started_as_in_wgan_gp
from lightning_gan.penalties import squared_gradient_norm
from tests.models.training import moved_by_one_step, parameters_of, trained
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 1,
    "latent_dim": 4,
    "generator_widths": [4, 3, 2],
    "discriminator_widths": [2, 3, 4],
}


@pytest.mark.parametrize(
    ("model", "classes", "generator", "discriminator"),
    [
        (ResNetGAN, 0, 1_204_483, 1_053_825),
        (ResNetGAN, 10, 1_218_307, 1_055_115),
        (LayerNormResNetGAN, 0, 8_540_483, 7_491_841),
    ],
)
def test_parameter_counts_are_the_authors(
    model: type[ResNetGAN | LayerNormResNetGAN], classes: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        module = model(number_of_classes=classes)
    assert parameters_of(module.generator) == generator
    assert parameters_of(module.discriminator) == discriminator


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_trains(size: int, channels: int) -> None:
    stages = int(math.log2(size)) - 1
    settings: dict[str, Any] = {"image_size": size, "image_channels": channels, "latent_dim": 4}
    plain = ResNetGAN(generator_widths=[2] * stages, discriminator_widths=[2] * (max(stages - 2, 1) + 2), **settings)
    normed = LayerNormResNetGAN(widths=[2] * stages, **settings)
    for module in (plain, normed):
        images = module.generator(torch.randn(2, 4))
        assert images.shape == (2, channels, size, size)
        assert images.abs().max() <= 1
        assert module.discriminator(images).shape == (2, 1)
        module.discriminator(images).sum().backward()
        assert all(p.grad is not None for p in (*module.generator.parameters(), *module.discriminator.parameters()))


# Nothing hears of these: biases before a norm of each channel, and those that move all of a Wasserstein critic's scores
# alike, to which the ones of the last block belong where nothing but a linear layer follows.
SILENT = ("conv1.bias", "to_score.bias", "features.2.conv2.bias", "features.2.shortcut.bias")


@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_moves_every_parameter(classes: int) -> None:
    plain = ResNetGAN(number_of_classes=classes, **SMALL)
    normed = LayerNormResNetGAN(
        image_size=16, image_channels=1, number_of_classes=classes, latent_dim=4, widths=[4, 3, 2]
    )
    for module in (plain, normed):
        torch.manual_seed(0)
        moved = moved_by_one_step(module, GradientPenalty(), size=16, classes=classes)
        assert [name for name, has_moved in moved.items() if not has_moved and not name.endswith(SILENT)] == []


def test_fused_resampling_is_resampling_and_convolution() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 6, 8)
    up, down = started_as_in_wgan_gp(UpsampledConv2d(3, 4)), started_as_in_wgan_gp(DownsampledConv2d(3, 4))
    assert up.bias is not None and down.bias is not None
    torch.nn.init.normal_(up.bias)
    torch.nn.init.normal_(down.bias)
    expected = conv2d(interpolate(features, scale_factor=2), up.weight, up.bias, padding=1)
    torch.testing.assert_close(up(features), expected)
    torch.testing.assert_close(down(features), avg_pool2d(conv2d(features, down.weight, down.bias, padding=1), 2))


def randomized(network: torch.nn.Module) -> dict[str, Tensor]:
    """Random weights, biases and gains too, and all of them by name."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


@torch.no_grad()
def test_the_generator_computes_what_the_authors_layers_say() -> None:
    """By plain functions in the order of the authors' code: upsampling before each convolution."""
    generator = Generator(widths=[4, 3], image_channels=2, number_of_classes=3, latent_dim=5)
    weights = randomized(generator)
    latents, labels = torch.randn(4, 5), torch.tensor([2, 0, 1, 2])

    def conditional(features: Tensor, name: str) -> Tensor:
        gain, bias = 1 + weights[f"{name}.affine.gain"][labels], weights[f"{name}.affine.bias"][labels]
        normalized = batch_norm(features, None, None, training=True, eps=1e-5)
        return normalized * gain[:, :, None, None] + bias[:, :, None, None]

    def convolved(features: Tensor, name: str, padding: int = 1) -> Tensor:
        return conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    features = linear(latents, weights["input.weight"], weights["input.bias"]).reshape(4, 4, 4, 4)
    hidden = relu(conditional(features, "blocks.0.norm1"))
    hidden = convolved(interpolate(hidden, scale_factor=2), "blocks.0.conv1")
    hidden = convolved(relu(conditional(hidden, "blocks.0.norm2")), "blocks.0.conv2")
    features = convolved(interpolate(features, scale_factor=2), "blocks.0.shortcut", padding=0) + hidden
    features = batch_norm(
        features,
        None,
        None,
        weights["output_norm.affine.gain"],
        weights["output_norm.affine.bias"],
        training=True,
        eps=1e-5,
    )
    images = convolved(relu(features), "output").tanh()
    torch.testing.assert_close(generator(latents, labels), images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(generator.eval()(latents, labels), images, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_critic_computes_what_the_authors_layers_say() -> None:
    critic = plain_critic(widths=[2, 3, 4, 4], image_channels=1, number_of_classes=2, dropout=())
    weights, images = randomized(critic), torch.randn(3, 1, 32, 32)

    def convolved(features: Tensor, name: str, padding: int = 1) -> Tensor:
        weight, bias = weights[f"features.{name}.weight"], weights[f"features.{name}.bias"]
        return conv2d(features, weight, bias, padding=padding)

    branch = avg_pool2d(convolved(relu(convolved(images, "0.conv1")), "0.conv2"), 2)
    features = convolved(avg_pool2d(images, 2), "0.shortcut", padding=0) + branch  # 16x16
    branch = avg_pool2d(convolved(relu(convolved(relu(features), "1.conv1")), "1.conv2"), 2)
    features = avg_pool2d(convolved(features, "1.shortcut", padding=0), 2) + branch  # 8x8
    branch = convolved(relu(convolved(relu(features), "2.conv1")), "2.conv2")
    features = convolved(features, "2.shortcut", padding=0) + branch
    features = features + convolved(relu(convolved(relu(features), "3.conv1")), "3.conv2")
    pooled = relu(features).mean(dim=(2, 3))
    expected = [
        linear(pooled, weights[f"{head}.weight"], weights[f"{head}.bias"]) for head in ("to_score", "to_classes")
    ]
    torch.testing.assert_close(critic(images), torch.cat(expected, dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(critic.features(images), pooled, rtol=1e-4, atol=1e-5)


def bound(weight: Tensor, *, factor: float) -> float:
    """Largest of uniform weights of variance ``factor / (fan_in + fan_out)``."""
    taps = weight[0, 0].numel()
    return math.sqrt(3 * factor / (taps * (weight.shape[0] + weight.shape[1])))


def test_initial_weights_are_as_in_the_authors_code() -> None:
    """Twice the variance of Glorot's in the blocks' convolutions; his own in shortcuts and some outer ones."""
    torch.manual_seed(0)
    plain = ResNetGAN(generator_widths=[64] * 4, discriminator_widths=[64] * 4)
    normed = LayerNormResNetGAN(image_size=16, widths=[64] * 3)
    for module, outer in ((plain, 2.0), (normed, 4.0)):
        for name, layer in module.named_modules():
            if not isinstance(layer, torch.nn.Conv2d) or name.startswith("generator_ema"):
                continue
            glorot = "shortcut" in name or (module is normed and name == "discriminator.features.0")
            factor = 2.0 if glorot else outer if name == "generator.output" else 4.0
            largest, limit = layer.weight.abs().max().item(), bound(layer.weight, factor=factor)
            assert 0.97 * limit < largest <= limit, name
            assert layer.weight.var().item() == pytest.approx(limit**2 / 3, rel=0.1), name
            assert layer.bias is None or not layer.bias.any()
    limit = math.sqrt(6 / (128 + 64 * 16))
    assert 0.99 * limit < plain.generator.input.weight.abs().max() <= limit


def test_the_objective_is_wasserstein_unless_another_is_asked_for() -> None:
    assert isinstance(ResNetGAN(**SMALL).loss, Wasserstein)
    assert isinstance(LayerNormResNetGAN(image_size=8, widths=[2, 2]).loss, Wasserstein)


def test_the_classes_of_fakes_cost_the_generator_a_tenth_and_the_critic_nothing() -> None:
    module = ResNetGAN(number_of_classes=3, **SMALL)
    labels = torch.tensor([0, 1, 2, 0])
    real, latents = torch.randn(4, 1, 16, 16), torch.randn(4, 4)
    fake = module.generate(latents, labels)
    given = Reals(images=real, labels=labels), Draws(latents=latents, labels=labels)
    turn = module.run_networks("discriminator", *given, fake.detach())
    cost = cross_entropy(module.discriminator(real)[:, 1:], labels)
    torch.testing.assert_close(module.objective(turn)["classification"], cost)
    turn = module.run_networks("generator", *given, None)
    cost = cross_entropy(module.discriminator(fake)[:, 1:], labels)
    torch.testing.assert_close(module.objective(turn)["classification"], 0.1 * cost)


@torch.no_grad()
def test_labels_change_images() -> None:
    generator = ResNetGAN(number_of_classes=3, **SMALL).generator
    randomized(generator)
    latents = torch.randn(1, 4).expand(4, -1)
    images = generator(latents, torch.tensor([0, 0, 1, 2]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    assert not torch.allclose(images[2], images[3])
    torch.testing.assert_close(generator(latents, torch.eye(3)[[0, 0, 1, 2]]), images)


def test_a_class_without_samples_gets_no_gradient() -> None:
    generator = ResNetGAN(number_of_classes=3, **SMALL).generator
    generator(torch.randn(4, 4), torch.tensor([0, 2, 0, 2])).square().sum().backward()
    tables = [p.grad for name, p in generator.named_parameters() if name.startswith("blocks.") and "affine" in name]
    assert len(tables) == 8
    for gradient in tables:
        assert gradient is not None
        assert [bool(row.any()) for row in gradient] == [True, False, True]


def test_batches_do_not_meet_in_the_critics() -> None:
    """So that a gradient penalty is on single images."""
    for module in (ResNetGAN(**SMALL), LayerNormResNetGAN(image_size=16, image_channels=1, widths=[4, 3, 2])):
        images = torch.randn(4, 1, 16, 16).requires_grad_()
        together = squared_gradient_norm(module.discriminator(images), images)
        alone = [image[None].detach().requires_grad_() for image in images]
        apart = [squared_gradient_norm(module.discriminator(image), image) for image in alone]
        torch.testing.assert_close(together, torch.cat(apart))


def test_dropout_is_behind_the_last_blocks() -> None:
    critic = ResNetGAN(discriminator_dropout=[0.2, 0.5, 0.5], generator_widths=[2] * 4, discriminator_widths=[2] * 4)
    kinds = [type(layer).__name__ for layer in critic.discriminator.features]
    assert kinds == [
        *("ResidualBlock", "ResidualBlock", "Dropout", "ResidualBlock", "Dropout", "ResidualBlock", "Dropout"),
        *("ReLU", "MeanOverPixels"),
    ]
    blocks = [layer for layer in critic.discriminator.features if isinstance(layer, ResidualBlock)]
    assert [block.rectifies_input for block in blocks] == [False, True, True, True]
    assert [isinstance(block.conv2, DownsampledConv2d) for block in blocks] == [True, True, False, False]
    assert [layer.p for layer in critic.discriminator.features if isinstance(layer, torch.nn.Dropout)] == [
        0.2,
        0.5,
        0.5,
    ]
    assert not any(isinstance(layer, torch.nn.Dropout) for layer in ResNetGAN(**SMALL).modules())


def test_the_consistency_term_reads_the_features_of_the_critic() -> None:
    module = ResNetGAN(discriminator_dropout=[0.5, 0.5], **SMALL)
    terms = trained(module, GradientPenalty(), ConsistencyTerm(features="features"), size=16)
    assert terms["discriminator/ct"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 24}, "image_size=24"),
        ({"generator_widths": [2, 2]}, r"generator_widths=\[2, 2\] must be 3 numbers"),
        ({"discriminator_widths": [2] * 9}, "must be 3 numbers"),
        ({"discriminator_dropout": [1.0]}, r"discriminator_dropout=\[1.0\]"),
        ({"discriminator_dropout": [0.1] * 4}, "at most 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNetGAN(**{**SMALL, **settings})


def test_labels_that_are_no_classes_are_refused() -> None:
    module = ResNetGAN(number_of_classes=3, **SMALL)
    with pytest.raises(ValueError, match=r"label 7 is outside of 0\.\.2"):
        module.sample(torch.randn(1, 4), torch.tensor([7]))


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = ResNetGAN(number_of_classes=3, **SMALL)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = ResNetGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
