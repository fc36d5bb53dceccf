"""Optimizers for the training of two players."""

from lightning_gan.optimizers.adam import GANAdam
from lightning_gan.optimizers.extrapolation import ExtraAdam, OptimisticAdam

__all__ = ["ExtraAdam", "GANAdam", "OptimisticAdam"]
