"""Standard errors by leaving out groups: exact for means, and those of new samples for distances."""

import pytest
import torch

from lightning_gan.metrics.frechet import Gaussian, frechet_distance, gaussian
from lightning_gan.metrics.jackknife import jackknife_error


def mean(values: torch.Tensor) -> float:
    return values.double().mean().item()


def test_for_a_mean_it_is_the_standard_error_of_a_mean() -> None:
    values = torch.randn(30, 1)
    expected = (values.double().var() / 30).sqrt().item()
    assert jackknife_error(mean, values, groups=30) == pytest.approx(expected, rel=1e-9)
    of_groups = torch.stack([values.double()[group::10].mean() for group in range(10)])
    assert jackknife_error(mean, values, groups=10) == pytest.approx((of_groups.var() / 10).sqrt().item(), rel=1e-9)


def test_for_a_distance_it_is_about_the_spread_over_new_samples() -> None:
    real = Gaussian(mean=torch.zeros(4).double(), covariance=torch.eye(4).double())

    def distance(some: torch.Tensor) -> float:
        return frechet_distance(real, gaussian(some)).item()

    samples = [1 + torch.randn(600, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(40)]
    spread = torch.tensor([distance(some) for some in samples]).std().item()
    errors = torch.tensor([jackknife_error(distance, some) for some in samples[:10]])
    assert errors.mean().item() == pytest.approx(spread, rel=0.35)


@pytest.mark.parametrize("groups", [1, 6])
def test_numbers_of_groups_out_of_range_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=rf"groups={groups} must lie between 2 and .* which is 5"):
        jackknife_error(mean, torch.randn(5, 1), groups=groups)
