"""What trained models are used for: loading, generating, interpolating, projecting and exporting."""

from lightning_gan.inference.load import load
from lightning_gan.inference.weights import load_weights

__all__ = ["load", "load_weights"]
