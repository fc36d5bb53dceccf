"""The encoder and decoder of IntroVAE and Soft-IntroVAE: layers one by one, where norms and convolutions stand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, interpolate, leaky_relu, linear

from lightning_gan.models.introspective_networks import (
    AsIntroVAEWasRun,
    Decoder,
    Encoder,
    LearnedShortcuts,
    NormalizedBranch,
    NormalizedSum,
    ResidualSum,
    WhereWidthsChange,
    channels_or_authors,
    mean_over_ranks,
)

SETTINGS: dict[str, Any] = {
    "batch_norm_across_ranks": True,
    "image_size": 12,
    "image_channels": 2,
    "latent_dim": 3,
    "channels": [4, 5],
    "learned_shortcuts": WhereWidthsChange(),
}


def normalized(features: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return batch_norm(
        features, None, None, weights[f"{name}.affine.gain"], weights[f"{name}.affine.bias"], training=True
    )


def block(features: Tensor, weights: dict[str, Tensor], name: str, *, norm_of_sum: bool) -> Tensor:
    """A residual block by plain functions."""
    key = f"{name}.shortcut.weight"
    shortcut = conv2d(features, weights[key]) if key in weights else features
    branch = conv2d(features, weights[f"{name}.conv1.weight"], padding=1)
    branch = leaky_relu(normalized(branch, weights, f"{name}.norm1"), 0.2)
    branch = conv2d(branch, weights[f"{name}.conv2.weight"], padding=1)
    if norm_of_sum:
        return leaky_relu(normalized(branch + shortcut, weights, f"{name}.norm2"), 0.2)
    return leaky_relu(normalized(branch, weights, f"{name}.norm2") + shortcut, 0.2)


def randomized(network: nn.Module) -> dict[str, Tensor]:
    """The network's weights, norms moved off their initial ones."""
    weights: dict[str, Tensor] = dict(network.named_parameters())
    for name, weight in weights.items():
        if name.endswith(("gain", "bias")):
            nn.init.normal_(weight, mean=0.5, std=0.5)
    return weights


@pytest.mark.parametrize(("residual_sum", "norm_of_sum"), [(NormalizedSum(), True), (NormalizedBranch(), False)])
@torch.no_grad()
def test_the_networks_compute_what_their_layers_say(residual_sum: ResidualSum, norm_of_sum: bool) -> None:
    """By plain functions, from the names of the weights alone; 3x3 is what two halvings leave of 12x12."""
    torch.manual_seed(0)
    encoder, decoder = (kind(residual_sum=residual_sum, **SETTINGS) for kind in (Encoder, Decoder))
    images, codes = torch.randn(3, 2, 12, 12), torch.randn(3, 3)

    weights = randomized(encoder)
    features = conv2d((images + 1) / 2, weights["input.weight"], padding=2)
    features = avg_pool2d(leaky_relu(normalized(features, weights, "norm"), 0.2), 2)
    features = avg_pool2d(block(features, weights, "blocks.0", norm_of_sum=norm_of_sum), 2)
    features = block(features, weights, "blocks.1", norm_of_sum=norm_of_sum)
    prefix = "code.parameters_of_code"
    expected = linear(features.flatten(1), weights[f"{prefix}.weight"], weights[f"{prefix}.bias"])
    mean, log_variance = encoder(images)
    torch.testing.assert_close(torch.cat([mean, log_variance], dim=1), expected)

    weights = randomized(decoder)
    features = linear(codes, weights["input.weight"], weights["input.bias"]).relu().view(3, 5, 3, 3)
    for index in range(3):
        if index:
            features = interpolate(features, scale_factor=2)
        features = block(features, weights, f"blocks.{index}", norm_of_sum=norm_of_sum)
    expected = 2 * conv2d(features, weights["output.weight"], weights["output.bias"], padding=2) - 1
    torch.testing.assert_close(decoder(codes), expected)


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_has_its_networks(size: int, channels: int) -> None:
    settings = {**SETTINGS, "image_size": size, "image_channels": channels, "residual_sum": NormalizedSum()}
    images = Decoder(**settings)(torch.randn(2, 3))
    assert images.shape == (2, channels, size, size)
    mean, log_variance = Encoder(**settings)(images)
    assert mean.shape == log_variance.shape == (2, 3)


@pytest.mark.parametrize(("rule", "same_and_wide"), [(WhereWidthsChange(), False), (AsIntroVAEWasRun(), True)])
def test_shortcuts_are_learned_where_widths_change_and_where_python_has_two_of_a_number(
    rule: LearnedShortcuts, same_and_wide: bool
) -> None:
    assert rule.is_learned(256, 512) and rule.is_learned(8, 4)
    assert not rule.is_learned(256, 256)
    assert rule.is_learned(257, 257) is same_and_wide
    # Python itself: numbers that were read are one object up to 256.
    assert (int("256") is int("256"), int("257") is int("257")) == (True, False)


def test_blocks_within_one_width_never_have_a_convolution() -> None:
    """Between three widths of 300 there are two; the encoder's last block and the decoder's first and last stay."""
    settings = {**SETTINGS, "image_size": 8, "channels": [300, 300, 300], "residual_sum": NormalizedSum()}
    settings["learned_shortcuts"] = AsIntroVAEWasRun()
    with torch.device("meta"):
        encoder, decoder = Encoder(**settings), Decoder(**settings)
    learned = [isinstance(b.shortcut, nn.Conv2d) for b in encoder.blocks]  # type: ignore[union-attr]
    assert learned == [True, True, False]
    learned = [isinstance(b.shortcut, nn.Conv2d) for b in decoder.blocks]  # type: ignore[union-attr]
    assert learned == [False, True, True, False]


def test_the_authors_channels_are_the_default() -> None:
    assert channels_or_authors(None, {32: (1, 2)}, image_size=32) == (1, 2)
    assert channels_or_authors([3], {32: (1, 2)}, image_size=32) == [3]
    with pytest.raises(ValueError, match="image_size=48: the authors have networks for 32, 64"):
        channels_or_authors(None, {32: (1,), 64: (1,)}, image_size=48)


def test_the_mean_of_one_rank_is_the_batchs_without_gradient() -> None:
    mean = mean_over_ranks(torch.tensor([1.0, 4.0], requires_grad=True))
    assert mean.item() == 2.5 and not mean.requires_grad
