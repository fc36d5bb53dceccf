"""MS-SSIM: by hand, against torchmetrics where conventions coincide, and by invariances."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchmetrics.functional.image import structural_similarity_index_measure

from lightning_gan.metrics.structural_similarity import LEVEL_WEIGHTS, multi_scale_similarity, structural_similarity


def pair(side: int, *, channels: int = 1, likeness: float = 0.7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(side)
    first, other = torch.rand(2, 3, channels, side, side, generator=generator, dtype=torch.float64) * 255
    return first, likeness * first + (1 - likeness) * other


@pytest.mark.parametrize("side", [16, 32, 64, 176])
def test_equal_images_are_entirely_alike(side: int) -> None:
    first, _ = pair(side, channels=3)
    torch.testing.assert_close(multi_scale_similarity(first, first), torch.ones(3, dtype=torch.float64))


def test_flat_images_differ_by_luminance_at_the_last_level_alone() -> None:
    first, second = torch.full((1, 1, 64, 64), 100.0), torch.full((1, 1, 64, 64), 150.0)
    similarity = structural_similarity(first.double(), second.double())
    assert similarity.whole.item() == pytest.approx(0.92309231, abs=1e-7)
    assert similarity.structure.item() == pytest.approx(1.0)
    assert multi_scale_similarity(first, second).item() == pytest.approx(0.98938922, abs=1e-7)


def test_a_window_as_large_as_the_image_is_a_single_place() -> None:
    """Two pixels a side: all four weigh a quarter, so that moments can be written down."""
    first = torch.tensor([[[[0.0, 100.0], [100.0, 200.0]]]], dtype=torch.float64)
    second = first.flip(3)
    mean, variance, covariance = 100.0, 5000.0, 0.0
    structure = (2 * covariance + 58.5225) / (2 * variance + 58.5225)
    similarity = structural_similarity(first, second)
    assert first.mean() == mean
    assert similarity.structure.item() == similarity.whole.item() == pytest.approx(structure)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_is_torchmetrics_inside_the_border(channels: int) -> None:
    """torchmetrics computes maps over a mirrored border; inside, where windows fit, they are the ones averaged here."""
    first, second = pair(176, channels=channels)
    expected = torch.ones(3, dtype=torch.float64)
    for level, weight in enumerate(LEVEL_WEIGHTS):
        settings = {"data_range": 255.0, "reduction": "none"}
        if level < len(LEVEL_WEIGHTS) - 1:
            _, factor = structural_similarity_index_measure(first, second, return_contrast_sensitivity=True, **settings)
        else:
            _, whole = structural_similarity_index_measure(first, second, return_full_image=True, **settings)
            factor = whole[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
        expected = expected * factor.clamp(min=0) ** weight
        if level < len(LEVEL_WEIGHTS) - 1:
            first, second = avg_pool2d(first, 2), avg_pool2d(second, 2)
    torch.testing.assert_close(multi_scale_similarity(*pair(176, channels=channels)), expected)


def test_it_is_symmetric_and_does_not_mind_turned_images() -> None:
    first, second = pair(32)
    similarity = multi_scale_similarity(first, second)
    torch.testing.assert_close(multi_scale_similarity(second, first), similarity)
    torch.testing.assert_close(multi_scale_similarity(first.rot90(1, (2, 3)), second.rot90(1, (2, 3))), similarity)


def test_less_likeness_is_less() -> None:
    values = [multi_scale_similarity(*pair(32, likeness=likeness)).mean().item() for likeness in (0.9, 0.7, 0.5)]
    assert values == sorted(values, reverse=True)


def test_opposites_count_as_nothing_rather_than_not_a_number() -> None:
    first, _ = pair(32)
    assert multi_scale_similarity(first, 255 - first).tolist() == [0.0, 0.0, 0.0]


def test_images_without_five_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="8 x 8 pixels are too small for MS-SSIM"):
        multi_scale_similarity(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
