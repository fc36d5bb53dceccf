"""The largest singular values of weights."""

import torch

from lightning_gan.layers.top_singular_values import top_singular_values


def test_small_matrices_are_exact() -> None:
    weight = torch.randn(6, 2, 3, 3)
    expected = torch.linalg.svd(weight.flatten(1)).S
    torch.testing.assert_close(top_singular_values(weight, count=3), expected[:3])
    assert len(top_singular_values(weight, count=9)) == 6


def test_large_ones_are_iterated_to_the_same_values() -> None:
    torch.manual_seed(0)
    weight = torch.randn(40, 60) + 5 * torch.outer(torch.ones(40), torch.ones(60))
    nearly = top_singular_values(weight, exact_up_to=10)
    torch.testing.assert_close(nearly, top_singular_values(weight), rtol=0.01, atol=0)
    torch.testing.assert_close(nearly[0], top_singular_values(weight)[0])


def test_it_draws_nothing_from_the_random_state() -> None:
    state = torch.random.get_rng_state()
    top_singular_values(torch.ones(4, 4), exact_up_to=1)
    assert torch.equal(torch.random.get_rng_state(), state)
