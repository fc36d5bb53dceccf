"""The Fréchet distance within classes: by hand, and where classes changed places."""

import pytest
import torch

from lightning_gan.metrics.class_frechet import class_frechet_distances
from lightning_gan.metrics.frechet import frechet_error, gaussian


def test_each_class_has_its_own_distance() -> None:
    """In one dimension it is (m1 - m2)^2 + (s1 - s2)^2."""
    real = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    fake = torch.tensor([[10.0], [1.0], [12.0], [3.0]])
    found = class_frechet_distances(real, torch.tensor([0, 0, 7, 7]), fake, torch.tensor([7, 0, 7, 0]))
    deviation = 2**0.5
    first, second = (1 - 2) ** 2 + 0, (12 - 11) ** 2 + (2 * deviation - deviation) ** 2
    assert found.mean == pytest.approx((first + second) / 2)
    assert (found.largest, found.largest_class, found.classes) == (pytest.approx(second), 7, 2)
    assert found.mean_error is None


def test_the_error_of_the_mean_is_that_of_independent_classes() -> None:
    random = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(120, 2, generator=random) for _ in range(2))
    classes = torch.arange(120) % 3
    errors = [frechet_error(gaussian(real[classes == one]), fake[classes == one]) for one in range(3)]
    found = class_frechet_distances(real, classes, fake, classes)
    assert found.mean_error == pytest.approx(sum(error**2 for error in errors) ** 0.5 / 3, rel=1e-12)


def test_a_class_of_one_real_image_is_left_out_and_not_counted() -> None:
    real, fake = torch.tensor([[0.0], [1.0], [50.0]]), torch.tensor([[0.0], [1.0]])
    found = class_frechet_distances(real, torch.tensor([4, 4, 5]), fake, torch.tensor([4, 4]))
    assert (found.mean, found.classes) == (pytest.approx(0), 1)
    with pytest.raises(ValueError, match="none of 2 real images has another one of its class"):
        class_frechet_distances(real[:2], torch.tensor([0, 1]), fake, torch.tensor([0, 1]))


def test_classes_that_changed_places_are_noticed() -> None:
    random = torch.Generator().manual_seed(0)
    classes = torch.arange(400) % 2
    real = torch.randn(400, 3, generator=random) + 10 * classes[:, None]
    fake = torch.randn(400, 3, generator=random) + 10 * classes[:, None]
    right = class_frechet_distances(real, classes, fake, classes).mean
    changed = class_frechet_distances(real, classes, fake, 1 - classes).mean
    assert right < 0.2
    assert changed == pytest.approx(300, rel=0.1)


def test_a_class_without_two_fakes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class 1 has 1 fakes, and a distance needs two; make more fakes"):
        class_frechet_distances(
            torch.randn(4, 2), torch.tensor([0, 0, 1, 1]), torch.randn(3, 2), torch.tensor([0, 0, 1])
        )
