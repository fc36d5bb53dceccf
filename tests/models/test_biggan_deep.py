"""BigGAN-deep: sizes of the published networks, classes, shortcuts, truncation."""

from typing import Any

import pytest
import torch
from torch import nn

from lightning_gan.layers.batch_norm import BatchNorm, VectorAffine
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.settings import Training
from lightning_gan.models.biggan_deep import BigGANDeep, Discriminator, DiscriminatorBlock, Generator, GeneratorBlock
from tests.models.networks import network_of
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_size": 32,
    "image_channels": 1,
    "number_of_classes": 3,
    "latent_dim": 6,
    "generator_channels": 4,
    "discriminator_channels": 4,
    "attention_resolutions": (16,),
    "embedding_dim": 4,
}


def small_biggan_deep(**settings: Any) -> BigGANDeep:
    torch.manual_seed(0)
    return BigGANDeep(**{**SMALL, **settings})


def loader() -> torch.utils.data.DataLoader[Any]:
    images = torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, torch.arange(16) % 3), batch_size=4)


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"), [(128, 50_244_484, 34_590_210), (256, 55_736_708, 38_247_426)]
)
def test_parameter_counts_are_the_authors(size: int, generator: int, discriminator: int) -> None:
    shared: dict[str, Any] = {"image_size": size, "number_of_classes": 1000, "spectral_norm": False}
    with torch.device("meta"):
        assert parameters_of(network_of(BigGANDeep, Generator, **shared)) == generator
        assert parameters_of(network_of(BigGANDeep, Discriminator, **shared)) == discriminator


def test_the_generator_at_512_is_the_published_one_with_three_outputs() -> None:
    """56,163,905 with 128 outputs of the last convolution."""
    with torch.device("meta"):
        generator = network_of(BigGANDeep, Generator, image_size=512, number_of_classes=1000, spectral_norm=False)
    assert parameters_of(generator) == 56_163_905 - (128 - 3) * (128 * 9 + 1)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_has_a_gradient(classes: int, channels: int) -> None:
    module = small_biggan_deep(number_of_classes=classes, image_channels=channels)
    labels = torch.arange(3) if classes else None
    images = module.generator(torch.randn(3, 6), labels)
    assert images.shape == (3, channels, 32, 32)
    module.discriminator(images, labels).sum().backward()
    for network in (module.generator, module.discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@torch.no_grad()
def test_the_generators_shortcut_keeps_the_first_channels() -> None:
    def norm(channels: int) -> BatchNorm:
        return BatchNorm(channels, affine=VectorAffine(channels, condition_dim=2))

    block = GeneratorBlock(in_channels=8, out_channels=4, upsamples=True, norm=norm)
    nn.init.zeros_(block.conv4.weight)
    assert block.conv4.bias is not None
    nn.init.zeros_(block.conv4.bias)
    features = torch.randn(2, 8, 2, 2)
    expected = features[:, :4].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(block(features, torch.randn(2, 2)), expected)


@torch.no_grad()
def test_the_discriminators_shortcut_keeps_all_channels_and_adds_new_ones() -> None:
    block = DiscriminatorBlock(in_channels=4, out_channels=8, downsamples=True)
    nn.init.zeros_(block.conv4.weight)
    assert block.conv4.bias is not None and block.shortcut is not None
    nn.init.zeros_(block.conv4.bias)
    features = torch.randn(2, 4, 4, 4)
    pooled = nn.functional.avg_pool2d(features, kernel_size=2)
    torch.testing.assert_close(block(features), torch.cat([pooled, block.shortcut(pooled)], dim=1))


@torch.no_grad()
def test_another_class_changes_the_image_and_the_logit() -> None:
    module = small_biggan_deep().eval()
    latents = torch.randn(1, 6).expand(3, -1)
    images = module.generator(latents, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2], atol=1e-3)
    logits = module.discriminator(images[:1].expand(3, -1, -1, -1), torch.arange(3)).flatten()
    assert len(set(logits.tolist())) == 3


def test_a_class_without_samples_gets_no_gradient() -> None:
    module = small_biggan_deep(discriminator_spectral_norm=False)
    labels = torch.tensor([0, 2, 0, 2])
    module.discriminator(module.generator(torch.randn(4, 6), labels), labels).sum().backward()
    for embedding in (module.generator.embedding, module.discriminator.head.embedding):
        assert embedding is not None and embedding.weight.grad is not None
        assert [bool(row.any()) for row in embedding.weight.grad] == [True, False, True]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("image_size", 48, "image_size=48"),
        ("attention_resolutions", (32,), r"attention_resolutions=\[32\].*8, 16"),
        ("generator_channels", 6, "6 channels"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_biggan_deep(**{setting: value})


def test_truncation_truncates_the_latents() -> None:
    module = small_biggan_deep()
    latents, labels = module.draw_latents(3, seed=0)
    assert torch.equal(
        module.sample(latents, labels, truncation=0.5),
        module.sample(truncated_latents(latents, truncation=0.5), labels),
    )


def test_training_moves_every_parameter_and_a_checkpoint_restores_it(tmp_path: Any) -> None:
    module = small_biggan_deep(training=Training(uniform_labels=True))
    before = weights_of(module)
    trainer = toy_trainer()
    trainer.fit(module, loader())
    for (name, parameter), weight in zip(module.named_parameters(), before, strict=True):
        assert torch.equal(parameter, weight) is name.startswith("generator_ema."), name
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = BigGANDeep.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
