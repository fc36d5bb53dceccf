"""Optimizers for two players."""

from lightning_gan.optimizers.adam import GANAdam
from lightning_gan.optimizers.extrapolation import ExtraAdam, OptimisticAdam

__all__ = ["ExtraAdam", "GANAdam", "OptimisticAdam"]
