"""Adversarial objectives: the costs that the players minimize, as functions of the discriminator's logits."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.losses.divergences import (
    Divergence,
    GoodfellowDivergence,
    JensenShannon,
    KullbackLeibler,
    NeymanChiSquared,
    PearsonChiSquared,
    ReverseKullbackLeibler,
    SquaredHellinger,
    TotalVariation,
)
from lightning_gan.losses.f_gan import FGAN
from lightning_gan.losses.hinge import Hinge
from lightning_gan.losses.joint import joint_generator_cost, mirrored_generator_cost
from lightning_gan.losses.least_squares import LeastSquares
from lightning_gan.losses.logistic import Minimax, NonSaturating
from lightning_gan.losses.relativistic import (
    RelativisticAverage,
    RelativisticAverageHinge,
    RelativisticAverageLeastSquares,
    RelativisticStandard,
)
from lightning_gan.losses.top_k import TopK
from lightning_gan.losses.wasserstein import Wasserstein

__all__ = [
    "FGAN",
    "AdversarialLoss",
    "Divergence",
    "GoodfellowDivergence",
    "Hinge",
    "JensenShannon",
    "KullbackLeibler",
    "LeastSquares",
    "Minimax",
    "NeymanChiSquared",
    "NonSaturating",
    "PearsonChiSquared",
    "RelativisticAverage",
    "RelativisticAverageHinge",
    "RelativisticAverageLeastSquares",
    "RelativisticStandard",
    "ReverseKullbackLeibler",
    "SquaredHellinger",
    "TopK",
    "TotalVariation",
    "Wasserstein",
    "joint_generator_cost",
    "mirrored_generator_cost",
]
