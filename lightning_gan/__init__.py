"""GANs for PyTorch Lightning."""

from importlib.metadata import version

from lightning_gan.loop.gan import GAN

__version__ = version("lightning-gan")

__all__ = ["GAN", "__version__"]
