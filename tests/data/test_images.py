"""Images in memory: pooled reads are box means, and what does not fit is refused."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from lightning_gan.data.images import MemoryImages, box_mean, grey_to_channels


def random_images(count: int, *, channels: int = 3, size: int = 16) -> torch.Tensor:
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_a_box_mean_by_hand() -> None:
    image = torch.tensor([[0, 1, 10, 20], [2, 3, 30, 41], [0, 0, 255, 255], [0, 1, 255, 255]], dtype=torch.uint8)
    # Means 1.5, 25.25, 0.25 and 255; halves round up.
    assert box_mean(image[None, None], resolution=2)[0, 0].tolist() == [[2, 25], [0, 255]]
    # The mean of all sixteen is 70.5, and not that of the four rounded ones.
    assert box_mean(image[None, None], resolution=1).item() == 71


def test_a_box_mean_is_average_pooling_to_half_a_grey_level() -> None:
    images = random_images(5)
    error = box_mean(images, resolution=4) - avg_pool2d(images.double(), 4)
    assert error.abs().max() <= 0.5


def test_white_stays_white_at_every_resolution() -> None:
    white = torch.full((1, 1, 256, 256), 255, dtype=torch.uint8)
    assert all(bool((box_mean(white, resolution=2**level) == 255).all()) for level in range(9))


@pytest.mark.parametrize("resolution", [0, 3, 5, 32])
def test_a_resolution_that_doubling_does_not_reach_is_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"16x16 images at resolution {resolution}"):
        box_mean(random_images(1), resolution=resolution)


def test_reads_come_in_the_order_asked_for() -> None:
    images = random_images(6)
    source = MemoryImages(images=images, labels=None)
    indices = torch.tensor([4, 0, 4])
    assert torch.equal(source.read(indices, resolution=16), images[[4, 0, 4]])
    assert torch.equal(source.read(indices, resolution=8), box_mean(images[[4, 0, 4]], resolution=8))


def test_pooling_in_parts_equals_pooling_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gan.data.images._PIXELS_POOLED_AT_ONCE", 2 * 3 * 16 * 16)
    images = random_images(7)
    source = MemoryImages(images=images, labels=None)
    assert torch.equal(source.read(torch.arange(7), resolution=4), box_mean(images, resolution=4))


def test_classes_are_counted_up_to_the_highest_label() -> None:
    images = random_images(3)
    assert MemoryImages(images=images, labels=torch.tensor([0, 4, 1])).number_of_classes == 5
    assert MemoryImages(images=images, labels=torch.tensor([0, 4, 1]), number_of_classes=8).number_of_classes == 8
    assert MemoryImages(images=images, labels=None).number_of_classes == 0


def test_what_does_not_fit_is_refused() -> None:
    images = random_images(3)
    with pytest.raises(ValueError, match=r"float32 .*give uint8"):
        MemoryImages(images=images.float(), labels=None)
    with pytest.raises(ValueError, match="at least one"):
        MemoryImages(images=images[:0], labels=None)
    with pytest.raises(ValueError, match=r"\(3, 3, 16, 0\)"):
        MemoryImages(images=images[..., :0], labels=None)
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        MemoryImages(images=images, labels=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"label 5 is outside 0\.\.3"):
        MemoryImages(images=images, labels=torch.tensor([0, 5, 1]), number_of_classes=4)


def test_grey_images_get_equal_channels() -> None:
    grey = random_images(2, channels=1)
    colour = grey_to_channels(grey, channels=3)
    assert colour.shape == (2, 3, 16, 16) and all(torch.equal(colour[:, [c]], grey) for c in range(3))
