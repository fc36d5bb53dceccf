"""GANs for PyTorch Lightning."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_gan.foreign.marks import fake, real
    from lightning_gan.inference.load import load
    from lightning_gan.loop.gan import GAN
    from lightning_gan.loop.settings import Training

__version__ = version("lightning-gan")

__all__ = ["GAN", "Training", "__version__", "fake", "load", "real"]

_HOMES = {
    "GAN": "lightning_gan.loop.gan",
    "Training": "lightning_gan.loop.settings",
    "fake": "lightning_gan.foreign.marks",
    "load": "lightning_gan.inference.load",
    "real": "lightning_gan.foreign.marks",
}


def __getattr__(name: str) -> Any:
    # A name is imported when it is first used (PEP 562), so that `lightning-gan --help` does not import torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
