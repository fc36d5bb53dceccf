"""Regularizers as pure functions: tensors in, one unweighted number out."""

from lightning_gan.penalties.gradient import squared_gradient_norm, zero_centered

__all__ = ["squared_gradient_norm", "zero_centered"]
