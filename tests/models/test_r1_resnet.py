"""The R1 paper's residual networks: sizes of the published ones, labels, every architecture at every size."""

from typing import Any

import pytest
import torch

from lightning_gan.callbacks import R1
from lightning_gan.models.r1_resnet import (
    Architecture,
    Discriminator,
    Generator,
    R1ResNet,
    ResidualBlock,
    ResNet,
    ResNet2,
    ResNet3,
    ResNet4,
)
from tests.models.networks import network_of
from tests.models.training import moved_by_one_step, parameters_of
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 1,
    "latent_dim": 4,
    "label_dim": 3,
    "width": 2,
    "width_max": 4,
}


@pytest.mark.parametrize(
    ("settings", "generator", "discriminator"),
    [
        ({"image_size": 1024, "width": 16, "width_max": 512, "label_dim": 1}, 18_810_036, 16_705_201),
        ({"image_size": 256, "label_dim": 1}, 52_154_052, 47_944_385),
        ({"image_size": 128, "label_dim": 1}, 33_277_636, 29_067_969),
        ({"image_size": 32, "width": 32, "width_max": 256, "label_dim": 1}, 1_700_196, 647_777),
        ({"image_size": 128, "number_of_classes": 1000, "architecture": ResNet2()}, 100_535_747, 108_260_776),
        ({"image_size": 256, "label_dim": 1, "architecture": ResNet3()}, 67_849_284, 59_429_953),
        ({"image_size": 256, "label_dim": 1, "architecture": ResNet4()}, 52_161_732, 47_952_065),
    ],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        module = R1ResNet(**settings)
    assert parameters_of(module.generator) == generator
    assert parameters_of(module.discriminator) == discriminator


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        *((ResNet(), size) for size in (8, 16, 32, 64, 128)),
        *((ResNet2(), size) for size in (32, 96)),
        (ResNet3(), 64),
        (ResNet4(), 64),
    ],
)
@pytest.mark.parametrize("channels", [1, 5])
def test_every_size_and_channel_count_trains(architecture: Architecture, size: int, channels: int) -> None:
    settings: dict[str, Any] = {"image_size": size, "image_channels": channels, "width": 1, "width_max": 2}
    generator = network_of(R1ResNet, Generator, latent_dim=4, label_dim=3, architecture=architecture, **settings)
    discriminator = network_of(R1ResNet, Discriminator, architecture=architecture, **settings)
    images = generator(torch.randn(2, 4))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    discriminator(images).sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_moves_every_parameter(classes: int) -> None:
    module = R1ResNet(number_of_classes=classes, **SMALL)
    moved = moved_by_one_step(module, R1(), size=16, classes=classes)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


@torch.no_grad()
def test_a_residual_branch_counts_a_tenth() -> None:
    torch.manual_seed(0)
    block, features = ResidualBlock(in_channels=3, out_channels=3), torch.randn(2, 3, 4, 4)
    for name, parameter in block.named_parameters():
        if name != "conv1.bias":
            parameter.zero_()
    assert block.conv1.bias is not None
    block.conv1.bias.fill_(7.0)
    torch.testing.assert_close(block(features), features + 0.7)


@torch.no_grad()
def test_only_the_direction_of_a_labels_embedding_counts() -> None:
    """In `ResNet` and `ResNet2`; the other two take it as it is."""
    for architecture, size in ((ResNet(), 16), (ResNet2(), 32), (ResNet3(), 64), (ResNet4(), 64)):
        generator = network_of(
            R1ResNet,
            Generator,
            image_size=size,
            number_of_classes=3,
            latent_dim=4,
            label_dim=3,
            width=1,
            architecture=architecture,
        )
        latents, labels = torch.randn(3, 4), torch.arange(3)
        images = generator(latents, labels)
        generator.label_embedding.weight *= 5
        same = torch.allclose(generator(latents, labels), images, atol=1e-6)
        assert same is isinstance(architecture, (ResNet, ResNet2))


@torch.no_grad()
def test_labels_change_images_and_logits() -> None:
    torch.manual_seed(0)
    module = R1ResNet(number_of_classes=3, **SMALL)
    latents = torch.randn(1, 4).expand(3, -1)
    images = module.generator(latents, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = module.discriminator(images[:1].expand(3, -1, -1, -1), torch.tensor([0, 1, 2])).flatten()
    assert len(set(logits.tolist())) == 3
    rows = torch.eye(3)[torch.tensor([0, 0, 1])]
    torch.testing.assert_close(module.generator(latents, rows), images)


def test_a_class_without_samples_gets_no_gradient() -> None:
    module = R1ResNet(number_of_classes=3, **SMALL)
    labels = torch.tensor([0, 2, 0, 2])
    module.discriminator(module.generator(torch.randn(4, 4), labels), labels).sum().backward()
    for weight in (module.generator.label_embedding.weight, module.discriminator.output.weight):
        assert weight.grad is not None
        assert [bool(row.any()) for row in weight.grad] == [True, False, True]


def test_labels_that_are_no_classes_are_refused() -> None:
    module = R1ResNet(number_of_classes=3, **SMALL)
    with pytest.raises(ValueError, match="label -1 is outside"):
        module.sample(torch.randn(1, 4), torch.tensor([-1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 24}, "image_size=24 must be a power of two"),
        ({"image_size": 4}, "image_size=4"),
        ({"width": 5}, "width=5 must not be above width_max=4"),
        ({"image_size": 48, "architecture": ResNet2()}, "image_size=48 must be a multiple of 32 for ResNet2"),
        ({"image_size": 32, "architecture": ResNet4()}, "multiple of 64"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        R1ResNet(**{**SMALL, **settings})


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = R1ResNet(number_of_classes=3, **SMALL)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = R1ResNet.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
