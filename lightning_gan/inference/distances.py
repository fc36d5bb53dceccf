"""Distances of two images, whose gradient leads from one image to another."""

from enum import Enum

import torch
from einops import reduce

from lightning_gan.callbacks.figures.pictures import shown_channels
from lightning_gan.metrics import LpipsDistance
from lightning_gan.metrics.perceptual_path import Distance, reduced
from lightning_gan.tensors.shapes import Images, PerSample


class DistanceKind(Enum):
    """How the distance of two images is measured."""

    pixel = "pixel"
    """The mean squared difference of the pixels, which are in [-1, 1]."""

    lpips = "lpips"
    """LPIPS (Zhang et al. 2018, arXiv:1801.03924) with VGG-16, on images of at most about 256 pixels."""

    def found(self, device: torch.device) -> Distance:
        """The distance.

        Args:
            device: device of the images.

        Raises:
            ValueError: for LPIPS if its weights are not on this machine. They are not loaded without being asked for.
        """
        return pixel_distance if self is DistanceKind.pixel else _lpips(device)


def clipped_with_gradient(images: Images) -> Images:
    """Images that are clipped to [-1, 1], as they are shown, with the gradient of images that are not clipped.

    The gradient of clipping is 0 outside of [-1, 1], where a search could not come back from. With this one, a value
    beyond 1 is as good as 1 where the target is white, and is moved down where the target is darker.

    Args:
        images: images in about [-1, 1].
    """
    return images + (images.clamp(-1.0, 1.0) - images).detach()


def pixel_distance(first: Images, second: Images) -> PerSample:
    """The mean squared difference of the pixels of pairs of images.

    Args:
        first: images in [-1, 1].
        second: images of the same shape.

    Example:
        >>> pixel_distance(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item()
        1.0
    """
    return reduce((first - second).square(), "batch channels height width -> batch", "mean")


def _lpips(device: torch.device) -> Distance:
    try:
        network = LpipsDistance().to(device)
    except ValueError as error:
        raise ValueError(
            f"distance=lpips: {error} in Python: lightning_gan.metrics.LpipsDistance(download=True)"
        ) from error

    def distance(first: Images, second: Images) -> PerSample:
        """LPIPS of the channels that pictures show, without opacity."""
        shown = min(shown_channels(first.shape[1]), 3)
        apart: PerSample = network(*(reduced(images[:, :shown]) for images in (first, second)))
        return apart

    return distance
