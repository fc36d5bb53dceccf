"""BiGAN: the size of the published networks, every layer and gradient written anew, both architectures."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, leaky_relu, linear, max_pool2d, softplus

from lightning_gan.callbacks import EMA
from lightning_gan.loop.settings import Training
from lightning_gan.models.adversarial_inference import GeneratorAndEncoder
from lightning_gan.models.bigan import BiGAN, Perceptrons
from lightning_gan.models.bigan_alexnet import AlexNet
from tests.models.training import parameters_of, random_loader, trained
from tests.toys import Spy, equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {"image_size": 4, "latent_dim": 3, "architecture": Perceptrons(width=5)}


def weights_by_name(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.named_parameters())


def normalized(features: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Batch normalization with the authors' eps, with gain and bias where there are some."""
    gain, bias = weights.get(f"{name}.affine.gain"), weights.get(f"{name}.affine.bias")
    return batch_norm(features, None, None, gain, bias, training=True, eps=1e-8)


def perceptron_generator(weights: dict[str, Tensor], latents: Tensor) -> Tensor:
    features = normalized(linear(latents, weights["first.layer.weight"]), weights, "first.norm").relu()
    features = linear(features, weights["second.layer.weight"]) + linear(latents, weights["second.injection.weight"])
    features = normalized(features, weights, "second.norm").relu()
    return (2 * linear(features, weights["to_image.weight"]).sigmoid() - 1).reshape(-1, 1, 4, 4)


