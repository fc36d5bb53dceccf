"""Our StyleGAN2 computes what the authors' own networks compute, with all their options."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.interop.stylegan2_ada import networks
from lightning_gan.models.style_based_gan import StyleBasedGenerator
from lightning_gan.models.stylegan2_networks import Discriminator
from lightning_gan.penalties import squared_gradient_norm
from tests.interop import stylegan2_reference as reference
from tests.interop.goldens import Golden, relative_error


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("stylegan2_ada")


def imported(state: reference.State, config: dict[str, Any]) -> tuple[StyleBasedGenerator, Discriminator]:
    both = networks(state, config)
    generator, discriminator = both["G"], both["D"]
    assert isinstance(generator, StyleBasedGenerator)
    assert isinstance(discriminator, Discriminator)
    return generator, discriminator


@torch.no_grad()
def test_styles_and_images_equal_the_authors(golden: Golden) -> None:
    generator, _ = imported(golden.state, golden.config)
    latents = golden["input/z"]
    assert relative_error(generator.mapping(latents), golden["output/w"]) < 1e-6
    assert relative_error(generator(latents, random_noise=False), golden["output/image"]) < 2e-6
    truncated = generator(latents, truncation=0.5, random_noise=False)
    assert relative_error(truncated, golden["output/image_psi05"]) < 2e-6
    assert torch.equal(generator.w_avg, golden.state["G"]["mapping.w_avg"])


def test_scores_and_image_gradients_equal_the_authors(golden: Golden) -> None:
    _, discriminator = imported(golden.state, golden.config)
    images = golden["output/image"].clone().requires_grad_()
    logits = discriminator(images)
    assert relative_error(logits, golden["output/logits"]) < 2e-6
    assert relative_error(squared_gradient_norm(logits, images), golden["output/grad_norm2"]) < 2e-6


OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "labels": {"classes": 3},
    "labels without layers behind the embedding": {"classes": 3, "label_layers": 0},
    "one channel": {"channels": 1},
    "8x8": {"resolution": 8},
    "32x32": {"resolution": 32},
    "as few maps everywhere": {"base": 10_000},
    "fewer maps at every resolution": {"base": 40, "max": 99},
    "a base between two widths": {"base": 75, "resolution": 32},
    "residual generator": {"generator": "resnet"},
    "plain generator": {"generator": "orig"},
    "discriminator with images": {"discriminator": "skip"},
    "plain discriminator": {"discriminator": "orig"},
    "one mapping layer": {"layers": 1},
    "a mapping at full rate": {"lr_multiplier": 1.0, "classes": 2},
    "clamped": {"conv_clamp": 0.9, "generator": "resnet"},
    "clamped at a whole number": {"conv_clamp": 1, "lr_multiplier": 1, "discriminator": "orig"},
    "other groups": {"mbstd_group_size": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_every_option_computes_what_the_facts_say(name: str) -> None:
    config = {**reference.DEFAULTS, **OPTIONS[name]}
    state = reference.random_state(config)
    kept = ("conv_clamp", "mbstd_group_size", "lr_multiplier")
    generator, discriminator = imported(state, {option: config[option] for option in kept})
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(4, config["latent"], generator=draw)
    labels = torch.eye(config["classes"])[[0, 1, 1, 0]] if config["classes"] else None

    w = reference.mapped(state["G"], config, latents, labels, config["layers"])
    assert relative_error(generator.mapping(latents, labels), w) < 1e-5
    layers = generator.synthesis.active_layers
    assert layers == len(generator.synthesis.style_resolutions)
    styles = torch.randn(4, layers, config["style"], generator=draw)  # another one in every layer
    images = reference.images(state, config, styles)
    assert relative_error(generator.synthesis(styles, random_noise=False), images) < 1e-5
    assert relative_error(discriminator(images, labels), reference.scores(state, config, images, labels)) < 1e-5


def altered(golden: Golden, network: str, name: str, value: Tensor | None) -> reference.State:
    """The golden's weights with one of them replaced, or without it."""
    weights = {key: own for key, own in golden.state[network].items() if key != name}
    return {**golden.state, network: weights if value is None else {**weights, name: value}}


def test_what_ours_does_not_have_is_refused_by_name(golden: Golden) -> None:
    with pytest.raises(ValueError, match=r"synthesis\.b8\.resample_filter is another filter than \[1, 3, 3, 1\]"):
        networks(altered(golden, "G", "synthesis.b8.resample_filter", torch.ones(4, 4) / 16), {})
    with pytest.raises(RuntimeError, match=r"from_images\.0\.bias"):
        networks(altered(golden, "D", "b16.fromrgb.bias", None), {})
    narrower = {
        key: own[:5] if key.startswith("synthesis.b8.conv1.weight") else own for key, own in golden.state["G"].items()
    }
    with pytest.raises(ValueError, match=r"feature maps \{4: 24, 8: 5, 16: 16\} are those of no channel_base"):
        networks({"G": narrower}, {})
