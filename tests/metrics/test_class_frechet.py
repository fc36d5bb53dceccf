"""The Fréchet distance within classes: by hand, and where classes changed places."""

import pytest
import torch

from lightning_gan.metrics.class_frechet import class_frechet_distances, summary


def test_each_class_has_its_own_distance() -> None:
    """In one dimension it is (m1 - m2)^2 + (s1 - s2)^2."""
    real = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    fake = torch.tensor([[10.0], [1.0], [12.0], [3.0]])
    distances = class_frechet_distances(real, torch.tensor([0, 0, 7, 7]), fake, torch.tensor([7, 0, 7, 0]))
    deviation = 2**0.5
    assert distances == {
        0: pytest.approx((1 - 2) ** 2 + 0),
        7: pytest.approx((12 - 11) ** 2 + (2 * deviation - deviation) ** 2),
    }
    assert summary(distances) == (pytest.approx(sum(distances.values()) / 2), distances[7], 7)


def test_classes_that_changed_places_are_noticed() -> None:
    random = torch.Generator().manual_seed(0)
    classes = torch.arange(400) % 2
    real = torch.randn(400, 3, generator=random) + 10 * classes[:, None]
    fake = torch.randn(400, 3, generator=random) + 10 * classes[:, None]
    right = summary(class_frechet_distances(real, classes, fake, classes)).mean
    changed = summary(class_frechet_distances(real, classes, fake, 1 - classes)).mean
    assert right < 0.2
    assert changed == pytest.approx(300, rel=0.1)


def test_a_class_without_two_fakes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class 1 has 2 real images and 1 fakes, and a distance needs two of each"):
        class_frechet_distances(
            torch.randn(4, 2), torch.tensor([0, 0, 1, 1]), torch.randn(3, 2), torch.tensor([0, 0, 1])
        )
