"""One paper, one file."""

from lightning_gan.models.stylegan import StyleGAN

__all__ = ["StyleGAN"]
