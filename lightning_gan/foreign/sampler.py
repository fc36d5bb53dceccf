"""Images that a function of the user makes with a module: samples, translations, reconstructions."""

from collections.abc import Callable
from inspect import signature
from typing import TypeAlias

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.tensors.precision import full_precision

Sampler: TypeAlias = Callable[[LightningModule, int, int], Tensor]
"""A function of (module, count, seed) that returns images `[count, channels, height, width]` in about [-1, 1]."""


def check_sampler(sampler: Sampler, *, asker: str) -> None:
    """Check that a sampler takes the arguments that it is called with.

    Args:
        sampler: function of the user.
        asker: name of the callback, for the error message.

    Raises:
        ValueError: if it takes others.
    """
    try:
        takes = signature(sampler)
    except ValueError:  # a function that is written in C and does not tell its arguments
        return
    try:
        takes.bind(None, 1, 0)
    except TypeError as error:
        raise ValueError(
            f"{asker}: sampler is a function of {takes}, and must be one of (module, count, seed) that returns images"
        ) from error


def sampled_images(sampler: Sampler, module: LightningModule, *, count: int, seed: int, asker: str) -> Tensor:
    """The images that a sampler makes, `count channels height width`, float in about [-1, 1] or uint8.

    Args:
        sampler: function of the user.
        module: first argument of the function.
        count: number of images.
        seed: seed of every random choice of the function.
        asker: name of the callback, for error messages.

    Raises:
        ValueError: if the function takes other arguments, or the result is not such a tensor.
    """
    check_sampler(sampler, asker=asker)
    images = sampler(module, count, seed)
    wanted = "it must return images [count, channels, height, width], float in about [-1, 1] or uint8"
    if not isinstance(images, Tensor):
        raise ValueError(f"{asker}: sampler returned a {type(images).__name__} for count={count}; {wanted}")
    if images.dim() != 4 or len(images) != count or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise ValueError(
            f"{asker}: sampler returned a tensor {list(images.shape)} of {images.dtype} for count={count}; {wanted}"
        )
    return images if images.dtype == torch.uint8 else full_precision(images)
