"""How weights start."""

import math

import pytest
import torch
from torch import nn

from lightning_gan.layers.batch_norm import ClassAffine
from lightning_gan.layers.initialization import Initialization, Normal, Orthogonal, XavierUniform, initialize


def network() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(
        [nn.Linear(8, 40), nn.Conv2d(8, 4, 3), nn.Embedding(5, 8), ClassAffine(8, number_of_classes=5)]
    )


def test_orthogonal_weights_have_orthonormal_rows_or_columns() -> None:
    layers = network()
    initialize(layers, Orthogonal())
    for name, parameter in layers.named_parameters():
        if parameter.dim() > 1:
            matrix = parameter.flatten(1)
            matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), msg=name)


@pytest.mark.parametrize(("initialization", "deviation"), [(Normal(0.02), 0.02), (XavierUniform(), math.sqrt(2 / 48))])
def test_the_others_have_their_standard_deviation(initialization: Initialization, deviation: float) -> None:
    layers = network()
    initialize(layers, initialization)
    assert layers[0].weight.std().item() == pytest.approx(deviation, rel=0.1)  # type: ignore[union-attr]


def test_biases_stay_as_pytorch_starts_them() -> None:
    before = [layer.bias.clone() for layer in network()[:2]]  # type: ignore[operator, union-attr]
    layers = network()
    initialize(layers, Orthogonal())
    assert all(torch.equal(layer.bias, bias) for layer, bias in zip(layers[:2], before, strict=True))
