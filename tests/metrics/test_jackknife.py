"""Standard errors by leaving out groups: exact for means, and those of new samples for distances."""

import pytest
import torch

from lightning_gan.metrics.frechet import Gaussian, frechet_distance, frechet_error, gaussian
from lightning_gan.metrics.jackknife import groups_of_images, jackknife_error


def mean(values: torch.Tensor) -> float:
    return values.double().mean().item()


def test_for_a_mean_it_is_the_standard_error_of_a_mean() -> None:
    values = torch.randn(30, 1)
    expected = (values.double().var() / 30).sqrt().item()
    assert jackknife_error(mean, values, groups=30) == pytest.approx(expected, rel=1e-9)
    places = groups_of_images(30)
    of_groups = torch.stack([values.double()[places == group].mean() for group in range(10)])
    assert jackknife_error(mean, values, groups=10) == pytest.approx((of_groups.var() / 10).sqrt().item(), rel=1e-9)


def test_for_a_distance_it_is_about_the_spread_over_new_samples() -> None:
    real = Gaussian(mean=torch.zeros(4).double(), covariance=torch.eye(4).double())

    def distance(some: torch.Tensor) -> float:
        return frechet_distance(real, gaussian(some)).item()

    samples = [1 + torch.randn(600, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(40)]
    spread = torch.tensor([distance(some) for some in samples]).std().item()
    errors = torch.tensor([jackknife_error(distance, some) for some in samples[:10]])
    assert errors.mean().item() == pytest.approx(spread, rel=0.35)


@pytest.mark.parametrize("number_of_classes", [2, 3, 10, 30, 100])
@pytest.mark.parametrize("in_turn", [True, False])
def test_groups_have_equal_numbers_of_each_class_in_any_order(number_of_classes: int, in_turn: bool) -> None:
    places = torch.arange(2500)
    classes = places % number_of_classes if in_turn else places * number_of_classes // 2500
    groups = groups_of_images(2500, classes=classes)
    assert groups.bincount().tolist() == [250] * 10
    counts = torch.stack([classes[groups == group].bincount(minlength=number_of_classes) for group in range(10)])
    assert (counts.amax(dim=0) - counts.amin(dim=0)).max() <= 1
    assert groups_of_images(2500).bincount().tolist() == [250] * 10


@pytest.mark.parametrize("in_turn", [True, False])
def test_the_error_of_classes_in_order_is_the_spread_over_new_samples_of_as_many_of_each_class(in_turn: bool) -> None:
    random = torch.Generator().manual_seed(0)
    centres, count = 3 * torch.randn(10, 4, generator=random), 500
    places = torch.arange(count)
    classes = places % 10 if in_turn else places * 10 // count
    covariance = torch.eye(4).double() + centres.double().T.cov(correction=0)
    real = Gaussian(mean=centres.double().mean(0) + 0.3, covariance=covariance)
    samples = [centres[classes] + torch.randn(count, 4, generator=random) for _ in range(60)]
    spread = torch.tensor([frechet_distance(real, gaussian(some)).item() for some in samples]).std().item()
    errors = [frechet_error(real, some, classes=classes) for some in samples[:20]]
    assert sum(errors) / 20 == pytest.approx(spread, rel=0.35)
    # Without the classes it is that of samples whose classes are by chance, too: larger, but of the same order.
    assert spread < frechet_error(real, samples[0]) < 6 * spread
    number = jackknife_error(lambda some: frechet_distance(real, gaussian(some)).item(), samples[0], classes=classes)
    assert frechet_error(real, samples[0], classes=classes) == pytest.approx(number, rel=1e-9)


@pytest.mark.parametrize("groups", [1, 6])
def test_numbers_of_groups_out_of_range_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=rf"groups={groups} must lie between 2 and .* which is 5"):
        jackknife_error(mean, torch.randn(5, 1), groups=groups)
