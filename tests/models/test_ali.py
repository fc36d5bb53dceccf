"""ALI: the size of the published networks, every layer written anew, codes that are draws, the mean image."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu, softplus

from lightning_gan.callbacks import EMA
from lightning_gan.cli.configs import shipped_folder
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import InferenceDraws
from lightning_gan.models.ali import ALI, Maxout
from lightning_gan.models.ali_tables import Architecture, CelebATables, CIFAR10Tables, DigitsTables, SVHNTables
from tests.models.adversarial_inference_worker import WithoutDropout
from tests.models.training import parameters_of, random_loader, trained
from tests.toys import Spy, equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {"image_channels": 1, "latent_dim": 3}


def small(architecture: Architecture, **settings: Any) -> ALI:
    torch.manual_seed(0)
    return ALI(image_size=architecture.image_size, architecture=architecture, **{**SMALL, **settings})


def test_parameter_counts_for_cifar10_are_the_authors() -> None:
    """Counted in `experiments/ali_cifar10.py` (github.com/IshmaelBelghazi/ALI), layer by layer.

    Maxout halves the 32, 64, 128, 256, 512 feature maps of D(x), the 512 of D(z) and the 1024 of D(x, z). D(x) and
    D(x, z) have biases, one for each feature map (the default of Blocks since June 2016), and D(z) has none.
    """
    with torch.device("meta"):
        module = ALI()
    assert parameters_of(module.generator.generator) == 981_152
    assert parameters_of(module.generator.encoder) == 3_118_496
    image = 25 * 3 * 32 + 16 * (16 * 64 + 32 * 128 + 64 * 256 + 128 * 512) + 32 + 64 + 128 + 256 + 512
    code, joint = 64 * 512 + 256 * 512, (256 + 256) * 1024 + 512 * 1024 + 512 + 1024 + 1024 + 1
    assert parameters_of(module.discriminator) == image + code + joint == 2_611_009


def test_parameter_counts_for_celeba_are_the_authors() -> None:
    """Counted in `experiments/ali_celeba.py` (github.com/IshmaelBelghazi/ALI), layer by layer.

    Kernels of all layers, gain and bias of those with normalization, a bias for each pixel of the last ones. The 1x1
    convolution to 512 feature maps gives the means and deviations of 256 numbers. D(x) has a bias in the first
    convolution alone.
    """
    with torch.device("meta"):
        module = ALI(image_size=64, architecture=CelebATables())
    image = 4 * 3 * 64 + 49 * 64 * 128 + 25 * 128 * 256 + 49 * 256 * 256 + 16 * 256 * 512
    encoder = image + 512 * 512 + 2 * (64 + 128 + 256 + 256 + 512) + 512
    assert parameters_of(module.generator.encoder) == encoder == 6_794_880
    kernels = 16 * 256 * 512 + 49 * 512 * 256 + 25 * 256 * 256 + 49 * 256 * 128 + 4 * 128 * 64 + 64 * 3
    generator = kernels + 2 * (512 + 256 + 256 + 128 + 64) + 3 * 64 * 64
    assert parameters_of(module.generator.generator) == generator == 11_811_392
    code, joint = 256 * 1024 + 1024 * 1024, 1536 * 2048 + 2048 * 2048 + 2048 + 2048 + 2048 + 1
    critic = image + 64 + 2 * (128 + 256 + 256 + 512) + code + joint
    assert parameters_of(module.discriminator) == critic == 15_189_057


def test_parameter_counts_for_svhn_are_the_authors() -> None:
    """Counted in `experiments/ali_svhn.py` (github.com/IshmaelBelghazi/ALI): CIFAR-10's with codes of 256 numbers."""
    with torch.device("meta"):
        module = ALI(architecture=SVHNTables())
    assert parameters_of(module.generator.encoder) == 3_118_496 + 2 * 192 * 512 + 2 * 192
    assert parameters_of(module.generator.generator) == 981_152 + 192 * 16 * 256
    image = 25 * 3 * 32 + 16 * (32 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 32 + 2 * (64 + 128 + 256 + 512)
    code, joint = 256 * 512 + 512 * 512, 2 * 1024 * 1024 + 2 * 1024 + 1024 + 1
    assert parameters_of(module.discriminator) == image + code + joint == 5_283_073


def test_parameter_counts_for_digits_by_hand() -> None:
    """Our own tables: 28 pixels become 13, 6, 2 and 1, and a latent becomes 2, 6, 13 and 28 pixels."""
    with torch.device("meta"):
        module = ALI(image_size=28, image_channels=1, architecture=DigitsTables())
    encoder = 16 * 16 + 9 * 16 * 32 + 16 * 32 * 64 + 4 * 64 * 64 + 64 * 32 + 2 * (16 + 32 + 64 + 64) + 32
    assert parameters_of(module.generator.encoder) == encoder == 56_448
    generator = 4 * 16 * 64 + 16 * 64 * 64 + 9 * 64 * 32 + 16 * 32 * 16 + 16 + 2 * (64 + 64 + 32 + 16) + 28 * 28
    assert parameters_of(module.generator.generator) == generator == 97_408
    image = 16 * 16 + 9 * 16 * 32 + 16 * 32 * 64 + 4 * 64 * 128 + 16 + 2 * (32 + 64 + 128)
    code, joint = 16 * 128 + 128 * 128, 256 * 256 + 256 * 256 + 256 + 256 + 256 + 1
    assert parameters_of(module.discriminator) == image + code + joint == 221_137


@pytest.mark.parametrize(
    ("architecture", "image"),
    [(CIFAR10Tables(divisor=16), [True] * 5), (SVHNTables(divisor=32), [True, *[False] * 4])],
    ids=["maxout", "leaky"],
)
def test_biases_of_the_critic_are_where_the_authors_have_them(architecture: Architecture, image: list[bool]) -> None:
    """`use_bias` in the three scripts of github.com/IshmaelBelghazi/ALI: normalization and D(z) have no bias before."""
    critic = small(architecture).discriminator

    def biases(network: nn.Module) -> list[bool]:
        return [layer.bias is not None for layer in network.modules() if isinstance(layer, nn.Conv2d)]

    assert (biases(critic.of_image), biases(critic.of_code), biases(critic.of_both)) == (image, [False] * 2, [True] * 3)


def test_dropout_of_the_authors_script_for_cifar10_skips_convolutions() -> None:
    """What `CIFAR10Tables` says of `x_discriminator.layers[2::3]` in `experiments/ali_cifar10.py`."""
    layers = [f"{kind} {number}" for number in range(1, 6) for kind in ("convolution", "maxout")]
    assert layers[2::3] == ["convolution 2", "maxout 3", "convolution 5"]


@pytest.mark.parametrize(
    "architecture", [CIFAR10Tables(divisor=16), SVHNTables(divisor=32), CelebATables(divisor=64), DigitsTables()]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_table_leads_from_its_images_to_one_by_one_and_back(architecture: Architecture, channels: int) -> None:
    module = small(architecture, image_channels=channels)
    images, latents = torch.randn(2, channels, *[architecture.image_size] * 2), torch.randn(2, 3)
    assert module.generator(latents).shape == images.shape
    assert module.generator(latents).abs().max() <= 1
    assert module.generator.encode(images).shape == (2, 3)
    assert module.discriminator(images, latents).shape == (2, 1)


def normalized(features: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Batch normalization with the epsilon of Blocks, `BatchNormalization(epsilon=1e-4)` in `blocks/bricks/bn.py`."""
    return batch_norm(
        features, None, None, weights[f"{name}.affine.gain"], weights[f"{name}.affine.bias"], training=True, eps=1e-4
    )


@torch.no_grad()
def test_encoder_and_generator_compute_what_their_layers_say() -> None:
    """By plain functions, from the names of the weights alone."""
    module = small(CIFAR10Tables(divisor=16)).double()
    for bias in (module.generator.encoder.layers[-1].bias, module.generator.generator.output_bias.bias):
        nn.init.normal_(bias)
    images, latents, noise = torch.randn(3, 1, 32, 32).double(), torch.randn(3, 3).double(), torch.randn(3, 3).double()

    weights = dict(module.generator.encoder.named_parameters())
    features = images
    for index, stride in enumerate((1, 2, 1, 2, 1, 1)):
        features = conv2d(features, weights[f"layers.{3 * index}.weight"], stride=stride)
        features = leaky_relu(normalized(features, weights, f"layers.{3 * index + 1}"), 0.1)
    features = (conv2d(features, weights["layers.18.weight"]) + weights["layers.19.bias"])[:, :, 0, 0]
    torch.testing.assert_close(module.generator.encode(images), features[:, :3])
    drawn = features[:, :3] + features[:, 3:].exp() * noise
    torch.testing.assert_close(module.generator.encode(images, noise), drawn)

    weights = dict(module.generator.generator.named_parameters())
    features = latents[:, :, None, None]
    for index, stride in enumerate((1, 2, 1, 2, 1, 1)):
        features = conv_transpose2d(features, weights[f"layers.{3 * index}.weight"], stride=stride)
        features = leaky_relu(normalized(features, weights, f"layers.{3 * index + 1}"), 0.1)
    logits = conv2d(features, weights["layers.18.weight"]) + weights["output_bias.bias"]
    torch.testing.assert_close(module.generator(latents), 2 * logits.sigmoid() - 1)


@torch.no_grad()
@pytest.mark.parametrize(
    ("architecture", "leak"),
    [(CIFAR10Tables(divisor=16), None), (SVHNTables(divisor=16), 0.01)],
    ids=["maxout", "leaky"],
)
def test_the_critic_without_dropout_computes_what_its_layers_say(
    architecture: Architecture, leak: float | None
) -> None:
    critic = small(architecture).double().discriminator
    for layer in critic.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    images, codes = torch.randn(3, 1, 32, 32).double(), torch.randn(3, 3).double()
    weights = dict(critic.named_parameters())

    def convolved(features: Tensor, name: str, *, stride: int = 1) -> Tensor:
        return conv2d(features, weights[f"{name}.weight"], weights.get(f"{name}.bias"), stride=stride)

    def activated(features: Tensor) -> Tensor:
        if leak is not None:
            return leaky_relu(features, leak)
        return torch.maximum(features[:, 0::2], features[:, 1::2])

    of_image = images
    place = 1  # behind the dropout
    for index, stride in enumerate((1, 2, 1, 2, 1)):
        of_image = convolved(of_image, f"of_image.{place}", stride=stride)
        if leak is not None and index:
            of_image = normalized(of_image, weights, f"of_image.{place + 1}")
        of_image = activated(of_image)
        place += 4 if leak is not None and index else 3
    of_code = codes[:, :, None, None]
    for place in (1, 4):
        of_code = activated(convolved(of_code, f"of_code.{place}"))
    both = torch.cat([of_image, of_code], dim=1)
    for place in (1, 4):
        both = activated(convolved(both, f"of_both.0.{place}"))
    torch.testing.assert_close(critic(images, codes), convolved(both, "of_both.2")[:, :, 0, 0])


@pytest.mark.parametrize(
    ("architecture", "image", "code", "joint"),
    [
        (CIFAR10Tables(divisor=16), [0.2, *[0.5] * 4], [0.2, 0.5], [0.5] * 3),
        (SVHNTables(divisor=32), [0.2] * 5, [0.2] * 2, [0.2] * 3),
        (CelebATables(divisor=64), [0.2] * 5, [0.2] * 2, [0.2] * 3),
    ],
    ids=["cifar10", "svhn", "celeba"],
)
def test_dropout_is_in_the_critic_alone(
    architecture: Architecture, image: list[float], code: list[float], joint: list[float]
) -> None:
    """`apply_dropout` in the three scripts of github.com/IshmaelBelghazi/ALI; for CIFAR-10 the paper's table."""
    module = small(architecture)

    def rates(network: nn.Module) -> list[float]:
        return [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]

    assert rates(module.generator) == []
    critic = module.discriminator
    assert (rates(critic.of_image), rates(critic.of_code), rates(critic.of_both)) == (image, code, joint)


def test_maxout_takes_the_larger_of_two_neighbours() -> None:
    features = torch.tensor([1.0, 5.0, -3.0, -4.0])[None, :, None, None]
    assert Maxout()(features).flatten().tolist() == [5.0, -3.0]


@pytest.mark.parametrize(
    ("architecture", "deviation"), [(CIFAR10Tables(divisor=4), 0.01), (CelebATables(divisor=4), 0.01)]
)
def test_initial_weights_are_as_in_the_authors_code(architecture: Architecture, deviation: float) -> None:
    """`GAUSSIAN_INIT` and `ZERO_INIT` in the scripts of github.com/IshmaelBelghazi/ALI."""
    torch.manual_seed(0)
    module = ALI(image_size=architecture.image_size, architecture=architecture)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if layer.weight.numel() > 5000:
                assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
            assert layer.bias is None or not layer.bias.any()


@torch.no_grad()
def test_statistics_of_the_critic_are_those_of_real_and_generated_pairs_together() -> None:
    """`get_predictions` of `ali/bricks.py` (github.com/IshmaelBelghazi/ALI) concatenates both kinds of pairs."""
    module = small(WithoutDropout())
    images, fake = torch.randn(3, 1, 32, 32), torch.randn(6, 1, 32, 32)
    codes, latents = torch.randn(3, 3), torch.randn(6, 3)
    of_real, of_fake = module.score_both(images, codes, fake, latents)
    assert (of_real.shape, of_fake.shape) == ((3, 1), (6, 1))
    both = module.discriminator(torch.cat([images, fake]), torch.cat([codes, latents]))
    torch.testing.assert_close(torch.cat([of_real, of_fake]), both)
    exchanged = module.score_both(fake, latents, images, codes)
    torch.testing.assert_close(torch.cat(exchanged[::-1]), both)
    assert not torch.allclose(of_real, module.discriminator(images, codes), rtol=1e-3)


def moving(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01)


def test_both_turns_descend_the_sum_of_two_terms() -> None:
    """Every gradient of a whole step in double precision, with the game written anew; the noise is of the draws.

    Real and generated pairs are one batch of the discriminator, as in `XZJointDiscriminator` and `get_predictions` of
    `ali/bricks.py` (github.com/IshmaelBelghazi/ALI).
    """
    settings: dict[str, Any] = {"training": Training(generator_optimizer=moving, discriminator_optimizer=moving)}
    module, twin = (small(WithoutDropout(), **settings).double() for _ in range(2))
    drawn: list[tuple[Tensor, Tensor]] = []
    gradients: dict[str, list[Tensor]] = {}

    def see(player: str, gan: Any) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        gradients[player] = [weight.grad.clone() for weight in network.parameters()]

    def draw_rows(count: int, random: torch.Generator) -> InferenceDraws:
        draws = ALI.draw_rows(module, count, random)
        drawn.append((draws.latents.double(), draws.code_noise.double()))
        return draws

    module.draw_rows = draw_rows  # type: ignore[method-assign]
    loader = random_loader(size=32, count=4)
    toy_trainer(Spy(see), precision="64-true").fit(module, loader)
    (real,) = next(iter(loader))
    real = real.double()
    twin.generator.generator.output_bias.constant.copy_(module.generator.generator.output_bias.constant)
    assert [(latents.shape, noise.shape) for latents, noise in drawn] == [((4, 3), (4, 3))] * 2

    def scores(latents: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = twin.generator.encoder.layers(real)[:, :, 0, 0].chunk(2, dim=1)
        codes = mean + log_deviation.exp() * noise
        images = torch.cat([real, twin.generator.generator(latents)])
        of_real, of_fake = twin.discriminator(images, torch.cat([codes, latents])).chunk(2)
        return of_real, of_fake

    critic = list(twin.discriminator.parameters())
    of_real, of_fake = scores(*drawn[0])
    expected = torch.autograd.grad(softplus(-of_real).mean() + softplus(of_fake).mean(), critic)
    torch.testing.assert_close(gradients["discriminator"], list(expected), rtol=1e-9, atol=1e-13)
    with torch.no_grad():
        for weight, gradient in zip(critic, expected, strict=True):
            weight -= 0.01 * gradient
    of_real, of_fake = scores(*drawn[1])
    both = list(twin.generator.parameters())
    expected = torch.autograd.grad(softplus(of_real).mean() + softplus(-of_fake).mean(), both)
    assert all(gradient.any() for gradient in expected)
    torch.testing.assert_close(gradients["generator"], list(expected), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("architecture", [CIFAR10Tables(divisor=16), SVHNTables(divisor=16), CelebATables(divisor=32)])
def test_a_few_steps_move_every_parameter(architecture: Architecture) -> None:
    module = small(architecture)
    with torch.no_grad():
        for weight in module.discriminator.parameters():
            weight.mul_(20.0)  # so few weights as small as the authors' would pass on gradients that Adam rounds to 0
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    trained(module, EMA(half_life_kimg=0.01), size=architecture.image_size, batches=2)
    still = [name for name, weight in module.named_parameters() if torch.equal(weight, before[name])]
    assert still == []


def test_the_first_images_are_their_mean() -> None:
    """A generator whose other weights are 0 shows the first batch's mean image, and keeps it."""
    module = small(CIFAR10Tables(divisor=16))
    loader = random_loader(size=32, count=8)
    (images,) = next(iter(loader))
    with torch.no_grad():
        for weight in (*module.generator.generator.parameters(), *module.generator_ema.generator.parameters()):
            weight.zero_()
    trained(module, size=32, batches=2)
    for network in (module.generator, module.generator_ema):
        constant = network.generator.output_bias.constant
        torch.testing.assert_close(2 * constant.sigmoid() - 1, images.mean(dim=0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(module.generator_ema(torch.randn(1, 3))[0], images.mean(dim=0), atol=1e-5, rtol=1e-5)


def test_pixels_that_are_always_black_stay_finite() -> None:
    module = small(CIFAR10Tables(divisor=16))
    black = torch.full((4, 1, 32, 32), -1.0)
    toy_trainer().fit(module, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(black), batch_size=4))
    shown = 2 * module.generator.generator.output_bias.constant.sigmoid() - 1
    torch.testing.assert_close(shown, torch.full((1, 32, 32), -1 + 1 / 255))


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size=64: CIFAR10Tables is for images of 32 pixels"):
        ALI(image_size=64)
    with pytest.raises(ValueError, match="divisor=3 must divide the feature maps"):
        ALI(architecture=CIFAR10Tables(divisor=3))
    with pytest.raises(ValueError, match=r"divisor=32 must divide .* and leave pairs for maxout; take a number .* 16"):
        ALI(architecture=CIFAR10Tables(divisor=32))
    assert ALI(architecture=CIFAR10Tables(divisor=16))
    assert ALI(architecture=SVHNTables(divisor=32))
    with pytest.raises(ValueError, match="divisor=0"):
        ALI(architecture=CIFAR10Tables(divisor=0))
    with pytest.raises(ValueError, match="number_of_classes=10: ALI does not use labels"):
        ALI(number_of_classes=10)


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = ALI(image_channels=1, latent_dim=2)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = ALI.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))


def configuration(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((shipped_folder() / name).read_text())
    return settings


def total_images(settings: dict[str, Any]) -> float:
    """Where `StopAtKimg` ends a configuration."""
    (total,) = (
        callback["init_args"]["total_kimg"]
        for callback in settings["trainer"]["callbacks"]
        if callback["class_path"].endswith("StopAtKimg")
    )
    return 1000 * float(total)


def test_the_configuration_for_cifar10_trains_as_long_as_the_authors_on_their_images() -> None:
    """`NUM_EPOCHS` of `experiments/ali_cifar10.py`, `slice(0, 45000)` of `ali/streams.py` (IshmaelBelghazi/ALI)."""
    settings = configuration("paper/ali_cifar10.yaml")
    assert settings["data"]["init_args"]["number_of_images"] == 45_000
    assert total_images(settings) == 6475 * 45_000


def test_the_configuration_for_celeba_cuts_out_the_authors_rows_and_trains_as_long() -> None:
    """`NUM_EPOCHS` of `experiments/ali_celeba.py`, and Fuel's `celeba_64` (`fuel/converters/celeba.py`, mila-iqia).

    Fuel resizes 178x218 pixels to 64x78 by Lanczos and crops rows 7 to 71, the central square
    (`tests/data/test_crops.py`).
    """
    settings = configuration("paper/ali_celeba64.yaml")
    data = settings["data"]["init_args"]
    assert (data["crop"], data["resampling"], data["image_size"]) == ("shorter_side", "lanczos", 64)
    assert total_images(settings) == pytest.approx(123 * 162_770, abs=100)
