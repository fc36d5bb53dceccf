"""LeCam's divergence at scores and averages given by hand."""

import pytest
import torch
from torch import tensor

from lightning_gan.losses import LeastSquares
from lightning_gan.penalties.lecam_divergence import lecam_divergence

AVERAGES = {"real_average": tensor(1.5), "fake_average": tensor(-0.5)}


def test_scores_2_and_minus_1_cost_twelve_and_a_half() -> None:
    """(2 + 0.5)^2 + (-1 - 1.5)^2, times 0.3 is 3.75."""
    for one_sided in (False, True):
        value = lecam_divergence(tensor([2.0]), tensor([-1.0]), **AVERAGES, one_sided=one_sided)
        assert (value.item(), (0.3 * value).item()) == pytest.approx((12.5, 3.75))


def test_the_one_sided_form_lets_scores_beyond_the_other_sides_average_go() -> None:
    assert lecam_divergence(tensor([-1.0]), tensor([2.0]), **AVERAGES, one_sided=True) == 0
    assert lecam_divergence(tensor([-1.0]), tensor([2.0]), **AVERAGES, one_sided=False) == 0.5


def test_with_frozen_averages_it_regresses_to_them_like_least_squares() -> None:
    """Twice the least squares loss, whose real scores go to 1 and whose fake scores go to 0."""
    real, fake = torch.randn(2, 8, 1, generator=torch.Generator().manual_seed(0))
    averages = {"real_average": tensor(0.0), "fake_average": tensor(1.0)}
    value = lecam_divergence(real, fake, **averages, one_sided=False)
    assert value.item() == pytest.approx(2 * LeastSquares().discriminator(real, fake).item())


def test_no_gradient_reaches_past_the_scores() -> None:
    real, fake = tensor([2.0], requires_grad=True), tensor([-1.0], requires_grad=True)
    value = lecam_divergence(real, fake, **AVERAGES, one_sided=False)
    assert [g.tolist() for g in torch.autograd.grad(value, [real, fake])] == [[5.0], [-5.0]]
