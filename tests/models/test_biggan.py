"""BigGAN: sizes of the published networks, classes, chunks of the latent, truncation, accumulated gradients."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.layers.initialization import Normal
from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.settings import Training
from lightning_gan.models.biggan import BigGAN, Discriminator, Generator
from tests.models.networks import network_of
from tests.toys import Spy, equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_size": 32,
    "image_channels": 1,
    "number_of_classes": 3,
    "latent_dim": 8,
    "generator_channels": 2,
    "discriminator_channels": 2,
    "attention_resolutions": (16,),
    "embedding_dim": 4,
}


def small_generator(**settings: Any) -> Generator:
    torch.manual_seed(0)
    own = {name: value for name, value in SMALL.items() if not name.endswith("_channels")}
    return network_of(BigGAN, Generator, **{"base_channels": 2, "image_channels": 1, **own, **settings})


def small_discriminator(**settings: Any) -> Discriminator:
    torch.manual_seed(0)
    chosen = {"number_of_classes": 3, "attention_resolutions": (16,), **settings}
    return network_of(BigGAN, Discriminator, image_size=32, image_channels=1, base_channels=2, **chosen)


def small_biggan(**settings: Any) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(**{**SMALL, **settings})


def loader(*, batch_size: int = 4) -> torch.utils.data.DataLoader[Any]:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(16, 1, 32, 32, generator=random) * 2 - 1
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, torch.arange(16) % 2), batch_size=batch_size
    )


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "latent_dim", "base", "attention", "generator", "discriminator"),
    [
        (64, 120, 64, 32, 31_969_540, 20_571_842),
        (128, 120, 64, 64, 31_978_628, 39_448_258),
        (128, 120, 96, 64, 70_433_988, 87_982_370),
        (256, 140, 96, 64, 82_235_844, 99_225_890),
        (256, 140, 96, 128, 82_097_604, 99_191_330),
        (512, 128, 96, 64, 82_296_804, 99_401_282),
    ],
)
def test_parameter_counts_are_the_authors(
    size: int, latent_dim: int, base: int, attention: int, generator: int, discriminator: int
) -> None:
    """Of the discriminator at 512x512, the widths are compare_gan's, and the count is ours."""
    shared: dict[str, Any] = {
        "image_size": size,
        "number_of_classes": 1000,
        "base_channels": base,
        "attention_resolutions": (attention,),
        "spectral_norm": False,  # has no parameters
    }
    with torch.device("meta"):
        assert parameters_of(network_of(BigGAN, Generator, latent_dim=latent_dim, **shared)) == generator
        assert parameters_of(network_of(BigGAN, Discriminator, **shared)) == discriminator


def test_parameter_counts_on_cifar_are_the_authors() -> None:
    """Their script: tables for each normalization, no attention."""
    shared: dict[str, Any] = {
        "image_size": 32,
        "number_of_classes": 10,
        "base_channels": 64,
        "attention_resolutions": (),
        "spectral_norm": False,
    }
    with torch.device("meta"):
        generator = network_of(
            BigGAN, Generator, latent_dim=128, shared_embedding=False, hierarchical_latents=False, **shared
        )
        assert parameters_of(generator) == 4_304_387
        assert parameters_of(network_of(BigGAN, Discriminator, **shared)) == 4_207_361


@pytest.mark.parametrize("settings", [{}, {"number_of_classes": 0}, {"hierarchical_latents": False}])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_parameter_has_a_gradient(settings: dict[str, Any], channels: int) -> None:
    classes = settings.get("number_of_classes", 3)
    generator = small_generator(image_channels=channels, **settings)
    torch.manual_seed(0)
    discriminator = network_of(
        BigGAN,
        Discriminator,
        image_size=32,
        image_channels=channels,
        number_of_classes=classes,
        base_channels=2,
        attention_resolutions=(),
    )
    labels = torch.arange(3) if classes else None
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, channels, 32, 32)
    discriminator(images, labels).sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        {"number_of_classes": 0, "hierarchical_latents": False},
        {"shared_embedding": False, "hierarchical_latents": False},
        {"initialization": Normal(0.02), "spectral_norm": False},
    ],
)
def test_other_settings_make_images(settings: dict[str, Any]) -> None:
    generator = small_generator(**settings)
    labels = torch.arange(3) if settings.get("number_of_classes", 3) else None
    assert generator(torch.randn(3, 8), labels).abs().max() <= 1


@torch.no_grad()
def test_another_class_changes_the_image_and_the_logit() -> None:
    generator, discriminator = small_generator().eval(), small_discriminator().eval()
    latents = torch.randn(1, 8).expand(3, -1)
    images = generator(latents, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2], atol=1e-3)
    logits = discriminator(images[:1].expand(3, -1, -1, -1), torch.arange(3)).flatten()
    assert len(set(logits.tolist())) == 3


