"""Self-attention: its formula by hand, its start as identity, its invariances."""

import pytest
import torch
from torch import nn

from lightning_gan.layers.attention import SelfAttention


def attention() -> SelfAttention:
    torch.manual_seed(0)
    layer = SelfAttention(8)
    nn.init.constant_(layer.gamma, 0.5)
    return layer


def test_a_new_layer_changes_nothing() -> None:
    features = torch.randn(2, 8, 4, 4)
    assert torch.equal(SelfAttention(8)(features), features)


@torch.no_grad()
def test_it_is_the_formula_position_by_position() -> None:
    layer, features = attention(), torch.randn(1, 8, 4, 4)
    queries, keys, values = (conv(features)[0] for conv in (layer.theta, layer.phi, layer.g))
    # The largest key and value of each 2x2 box.
    boxes = [(2 * i, 2 * j) for i in range(2) for j in range(2)]
    pooled_keys = [keys[:, i : i + 2, j : j + 2].amax(dim=(1, 2)) for i, j in boxes]
    pooled_values = [values[:, i : i + 2, j : j + 2].amax(dim=(1, 2)) for i, j in boxes]
    output = layer(features)[0]
    for i in range(4):
        for j in range(4):
            weights = torch.stack([queries[:, i, j] @ key for key in pooled_keys]).softmax(dim=0)
            seen = sum(weight * value for weight, value in zip(weights, pooled_values, strict=True))
            expected = features[0, :, i, j] + 0.5 * (layer.o.weight[:, :, 0, 0] @ seen)
            torch.testing.assert_close(output[:, i, j], expected)


@torch.no_grad()
def test_moving_the_boxes_moves_the_output_with_them() -> None:
    layer, features = attention(), torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(layer(features.roll(2, dims=3)), layer(features).roll(2, dims=3))


def test_it_can_be_differentiated_twice() -> None:
    layer, features = attention().double(), torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (features,))


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="4 channels"):
        SelfAttention(4)
