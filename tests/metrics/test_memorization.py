"""Copies of training images are noticed, and images of the distribution are not."""

import pytest
import torch

from lightning_gan.metrics.memorization import memorization, nearest_images


def normal(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_nearest_images_by_hand() -> None:
    index, distance = nearest_images(torch.tensor([[0.9, 0.0], [4.0, 4.0]]), torch.tensor([[4.0, 1.0], [1.0, 0.0]]))
    assert index.tolist() == [1, 0]
    assert distance.tolist() == pytest.approx([0.1, 3.0])


def test_a_generator_of_the_distribution_memorizes_nothing() -> None:
    found = memorization(normal(500, 0), normal(400, 1), normal(400, 2))
    assert abs(found.nearer_to_training - 0.5) < 3 * found.standard_error
    assert abs(found.z_score) < 3


def test_copies_are_found_also_with_noise_and_few_of_them() -> None:
    training, held_out = normal(400, 1), normal(400, 2)
    found = memorization(training[:200] + 0.05 * normal(200, 3), training, held_out)
    assert found.nearer_to_training > 0.99
    assert found.z_score > 10
    some = torch.cat([training[:120], normal(380, 4)])
    assert memorization(some, training, held_out).z_score > 3


def test_both_sides_are_treated_alike() -> None:
    fake, training, held_out = normal(100, 0), normal(80, 1), normal(80, 2)
    one, other = memorization(fake, training, held_out), memorization(fake, held_out, training)
    assert one.nearer_to_training + other.nearer_to_training == pytest.approx(1)
    assert one.standard_error == pytest.approx(other.standard_error)


def test_the_error_is_that_of_random_labels() -> None:
    """The standard deviation of the share over random halves of the pooled images."""
    fake, pool = normal(60, 0), normal(40, 1)
    random = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(2000):
        order = torch.randperm(40, generator=random)
        shares.append(memorization(fake, pool[order[:20]], pool[order[20:]]).nearer_to_training)
    expected = memorization(fake, pool[:20], pool[20:]).standard_error
    assert torch.tensor(shares).std().item() == pytest.approx(expected, rel=0.05)


def test_all_fakes_near_one_image_are_one_observation() -> None:
    fake = torch.zeros(50, 2)
    training, held_out = torch.tensor([[0.0, 0.1], [5.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 7.0]])
    found = memorization(fake, training, held_out)
    assert found.nearer_to_training == 1
    assert found.standard_error == pytest.approx(0.5)  # heads or tails


@pytest.mark.parametrize("counts", [(3, 4), (0, 0)])
def test_unequal_numbers_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"{counts[0]} training and {counts[1]} held-out images.*give equally many"):
        memorization(normal(5, 0), normal(counts[0], 1), normal(counts[1], 2))
