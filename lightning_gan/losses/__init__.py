"""Adversarial objectives: what each player minimises, as functions of the critic's scores."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.losses.hinge import Hinge
from lightning_gan.losses.least_squares import LeastSquares
from lightning_gan.losses.logistic import Minimax, NonSaturating
from lightning_gan.losses.wasserstein import Wasserstein

__all__ = ["AdversarialLoss", "Hinge", "LeastSquares", "Minimax", "NonSaturating", "Wasserstein"]
