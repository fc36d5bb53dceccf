"""Our StyleGAN computes what the authors' own networks compute, at every level of detail, with all their options."""

import math
from typing import Any

import pytest
import torch

from lightning_gan.interop.stylegan_official import networks
from lightning_gan.layers import nearest_upsample
from lightning_gan.models.stylegan import Discriminator, Generator
from lightning_gan.penalties import squared_gradient_norm
from tests.interop import stylegan_reference as reference
from tests.interop.goldens import Golden, relative_error

LEVELS = [0.0, 0.3, 1.0, 1.6]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("stylegan_official")


def grown(golden: Golden, lod: float) -> tuple[Generator, Discriminator, int]:
    """The imported networks at a level of detail, and the factor to the full resolution."""
    generator, discriminator = imported(golden.state, golden.config)
    generator.w_avg.copy_(golden["input/w_avg"])
    factor = 2 ** math.floor(lod)
    for network in (generator, discriminator):
        network.grow(golden.config["resolution"] // factor, 1 - (lod - math.floor(lod)))
    return generator, discriminator, factor


@pytest.mark.parametrize("lod", LEVELS)
@torch.no_grad()
def test_styles_and_images_equal_the_authors(golden: Golden, lod: float) -> None:
    generator, _, factor = grown(golden, lod)
    latents = golden["input/z"]
    assert relative_error(generator.mapping(latents), golden[f"output/lod{lod}/w"]) < 1e-5
    images = nearest_upsample(generator(latents, random_noise=False), factor=factor)
    assert relative_error(images, golden[f"output/lod{lod}/image"]) < 1e-5
    truncated = generator(latents, truncation=0.7, truncation_layers=4, random_noise=False)
    expected = golden[f"output/lod{lod}/image_psi0.7_cutoff4"]
    assert relative_error(nearest_upsample(truncated, factor=factor), expected) < 1e-5


@pytest.mark.parametrize("lod", LEVELS)
def test_scores_and_image_gradients_equal_the_authors(golden: Golden, lod: float) -> None:
    _, discriminator, factor = grown(golden, lod)
    images = golden[f"output/lod{lod}/image"][:, :, ::factor, ::factor].clone().requires_grad_()
    logits = discriminator(images)
    assert relative_error(logits, golden[f"output/lod{lod}/score"]) < 1e-5
    # The authors differentiate by the image upscaled to the full resolution.
    squares = squared_gradient_norm(logits, images) / factor**2
    assert relative_error(squares, golden[f"output/lod{lod}/grad_norm2"]) < 1e-4


ROW_B = {
    "use_styles": False,
    "const_input_layer": False,
    "use_noise": False,
    "use_pixel_norm": True,
    "use_instance_norm": False,
    "mapping_layers": 0,
    "latent_size": 10,
}

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "labels": {"label_size": 3},
    "one channel": {"num_channels": 1},
    "4x4": {"resolution": 4},
    "32x32": {"resolution": 32, "fused_scale": False},
    "fused": {"fused_scale": True},
    "fused from 128x128 on": {"resolution": 128, "fmap_base": 256},
    "not fused at 128x128": {"resolution": 128, "fmap_base": 256, "fused_scale": False},
    "fewer maps than the dense layer has": {"fmap_base": 16},
    "a dense layer of all maps": {"fmap_base": 16, "fmap_max": 99},
    "other groups": {"mbstd_group_size": 2},
    "row B": ROW_B,
    "row B with labels": {**ROW_B, "label_size": 3, "latent_size": 5},
    "row C": {"const_input_layer": False, "use_noise": 0},
    "row D": {"use_noise": False},
    "traditional input, noise and mapping without styles": {"use_styles": False, "const_input_layer": False},
    "both norms": {"use_pixel_norm": True},
    "no norm": {"use_instance_norm": False},
    "relu mapping": {"mapping_nonlinearity": "relu"},
    "raw latents": {"normalize_latents": False},
    "linear": {"structure": "linear"},
    "recursive": {"structure": "recursive"},
    "fixed": {"structure": "fixed"},
    "no blur": {"blur_filter": None},
    "another blur": {"blur_filter": [1, 3, 2]},
    "an even blur": {"blur_filter": [1, 3, 3, 1]},
    "sampling options": {"truncation_psi": 0.7, "truncation_cutoff": 8, "randomize_noise": False},
}


@pytest.mark.parametrize("lod", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_every_option_computes_what_the_facts_say(name: str, lod: float) -> None:
    config = {**reference.DEFAULTS, **OPTIONS[name]}
    if lod and (config["resolution"] == 4 or config.get("structure") == "fixed"):
        pytest.skip("it does not grow")
    state = reference.random_state(config)
    generator, discriminator = imported(state, config)
    factor = 2 ** math.floor(lod)
    for network in (generator, discriminator):
        network.grow(config["resolution"] // factor, 1 - (lod - math.floor(lod)))
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(4, config["latent_size"], generator=draw)
    labels = torch.eye(3)[[0, 2, 1, 2]] if config["label_size"] else None

    w = reference.styles(state, config, latents, labels)
    assert relative_error(generator.mapping(latents, labels), w) < 1e-5
    images = reference.images(state, config, w, lod=lod)
    ours = nearest_upsample(generator(latents, labels, random_noise=False), factor=factor)
    assert relative_error(ours, images) < 1e-4
    scores = reference.scores(state, config, images, labels, lod=lod)
    assert relative_error(discriminator(images[:, :, ::factor, ::factor], labels), scores) < 1e-4


def imported(state: reference.State, config: dict[str, Any]) -> tuple[Generator, Discriminator]:
    both = networks(state, config)
    generator, discriminator = both["G"], both["D"]
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    return generator, discriminator


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fmap_decay", 0.5),
        ("use_wscale", False),
        ("nonlinearity", "relu"),
        ("mapping_nonlinearity", "tanh"),
        ("mbstd_num_features", 2),
        ("mbstd_group_size", 1),
        ("structure", "spiral"),
    ],
)
def test_what_ours_does_not_have_is_refused_by_name(golden: Golden, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=option):
        networks(golden.state, {**golden.config, option: value})


def test_options_that_leave_the_latent_out_are_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="constant_input"):
        networks(golden.state, {**golden.config, "use_styles": False})


def test_weights_that_are_missing_are_named(golden: Golden) -> None:
    synthesis = {name: value for name, value in golden.state["G_synthesis"].items() if name != "ToRGB_lod1/bias"}
    with pytest.raises(RuntimeError, match=r"to_rgb\.1\.bias"):
        networks({**golden.state, "G_synthesis": synthesis}, golden.config)


def test_the_mean_style_and_the_level_come_along(golden: Golden) -> None:
    state = {**golden.state, "G": {"dlatent_avg": golden["input/w_avg"]}}
    for name in ("G_synthesis", "D"):
        state[name] = {**state[name], "lod": torch.tensor(1.25)}
    generator, discriminator = imported(state, golden.config)
    assert torch.equal(generator.w_avg, golden["input/w_avg"])
    for network in (generator.synthesis, discriminator):
        assert network.resolution == 8
        assert network.fade_in.item() == pytest.approx(0.75)
