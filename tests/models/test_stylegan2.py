"""StyleGAN2: sizes of the published networks, images of any ratio, styles, truncation, noise, and training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, R1, PathLength
from lightning_gan.loop.settings import Training
from lightning_gan.loop.style_based import StyleBased
from lightning_gan.models import StyleGAN2
from lightning_gan.models.stylegan2_networks import Connections
from lightning_gan.penalties.path_jacobian import path_lengths
from tests.models.stylegan2_worker import STRATEGIES
from tests.models.training import moved_by_one_step, parameters_of, random_loader, trained
from tests.toys import fast_adam, toy_trainer
from tests.two_ranks import assert_same_weights, run_on_one_and_two

SMALL: dict[str, Any] = {
    "image_channels": 1,
    "latent_dim": 6,
    "style_dim": 8,
    "mapping_layers": 2,
    "channel_base": 64,
    "channel_max": 8,
    "discriminator_mapping_layers": 1,
}
PLAIN, SKIPS, RESIDUAL = Connections(), Connections(image_skips=True), Connections(residual=True)


def small(**settings: Any) -> StyleGAN2:
    torch.manual_seed(0)
    model = StyleGAN2(**{"image_size": 16, **SMALL, **settings})
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            nn.init.normal_(parameter, std=0.5)
    model.generator_ema.load_state_dict(model.generator.state_dict())
    return model


CIFAR: dict[str, Any] = {"image_size": 32, "mapping_layers": 2, "discriminator_connections": PLAIN}


@pytest.mark.parametrize(
    ("settings", "generator", "discriminator"),
    [
        ({"image_size": 1024}, 30_370_060, 29_012_513),
        ({"image_size": 512}, 30_276_583, 28_982_849),
        ({"image_size": 256}, 30_034_338, 28_864_129),
        ({"image_size": 256, "channel_base": 16384}, 24_767_458, 24_001_089),
        ({"image_size": 256, "channel_base": 16384, "mapping_layers": 2}, 23_191_522, 24_001_089),
        ({"image_size": 1024, "channel_base": 16384}, 24_900_764, 24_038_161),
        ({"image_size": 128}, 29_328_669, 28_389_121),
        ({"image_size": 128, "channel_base": 16384, "mapping_layers": 2}, 22_949_277, 23_882_369),
        ({"image_size": 64}, 27_032_600, 26_488_833),
        ({"image_size": 64, "channel_base": 16384, "mapping_layers": 2}, 22_243_608, 23_407_361),
        (CIFAR, 19_947_539, 20_720_641),
        ({**CIFAR, "number_of_classes": 10}, 20_215_315, 23_089_664),
        ({**CIFAR, "number_of_classes": 10, "discriminator_mapping_layers": 0}, 20_215_315, 20_988_416),
    ],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        module = StyleGAN2(**settings)
    assert (parameters_of(module.generator), parameters_of(module.discriminator)) == (generator, discriminator)


@pytest.mark.parametrize(("size", "layers"), [(1024, 18), (512, 16), (256, 14), (32, 8), (4, 2)])
def test_every_size_has_its_number_of_styles(size: int, layers: int) -> None:
    with torch.device("meta"):
        module = StyleGAN2(image_size=size)
    assert isinstance(module, StyleBased)
    resolutions = module.style_resolutions
    assert (len(resolutions), resolutions[0], resolutions[-1]) == (layers, 4, size)
    assert [resolutions.count(4 * 2**block) for block in range(1, layers // 2 - 1)] == [2] * (layers // 2 - 2)


@pytest.mark.parametrize("generator_connections", [PLAIN, SKIPS, RESIDUAL])
@pytest.mark.parametrize("discriminator_connections", [PLAIN, SKIPS, RESIDUAL])
def test_every_parameter_trains_in_every_combination_of_connections(
    generator_connections: Connections, discriminator_connections: Connections
) -> None:
    model = small(
        number_of_classes=3,
        style_mixing=0.0,
        generator_connections=generator_connections,
        discriminator_connections=discriminator_connections,
        training=Training(generator_optimizer=fast_adam, discriminator_optimizer=fast_adam),
    )
    moved = moved_by_one_step(model, size=16, classes=3)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


def test_both_connections_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="image_skips=true with residual=true is none of the networks"):
        Connections(image_skips=True, residual=True)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (12, 16), (28, 28), (24, 6)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_ratio_and_number_of_channels_train(height: int, width: int, channels: int) -> None:
    model = small(image_size=height, image_width=width, image_channels=channels)
    images = model.sample(2)
    assert images.shape == (2, channels, height, width)
    real = torch.randn(4, channels, height, width).clamp(-1, 1)
    toy_trainer(R1(gamma=1.0), PathLength(every_n_turns=1), max_steps=1).fit(
        model, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(real), batch_size=4)
    )
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_sizes_and_limits_out_of_range_are_refused_by_name() -> None:
    for settings, message in [
        ({"image_size": 100}, "images of 100x100 pixels are halved to 25x25"),
        ({"image_width": 0}, "image_width=0"),
        ({"clamp": 0.0}, "clamp=0.0 must be positive"),
        ({"style_mixing": 1.5}, "style_mixing=1.5 is a probability"),
        ({"mapping_layers": 0}, "mapping_layers=0"),
        ({"truncation_layers": -1}, "truncation_layers=-1"),
    ]:
        with pytest.raises(ValueError, match=message):
            small(**settings)


def test_images_have_no_limit_and_a_clamp_is_one_for_every_layer() -> None:
    model = small()
    with torch.no_grad():
        model.generator.synthesis.to_images[-1].bias.fill_(5.0)
    assert model.sample(2, clipped=False, ema=False).mean() > 3
    limited = small(clamp=0.25)
    limited.load_state_dict(model.state_dict())
    # Three images of at most 0.25 are added up.
    assert limited.sample(2, clipped=False, ema=False).abs().max() <= 0.75


@torch.no_grad()
def test_a_style_reaches_its_convolution_and_the_last_layer_to_rgb_has_its_own() -> None:
    model = small()
    latents, _ = model.draw_latents(2, seed=0)
    styles = model.styles(latents, ema=False)
    assert styles.shape == (2, 6, 8)
    before = model.synthesize(styles, ema=False)
    changes = []
    for layer in range(6):
        changed = styles.clone()
        changed[:, layer] = styles[:, layer].flip(0)
        changes.append((model.synthesize(changed, ema=False) - before).abs().mean().item())
    assert min(changes) > 0


@torch.no_grad()
def test_noise_of_a_layer_is_drawn_stored_or_left_out() -> None:
    model = small()
    styles = model.styles(model.draw_latents(1, seed=0)[0], ema=False).expand(3, -1, -1)
    stored = model.synthesize(styles, ema=False)
    assert torch.allclose(stored[0], stored[1], atol=1e-6)
    drawn = model.synthesize(styles, fresh_noise=True, ema=False)
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)
    without = model.synthesize(styles, noisy_layers=[], fresh_noise=True, ema=False)
    assert torch.allclose(without[0], without[1], atol=1e-6) and not torch.allclose(without, stored, atol=1e-3)
    for layer in range(5):
        assert not torch.allclose(model.synthesize(styles, noisy_layers=[layer], ema=False), without, atol=1e-4)
    assert torch.equal(model.synthesize(styles, noisy_layers=[5], ema=False), without)  # the layer to RGB has none


@torch.no_grad()
def test_truncation_moves_all_styles_or_the_first_ones_towards_the_mean() -> None:
    for truncation_layers, affected in ((None, 6), (2, 2), (0, 0)):
        model = small(truncation_layers=truncation_layers)
        model.generator.w_avg.normal_()
        latents, _ = model.draw_latents(2, seed=0)
        full, half = (model.styles(latents, truncation=psi, ema=False) for psi in (1.0, 0.5))
        torch.testing.assert_close(half[:, :affected], (full[:, :affected] + model.generator.w_avg) / 2)
        assert torch.equal(half[:, affected:], full[:, affected:])
        expected = model.synthesize(half, ema=False).clamp(-1, 1)
        torch.testing.assert_close(model.sample(latents, truncation=0.5, ema=False), expected)


def test_the_mean_style_moves_in_training_alone() -> None:
    model = small()
    latents, _ = model.draw_latents(4, seed=0)
    model.generator.eval()(latents)
    assert model.generator.w_avg.abs().max() == 0
    model.generator.train()(latents)
    expected = 0.005 * model.generator.mapping(latents).mean(dim=0)
    torch.testing.assert_close(model.generator.w_avg, expected.detach())


def test_a_label_is_projected_onto_the_features_of_an_image() -> None:
    """A score is the mean of the products of features and the label's vector, which is linear in that vector."""
    model = small(number_of_classes=3)
    images, labels = torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 1])
    scores = model.discriminator(images, labels)
    vectors = model.discriminator.label_mapping(labels)  # type: ignore[misc]
    features: list[Tensor] = []
    model.discriminator.last.register_forward_hook(lambda module, inputs, output: features.append(output))
    torch.testing.assert_close(model.discriminator(images, torch.eye(3)[labels]), scores)
    torch.testing.assert_close((features[0] * vectors).sum(dim=1, keepdim=True) / 8**0.5, scores)


