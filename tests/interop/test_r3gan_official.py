"""Our R3GAN computes what the authors' own networks compute."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from lightning_gan.inference.import_weights import imported_model
from lightning_gan.interop.foreign_format import ForeignFiles
from lightning_gan.interop.r3gan_official import config_of, networks
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error
from tests.interop.stylegan2_reference import filtered, zeros_between


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("r3gan")


@torch.no_grad()
def test_images_equal_the_authors(golden: Golden) -> None:
    generator = networks(golden.state, golden.config)["G"]
    assert relative_error(generator(golden["input/z"]), golden["output/image"]) < 2e-6


def test_logits_and_image_gradients_equal_the_authors(golden: Golden) -> None:
    discriminator = networks(golden.state, golden.config)["D"]
    images = golden["output/image"].clone().requires_grad_()
    logits = discriminator(images)
    assert relative_error(logits.flatten(), golden["output/logits"]) < 2e-6
    assert relative_error(squared_gradient_norm(logits, images), golden["output/grad_norm2"]) < 5e-6


def test_the_shapes_of_weights_tell_the_settings(golden: Golden) -> None:
    found = config_of(golden.state["G"])
    assert {key: found[key] for key in ("widths", "blocks", "cardinality", "noise_dim", "n_classes")} == {
        key: golden.config[key] for key in ("widths", "blocks", "cardinality", "noise_dim", "n_classes")
    }


def test_another_filter_is_refused(golden: Golden) -> None:
    name = "MainLayers.1.Layers.0.Resampler.Kernel"
    state = {"G": {**golden.state["G"], name: torch.ones(4, 4)}}
    with pytest.raises(ValueError, match=r"another filter than \[1, 3, 3, 1\]"):
        networks(state, golden.config)


def test_foreign_variables_are_refused(golden: Golden) -> None:
    state = {"D": {**golden.state["D"], "MainLayers.0.Attention.weight": torch.zeros(1)}}
    with pytest.raises(ValueError, match=r"MainLayers\.0\.Attention\.weight"):
        networks(state, golden.config)


WIDTHS, BLOCKS, GROUPS, CLASSES = [24, 12, 8, 6], [1, 2, 3, 1], [3, 2, 8, 1], 5
"""A network with another number of blocks, and groups of another width (16, 12, 2 and 12), at every resolution."""


def drawn() -> dict[str, dict[str, Tensor]]:
    """Random weights of both networks with classes, by the authors' names."""
    draw = torch.Generator().manual_seed(0)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw) / math.prod(shape[1:]) ** 0.5

    def block(scope: str, stage: int) -> dict[str, Tensor]:
        width, inside = WIDTHS[stage], 2 * WIDTHS[stage]
        return {
            f"{scope}.LinearLayer1.Layer.weight": normal(inside, width, 1, 1),
            f"{scope}.NonLinearity1.Bias": normal(inside),
            f"{scope}.LinearLayer2.Layer.weight": normal(inside, inside // GROUPS[stage], 3, 3),
            f"{scope}.NonLinearity2.Bias": normal(inside),
            f"{scope}.LinearLayer3.Layer.weight": normal(width, inside, 1, 1),
        }

    generator = {
        "EmbeddingLayer.weight": normal(7, CLASSES),
        "AggregationLayer.Layer.weight": normal(2, WIDTHS[-1], 1, 1),
        "MainLayers.0.Layers.0.Basis": normal(WIDTHS[0], 4, 4) * 4,
        "MainLayers.0.Layers.0.LinearLayer.weight": normal(WIDTHS[0], 6 + 7),
    }
    judge = {
        "EmbeddingLayer.weight": normal(WIDTHS[0], CLASSES),
        "ExtractionLayer.Layer.weight": normal(WIDTHS[-1], 2, 1, 1),
        "MainLayers.3.Layers.1.Basis.weight": normal(WIDTHS[0], 1, 4, 4),
        "MainLayers.3.Layers.1.LinearLayer.weight": normal(WIDTHS[0], WIDTHS[0]),
    }
    for stage, width in enumerate(WIDTHS):
        for place in range(BLOCKS[stage]):
            generator |= block(f"MainLayers.{stage}.Layers.{place + 1}", stage)
            judge |= block(f"MainLayers.{3 - stage}.Layers.{place}", stage)
        if stage:
            up, down = f"MainLayers.{stage}.Layers.0", f"MainLayers.{3 - stage}.Layers.{BLOCKS[stage]}"
            generator[f"{up}.Resampler.Kernel"] = judge[f"{down}.Resampler.Kernel"] = torch.outer(taps, taps)
            generator[f"{up}.LinearLayer.Layer.weight"] = normal(width, WIDTHS[stage - 1], 1, 1)
            judge[f"{down}.LinearLayer.Layer.weight"] = normal(WIDTHS[stage - 1], width, 1, 1)
    return {"G": generator, "D": judge}


def blocks_of(weights: dict[str, Tensor], scopes: list[str], features: Tensor, groups: int) -> Tensor:
    for scope in scopes:
        inside = conv2d(features, weights[f"{scope}.LinearLayer1.Layer.weight"])
        inside = leaky_relu(inside + weights[f"{scope}.NonLinearity1.Bias"][:, None, None], 0.2)
        kernels = weights[f"{scope}.LinearLayer2.Layer.weight"].chunk(groups)
        parts = [
            conv2d(part, kernel, padding=1)
            for part, kernel in zip(inside.chunk(groups, dim=1), kernels, strict=True)  # one group after the other
        ]
        inside = torch.cat(parts, dim=1) + weights[f"{scope}.NonLinearity2.Bias"][:, None, None]
        features = features + conv2d(leaky_relu(inside, 0.2), weights[f"{scope}.LinearLayer3.Layer.weight"])
    return features


@torch.no_grad()
def test_blocks_and_groups_may_differ_between_resolutions() -> None:
    """The authors' networks with classes written out a second time, from the facts of their code."""
    state = drawn()
    config = config_of(state["G"])
    assert (config["widths"], config["blocks"], config["cardinality"]) == (WIDTHS, BLOCKS, GROUPS)
    latents, labels = torch.randn(3, 6), torch.tensor([4, 0, 4])
    ours = networks(state, config)

    weights = state["G"]
    inputs = torch.cat([latents, weights["EmbeddingLayer.weight"].T[labels]], dim=1)
    features = (
        weights["MainLayers.0.Layers.0.Basis"]
        * (inputs @ weights["MainLayers.0.Layers.0.LinearLayer.weight"].T)[:, :, None, None]
    )
    for stage, groups in enumerate(GROUPS):
        if stage:
            features = conv2d(features, weights[f"MainLayers.{stage}.Layers.0.LinearLayer.Layer.weight"])
            features = filtered(zeros_between(features), (2, 1), gain=4)
        scopes = [f"MainLayers.{stage}.Layers.{place + 1}" for place in range(BLOCKS[stage])]
        features = blocks_of(weights, scopes, features, groups)
    images = conv2d(features, weights["AggregationLayer.Layer.weight"])
    assert relative_error(ours["G"](latents, labels), images) < 2e-6

    weights = state["D"]
    features = conv2d(images, weights["ExtractionLayer.Layer.weight"])
    for stage in reversed(range(4)):
        scope = f"MainLayers.{3 - stage}.Layers"
        features = blocks_of(weights, [f"{scope}.{place}" for place in range(BLOCKS[stage])], features, GROUPS[stage])
        if stage:
            features = filtered(features, (1, 1))[:, :, ::2, ::2]
            features = conv2d(features, weights[f"{scope}.{BLOCKS[stage]}.LinearLayer.Layer.weight"])
    products = (features * weights["MainLayers.3.Layers.1.Basis.weight"][:, 0]).sum(dim=(2, 3))
    vectors = products @ weights["MainLayers.3.Layers.1.LinearLayer.weight"].T
    scores = (vectors * weights["EmbeddingLayer.weight"].T[labels]).sum(dim=1, keepdim=True)
    assert relative_error(ours["D"](images, labels), scores) < 2e-6

    content = ForeignFiles(path=Path("snapshot.pkl"), main=state)
    model = imported_model(content, {}).model
    assert model.hparams["group_width"] == [16, 12, 2, 12] and model.hparams["blocks_per_stage"] == BLOCKS
    assert relative_error(model.sample(latents, labels, clipped=False), images) < 2e-6


def test_one_network_alone_can_be_imported(golden: Golden) -> None:
    assert networks({"D": golden.state["D"]}, golden.config).keys() == {"D"}
