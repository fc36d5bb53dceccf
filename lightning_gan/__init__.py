"""GANs for PyTorch Lightning."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_gan.loop.gan import GAN

__version__ = version("lightning-gan")

__all__ = ["GAN", "__version__"]


def __getattr__(name: str) -> Any:
    """`GAN`, imported when it is first used: `lightning-gan --help` answers without importing torch (PEP 562)."""
    if name != "GAN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightning_gan.loop.gan import GAN

    return GAN
