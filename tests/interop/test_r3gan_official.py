"""Our R3GAN computes what the authors' own networks compute."""

import pytest
import torch

from lightning_gan.interop.r3gan_official import config_of, networks
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error


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


def test_groups_of_different_widths_are_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="groups of 8, 16 channels"):
        networks(golden.state, {**golden.config, "cardinality": [6, 2, 2]})


def test_one_network_alone_can_be_imported(golden: Golden) -> None:
    assert networks({"D": golden.state["D"]}, golden.config).keys() == {"D"}
