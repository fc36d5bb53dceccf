"""A look at the first batch, before the first step: its type, its range, its layout, its shape and its labels.

Wrong images often train without an error, only badly. Values are read once, which waits for the device once.
"""

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_gan.loop.batches import Batch, images_and_labels, unused_entries

LARGEST_PIXEL = 1.5
"""Largest absolute value of float images. Resized images and images with noise are a little outside of [-1, 1]; those
normalized by a mean and standard deviation of ImageNet or CIFAR-10 reach 2 and more."""

KEEP_RANGE = "if the values are meant, set training.check_pixel_range to False"


def check_entries(batch: Batch, *, number_of_classes: int) -> None:
    """Check the form of the first batch, and name entries that are not used in a warning.

    Raises:
        ValueError: if it is no batch of images and labels.
    """
    images, labels = images_and_labels(batch)
    if images.dim() != 4:
        raise ValueError(f"the images of the first batch have the shape {_shape(images)}; {_missing_axis(images)}")
    if not len(images):
        raise ValueError("the first batch has no images; leave empty batches out")
    if labels is not None and labels.dim() > 2:
        raise ValueError(
            f"the second entry of the first batch has the shape {_shape(labels)}, which no labels have; return images, "
            "(images, labels), or give the model images alone"
        )
    if unused := unused_entries(batch):
        rank_zero_warn(f"the batches have entries that the model does not use: {unused}; it takes images and labels")
    if labels is not None and number_of_classes and labels.dim() == 2 and not labels.isfinite().all():
        raise ValueError("the labels of the first batch are not finite; correct the rows of labels in the data")


def _missing_axis(images: Tensor) -> str:
    if images.dim() == 3:
        return "the model takes [batch, channels, height, width]: give grey images as images.unsqueeze(1)"
    if images.dim() == 5:
        return "the model takes [batch, channels, height, width]: give images and no videos, as images.flatten(0, 1)"
    return "the model takes [batch, channels, height, width]: reshape the images"


def check_values(images: Tensor, *, check_range: bool) -> None:
    """Check the dtype and the range of the images of the first batch.

    Args:
        images: images, `batch channels height width`.
        check_range: whether float images must look like [-1, 1].

    Raises:
        ValueError: for a dtype that is neither uint8 nor floating-point, for pixels that are not finite, and for float
            images in another range than [-1, 1].
    """
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise ValueError(f"the images of the first batch are {_dtype(images)}; {_conversion(images)}")
    if not images.isfinite().all():
        raise ValueError(
            f"a pixel of the first batch is {images[~images.isfinite()][0].item()}; find the images by "
            "torch.isfinite(image).all() in the data set; usually a transform of the data divides by 0"
        )
    smallest, largest = images.min().item(), images.max().item()
    if not check_range or smallest == largest:
        return
    found = f"the images of the first batch have values from {smallest:.4g} to {largest:.4g}"
    if smallest >= 0 and largest <= LARGEST_PIXEL:
        raise ValueError(
            f"{found}, which looks like [0, 1], and the model takes [-1, 1]: give images * 2 - 1; {KEEP_RANGE}"
        )
    if smallest >= 0 and largest <= 255:
        raise ValueError(
            f"{found}, which looks like [0, 255], and the model takes [-1, 1]: give images / 127.5 - 1, or "
            f"images.byte(); {KEEP_RANGE}"
        )
    if smallest < -LARGEST_PIXEL or largest > LARGEST_PIXEL:
        raise ValueError(
            f"{found}, and the model takes [-1, 1]: divide by the right number, or normalize with a mean and a "
            f"standard deviation of 0.5 instead of those of the data; {KEEP_RANGE}"
        )


def _conversion(images: Tensor) -> str:
    if images.dtype == torch.bool:
        return "give images.float() * 2 - 1"
    if images.is_complex():
        return "give real numbers in [-1, 1]"
    largest = images.long().max().item()
    if images.dtype == torch.int64 or largest <= 255:
        return "give images.byte() if the values are 0 to 255, or floats in [-1, 1]"
    limit, smallest = torch.iinfo(images.dtype).max, images.long().min().item()
    scaled = f"images.float() / {limit + 1}" if smallest < 0 else f"images.float() / {limit} * 2 - 1"
    return f"give {scaled} if they fill the whole range of this type"


def check_dtype(images: Tensor, *, weights: torch.dtype, mixed: bool) -> None:
    """Check that the networks can take float images of this dtype.

    Args:
        images: images of the first batch.
        weights: dtype of the discriminator's weights.
        mixed: whether training is in mixed precision, in which layers convert half and single precision.

    Raises:
        ValueError: if they cannot.
    """
    convertible = (torch.float32, torch.float16, torch.bfloat16)
    if not images.is_floating_point() or images.dtype == weights or (mixed and images.dtype in convertible):
        return
    raise ValueError(
        f"the images of the first batch are {_dtype(images)}, but the weights are "
        f"{str(weights).removeprefix('torch.')}; give images.to({weights})"
    )


def check_fits(images: Tensor, *, fake: Tensor, grows: bool) -> None:
    """Check that the real images have the shape of the generated ones.

    Args:
        images: images of the first batch, `batch channels height width`, as the data give them.
        fake: some generated images.
        grows: whether real images are reduced to the size of generated ones.

    Raises:
        ValueError: if they do not fit.
    """
    (channels, height, width), (own_channels, own_height, own_width) = images.shape[1:], fake.shape[1:]
    fits = height == own_height and width == own_width
    if grows:
        fits = not height % own_height and height // own_height * own_width == width
    if channels == own_channels and fits:
        return
    wanted = f"{own_channels} x {own_height} x {own_width}"
    found = (
        f"the images of the first batch are {channels} x {height} x {width} and those of the generator {wanted} "
        "(channels, height, width)"
    )
    if tuple(images.shape[1:]) == (own_height, own_width, own_channels):
        raise ValueError(f"{found}; the channels are last: give images.permute(0, 3, 1, 2)")
    if channels != own_channels:
        raise ValueError(f"{found}; {_channels_remedy(images, own=own_channels)}")
    width_too = " and an image_width, if it takes one" * (height != width)
    raise ValueError(
        f"{found}; resize the images to {own_height} x {own_width} pixels, or give the model another "
        f"image_size{width_too}"
    )


def _channels_remedy(images: Tensor, *, own: int) -> str:
    found = images.shape[1]
    if (found, own) == (3, 1):
        grey = (
            "images.float().mean(1, keepdim=True).byte()"
            if images.dtype == torch.uint8
            else "images.mean(1, keepdim=True)"
        )
        return f"give {grey}, or a model of 3 channels (image_channels)"
    if (found, own) == (1, 3):
        return "give images.expand(-1, 3, -1, -1), or a model of 1 channel (image_channels)"
    if (found, own) == (4, 3):
        return "give images[:, :3], without transparency, or a model of 4 channels (image_channels)"
    return f"give images of {own} channels, or a model of {found} (image_channels)"


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
