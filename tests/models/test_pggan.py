"""PGGAN: sizes of the published networks, growing, pixel norm, labels, and both orders of activation and halving."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers import box_downsample, nearest_upsample
from lightning_gan.loop.settings import Training
from lightning_gan.losses import Hinge, Wasserstein
from lightning_gan.models.pggan import PGGAN, Discriminator, DiscriminatorBlock, Generator
from tests.models.networks import network_of
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {"image_channels": 1, "channel_base": 64, "channel_max": 8}
CIFAR10: dict[str, Any] = {"channel_base": 4096, "channel_max": 128}


def small_generator(**settings: Any) -> Generator:
    torch.manual_seed(0)
    generator = network_of(PGGAN, Generator, **{"image_size": 16, "latent_dim": 8, **SMALL, **settings})
    for name, parameter in generator.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.5)
    return generator


def small_discriminator(**settings: Any) -> Discriminator:
    torch.manual_seed(0)
    return network_of(PGGAN, Discriminator, **{"image_size": 16, **SMALL, **settings})


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [
        (32, 20_719_628, 20_726_785),
        (64, 22_490_383, 22_498_049),
        (128, 22_933_394, 22_941_313),
        (256, 23_044_309, 23_052_353),
        (512, 23_072_120, 23_080_225),
        (1024, 23_079_115, 23_087_249),
    ],
)
def test_parameter_counts_are_the_authors(size: int, generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        assert parameters_of(network_of(PGGAN, Generator, image_size=size)) == generator
        assert parameters_of(network_of(PGGAN, Discriminator, image_size=size)) == discriminator


def test_parameter_counts_of_the_smaller_networks_are_the_authors() -> None:
    with torch.device("meta"):
        assert parameters_of(network_of(PGGAN, Generator, image_size=32, latent_dim=128, **CIFAR10)) == 1_296_908
        assert parameters_of(network_of(PGGAN, Discriminator, image_size=32, **CIFAR10)) == 1_298_689
        # The paper's ablations at 128x128.
        assert parameters_of(network_of(PGGAN, Generator, image_size=128, channel_base=2048)) == 13_629_810
        assert parameters_of(network_of(PGGAN, Discriminator, image_size=128, channel_base=2048)) == 13_636_897


def test_most_entrances_and_exits_are_for_growing_alone() -> None:
    with torch.device("meta"):
        generator, discriminator = (
            network_of(PGGAN, Generator, image_size=1024),
            network_of(PGGAN, Discriminator, image_size=1024),
        )
    assert 23_079_115 - parameters_of(generator.to_rgb[:-1]) == 23_071_507
    assert 23_087_249 - parameters_of(discriminator.from_rgb[:-1]) == 23_077_137


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_trains_at_every_level(size: int, channels: int) -> None:
    """Gradients reach exactly the blocks of the active levels."""
    generator = small_generator(image_size=size, image_channels=channels)
    discriminator = small_discriminator(image_size=size, image_channels=channels)
    for stage in range(size.bit_length() - 2):
        for fade_in in (0.5, 1.0):
            for network in (generator, discriminator):
                network.grow(4 * 2**stage, fade_in)
                network.zero_grad()
            images = generator(torch.randn(4, 8))
            assert images.shape == (4, channels, 4 * 2**stage, 4 * 2**stage)
            discriminator(images).sum().backward()
            heads = {stage, stage - 1} if fade_in < 1 and stage else {stage}
            assert reached(generator.blocks) == set(range(stage))
            assert reached(discriminator.blocks) == set(range(stage))
            assert reached(generator.to_rgb) == heads
            assert reached(discriminator.from_rgb) == heads


def reached(blocks: nn.ModuleList) -> set[int]:
    """The blocks whose every parameter has a gradient; the others must have none at all."""
    having = {i for i, b in enumerate(blocks) if any(p.grad is not None for p in b.parameters())}
    assert all(p.grad is not None for i in having for p in blocks[i].parameters())
    return having


@torch.no_grad()
def test_a_block_that_has_faded_in_a_little_changes_the_image_a_little() -> None:
    generator, latents = small_generator(), torch.randn(2, 8)
    generator.grow(8, 1.0)
    coarse = nearest_upsample(generator(latents), factor=2)
    generator.grow(16, 1.0)
    fine = generator(latents)
    for fade_in in (0.01, 0.5, 0.99):
        generator.grow(16, fade_in)
        torch.testing.assert_close(generator(latents), coarse.lerp(fine, fade_in))


@torch.no_grad()
def test_the_discriminator_fades_between_its_two_entrances() -> None:
    discriminator, images = small_discriminator(), torch.randn(4, 1, 16, 16)
    new = discriminator.blocks[1](discriminator.from_rgb[2](images))
    old = discriminator.from_rgb[1](box_downsample(images, factor=2))
    discriminator.grow(16, 0.3)
    expected = discriminator.last(discriminator.blocks[0](old.lerp(new, 0.3)))
    torch.testing.assert_close(discriminator(images), expected)


@torch.no_grad()
def test_only_the_direction_of_a_latent_matters_unless_latents_are_not_normalized() -> None:
    latents = torch.randn(2, 8)
    generator = small_generator()
    torch.testing.assert_close(generator(latents), generator(3 * latents))
    as_they_are = small_generator(normalizes_latents=False, normalizes_features=False)
    assert not torch.allclose(as_they_are(latents), as_they_are(3 * latents))


@torch.no_grad()
def test_every_pixels_features_have_the_same_size() -> None:
    generator = small_generator()
    features = generator.blocks[0](generator.first(torch.randn(2, 8)))
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(2, 8, 8))


@torch.no_grad()
def test_images_are_not_bounded() -> None:
    generator = small_generator()
    generator.get_parameter("to_rgb.2.bias").fill_(7.0)
    assert generator(torch.randn(2, 8)).mean() > 5


@torch.no_grad()
def test_the_papers_order_of_activation_and_downsampling_is_another_function_of_the_same_weights() -> None:
    before, after = small_discriminator(activation_before_downsampling=True), small_discriminator()
    assert equal(weights_of(before), weights_of(after))
    features = torch.randn(2, 8, 16, 16)
    block = before.blocks[1]
    assert isinstance(block, DiscriminatorBlock)
    convolved = block.conv1_down(leaky_relu(block.conv0(features), 0.2))
    torch.testing.assert_close(block(features), box_downsample(leaky_relu(convolved, 0.2), factor=2))
    torch.testing.assert_close(after.blocks[1](features), leaky_relu(box_downsample(convolved, factor=2), 0.2))
    assert not torch.allclose(block(features), after.blocks[1](features))


@torch.no_grad()
def test_labels_change_images_and_images_change_class_logits() -> None:
    generator = small_generator(number_of_classes=3)
    discriminator = small_discriminator(number_of_classes=3)
    latents = torch.randn(1, 8).expand(4, -1)
    images = generator(latents, torch.tensor([0, 0, 1, 2]))
    assert torch.equal(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    outputs = discriminator(images)
    assert outputs.shape == (4, 4)  # the score, and three classes
    assert not torch.allclose(outputs[0, 1:], outputs[2, 1:])
    rows = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.equal(generator(latents, rows), images)


@pytest.mark.parametrize("size", [24, 2])
def test_sizes_that_are_no_power_of_two_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size={size}"):
        PGGAN(image_size=size)


def small_pggan(**settings: Any) -> PGGAN:
    torch.manual_seed(0)
    return PGGAN(**{"image_size": 8, "latent_dim": 8, **SMALL, **settings})


def loader(*, classes: int = 0) -> torch.utils.data.DataLoader[Any]:
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tensors = (images, torch.arange(16) % classes) if classes else (images,)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=4)


def test_its_objective_is_wassersteins_unless_another_is_given() -> None:
    assert isinstance(small_pggan().loss, Wasserstein)
    assert isinstance(small_pggan(training=Training(loss=Hinge())).loss, Hinge)


@pytest.mark.parametrize("classes", [0, 3])
def test_training_moves_every_parameter_of_the_active_levels(classes: int) -> None:
    module = small_pggan(number_of_classes=classes)
    before = weights_of(module.generator), weights_of(module.discriminator)
    toy_trainer().fit(module, loader(classes=classes))
    # Entrances and exits of 4x4 are idle at 8x8. The score's bias cancels in the difference of two scores.
    idle = {"to_rgb.0.weight", "to_rgb.0.bias", "from_rgb.0.conv.weight", "from_rgb.0.conv.bias"}
    for network, old in zip((module.generator, module.discriminator), before, strict=True):
        for (name, parameter), weight in zip(network.named_parameters(), old, strict=True):
            if name != "last.dense1.bias":
                assert torch.equal(parameter, weight) is (name in idle), name


def test_a_checkpoint_remembers_the_level() -> None:
    module = small_pggan()
    module.grow(8, 0.25)
    restored = small_pggan()
    restored.load_state_dict(module.state_dict())
    assert (restored.resolution, restored.fade_in) == (8, 0.25)
    assert restored.generator.is_fading and restored.discriminator.is_fading and restored.generator_ema.is_fading
    assert equal(weights_of(module), weights_of(restored))


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = small_pggan(number_of_classes=3)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = PGGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    latents, labels = restored.draw_latents(3, seed=0)
    assert torch.equal(restored.sample(latents, labels), module.sample(latents, labels))
