"""Features of random weights: the same on every run, of any channels, and further apart for images further apart."""

import pytest
import torch

from lightning_gan.metrics import RandomFeatures, frechet_distance, gaussian
from lightning_gan.tensors.image_bytes import to_bytes


def noise(count: int, *, seed: int, contrast: float = 0.5, channels: int = 3) -> torch.Tensor:
    images = torch.randn(count, channels, 16, 16, generator=torch.Generator().manual_seed(seed)) * contrast
    return to_bytes(images.clamp(-1, 1))


def test_they_are_functions_of_the_seed_and_of_each_image_alone() -> None:
    images = noise(6, seed=0)
    features = RandomFeatures()(images)
    assert features.shape == (6, 256)
    assert torch.equal(RandomFeatures()(images), features)
    assert not torch.equal(RandomFeatures(seed=1)(images), features)
    torch.testing.assert_close(RandomFeatures()(images[2:3]), features[2:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4, 5])
def test_images_may_have_any_channels_and_size(channels: int) -> None:
    extractor = RandomFeatures()
    assert extractor(noise(2, seed=0, channels=channels)).isfinite().all()
    assert extractor(torch.zeros(2, channels, 9, 24, dtype=torch.uint8)).shape == (2, 256)


def test_the_distance_grows_with_the_difference() -> None:
    extractor = RandomFeatures()
    real = gaussian(extractor(noise(1000, seed=0)))
    same, near, far = (
        frechet_distance(real, gaussian(extractor(noise(1000, seed=1, contrast=contrast)))).item()
        for contrast in (0.5, 0.55, 0.8)
    )
    assert 3 * same < near < far / 3


def test_they_are_not_saved_with_a_module_and_can_be_copied() -> None:
    extractor = RandomFeatures()
    extractor(noise(1, seed=0))
    assert not extractor.state_dict() and not list(extractor.parameters())


def test_what_they_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 8 pixels, but got torch.uint8 \[2, 3, 4, 4\]"):
        RandomFeatures()(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="seed=-1"):
        RandomFeatures(seed=-1)
