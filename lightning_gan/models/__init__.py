"""One paper, one file."""

from lightning_gan.models.pggan import PGGAN
from lightning_gan.models.stylegan import StyleGAN

__all__ = ["PGGAN", "StyleGAN"]
