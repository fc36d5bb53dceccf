"""Our PGGAN computes what the authors' own networks compute, at every level of detail."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from lightning_gan.interop.pggan_official import networks
from lightning_gan.layers import nearest_upsample
from lightning_gan.models.pggan import Discriminator, Generator
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error

LEVELS = [0.0, 0.3, 1.0, 1.6]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("pggan_official")


def grown(golden: Golden, lod: float) -> tuple[Generator, Discriminator, int]:
    """The imported networks at a level of detail, and the factor to the full resolution."""
    imported = networks(golden.state, golden.config)
    generator, discriminator = imported["G"], imported["D"]
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    factor = 2 ** math.floor(lod)
    for network in (generator, discriminator):
        network.grow(golden.config["resolution"] // factor, 1 - (lod - math.floor(lod)))
    return generator, discriminator, factor


@pytest.mark.parametrize("lod", LEVELS)
@torch.no_grad()
def test_images_equal_the_authors(golden: Golden, lod: float) -> None:
    generator, _, factor = grown(golden, lod)
    images = nearest_upsample(generator(golden["input/z"]), factor=factor)
    assert relative_error(images, golden[f"output/lod{lod}/image"]) < 1e-5


@pytest.mark.parametrize("lod", LEVELS)
def test_scores_and_image_gradients_equal_the_authors(golden: Golden, lod: float) -> None:
    _, discriminator, factor = grown(golden, lod)
    images = golden[f"output/lod{lod}/image"][:, :, ::factor, ::factor].clone().requires_grad_()
    logits = discriminator(images)
    assert relative_error(logits, golden[f"output/lod{lod}/score"]) < 1e-5
    # The authors differentiate by the image upscaled to the full resolution.
    squares = squared_gradient_norm(logits, images) / factor**2
    assert relative_error(squares, golden[f"output/lod{lod}/grad_norm2"]) < 1e-4


# ---------------------------------------------------------------- options no golden covers: the networks written anew,
# in plain functions of the variables in TensorFlow's layout


def scaled(state: dict[str, Tensor], name: str, *, gain: float, wscale: bool) -> Tensor:
    """A weight as it is used: fan-in is everything but the outputs, the last dimension."""
    weight = state[f"{name}/weight"]
    return weight * (gain / math.sqrt(weight.numel() / weight.shape[-1])) if wscale else weight


def convolved(x: Tensor, state: dict[str, Tensor], name: str, *, gain: float, wscale: bool) -> Tensor:
    weight = scaled(state, name, gain=gain, wscale=wscale)
    return conv2d(x, weight.permute(3, 2, 0, 1), padding=weight.shape[0] // 2) + state[f"{name}/bias"][:, None, None]


def four_shifts(weight: Tensor) -> Tensor:
    """A 3x3 kernel `[kh, kw, ...]` to a 4x4 one, the sum of its four shifts."""
    total = weight.new_zeros(4, 4, *weight.shape[2:])
    for row in (0, 1):
        for column in (0, 1):
            total[row : row + 3, column : column + 3] += weight
    return total


def authors_generator(state: dict[str, Tensor], config: dict[str, Any], inputs: Tensor, lod: float) -> Tensor:
    """Images at the active resolution; `inputs` are latents with labels behind them."""
    wscale = config.get("use_wscale", True)

    epsilon: float = config.get("pixelnorm_epsilon", 1e-8)

    def normed(x: Tensor) -> Tensor:
        return x / (x.square().mean(1, keepdim=True) + epsilon).sqrt()

    def finished(x: Tensor) -> Tensor:
        x = torch.maximum(x, 0.2 * x)
        return normed(x) if config.get("use_pixelnorm", True) else x

    def rgb(x: Tensor, level: int) -> Tensor:
        return convolved(x, state, f"ToRGB_lod{level}", gain=1.0, wscale=wscale)

    x = normed(inputs) if config.get("normalize_latents", True) else inputs
    x = (x @ scaled(state, "4x4/Dense", gain=math.sqrt(2) / 4, wscale=wscale)).reshape(len(x), -1, 4, 4)
    x = finished(x + state["4x4/Dense/bias"][:, None, None])
    x = finished(convolved(x, state, "4x4/Conv", gain=math.sqrt(2), wscale=wscale))
    size, level = 4, round(math.log2(config["resolution"])) - 2
    while level > math.floor(lod):
        before, size, level = x, size * 2, level - 1
        if config["fused_scale"]:
            # [kh, kw, out, in], with the fan-in of the inputs.
            weight = state[f"{size}x{size}/Conv0_up/weight"]
            weight = weight * (math.sqrt(2 / (9 * weight.shape[3])) if wscale else 1)
            x = conv_transpose2d(x, four_shifts(weight).permute(3, 2, 0, 1), stride=2, padding=1)
            x = finished(x + state[f"{size}x{size}/Conv0_up/bias"][:, None, None])
        else:
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = finished(convolved(x, state, f"{size}x{size}/Conv0", gain=math.sqrt(2), wscale=wscale))
        x = finished(convolved(x, state, f"{size}x{size}/Conv1", gain=math.sqrt(2), wscale=wscale))
    images, share = rgb(x, level), lod - math.floor(lod)
    if share:
        old = rgb(before, level + 1).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        images = images + (old - images) * share
    return images


def authors_discriminator(state: dict[str, Tensor], config: dict[str, Any], images: Tensor, lod: float) -> Tensor:
    """The score and the class logits of images at the active resolution."""
    wscale = config.get("use_wscale", True)

    def leaky(x: Tensor) -> Tensor:
        return torch.maximum(x, 0.2 * x)

    def halved(x: Tensor) -> Tensor:
        return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4

    def entered(x: Tensor, level: int) -> Tensor:
        return leaky(convolved(x, state, f"FromRGB_lod{level}", gain=math.sqrt(2), wscale=wscale))

    level, size, share = math.floor(lod), images.shape[-1], lod - math.floor(lod)
    x = entered(images, level)
    while size > 4:
        scope = f"{size}x{size}"
        x = leaky(convolved(x, state, f"{scope}/Conv0", gain=math.sqrt(2), wscale=wscale))
        if config["fused_scale"]:
            weight = four_shifts(scaled(state, f"{scope}/Conv1_down", gain=math.sqrt(2), wscale=wscale)) / 4
            x = conv2d(x, weight.permute(3, 2, 0, 1), stride=2, padding=1)
            x = leaky(x + state[f"{scope}/Conv1_down/bias"][:, None, None])
        else:
            x = halved(leaky(convolved(x, state, f"{scope}/Conv1", gain=math.sqrt(2), wscale=wscale)))
        size, level = size // 2, level + 1
        if share and level == math.floor(lod) + 1:
            x = x + (entered(halved(images), level) - x) * share
    group = min(config.get("mbstd_group_size", 4), len(x))
    strided = x.reshape(group, len(x) // group, *x.shape[1:])
    deviation = (((strided - strided.mean(0)) ** 2).mean(0) + 1e-8).sqrt().mean((1, 2, 3))
    x = torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(-1, 1, 4, 4)], dim=1)
    x = leaky(convolved(x, state, "4x4/Conv", gain=math.sqrt(2), wscale=wscale)).flatten(1)
    x = leaky(x @ scaled(state, "4x4/Dense0", gain=math.sqrt(2), wscale=wscale) + state["4x4/Dense0/bias"])
    return x @ scaled(state, "4x4/Dense1", gain=1.0, wscale=wscale) + state["4x4/Dense1/bias"]


def random_state(config: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Variables with the authors' names and shapes, every one random."""
    top, colours, classes = round(math.log2(config["resolution"])), config["num_channels"], config["label_size"]

    def width(stage: int) -> int:
        return min(int(config["fmap_base"] / 2**stage), int(config["fmap_max"]))

    latent = config["latent_size"] if config["latent_size"] is not None else width(0)
    fused = config["fused_scale"]
    first, last = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
    shapes: dict[str, dict[str, list[int]]] = {"G": {}, "D": {}}
    shapes["G"]["4x4/Dense"] = [latent + classes, width(1) * 16]
    shapes["G"]["4x4/Conv"] = [3, 3, width(1), width(1)]
    for log2 in range(2, top + 1):
        here, coarser, scope = width(log2 - 1), width(log2 - 2), f"{2**log2}x{2**log2}"
        shapes["G"][f"ToRGB_lod{top - log2}"] = [1, 1, here, colours]
        shapes["D"][f"FromRGB_lod{top - log2}"] = [1, 1, colours, here]
        if log2 > 2:
            shapes["G"][f"{scope}/{first}"] = [3, 3, here, coarser] if fused else [3, 3, coarser, here]
            shapes["G"][f"{scope}/Conv1"] = [3, 3, here, here]
            shapes["D"][f"{scope}/Conv0"] = [3, 3, here, here]
            shapes["D"][f"{scope}/{last}"] = [3, 3, here, coarser]
    shapes["D"]["4x4/Conv"] = [3, 3, width(1) + 1, width(1)]
    shapes["D"]["4x4/Dense0"] = [width(1) * 16, width(0)]
    shapes["D"]["4x4/Dense1"] = [width(0), 1 + classes]
    torch.manual_seed(0)
    state: dict[str, dict[str, Tensor]] = {"G": {"lod": torch.zeros(())}, "D": {"lod": torch.zeros(())}}
    for network, layers in shapes.items():
        for name, shape in layers.items():
            outputs = shape[2] if name.endswith("Conv0_up") else shape[-1]
            state[network][f"{name}/weight"] = torch.randn(shape)
            state[network][f"{name}/bias"] = torch.randn(width(1) if name == "4x4/Dense" else outputs)
    return state


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_size": 3},
        {"num_channels": 1},
        {"fused_scale": False},
        {"fused_scale": False, "label_size": 2, "num_channels": 5, "resolution": 32},
        {"resolution": 4},
        {"latent_size": None, "fmap_base": 32, "fmap_max": 16},
        {"latent_size": 7, "fmap_base": 40},
        {"latent_size": None, "fmap_base": 16, "fmap_max": 64},
        {"use_wscale": False},
        {"normalize_latents": False, "use_pixelnorm": False},
        {"pixelnorm_epsilon": 0.1, "mbstd_group_size": 2},
    ],
    ids=lambda options: ",".join(options) or "as published",
)
def test_every_option_equals_the_networks_written_anew(options: dict[str, Any]) -> None:
    config = {
        "resolution": 8,
        "num_channels": 3,
        "label_size": 0,
        "fmap_base": 32,
        "fmap_max": 8,
        "latent_size": 8,
        "fused_scale": True,
        **options,
    }
    state = random_state(config)
    imported = networks(state, config)
    exact = {network: {name: value.double() for name, value in own.items()} for network, own in state.items()}
    generator, discriminator = imported["G"].double(), imported["D"].double()
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    latents = torch.randn(8, config["latent_size"] or 16, dtype=torch.float64)
    labels = torch.rand(8, config["label_size"], dtype=torch.float64) if config["label_size"] else None
    inputs = latents if labels is None else torch.cat([latents, labels], dim=1)
    for lod in [lod for lod in LEVELS if lod <= math.log2(config["resolution"] / 4)]:
        for network in (generator, discriminator):
            network.grow(config["resolution"] // 2 ** math.floor(lod), 1 - (lod - math.floor(lod)))
        images = generator(latents, labels)
        assert relative_error(images, authors_generator(exact["G"], config, inputs, lod)) < 1e-6
        outputs = discriminator(images)
        assert outputs.shape == (8, 1 + config["label_size"])
        assert relative_error(outputs, authors_discriminator(exact["D"], config, images, lod)) < 1e-6


@torch.no_grad()
def test_what_config_leaves_out_is_as_the_authors_have_it(golden: Golden) -> None:
    short = {name: golden.config[name] for name in ("resolution", "num_channels", "fmap_base", "fmap_max")}
    for name, network in networks(golden.state, short).items():
        for ours, theirs in zip(
            network.state_dict().values(),
            networks(golden.state, golden.config)[name].state_dict().values(),
            strict=True,
        ):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("option", "value"), [("fmap_decay", 0.5), ("use_leakyrelu", False), ("mbstd_group_size", 0)])
def test_options_ours_does_not_have_are_refused_by_name(golden: Golden, option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        networks(golden.state, {**golden.config, option: value})


def test_weights_left_over_or_missing_are_refused(golden: Golden) -> None:
    for changed in ({}, {**golden.state["G"], "32x32/Conv1/bias": torch.zeros(8)}):
        with pytest.raises(RuntimeError, match="state_dict"):
            networks({**golden.state, "G": changed}, golden.config)
