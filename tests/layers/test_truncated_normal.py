"""The truncation trick: its distribution, its limits, and that it draws nothing."""

import math
from statistics import NormalDist

import pytest
import torch

from lightning_gan.layers.truncated_normal import truncated_latents, truncated_normal

THRESHOLDS = [2.0, 1.0, 0.5, 0.04]


def normals(count: int = 200_000) -> torch.Tensor:
    return torch.randn(1, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_moments_are_those_of_a_truncated_normal(threshold: float) -> None:
    """Variance ``1 - 2 t phi(t) / (2 Phi(t) - 1)``."""
    values = truncated_normal(normals(), threshold=threshold)
    normal = NormalDist()
    variance = 1 - 2 * threshold * normal.pdf(threshold) / (2 * normal.cdf(threshold) - 1)
    assert values.abs().max() <= threshold
    assert values.mean().item() == pytest.approx(0, abs=0.01 * threshold)
    assert values.var().item() == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("threshold", [2.0, 0.5])
def test_quantiles_are_those_of_resampling(threshold: float) -> None:
    drawn = normals()[0]
    resampled = drawn[drawn.abs() <= threshold]
    levels = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    ours = truncated_normal(normals(), threshold=threshold)[0]
    torch.testing.assert_close(ours.quantile(levels), resampled.quantile(levels), rtol=0, atol=0.02 * threshold)


def test_by_hand_the_quantile_is_kept() -> None:
    """z = 1 is the quantile 0.8413; that of a normal truncated at 2 is 0.9295."""
    normal = NormalDist()
    inside = normal.cdf(-2) + normal.cdf(1.0) * (normal.cdf(2) - normal.cdf(-2))
    value = truncated_normal(torch.tensor([[1.0]]), threshold=2.0).item()
    assert value == pytest.approx(normal.inv_cdf(inside), rel=1e-5)


def test_a_far_threshold_changes_nothing_and_a_near_one_makes_uniforms() -> None:
    values = normals(1000)
    torch.testing.assert_close(truncated_normal(values, threshold=9.0), values)
    uniform = (values / math.sqrt(2)).erf()
    torch.testing.assert_close(truncated_normal(values, threshold=0.001), 0.001 * uniform, rtol=1e-5, atol=0)


def test_order_and_sign_are_kept() -> None:
    values = torch.linspace(-6, 6, 101)[None]
    ours = truncated_normal(values, threshold=1.0)
    assert (ours.diff() >= 0).all()
    torch.testing.assert_close(ours, -ours.flip(1))


def test_a_truncation_scales_normals_that_are_truncated_at_two() -> None:
    values = normals(1000)
    assert truncated_latents(values, truncation=1.0) is values
    expected = 0.4 * truncated_normal(values, threshold=2.0)
    assert torch.equal(truncated_latents(values, truncation=0.4), expected)
    assert truncated_latents(values, truncation=0.0).abs().max() == 0
    assert truncated_latents(normals(), truncation=0.5).std().item() == pytest.approx(0.5 * 0.8796, rel=0.01)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold=0\.0"):
        truncated_normal(normals(1), threshold=0.0)
    with pytest.raises(ValueError, match=r"truncation=1\.5"):
        truncated_latents(normals(1), truncation=1.5)
