"""Reads image files for a model that encodes or reproduces them."""

import sys
from pathlib import Path

import torch
from PIL import Image

from lightning_gan.data.decoding import Resize, size_of
from lightning_gan.data.image_decoder import ImageDecoder, tensor_of
from lightning_gan.data.images import PixelSize
from lightning_gan.data.shown import shown
from lightning_gan.data.value_range import ValuesError
from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.shapes import Images


def image_for(trained: TrainedModel, path: str) -> Images:
    """An image file in the size and the channels of a model's images, `1 channels height width`, in [-1, 1].

    Of an image of another size, the central square (the largest central rectangle of the proportions of the model's
    images) is resized, which is said on the standard error.

    Args:
        trained: the model; the image is put on its device.
        path: path of a PNG, JPEG, WebP, BMP, GIF or TIFF file, or of a .npy file.

    Raises:
        ValueError: if the file is missing, or is no image that can be read.
    """
    _, height, width = trained.image_shape
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no image {shown(path)}; give the path of an image file")
    try:
        contents = file.read_bytes()
        size = size_of(contents)
        image = floats_of(contents, trained)
    except ValuesError as error:
        raise ValueError(f"{shown(path)}: {error}") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{shown(path)} cannot be read as an image ({shown(error)}); give another file") from error
    if size != (width, height):
        print(
            f"{shown(path)} has {size[0]}x{size[1]} pixels: its {central(height, width)} is resized to "
            f"{width}x{height}",
            file=sys.stderr,
        )
    return image.to(trained.model.device)


def floats_of(contents: bytes, trained: TrainedModel) -> Images:
    """An image file in the size and the channels of a model's images, `1 channels height width`, in [-1, 1].

    Args:
        contents: contents of the file, as the data of the training were: .npy, 16 bits and floats if the model was
            trained with a range of values.
        trained: the model.

    Raises:
        ValuesError: if it has other channels, or values that the range of the training does not hold.
        OSError: if it is no image.
    """
    channels, height, width = trained.image_shape
    decoder = ImageDecoder(
        size=PixelSize(height=height, width=width),
        image_channels=channels,
        resize=Resize.center_crop,
        value_range=trained.value_range,
    )
    try:
        (decoded,) = decoder.levels(contents, resolutions=[height])
    except ValuesError as error:
        values = "8 bits" if trained.value_range is None else f"values in {trained.value_range}"
        raise ValuesError(
            error.found, f"give an image as the model was trained on: channels {channels}, of {values}"
        ) from error
    image = tensor_of(decoded)[None]  # 1 channels height width
    return from_bytes(image) if image.dtype == torch.uint8 else image


def central(height: int, width: int) -> str:
    """What is cut out of an image of other proportions, for messages."""
    return "central square" if height == width else "largest central rectangle of these proportions"


def paths_in(text: str, *, option: str) -> list[str]:
    """The paths of files that a text lists, separated by commas.

    Args:
        text: paths, such as a.png,b.png.
        option: name of the option that the text was given for, for messages.

    Raises:
        ValueError: if a path is empty.
    """
    paths = [part.strip() for part in text.split(",")]
    if not all(paths):
        raise ValueError(f"{option}={shown(text)} has an empty path; give paths such as a.png,b.png")
    return paths