def perceptron_encoder(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    features = leaky_relu(linear(images.flatten(1), weights["first.layer.weight"]), 0.2)
    features = leaky_relu(normalized(linear(features, weights["second.layer.weight"]), weights, "second.norm"), 0.2)
    return 2 * linear(features, weights["to_code.weight"]).sigmoid() - 1


def perceptron_critic(weights: dict[str, Tensor], images: Tensor, codes: Tensor) -> Tensor:
    features = leaky_relu(linear(images.flatten(1), weights["first.layer.weight"]), 0.2)
    features = linear(features, weights["second.layer.weight"]) + linear(codes, weights["second.injection.weight"])
    return linear(leaky_relu(normalized(features, weights, "second.norm"), 0.2), weights["to_logit.weight"])


def test_parameter_counts_are_the_papers() -> None:
    """Of its networks for MNIST with 50 latents, weights only: there are no biases."""
    with torch.device("meta"):
        module = BiGAN()
    assert parameters_of(module.generator.generator) == 1_953_792
    assert parameters_of(module.generator.encoder) == 1_902_592
    assert parameters_of(module.discriminator) == 1_903_616


@torch.no_grad()
def test_the_perceptrons_compute_what_their_layers_say() -> None:
    """By plain functions, from the names of the weights alone."""
    torch.manual_seed(0)
    module = BiGAN(**SMALL).double()
    nn.init.normal_(module.discriminator.to_logit.weight)
    latents, images = torch.randn(6, 3).double(), torch.randn(6, 1, 4, 4).double()
    torch.testing.assert_close(
        module.generator(latents), perceptron_generator(weights_by_name(module.generator.generator), latents)
    )
    torch.testing.assert_close(
        module.generator.encode(images), perceptron_encoder(weights_by_name(module.generator.encoder), images)
    )
    torch.testing.assert_close(
        module.discriminator(images, latents), perceptron_critic(weights_by_name(module.discriminator), images, latents)
    )


def moving(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.5)


def test_both_turns_descend_half_the_sum_of_two_terms() -> None:
    """Every gradient of a whole step in double precision, with networks and game written anew."""
    torch.manual_seed(0)
    module = BiGAN(training=Training(generator_optimizer=moving, discriminator_optimizer=moving), **SMALL).double()
    nn.init.normal_(module.discriminator.to_logit.weight)  # with the authors' zeros most gradients would be 0
    critic, generator, encoder = (
        {name: weight.detach().clone().requires_grad_() for name, weight in network.named_parameters()}
        for network in (module.discriminator, module.generator.generator, module.generator.encoder)
    )
    latents: list[Tensor] = []
    gradients: dict[str, dict[str, Tensor]] = {}

    def see(player: str, gan: Any) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        gradients[player] = {name: weight.grad.clone() for name, weight in network.named_parameters()}

    module.generator.register_forward_pre_hook(lambda _, given: latents.append(given[0].clone()))
    loader = random_loader(size=4, count=4)
    toy_trainer(Spy(see), precision="64-true").fit(module, loader)
    (real,) = next(iter(loader))
    real = real.double()

    def scores(drawn: Tensor) -> tuple[Tensor, Tensor]:
        of_real = perceptron_critic(critic, real, perceptron_encoder(encoder, real))
        return of_real, perceptron_critic(critic, perceptron_generator(generator, drawn), drawn)

    of_real, of_fake = scores(latents[0])
    cost = (softplus(-of_real).mean() + softplus(of_fake).mean()) / 2
    by_critic = dict(zip(critic, torch.autograd.grad(cost, list(critic.values())), strict=True))
    assert gradients["discriminator"].keys() == by_critic.keys()
    for name, gradient in by_critic.items():
        assert gradient.any()
        torch.testing.assert_close(gradients["discriminator"][name], gradient, rtol=1e-9, atol=1e-12)
        critic[name] = (critic[name] - 0.5 * gradient).detach()

    of_real, of_fake = scores(latents[1])
    cost = (softplus(of_real).mean() + softplus(-of_fake).mean()) / 2
    both = {f"generator.{name}": weight for name, weight in generator.items()}
    both |= {f"encoder.{name}": weight for name, weight in encoder.items()}
    by_both = dict(zip(both, torch.autograd.grad(cost, list(both.values())), strict=True))
    assert gradients["generator"].keys() == by_both.keys()
    for name, gradient in by_both.items():
        assert gradient.any()
        torch.testing.assert_close(gradients["generator"][name], gradient, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_initial_weights_are_as_in_the_authors_code() -> None:
    torch.manual_seed(0)
    perceptrons = BiGAN(architecture=Perceptrons(width=200))
    for name, weight in perceptrons.named_parameters():
        if name == "discriminator.to_logit.weight":
            assert not weight.any()
        else:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not perceptrons.discriminator(torch.randn(3, 1, 28, 28), torch.randn(3, 50)).any()

    convolutions = BiGAN(image_size=64, image_channels=3, latent_dim=200, architecture=AlexNet())
    injections = [w for n, w in convolutions.named_parameters() if n.endswith("injection.weight")]
    assert len(injections) == 3 * 3  # of the generator, of its average, and of the critic
    for weight in injections:
        assert weight.std().item() == pytest.approx(0.02 * 25, rel=0.05)


@torch.no_grad()
def test_the_convolutional_networks_compute_what_their_layers_say() -> None:
    """`deconvnet_64`, `alexnet_group_padpool` and `convnet_64` of `net.py` (github.com/jeffdonahue/bigan)."""
    torch.manual_seed(0)
    module = BiGAN(
        image_size=32, image_channels=2, latent_dim=3, architecture=AlexNet(generator_width=2, discriminator_width=2)
    ).double()
    nn.init.normal_(module.discriminator.to_logit.weight)
    latents, images = torch.randn(4, 3).double(), torch.randn(4, 2, 32, 32).double()

    weights = weights_by_name(module.generator.generator)
    features = normalized(linear(latents, weights["first.layer.weight"]), weights, "first.norm").relu()
    features = features.reshape(4, 8, 4, 4)
    settings: dict[str, Any] = {"stride": 2, "padding": 2, "output_padding": 1}
    for layer in ("hidden.0", "hidden.1"):
        features = conv_transpose2d(features, weights[f"{layer}.layer.weight"], **settings)
        features = features + linear(latents, weights[f"{layer}.injection.weight"])[:, :, None, None]
        features = normalized(features, weights, f"{layer}.norm").relu()
    expected = 2 * conv_transpose2d(features, weights["to_image.weight"], **settings).sigmoid() - 1
    assert expected.shape == (4, 2, 32, 32)
    torch.testing.assert_close(module.generator(latents), expected)

    weights = weights_by_name(module.generator.encoder)
    features = conv2d(images, weights["conv1.layer.weight"], stride=4, padding=5)
    features = max_pool2d(leaky_relu(features, 0.2), 3, stride=2, padding=1)
    for number, (padding, groups) in {2: (2, 2), 3: (1, 1), 4: (1, 2), 5: (1, 2)}.items():
        features = conv2d(features, weights[f"conv{number}.layer.weight"], padding=padding, groups=groups)
        features = leaky_relu(normalized(features, weights, f"conv{number}.norm"), 0.2)
        if number == 2:
            features = max_pool2d(features, 3, stride=2, padding=1)
    codes = 2 * linear(features.flatten(1), weights["to_code.weight"]).sigmoid() - 1
    torch.testing.assert_close(module.generator.encode(images), codes)

    weights = weights_by_name(module.discriminator)
    features = leaky_relu(conv2d(images, weights["first.layer.weight"], stride=2, padding=2), 0.2)
    for name in ("hidden.0", "hidden.1", "hidden.2"):
        features = conv2d(features, weights[f"{name}.layer.weight"], stride=2, padding=2)
        features = features + linear(latents, weights[f"{name}.injection.weight"])[:, :, None, None]
        features = leaky_relu(normalized(features, weights, f"{name}.norm"), 0.2)
    logits = linear(features.flatten(1), weights["to_logit.weight"])
    torch.testing.assert_close(module.discriminator(images, latents), logits)


def test_parameter_counts_for_imagenet_are_the_authors() -> None:
    """Counted in `net.py` of github.com/jeffdonahue/bigan, layer by layer, with the settings of `train_imagenet.sh`.

    These are the networks `deconvnet_64`, `alexnet_group_padpool` and `convnet_64` with 200 latents and
    `--gen_net_size 64 --feat_net_size 64`. The classifier of `--classifier` is no part of the game.
    """
    with torch.device("meta"):
        module = BiGAN(image_size=64, image_channels=3, latent_dim=200, architecture=AlexNet())
    fives = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    start = 200 * 8192 + 2 * 8192  # each of the 8192 values has its own gain and bias
    generator = start + fives + (200 + 2) * (256 + 128 + 64)
    assert parameters_of(module.generator.generator) == generator == 6_050_880
    assert module.generator.encoder.to_code.weight.shape == (200, 4096)  # 256 feature maps of 4x4
    alexnet = 121 * 3 * 96 + 25 * 48 * 256 + 9 * (256 * 384 + 192 * 384 + 192 * 256) + 2 * (256 + 384 + 384 + 256)
    assert parameters_of(module.generator.encoder) == alexnet + 200 * 4096 == 3_154_464
    critic = fives + (200 + 2) * (128 + 256 + 512) + 512 * 16
    assert parameters_of(module.discriminator) == critic == 4_494_784


def test_gains_are_outside_of_the_weight_decay_and_all_else_is_inside() -> None:
    """`--no_decay_gain` and `--decay 2.5e-5` of `train_imagenet.sh` and `train_gan.py` (github.com/jeffdonahue/bigan).

    `Regularizer` of their `lib/updates.py` adds 2.5e-5 times each parameter to its gradient, except of gains.
    """
    decaying = Training(
        generator_optimizer=partial(torch.optim.SGD, lr=1.0, weight_decay=0.25),
        discriminator_optimizer=partial(torch.optim.SGD, lr=1.0, weight_decay=0.25),
    )
    module = BiGAN(
        image_size=16,
        latent_dim=3,
        architecture=AlexNet(generator_width=1, discriminator_width=2),
        training=decaying,
    )
    networks = (module.discriminator, module.generator)
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    for optimizer, network in zip(module.configure_optimizers(), networks, strict=True):
        owned = [weight for group in optimizer.param_groups for weight in group["params"]]
        assert sorted(map(id, owned)) == sorted(map(id, network.parameters()))  # each once
        for weight in owned:
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
    for network, name in zip(networks, ("discriminator", "generator"), strict=True):
        gains = [key for key, _ in network.named_parameters() if key.endswith("gain")]
        assert len(gains) == {"discriminator": 3, "generator": 2 + 4}[name]
        for key, weight in network.named_parameters():
            factor = 1.0 if key in gains else 0.75
            torch.testing.assert_close(weight.detach(), factor * before[f"{name}.{key}"])


def test_a_network_without_gains_has_one_group_of_parameters() -> None:
    for optimizer in BiGAN(**SMALL).configure_optimizers():
        assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("size", [1, 7, 28])
@pytest.mark.parametrize("channels", [1, 3])
def test_perceptrons_suit_every_size_and_channel_count(size: int, channels: int) -> None:
    module = BiGAN(image_size=size, image_channels=channels, latent_dim=3, architecture=Perceptrons(width=4))
    images, latents = torch.randn(2, channels, size, size), torch.rand(2, 3)
    assert module.generator(latents).shape == images.shape
    assert module.generator.encode(images).shape == (2, 3)
    assert module.discriminator(images, latents).shape == (2, 1)


def test_two_steps_move_every_parameter() -> None:
    """The critic's last layer starts at 0, so that its others move from the second step on."""
    for architecture, size in ((Perceptrons(width=5), 8), (AlexNet(generator_width=1), 32)):
        torch.manual_seed(0)
        module = BiGAN(image_size=size, latent_dim=3, architecture=architecture)
        before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
        trained(module, EMA(half_life_kimg=0.01), size=size, batches=2)
        still = [name for name, weight in module.named_parameters() if torch.equal(weight, before[name])]
        assert still == []


def test_latents_are_uniform_in_training_and_for_samples() -> None:
    module = BiGAN(image_size=4, latent_dim=50, architecture=Perceptrons(width=5))
    drawn = module.draw_rows(2000, torch.Generator().manual_seed(0)).latents
    sampled, labels = module.draw_latents(2000, seed=0)
    assert labels is None
    for latents in (drawn, sampled):
        assert latents.shape == (2000, 50)
        assert -1 <= latents.min() < -0.999 and 0.999 < latents.max() <= 1
        assert latents.mean().item() == pytest.approx(0, abs=0.01)
        assert latents.var().item() == pytest.approx(1 / 3, rel=0.01)
    assert torch.equal(module.draw_latents(5, seed=3)[0], module.draw_latents(5, seed=3)[0])


def test_codes_lie_where_latents_do() -> None:
    module = BiGAN(**SMALL)
    codes = module.encode(100 * torch.randn(20, 1, 4, 4))
    assert codes.abs().max() <= 1


def test_a_code_does_not_depend_on_the_other_images() -> None:
    module = BiGAN(**SMALL)
    images = torch.randn(4, 1, 4, 4)
    torch.testing.assert_close(module.encode(images)[:2], module.encode(images[:2]))
    torch.testing.assert_close(module.reconstruct(images)[:2], module.reconstruct(images[:2]))
    assert isinstance(module.generator_ema, GeneratorAndEncoder)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="number_of_classes=10: BiGAN does not use labels; set the model's"):
        BiGAN(number_of_classes=10, **SMALL)
    with pytest.raises(ValueError, match="image_size=8 must be a multiple of 16"):
        BiGAN(image_size=8, architecture=AlexNet())
    with pytest.raises(ValueError, match="image_size=96 must be a power of two"):
        BiGAN(image_size=96, architecture=AlexNet())


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = BiGAN(image_size=4, latent_dim=3)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = BiGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