def test_the_last_block_of_the_discriminator_is_not_rounded_under_autocast() -> None:
    model = small()
    inputs: list[Tensor] = []
    model.discriminator.last.dense1.register_forward_hook(lambda module, given, output: inputs.append(given[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.discriminator(torch.randn(4, 1, 16, 16))
    assert inputs[0].dtype == logits.dtype == torch.float32


def test_path_lengths_of_the_generator_are_norms_of_its_jacobian() -> None:
    """By every style, against a Jacobian that is built row by row."""
    model = small().double()
    styles = model.styles(model.draw_latents(1, seed=0)[0].double(), ema=False).clone().requires_grad_()
    images = model.generator.synthesis(styles, random_noise=False)
    noise = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    (length,) = path_lengths(images, styles, noise)
    jacobian = torch.autograd.functional.jacobian(
        lambda given: model.generator.synthesis(given, random_noise=False).flatten(), styles.detach()
    )
    product = torch.einsum("p,pls->ls", noise.flatten(), jacobian[:, 0])  # type: ignore[call-overload]
    assert length.item() == pytest.approx(product.square().sum(dim=1).mean().sqrt().item(), rel=1e-10)


def test_a_resumed_run_repeats_an_uninterrupted_one(tmp_path: Path) -> None:
    def run(*, epochs: int, resume: Path | None = None) -> tuple[StyleGAN2, PathLength]:
        model, penalty = small(number_of_classes=2), PathLength(every_n_turns=3)
        trainer = toy_trainer(penalty, R1(gamma=1.0, every_n_turns=3), EMA(), max_epochs=epochs, limit_val_batches=0)
        trainer.fit(model, random_loader(size=16, classes=2), ckpt_path=resume, weights_only=True)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return model, penalty

    whole, penalty = run(epochs=2)
    run(epochs=1)
    resumed, again = run(epochs=2, resume=tmp_path / "last.ckpt")
    assert again.state.item() == penalty.state.item() > 0
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_path_length_is_added_to_the_generators_cost() -> None:
    terms = trained(small(), PathLength(), size=16)
    assert terms["generator/path_length"] > 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the weights of one process, and of two ranks under each strategy."""
    return run_on_one_and_two("tests.models.stylegan2_worker", tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_are_one_process(weights: Path, strategy: str) -> None:
    """Noise, style mixing and path lengths are those of the whole batch, and the mean length is one for all ranks."""
    assert_same_weights(weights / "auto.pt", weights / f"{strategy}.pt", relative=1e-9)
    one, two = (torch.load(weights / f"{name}.pt", weights_only=True) for name in ("auto", strategy))
    torch.testing.assert_close(two["mean_length"], one["mean_length"], rtol=1e-12, atol=0)
    torch.testing.assert_close(two["generator.w_avg"], one["generator.w_avg"], rtol=1e-9, atol=1e-12)
    assert one["mean_length"] > 0
