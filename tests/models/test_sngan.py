"""SNGAN: sizes of the published networks, labels, Glorot's weights, and a discriminator whose slope is bounded."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lightning_gan.layers.residual import ResidualBlock
from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.loop.settings import Training
from lightning_gan.losses import Hinge, NonSaturating
from lightning_gan.models.sngan import SNGAN, Discriminator, Generator
from tests.models.networks import network_of
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_channels": 1,
    "latent_dim": 6,
    "generator_widths": [6, 5, 4, 4],
    "discriminator_widths": [4, 5, 5, 6],
}
GENERATOR = {32: [4, 3, 3, 2], 48: [4, 3, 3, 2], 64: [4, 3, 3, 2, 2], 128: [4, 3, 3, 2, 2, 2]}
DISCRIMINATOR = {32: [2, 3, 3, 4], 48: [2, 2, 3, 3, 4], 64: [2, 2, 3, 3, 4], 128: [2, 2, 3, 3, 4, 4]}


def small_sngan(**settings: Any) -> SNGAN:
    torch.manual_seed(0)
    return SNGAN(**{**SMALL, **settings})


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "classes", "generator", "discriminator"),
    [
        (32, 0, 4_276_739, 1_053_824),
        (32, 10, 4_304_387, 1_055_104),
        # From 6x6, 512 to 64 channels; the discriminator has the layers of 64x64.
        (48, 0, 4_878_083, 10_141_441),
        (64, 0, 12_220_675, 10_141_441),
        (64, 1000, 17_974_915, 11_165_441),
        (128, 0, 32_150_787, 29_017_857),
        (128, 1000, 41_996_931, 30_041_857),
    ],
)
def test_parameter_counts_are_the_authors(size: int, classes: int, generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        assert parameters_of(network_of(SNGAN, Generator, image_size=size, number_of_classes=classes)) == generator
        assert (
            parameters_of(network_of(SNGAN, Discriminator, image_size=size, number_of_classes=classes)) == discriminator
        )


def test_the_authors_smaller_generator_is_one_of_other_widths() -> None:
    with torch.device("meta"):
        generator = network_of(SNGAN, Generator, image_size=128, widths=[512, 512, 256, 256, 128, 64])
    assert generator.get_parameter("input.weight").shape == (8192, 128)


@pytest.mark.parametrize("size", [32, 48, 64, 128])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_size_sends_gradients_to_every_parameter(size: int, classes: int) -> None:
    generator = network_of(
        SNGAN,
        Generator,
        image_size=size,
        image_channels=5,
        number_of_classes=classes,
        latent_dim=6,
        widths=GENERATOR[size],
    )
    discriminator = network_of(
        SNGAN, Discriminator, image_size=size, image_channels=5, number_of_classes=classes, widths=DISCRIMINATOR[size]
    )
    labels = torch.tensor([0, 1]) if classes else None
    images = generator(torch.randn(2, 6), labels)
    assert images.shape == (2, 5, size, size)
    assert images.abs().max() <= 1
    logits = discriminator(images, labels)
    assert logits.shape == (2, 1)
    logits.sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@torch.no_grad()
def test_where_the_discriminator_stops_halving() -> None:
    """The features behind the last block are 8x8, 3x3, 2x2 and 4x4."""
    for size, bottom in ((32, 8), (48, 3), (64, 2), (128, 4)):
        discriminator = network_of(SNGAN, Discriminator, image_size=size, widths=DISCRIMINATOR[size])
        features = torch.randn(1, 3, size, size)
        for block in discriminator.blocks:
            features = block(features)
        assert features.shape[-2:] == (bottom, bottom)


@torch.no_grad()
def test_a_class_of_its_own_for_image_and_logit() -> None:
    module = small_sngan(number_of_classes=3).eval()
    for name, parameter in module.generator.named_parameters():
        if name.endswith(("gain", "bias")):
            nn.init.normal_(parameter)
    latents, labels = torch.randn(1, 6).expand(3, -1), torch.tensor([0, 0, 2])
    images = module.generator(latents, labels)
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = module.discriminator(images[:1].expand(3, -1, -1, -1), labels)
    torch.testing.assert_close(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])
    rows = nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(module.generator(latents, rows), images)
    torch.testing.assert_close(module.discriminator(images, rows), module.discriminator(images, labels))


@torch.no_grad()
def test_two_classes_differ_by_the_inner_product_with_their_vectors() -> None:
    discriminator = small_sngan(number_of_classes=3).discriminator.eval()
    images, (first, second) = torch.randn(2, 1, 32, 32), torch.tensor([[0, 0], [2, 2]])
    features = images
    for block in discriminator.blocks:
        features = block(features)
    vectors = discriminator.get_submodule("head.embedding").weight
    assert isinstance(vectors, torch.Tensor)
    expected = features.relu().sum(dim=(2, 3)) @ (vectors[0] - vectors[2])
    torch.testing.assert_close((discriminator(images, first) - discriminator(images, second)).flatten(), expected)


def test_classes_that_are_not_in_the_batch_get_no_gradient_of_their_own() -> None:
    generator = small_sngan(number_of_classes=3).generator
    generator(torch.randn(2, 6), torch.tensor([0, 2])).square().sum().backward()
    tables = [p for name, p in generator.named_parameters() if p.dim() == 2 and "input" not in name]
    assert len(tables) == 12  # 3 blocks, 2 norms, 2 tables
    for table in tables:
        assert table.grad is not None
        assert [bool(row.any()) for row in table.grad] == [True, False, True]
    discriminator = small_sngan(number_of_classes=3).discriminator
    (normalization,) = parametrizations_of(discriminator.get_submodule("head.embedding"))
    vectors: list[torch.Tensor] = []  # behind the division by the norm, which is every row's

    def keep(layer: nn.Module, inputs: Any, normalized: torch.Tensor) -> None:
        normalized.retain_grad()
        vectors.append(normalized)

    normalization.register_forward_hook(keep)
    discriminator(torch.randn(2, 1, 32, 32), torch.tensor([0, 2])).sum().backward()
    assert vectors[0].grad is not None
    assert [bool(row.any()) for row in vectors[0].grad] == [True, False, True]


def test_wrong_labels_are_refused() -> None:
    module = small_sngan(number_of_classes=3)
    latents = torch.randn(2, 6)
    with pytest.raises(ValueError, match="3"):
        module.sample(latents, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="label"):
        module.sample(latents)
    with pytest.raises(ValueError, match="label"):
        toy_trainer().fit(module, loader(classes=5))


@pytest.mark.parametrize("classes", [0, 3])
@torch.no_grad()
def test_no_layer_of_the_discriminator_stretches_anything(classes: int) -> None:
    discriminator = small_sngan(number_of_classes=classes).discriminator
    for _ in range(50):
        discriminator(torch.randn(2, 1, 32, 32), torch.tensor([0, 1]) if classes else None)
    layers = [layer for layer in discriminator.modules() if parametrizations_of(layer)]
    assert len(layers) == 2 * 4 + 3 + 1 + (classes > 0)  # a shortcut where maps are halved or their number changes
    for layer in layers:
        weight = layer.eval().weight
        assert isinstance(weight, torch.Tensor)
        assert torch.linalg.matrix_norm(weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=0.01)


@torch.no_grad()
def test_scaling_weights_changes_no_logit_and_evaluation_moves_nothing() -> None:
    discriminator, images = small_sngan().discriminator.eval(), torch.randn(2, 1, 32, 32)
    before = discriminator.state_dict()["blocks.0.conv1.parametrizations.weight.0.left"].clone()
    logits = discriminator(images)
    assert torch.equal(discriminator(images), logits)
    assert torch.equal(discriminator.state_dict()["blocks.0.conv1.parametrizations.weight.0.left"], before)
    for name, parameter in discriminator.named_parameters():
        if name.endswith("original"):
            parameter.mul_(3)
    torch.testing.assert_close(discriminator(images), logits)
    discriminator.train()(images)
    assert not torch.equal(discriminator.state_dict()["blocks.0.conv1.parametrizations.weight.0.left"], before)


def test_weights_start_uniform_with_glorots_width_and_residual_ones_with_twice_its_variance() -> None:
    torch.manual_seed(0)
    generator, discriminator = (
        network_of(SNGAN, Generator, image_size=32, widths=[64] * 4),
        network_of(SNGAN, Discriminator, image_size=32, widths=[64] * 4),
    )
    block = discriminator.blocks[1]
    assert isinstance(block, ResidualBlock)
    assert isinstance(block.shortcut, nn.Conv2d)
    weights = {
        generator.get_parameter("input.weight"): (128 + 1024, 1.0),
        generator.get_parameter("blocks.0.conv1.weight"): (2 * 64 * 9, 2.0),
        generator.get_parameter("blocks.0.conv2.weight"): (2 * 64 * 9, 2.0),
        generator.get_parameter("blocks.0.shortcut.weight"): (2 * 64, 1.0),
        generator.get_parameter("output.weight"): ((64 + 3) * 9, 1.0),
        block.get_parameter("conv2.parametrizations.weight.original"): (2 * 64 * 9, 2.0),
        block.get_parameter("shortcut.parametrizations.weight.original"): (2 * 64, 1.0),
    }
    for weight, (fans, factor) in weights.items():
        bound = math.sqrt(6 * factor / fans)
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.02)
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    for network in (generator, discriminator):
        assert not any(p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_batch_norm_has_chainers_eps() -> None:
    """Of features (-a, a) with a^2 = 2e-5, half of the variance that is divided by is the eps."""
    norm = network_of(SNGAN, Generator, image_size=32, widths=[1] * 4).norm
    features = torch.tensor([-1.0, 1.0])[:, None, None, None] * math.sqrt(2e-5)
    torch.testing.assert_close(norm(features).flatten(), torch.tensor([-1.0, 1.0]) / math.sqrt(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 24}, "image_size=24"),
        ({"generator_widths": [4, 4]}, "generator_widths"),
        ({"discriminator_widths": [4] * 5}, "discriminator_widths"),
        ({"discriminator_widths": [4, 4, 4, 0]}, "discriminator_widths"),
    ],
)
def test_sizes_and_widths_that_do_not_go_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_sngan(**settings)


def loader(*, classes: int = 0) -> torch.utils.data.DataLoader[Any]:
    images = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tensors = (images, torch.arange(20) % classes) if classes else (images,)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=4)


def test_its_objective_is_the_hinge_unless_another_is_given() -> None:
    assert isinstance(small_sngan().loss, Hinge)
    assert isinstance(small_sngan(training=Training(loss=NonSaturating())).loss, NonSaturating)


@pytest.mark.parametrize("classes", [0, 3])
def test_five_turns_and_doubled_fakes_move_every_parameter(classes: int) -> None:
    """One generator's turn on twice the images, of classes drawn by the loop, after five of the discriminator."""
    training = Training(discriminator_turns=5, generator_batch_multiple=2, uniform_labels=True)
    module = small_sngan(number_of_classes=classes, training=training)
    before = weights_of(module.generator), weights_of(module.discriminator)
    toy_trainer().fit(module, loader(classes=classes))
    assert module.images_seen == 20
    for network, old in zip((module.generator, module.discriminator), before, strict=True):
        for (name, parameter), weight in zip(network.named_parameters(), old, strict=True):
            assert not torch.equal(parameter, weight), name


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = small_sngan(number_of_classes=3)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = SNGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    latents, labels = restored.draw_latents(3, seed=0)
    assert torch.equal(restored.sample(latents, labels), module.sample(latents, labels))
