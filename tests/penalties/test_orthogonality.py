"""Orthogonal regularization of matrices that one can multiply by hand."""

import pytest
import torch
from torch import Tensor

from lightning_gan.penalties.orthogonality import off_diagonal_orthogonality, orthogonality


def sheared() -> Tensor:
    return torch.tensor([[1.0, 1.0], [0.0, 1.0]], requires_grad=True)


def test_a_shear_costs_3_in_the_plain_form_and_2_off_the_diagonal() -> None:
    """WW' = [[2, 1], [1, 1]]."""
    assert orthogonality(sheared()).item() == 3
    assert off_diagonal_orthogonality(sheared()).item() == 2


def test_the_gradient_is_the_true_one_twice_what_biggan_pytorch_adds() -> None:
    weight = sheared()
    (gradient,) = torch.autograd.grad(off_diagonal_orthogonality(weight), weight)
    assert gradient.tolist() == [[0, 4], [4, 4]]
    half = 2 * ((weight @ weight.T) * (1 - torch.eye(2))) @ weight
    assert torch.equal(gradient, 2 * half)


def test_orthonormal_filters_cost_nothing_and_orthogonal_ones_only_in_the_plain_form() -> None:
    basis, _ = torch.linalg.qr(torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    filters = basis.T.reshape(3, 1, 2, 3)
    assert orthogonality(filters).item() < 1e-28
    assert off_diagonal_orthogonality(5 * filters).item() < 1e-24
    assert orthogonality(5 * filters).item() == pytest.approx(3 * 24**2)


def test_a_rotation_of_the_inputs_changes_nothing() -> None:
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(4, 5, generator=random, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, generator=random, dtype=torch.float64))
    for measure in (orthogonality, off_diagonal_orthogonality):
        torch.testing.assert_close(measure(weight @ rotation), measure(weight))


def test_autocast_does_not_round_it() -> None:
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = off_diagonal_orthogonality(weight)
    assert torch.equal(inside, off_diagonal_orthogonality(weight))
