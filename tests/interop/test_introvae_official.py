"""Our IntroVAE computes what the authors' own networks compute."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.interop.introvae_official import networks
from lightning_gan.models.introspective_networks import AsIntroVAEWasRun, Decoder, Encoder, NormalizedSum, ResidualBlock
from lightning_gan.penalties import kl_to_standard_normal
from tests.interop.goldens import Golden, relative_error


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("introvae")


@torch.no_grad()
def test_codes_and_their_divergence_equal_the_authors(golden: Golden) -> None:
    encoder = networks(golden.state, golden.config)["E"]
    mean, log_variance = encoder(2 * golden["input/image"] - 1)  # their images are in [0, 1]
    assert relative_error(mean, golden["output/mu"]) < 1e-5
    assert relative_error(log_variance, golden["output/logvar"]) < 1e-5
    assert relative_error(kl_to_standard_normal(mean, log_variance), golden["output/kl"]) < 1e-5


@torch.no_grad()
def test_images_equal_the_authors(golden: Golden) -> None:
    decoder = networks(golden.state, golden.config)["G"]
    images = (decoder(golden["output/mu"]) + 1) / 2
    assert relative_error(images, golden["output/reconstruction_of_mu"]) < 1e-5


def authors_state(network: Encoder | Decoder) -> dict[str, Tensor]:
    """The state under the authors' names."""
    is_encoder = isinstance(network, Encoder)
    bottom = 4
    names = {
        f"blocks.{index}": f"res_in_{bottom * 2 ** (len(network.blocks) - 1 - index if is_encoder else index)}"
        for index in range(len(network.blocks))
    }
    heads = {"input": "main.0", "norm": "main.1", "code.parameters_of_code": "fc"}
    if not is_encoder:
        heads = {"input": "fc.0", "output": "main.predict"}
    layers = {"shortcut": "conv_expand", "conv1": "conv1", "norm1": "bn1", "conv2": "conv2", "norm2": "bn2"}
    variables = {"gain": "weight", "running_variance": "running_var"}
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        layer, _, variable = name.replace("affine.", "").rpartition(".")
        if variable.startswith("standing_"):
            continue
        if layer in heads:
            theirs = heads[layer]
        else:
            block, _, inner = layer.rpartition(".")
            theirs = f"main.{names[block]}.{layers[inner]}"
        state[f"module.{theirs}.{variables.get(variable, variable)}"] = value
    return state


@torch.no_grad()
def test_the_extra_convolutions_of_their_command_line_are_told_from_the_weights() -> None:
    torch.manual_seed(0)
    channels = [2, 257, 257, 257]
    settings: dict[str, Any] = {"image_size": 64, "image_channels": 1, "latent_dim": 3, "channels": channels}
    rule = {"residual_sum": NormalizedSum(), "learned_shortcuts": AsIntroVAEWasRun(), "batch_norm_across_ranks": True}
    encoder, decoder = Encoder(**settings, **rule).eval(), Decoder(**settings, **rule).eval()
    config = {"image_size": 64, "cdim": 1, "hdim": 3, "channels": channels}
    imported = networks({"E": authors_state(encoder), "G": authors_state(decoder)}, config)
    for network, ours in (("E", encoder), ("G", decoder)):
        learned = [
            isinstance(block.shortcut, torch.nn.Conv2d)
            for block in imported[network].modules()
            if isinstance(block, ResidualBlock)
        ]
        assert learned == ([True, True, True, False] if network == "E" else [False, True, True, True, False])
        inputs = torch.randn(2, 1, 64, 64) if network == "E" else torch.randn(2, 3)
        torch.testing.assert_close(imported[network](inputs), ours(inputs), rtol=0, atol=0)


def test_one_network_alone_can_be_imported(golden: Golden) -> None:
    assert networks({"E": golden.state["E"]}, golden.config).keys() == {"E"}


def test_other_channels_are_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="have 3 residual blocks, Encoder with these channels 2"):
        networks({"E": golden.state["E"]}, {**golden.config, "channels": [8, 16]})


def test_foreign_variables_are_refused(golden: Golden) -> None:
    state = {"E": {**golden.state["E"], "attention.gamma": torch.zeros(1)}}
    with pytest.raises(ValueError, match=r"'attention\.gamma' is no variable"):
        networks(state, golden.config)


def test_missing_variables_are_refused(golden: Golden) -> None:
    state = {"G": {name: value for name, value in golden.state["G"].items() if name != "main.predict.bias"}}
    with pytest.raises(RuntimeError, match=r"output\.bias"):
        networks(state, golden.config)
