"""Our BigGAN computes what BigGAN-PyTorch, the authors' public code, computes."""

from typing import Any

import pytest
import torch

from lightning_gan.interop.biggan_pytorch import networks
from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("biggan")


@torch.no_grad()
def test_images_equal_the_authors(golden: Golden) -> None:
    generator = networks(golden.state, golden.config)["G"]
    for _ in range(2):  # nothing moves in evaluation mode
        images = generator(golden["input/z"], golden["input/y"])
        assert relative_error(images, golden["output/image"]) < 1e-5


def test_scores_and_image_gradients_equal_the_authors(golden: Golden) -> None:
    discriminator = networks(golden.state, golden.config)["D"]
    images = golden["output/image"].clone().requires_grad_()
    logits = discriminator(images, golden["input/y"])
    assert relative_error(logits, golden["output/logits"]) < 1e-5
    assert relative_error(squared_gradient_norm(logits, images), golden["output/grad_norm2"]) < 1e-4


def test_spectral_norm_goes_on_from_the_authors_vectors(golden: Golden) -> None:
    """One iteration from their u, as their next forward would do it."""
    discriminator = networks(golden.state, golden.config)["D"]
    (normalization,) = parametrizations_of(discriminator.get_submodule("head.linear"))
    weight, u = golden["state/D/linear.weight"], golden["state/D/linear.u0"]
    right = (u @ weight).flatten()
    torch.testing.assert_close(normalization.right, right / right.norm())


def test_without_a_shared_embedding_tables_are_imported() -> None:
    """Against the authors' formula for the first batch normalization: ``1 + gain`` and ``bias`` of the class."""
    golden = Golden("biggan")
    config = {**golden.config, "G_shared": False, "hier": False, "dim_z": 10}
    state: dict[str, Any] = {name: value for name, value in golden.state["G"].items() if "shared" not in name}
    for name in list(state):
        if ".gain." in name or (".bias." in name and ".bn" in name):
            value = state.pop(name)
            if name.endswith("weight"):
                state[name] = torch.randn(7, len(value), generator=torch.Generator().manual_seed(len(name)))
    generator = networks({"G": state}, config)["G"]
    norm = generator.get_submodule("blocks.0.norm1.affine")
    assert torch.equal(norm.get_parameter("gain"), state["blocks.0.0.bn1.gain.weight"])
    assert torch.equal(norm.get_parameter("bias"), state["blocks.0.0.bn1.bias.weight"])
    assert generator(golden["input/z"][:, :10], golden["input/y"]).shape == (8, 3, 32, 32)


@pytest.mark.parametrize(
    ("setting", "value"), [("norm_style", "gn"), ("D_wide", False), ("bottom_width", 8), ("G_param", "WN")]
)
def test_options_that_ours_does_not_have_are_refused(golden: Golden, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting):
        networks(golden.state, {**golden.config, setting: value})


def test_missing_weights_are_an_error(golden: Golden) -> None:
    incomplete = {name: value for name, value in golden.state["G"].items() if name != "linear.bias"}
    with pytest.raises(RuntimeError, match=r"linear\.bias"):
        networks({"G": incomplete}, golden.config)
