"""SAGAN: sizes of the published networks, attention, spectral normalization of both networks, and labels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, interpolate, linear, max_pool2d, relu

from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.loop.settings import Training
from lightning_gan.losses import Hinge, NonSaturating
from lightning_gan.models.sagan import SAGAN, Discriminator, Generator
from tests.models.networks import network_of
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_size": 32,
    "image_channels": 1,
    "latent_dim": 6,
    "generator_channels": 4,
    "discriminator_channels": 8,
    "attention_resolution": 16,
}


def small_sagan(**settings: Any) -> SAGAN:
    torch.manual_seed(0)
    return SAGAN(**{**SMALL, **settings})


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_the_authors() -> None:
    with torch.device("meta"):
        assert parameters_of(network_of(SAGAN, Generator, image_size=128, number_of_classes=1000)) == 42_078_852
        assert parameters_of(network_of(SAGAN, Discriminator, image_size=128, number_of_classes=1000)) == 39_463_618
        attention = 2 * 256 * 32 + 2 * 256 * 128 + 1
        without = network_of(SAGAN, Generator, image_size=128, number_of_classes=1000, attention_resolution=None)
        assert parameters_of(without) == 42_078_852 - attention


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_size_sends_gradients_to_every_parameter(size: int, classes: int) -> None:
    settings: dict[str, Any] = {
        "image_size": size,
        "image_channels": 2,
        "number_of_classes": classes,
        "attention_resolution": 8,
    }
    generator, discriminator = (
        network_of(SAGAN, Generator, latent_dim=6, channels=1 if size > 32 else 2, **settings),
        network_of(SAGAN, Discriminator, channels=4, **settings),
    )
    labels = torch.tensor([0, 1]) if classes else None
    images = generator(torch.randn(2, 6), labels)
    assert images.shape == (2, 2, size, size)
    logits = discriminator(images, labels)
    assert logits.shape == (2, 1)
    logits.sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("resolution", [8, 16, None])
@torch.no_grad()
def test_attention_sees_features_of_the_resolution_in_both_networks(resolution: int | None) -> None:
    module = small_sagan(attention_resolution=resolution, generator_channels=8)
    seen: list[int] = []
    for network in (module.generator, module.discriminator):
        if network.attention is not None:
            network.attention.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0].shape[-1]))
    module.discriminator(module.generator(torch.randn(2, 6)))
    assert seen == ([] if resolution is None else [resolution, resolution])


def attended(layer: nn.Module, features: Tensor) -> Tensor:
    """Self-attention written with matrices: every position, then every pooled position."""
    weights = {name: getattr(layer, name).weight.flatten(1) for name in ("theta", "phi", "g", "o")}
    flat = features.flatten(2)
    pooled = {name: max_pool2d((weights[name] @ flat).unflatten(2, features.shape[2:]), 2) for name in ("phi", "g")}
    scores = torch.einsum("bcq,bck->bqk", weights["theta"] @ flat, pooled["phi"].flatten(2)).softmax(dim=2)
    seen = weights["o"] @ torch.einsum("bqk,bck->bcq", scores, pooled["g"].flatten(2))
    output: Tensor = features + layer.get_parameter("gamma") * seen.unflatten(2, features.shape[2:])
    return output


def conv(layer: nn.Module | Tensor, features: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return conv2d(features, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)


def randomized(network: nn.Module) -> nn.Module:
    """With every zero of the beginning gone, and running averages that matter."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if name.endswith(("gain", "bias", "gamma")):
            nn.init.normal_(parameter, std=0.5)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.2)
        elif name.endswith("running_variance"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    return network.eval()


@torch.no_grad()
def test_the_generator_is_what_the_table_says() -> None:
    """Against the layers written out: nearest upsampling before the convolutions, attention behind 16x16."""
    generator = randomized(small_sagan(number_of_classes=3).generator)
    assert isinstance(generator, Generator)
    latents, labels = torch.randn(2, 6), torch.tensor([2, 1])

    def norm(layer: Any, features: Tensor) -> Tensor:
        plain = batch_norm(features, layer.running_mean, layer.running_variance, eps=1e-5)
        gain: Tensor = 1 + layer.affine.gain[labels]
        bias: Tensor = layer.affine.bias[labels]
        return plain * gain[:, :, None, None] + bias[:, :, None, None]

    features = linear(latents, generator.input.weight, generator.input.bias).reshape(2, 32, 4, 4)
    for index, block in enumerate(generator.blocks):
        hidden = conv(block.conv1, interpolate(relu(norm(block.norm1, features)), scale_factor=2))
        hidden = conv(block.conv2, relu(norm(block.norm2, hidden)))
        features = hidden + conv(block.shortcut, interpolate(features, scale_factor=2))
        if index == 1:
            assert generator.attention is not None
            features = attended(generator.attention, features)
    last = generator.norm
    gain, bias = last.affine(None)
    features = batch_norm(features, last.running_mean, last.running_variance, gain, bias, eps=1e-5)
    torch.testing.assert_close(generator(latents, labels), conv(generator.output, relu(features)).tanh())


@torch.no_grad()
def test_the_discriminator_is_what_the_table_says() -> None:
    """Against the layers written out: wide blocks, a last one that does not halve, the sum over positions."""
    discriminator = randomized(small_sagan(number_of_classes=3).discriminator)
    assert isinstance(discriminator, Discriminator)
    images, labels = torch.randn(2, 1, 32, 32), torch.tensor([2, 1])
    features = images
    for index, block in enumerate(discriminator.blocks):
        hidden = conv(block.conv2, relu(conv(block.conv1, relu(features) if index else features)))
        shortcut = features if index == 3 else conv(block.shortcut, features)
        features = hidden + shortcut
        if index < 3:
            features = avg_pool2d(features, 2)
        if index == 0:
            assert discriminator.attention is not None
            features = attended(discriminator.attention, features)
    pooled = relu(features).sum(dim=(2, 3))
    head = discriminator.head
    assert head.embedding is not None
    logits = linear(pooled, head.linear.weight, head.linear.bias)
    logits = logits + (head.embedding.weight[labels] * pooled).sum(dim=1, keepdim=True)
    torch.testing.assert_close(discriminator(images, labels), logits)


@torch.no_grad()
def test_no_layer_of_either_network_stretches_anything() -> None:
    module = small_sagan(number_of_classes=3)
    labels = torch.tensor([0, 1])
    for _ in range(50):
        module.discriminator(module.generator(torch.randn(2, 6), labels), labels)
    for network, count in ((module.generator, 1 + 3 * 3 + 4 + 1), (module.discriminator, 4 * 2 + 3 + 4 + 2)):
        layers = [layer for layer in network.modules() if parametrizations_of(layer)]
        assert len(layers) == count
        for layer in layers:
            weight = layer.eval().weight
            assert isinstance(weight, Tensor)
            assert torch.linalg.matrix_norm(weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=0.02)


@torch.no_grad()
def test_another_label_changes_the_image_and_the_logit() -> None:
    module = small_sagan(number_of_classes=3)
    randomized(module.generator)
    latents, labels = torch.randn(1, 6).expand(3, -1), torch.tensor([0, 0, 2])
    images = module.generator(latents, labels)
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = module.discriminator.eval()(images[:1].expand(3, -1, -1, -1), labels)
    assert not torch.allclose(logits[0], logits[2])


def test_classes_that_are_not_in_the_batch_get_no_gradient() -> None:
    generator = small_sagan(number_of_classes=3).generator
    generator(torch.randn(2, 6), torch.tensor([0, 2])).square().sum().backward()
    tables = [p for name, p in generator.named_parameters() if name.startswith("blocks.") and "affine" in name]
    assert len(tables) == 12
    for table in tables:
        assert table.grad is not None
        assert [bool(row.any()) for row in table.grad] == [True, False, True]


def test_wrong_labels_are_refused() -> None:
    module = small_sagan(number_of_classes=3)
    with pytest.raises(ValueError, match="3"):
        module.sample(torch.randn(2, 6), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="label"):
        toy_trainer().fit(module, loader(classes=5))


def test_running_averages_are_the_authors_slow_ones() -> None:
    module = small_sagan(number_of_classes=3)
    block = module.generator.blocks[0]
    assert block.get_submodule("norm1").momentum == 0.001
    assert module.generator.norm.momentum == pytest.approx(0.0001)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 48}, "image_size=48"),
        ({"image_size": 512}, "image_size=512"),
        ({"attention_resolution": 32}, "attention_resolution=32"),
        ({"attention_resolution": 4}, "attention_resolution=4"),
        ({"generator_channels": 2}, "4 channels"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_sagan(**settings)


def loader(*, classes: int = 0) -> torch.utils.data.DataLoader[Any]:
    images = torch.rand(12, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tensors = (images, torch.arange(12) % classes) if classes else (images,)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=4)


def test_its_objective_is_the_hinge_unless_another_is_given() -> None:
    assert isinstance(small_sagan().loss, Hinge)
    assert isinstance(small_sagan(training=Training(loss=NonSaturating())).loss, NonSaturating)


@pytest.mark.parametrize("classes", [0, 3])
def test_training_moves_every_parameter(classes: int) -> None:
    """Attention's own maps move from the second batch on, when gamma is not 0 any more.

    Within the hinge's margins a bias common to all logits cancels.
    """
    module = small_sagan(number_of_classes=classes, training=Training(uniform_labels=True))
    before = weights_of(module.generator), weights_of(module.discriminator)
    toy_trainer().fit(module, loader(classes=classes))
    for network, old in zip((module.generator, module.discriminator), before, strict=True):
        for (name, parameter), weight in zip(network.named_parameters(), old, strict=True):
            if name != "head.linear.bias":
                assert not torch.equal(parameter, weight), name


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = small_sagan(number_of_classes=3)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = SAGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    latents, labels = restored.draw_latents(3, seed=0)
    assert torch.equal(restored.sample(latents, labels), module.sample(latents, labels))
