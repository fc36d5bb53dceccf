"""Generated images in the place of real ones: how many, which, and what happens at the ends."""

import pytest
import torch
from torch import tensor

from lightning_gan.augmentations import mean_sign, pseudo_augmented
from tests.toys import equal


def test_at_p_0_images_stay_bit_for_bit_and_at_p_1_all_are_generated() -> None:
    real, generated, chances = torch.randn(64, 3, 4, 4), torch.randn(64, 3, 4, 4), torch.rand(64)
    chances[0] = 0.0  # the smallest chance there is
    assert torch.equal(pseudo_augmented(real, generated, chances, tensor(0.0)), real)
    assert torch.equal(pseudo_augmented(real, generated, chances, tensor(1.0)), generated)


@pytest.mark.parametrize("p", [0.1, 0.6, 0.95])
def test_each_image_is_replaced_with_the_probability_and_as_a_whole(p: float) -> None:
    """Over 10,000 draws the share is p up to four standard deviations."""
    random = torch.Generator().manual_seed(1)
    real, generated = torch.zeros(10_000, 1, 2, 2), torch.ones(10_000, 1, 2, 2)
    mixed = pseudo_augmented(real, generated, torch.rand(10_000, generator=random), tensor(p)).flatten(1)
    assert set(mixed.sum(1).tolist()) == {0.0, 4.0}
    assert mixed.mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / 10_000) ** 0.5)


def test_each_image_has_the_generated_one_of_its_place_and_a_larger_p_replaces_more_of_them() -> None:
    real, chances = torch.zeros(100, 1, 1, 1), torch.rand(100, generator=torch.Generator().manual_seed(2))
    generated = torch.arange(1.0, 101.0)[:, None, None, None]
    few, many = (pseudo_augmented(real, generated, chances, tensor(p)).flatten() for p in (0.3, 0.5))
    assert equal([many[few > 0]], [few[few > 0]]) and equal([many[many > 0]], [generated.flatten()[many > 0]])
    assert (few > 0).sum() < (many > 0).sum()


def test_it_keeps_the_dtype_of_the_real_images() -> None:
    real, generated = torch.zeros(2, 1, 1, 1, dtype=torch.float64), torch.ones(2, 1, 1, 1)
    assert pseudo_augmented(real, generated, tensor([0.1, 0.9]), tensor(0.5)).dtype == torch.float64


def test_the_mean_sign_counts_a_neutral_score_for_nothing() -> None:
    logits = tensor([[2.0, -1.0], [0.5, 0.5]])
    assert mean_sign(logits, neutral_score=0.0).item() == pytest.approx((1 - 1 + 1 + 1) / 4)
    assert mean_sign(logits, neutral_score=0.5).item() == pytest.approx((1 - 1 + 0 + 0) / 4)
    assert mean_sign(-logits, neutral_score=0.0) == -mean_sign(logits, neutral_score=0.0)
