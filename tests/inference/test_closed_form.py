"""Directions in closed form are the right singular vectors of the layer's matrix."""

import pytest
import torch

from lightning_gan.inference.closed_form import directions_of


def test_a_matrix_whose_directions_are_known() -> None:
    # Along (3, 4)/5 the first row changes by 10, along (4, -3)/5 the second by 5; the third never changes.
    weight = torch.tensor([[6.0, 8.0], [4.0, -3.0], [0.0, 0.0]])
    directions, values = directions_of(weight)
    torch.testing.assert_close(directions, torch.tensor([[0.6, 0.8], [0.8, -0.6]], dtype=torch.float64))
    torch.testing.assert_close(values, torch.tensor([100.0, 25.0], dtype=torch.float64))


@pytest.mark.parametrize("shape", [(20, 6), (6, 20), (7, 7)])
def test_they_are_the_right_singular_vectors_and_squared_singular_values(shape: tuple[int, int]) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(2))
    directions, values = directions_of(weight)
    _, singular, rows = torch.linalg.svd(weight.double(), full_matrices=True)
    rank = min(shape)
    torch.testing.assert_close(values[:rank], singular.square())
    assert (values[rank:] < 1e-9).all()
    overlap = (directions[:rank] * rows[:rank]).sum(dim=1).abs()
    torch.testing.assert_close(overlap, torch.ones(rank, dtype=torch.float64))
    torch.testing.assert_close(directions @ directions.T, torch.eye(shape[1], dtype=torch.float64))


def test_no_other_unit_vector_changes_the_layer_more() -> None:
    weight = torch.randn(9, 5, generator=torch.Generator().manual_seed(3))
    directions, values = directions_of(weight)
    change = (weight.double() @ directions[0]).square().sum()
    torch.testing.assert_close(change, values[0])
    others = torch.nn.functional.normalize(torch.randn(500, 5, dtype=torch.float64), dim=1)
    assert ((others @ weight.double().T).square().sum(dim=1) <= change).all()


def test_their_sign_does_not_depend_on_that_of_the_matrix() -> None:
    weight = torch.randn(8, 4, generator=torch.Generator().manual_seed(4))
    directions, _ = directions_of(weight)
    assert torch.equal(directions_of(-weight)[0], directions)
    assert (directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)) > 0).all()
