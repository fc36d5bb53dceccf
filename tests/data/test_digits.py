"""The embedded digits are what their licence note says."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import lightning_gan.data
from lightning_gan.data import Digits, box_mean
from lightning_gan.data.digits import load_digits


def test_there_are_five_hundred_of_each_digit() -> None:
    images, labels = load_digits()
    assert images.shape == (5000, 1, 28, 28) and images.dtype == torch.uint8
    assert torch.bincount(labels).tolist() == [500] * 10


def test_the_file_is_about_a_megabyte_and_has_its_licence_beside_it() -> None:
    folder = Path(lightning_gan.data.__file__).parent
    assert 0.5e6 < (folder / "digits.npz").stat().st_size < 1.2e6
    assert "CC BY-SA 3.0" in (folder / "digits_license.md").read_text(encoding="utf-8")


def test_digits_are_white_on_black_and_all_different() -> None:
    images, _ = load_digits()
    assert 30 < images.float().mean() < 40  # MNIST's mean is 33.3
    assert len(np.unique(images.flatten(1).numpy(), axis=0)) == 5000


def test_a_nearest_neighbour_recognises_nine_in_ten() -> None:
    images, labels = load_digits()
    pixels = images.flatten(1).float()
    distances = torch.cdist(pixels[::25], pixels)
    distances[torch.arange(200), torch.arange(0, 5000, 25)] = torch.inf
    assert (labels[distances.argmin(1)] == labels[::25]).float().mean() > 0.9


def test_facts_are_known_before_setup() -> None:
    digits = Digits()
    assert (digits.image_size, digits.image_channels, digits.number_of_classes) == (32, 1, 10)
    assert Digits(labels=False).number_of_classes == 0


def test_a_black_frame_makes_them_32_pixels_wide() -> None:
    images, _ = load_digits()
    framed = Digits().source.read(torch.arange(100), resolution=32)
    assert torch.equal(framed[..., 2:30, 2:30], images[:100])
    assert int(framed.long().sum()) == int(images[:100].long().sum())


def test_smaller_digits_are_means_of_the_full_ones() -> None:
    full = Digits().source.read(torch.arange(50), resolution=32)
    small = Digits(image_size=8)
    assert torch.equal(small.source.read(torch.arange(50), resolution=8), box_mean(full, resolution=8))
    assert torch.equal(Digits().source.read(torch.arange(50), resolution=8), box_mean(full, resolution=8))


@pytest.mark.parametrize(("size", "margin"), [(28, 0), (32, 2), (36, 4), (48, 10), (60, 16), (64, 18)])
def test_from_28_pixels_on_the_digits_are_as_they_are_within_a_black_frame(size: int, margin: int) -> None:
    digits, labels = load_digits()
    source = Digits(image_size=size).source
    images = source.read(torch.arange(100), resolution=size)
    assert images.shape == (100, 1, size, size)
    assert torch.equal(images[..., margin : margin + 28, margin : margin + 28], digits[:100])
    assert int(images.long().sum()) == int(digits[:100].long().sum())
    assert source.labels is not None and torch.equal(source.labels, labels)


@pytest.mark.parametrize(
    ("size", "pooled", "frame"), [(4, 8, 32), (8, 4, 32), (12, 4, 48), (16, 2, 32), (20, 2, 40), (24, 2, 48)]
)
def test_below_28_pixels_they_are_means_of_squares_of_a_framed_digit(size: int, pooled: int, frame: int) -> None:
    digits, _ = load_digits()
    images = Digits(image_size=size).source.read(torch.tensor([7, 4999]), resolution=size)
    for image, digit in zip(images, (digits[7], digits[4999]), strict=True):
        framed = np.zeros((frame, frame), dtype=np.int64)
        margin = (frame - 28) // 2
        framed[margin : margin + 28, margin : margin + 28] = digit[0].numpy()
        for row, column in np.ndindex(size, size):
            square = framed[row * pooled : (row + 1) * pooled, column * pooled : (column + 1) * pooled]
            assert int(image[0, row, column]) == (2 * square.sum() + pooled**2) // (2 * pooled**2)  # half up


@pytest.mark.parametrize("size", range(4, 65, 4))
def test_every_multiple_of_4_arrives_in_batches(size: int) -> None:
    images, labels = next(iter(Digits(image_size=size, image_channels=3, batch_size=4).train_dataloader()))
    assert images.shape == (4, 3, size, size) and images.dtype == torch.uint8
    assert images.amax() > 100 and labels.shape == (4,)


def test_three_channels_are_equal() -> None:
    images = Digits(image_channels=3).source.read(torch.arange(5), resolution=32)
    assert images.shape[1] == 3 and torch.equal(images[:, 0], images[:, 2])


def test_without_labels_the_stream_says_zero() -> None:
    _, labels = next(iter(Digits(labels=False).train_dataloader()))
    assert labels.tolist() == [0] * 16


def test_loading_is_cheap_and_waits_until_it_is_needed() -> None:
    """Less than five times what it costs to unpack the file, in this thread's own time."""

    def seconds(work: Callable[[], object]) -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    def load() -> None:
        digits = Digits()
        assert digits._source is None
        digits.setup("fit")

    costs = [(seconds(load), seconds(load_digits)) for _ in range(3)]
    loading, unpacking = (min(times) for times in zip(*costs, strict=True))
    assert loading < 5 * unpacking


def test_other_sizes_and_channels_are_refused() -> None:
    for size in (0, -4, 14, 30, 65, 68, 128):
        with pytest.raises(ValueError, match=f"image_size={size}: give a multiple of 4 from 4 to 64"):
            Digits(image_size=size)
    with pytest.raises(ValueError, match="image_channels=2"):
        Digits(image_channels=2)
