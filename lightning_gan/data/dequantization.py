"""Uniform noise that fills the gaps between the 256 levels of bytes, as a pure function of (seed, position)."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Images


def dequantization_noise_at(
    position: int, *, count: int, like: Tensor, seed: int
) -> Float[Tensor, "count channels height width"]:
    """Returns the noise U(0, 1) of the global batch of `count` images at `position`, on the device of `like`.

    Args:
        position: number of images seen before the batch.
        count: number of images in the global batch.
        like: images of any number, whose other sizes and whose device the noise gets.
        seed: seed of the noise.
    """
    generator = torch.Generator(like.device).manual_seed(derived_seed(seed, "dequantization", position))
    return torch.rand((count, *like.shape[1:]), generator=generator, device=like.device)


def dequantized(images: ImageBytes, *, width: float, position: int, batch_size: int, share: slice, seed: int) -> Images:
    """Converts one process's bytes to floats with noise: ``x / 127.5 - 1 + U(0, width)``.

    The code of the R1 paper's authors (Mescheder et al. 2018, arXiv:1801.04406) does the same with a width of 1/128.
    SNGAN's, WGAN-GP's and CT-GAN's scales bytes by ``x / 128 - 1`` instead, which differs by 0.4 %.

    The noise is drawn for the global batch and then cut, so that it does not depend on the number of processes.

    Args:
        images: this process's share of the batch, in 0..255.
        width: width of the noise; 2/255 is the distance of two levels.
        position: number of images seen before the batch.
        batch_size: number of images in the global batch.
        share: which of them belong to this process.
        seed: seed of the noise.
    """
    noise = dequantization_noise_at(position, count=batch_size, like=images, seed=seed)[share]
    return from_bytes(images) + width * noise
