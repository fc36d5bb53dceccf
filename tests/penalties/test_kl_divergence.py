"""The bottleneck's divergence against closed forms, and the price of information."""

import math

import pytest
import torch
from torch import Tensor, tensor
from torch.distributions import Normal, kl_divergence

from lightning_gan.penalties.kl_divergence import dual_ascent, kl_to_standard_normal


@pytest.mark.parametrize(
    ("mean", "deviation", "nats"), [(0.0, 1.0, 0.0), (1.0, 1.0, 0.5), (0.0, 2.0, 0.80685282), (0.5, 0.5, 0.44314718)]
)
def test_the_divergence_of_one_dimension_is_the_closed_form(mean: float, deviation: float, nats: float) -> None:
    value = kl_to_standard_normal(tensor([[mean]]), tensor([[2 * math.log(deviation)]]))
    assert value.item() == pytest.approx(nats, abs=1e-6)


def test_it_equals_pytorchs_own_summed_over_dimensions() -> None:
    mean, log_variance = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    reference = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), reference)


def test_of_a_map_it_is_the_mean_over_positions_of_each_ones_own() -> None:
    mean = tensor([[1.0, 0.0, 0.5, 0.0]]).view(1, 1, 2, 2)
    deviation = tensor([[1.0, 2.0, 0.5, 1.0]]).view(1, 1, 2, 2)
    value = kl_to_standard_normal(mean, 2 * deviation.log())
    assert value.item() == pytest.approx((0.5 + 0.80685282 + 0.44314718 + 0.0) / 4, abs=1e-6)
    # Positions are averaged, channels are summed.
    twice = kl_to_standard_normal(*(part.expand(-1, 2, -1, -1) for part in (mean, 2 * deviation.log())))
    assert twice.item() == pytest.approx(2 * value.item())


def ascend(kls: list[float], *, information_constraint: float) -> list[float]:
    beta: Tensor = tensor(0.0, dtype=torch.float64)
    betas = []
    for kl in kls:
        beta = dual_ascent(beta, beta.new_tensor(kl), information_constraint=information_constraint, step_size=1e-5)
        betas.append(beta.item())
    return betas


def test_the_price_follows_the_excess_of_information() -> None:
    assert ascend([0.5, 0.3, 0.1, 0.05], information_constraint=0.2) == pytest.approx([3e-6, 4e-6, 3e-6, 1.5e-6])


def test_the_price_is_never_negative() -> None:
    assert ascend([0.0, 0.5, 0.0], information_constraint=0.2) == pytest.approx([0, 3e-6, 1e-6])
    assert ascend([0.5, 1e6], information_constraint=math.inf) == [0, 0]
