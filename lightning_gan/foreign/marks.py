"""Marks: functions with which a training step says which of its images are real and which are fake.

They return their argument unchanged. Without a penalty, and in a `GAN`, they do nothing.
"""

import torch
from torch import Tensor

from lightning_gan.foreign.observer import note_mark


def real(images: Tensor) -> Tensor:
    """Mark real images of a discriminator in the training step of a module that is not a `GAN`.

    The penalties of this package then use exactly these images, and need not identify them. Mark the images as the
    discriminator gets them, after noise and augmentations, either when it is called, ``discriminator(real(images))``,
    or before they are concatenated with others, ``discriminator(torch.cat([real(images), fake(others)]))``. If several
    tensors are marked in one turn, a penalty is the mean over them.

    Args:
        images: real images, or other real samples: audio, volumes, tokens.

    Returns:
        The same tensor.
    """
    if not torch.compiler.is_compiling():
        note_mark("real", images)
    return images


def fake(images: Tensor) -> Tensor:
    """Mark generated images of a discriminator in the training step of a module that is not a `GAN`.

    See `real`.

    Args:
        images: generated images, or other generated samples, with or without their graph.

    Returns:
        The same tensor.
    """
    if not torch.compiler.is_compiling():
        note_mark("fake", images)
    return images