def test_a_class_without_samples_gets_no_gradient() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    labels = torch.tensor([0, 2, 0, 2])
    discriminator(generator(torch.randn(4, 8), labels), labels).sum().backward()
    assert generator.embedding is not None
    gradient = generator.embedding.weight.grad
    assert gradient is not None
    assert [bool(row.any()) for row in gradient] == [True, False, True]


def test_a_class_without_samples_gets_no_gradient_in_the_discriminator() -> None:
    """Without spectral normalization, whose norm is that of all classes together."""
    discriminator = small_discriminator(spectral_norm=False)
    discriminator(torch.randn(4, 1, 32, 32), torch.tensor([0, 2, 0, 2])).sum().backward()
    assert discriminator.head.embedding is not None
    gradient = discriminator.head.embedding.weight.grad
    assert gradient is not None
    assert [bool(row.any()) for row in gradient] == [True, False, True]


@torch.no_grad()
def test_each_block_has_its_own_chunk_of_the_latent() -> None:
    """Another last chunk leaves the features before the last block as they are."""
    generator = small_generator().eval()
    seen: list[Tensor] = []
    generator.blocks[2].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    latents = torch.randn(1, 8)
    other = latents.clone()
    other[:, 6:] += 1
    images = [generator(z, torch.tensor([0])) for z in (latents, other)]
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(images[0], images[1])


def test_everything_is_spectrally_normalized_but_the_shared_embedding() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    for network in (generator, discriminator):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
                assert bool(parametrizations_of(layer)) is (layer is not generator.embedding)


@torch.no_grad()
def test_attention_starts_as_nothing_and_stands_where_it_is_asked_for() -> None:
    for network in (small_generator(), small_discriminator()):
        assert [block.attention is not None for block in network.blocks].index(True) == (
            1 if isinstance(network, Generator) else 0
        )
        assert sum(block.attention is not None for block in network.blocks) == 1


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("image_size", 48, "image_size=48"),
        ("attention_resolutions", (64,), r"attention_resolutions=\[64\].*8, 16"),
        ("latent_dim", 9, "latent_dim=9 .* 4 chunks.*such as 8"),
        ("shared_embedding", False, "hierarchical_latents=False"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_biggan(**{setting: value})


def test_wrong_labels_are_refused() -> None:
    module = small_biggan()
    with pytest.raises(ValueError, match="3"):
        module.sample(torch.randn(2, 8), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="give a label per sample"):
        module.sample(torch.randn(2, 8))


def test_truncation_truncates_the_latents() -> None:
    module = small_biggan()
    latents, labels = module.draw_latents(3, seed=0)
    assert torch.equal(
        module.sample(latents, labels, truncation=0.5),
        module.sample(truncated_latents(latents, truncation=0.5), labels),
    )
    collapsed = module.sample(latents, torch.zeros(3, dtype=torch.int64), truncation=0.0)
    torch.testing.assert_close(collapsed[0], collapsed[1])


def test_training_moves_every_parameter() -> None:
    module = small_biggan(training=Training(uniform_labels=True))
    before = weights_of(module)
    toy_trainer().fit(module, loader())
    idle = {name for name, _ in module.named_parameters() if name.startswith("generator_ema.")}
    for (name, parameter), weight in zip(module.named_parameters(), before, strict=True):
        assert torch.equal(parameter, weight) is (name in idle), name


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = small_biggan(initialization=Normal(0.02))
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = BigGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    inputs = restored.draw_latents(3, seed=0)
    assert torch.equal(restored.sample(*inputs), module.sample(*inputs))


class EvaluatesGenerator(Callback):
    """Fakes do not depend on the batch they are in."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        pl_module.get_submodule("generator").eval()


@pytest.mark.filterwarnings("ignore:each of 8 turns and slices has 1 image")
def test_eight_slices_accumulate_the_gradient_of_the_whole_batch() -> None:
    """Of the discriminator, a gradient penalty included. Without spectral normalization, which moves by every use."""
    gradients: list[dict[str, Tensor]] = []

    def see(player: str, module: Any) -> None:
        if player == "discriminator":
            gradients.append({n: p.grad.clone() for n, p in module.discriminator.named_parameters()})

    for slices in (1, 8):
        module = small_biggan(discriminator_spectral_norm=False, training=Training(accumulate_slices=slices))
        settings: dict[str, Any] = {"limit_train_batches": 1, "precision": "64-true"}
        toy_trainer(R1(gamma=1.0), Spy(see), EvaluatesGenerator(), **settings).fit(module, loader(batch_size=8))
    whole, accumulated = gradients
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, rtol=1e-9, atol=1e-12, msg=name)
