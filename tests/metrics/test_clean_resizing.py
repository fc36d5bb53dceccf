"""Resizing on the device against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.metrics.clean_resizing import resized_like_pillow


@pytest.mark.parametrize("size", [(20, 33), (299, 299), (400, 310)])
def test_clean_resizing_is_that_of_pillow_in_floats(size: tuple[int, int]) -> None:
    """clean-fid resizes each channel as a float image by Pillow's bicubic filter, and does not round."""
    width, height = size
    images = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(0)).byte()
    bands = [Image.fromarray(band.numpy().astype(np.float32)) for band in images[0]]
    expected = np.stack([np.asarray(band.resize((299, 299), Image.Resampling.BICUBIC)) for band in bands])
    ours = resized_like_pillow(images, size=299)[0]
    assert ours.min() < 0 or width > 20  # the filter overshoots where it enlarges
    torch.testing.assert_close(ours, torch.from_numpy(expected.copy()), rtol=0, atol=0.01)  # fp32
