"""What trained models are used for: loading, generating, interpolating, projecting and exporting."""

from lightning_gan.inference.load import load

__all__ = ["load"]
