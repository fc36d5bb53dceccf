"""f-divergences for f-GANs (Nowozin et al. 2016, arXiv:1606.00709, sections 2.1 to 2.4).

``D_f(P || Q) = E_Q f(p/q)`` with f convex. Its conjugate ``f*(t) = sup_u (u t - f(u))`` gives the bound
``D_f >= E_P T - E_Q f*(T)`` for any function T of the images with values in the domain of f*. An increasing activation
maps the discriminator's logit V into that domain, ``T = g_f(V)``. The bound is tight for ``T = f'(p/q)``, so that an
image with ``T > f'(1)`` is more likely real than fake.

Some activations and conjugates are exponentials of the logit, which overflow in fp32 at 88. For these the logit is
first compressed: it does not change up to 20, and grows logarithmically beyond, so that its exponential continues as a
straight line. Any increasing activation is allowed, so the bound still holds, and unlike a clamp this has no gradients
of 0.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.tensors.shapes import Logits

Ratios: TypeAlias = Float[Tensor, "batch ..."]
"""Density ratios u = p/q of real to generated images, positive."""

Scores: TypeAlias = Float[Tensor, "batch ..."]
"""Activated logits T = g_f(V), in the domain of f*."""

LARGEST_EXPONENT = 20.0
"""Absolute value above which logits are compressed; a discriminator cannot learn density ratios as large as e^20."""


def compressed(logits: Logits) -> Logits:
    """Returns V for ``|V| <= 20``, and ``sign(V) (20 + log(1 + |V| - 20))`` beyond; exp of it is a line for V > 20."""
    beyond = (logits.abs() - LARGEST_EXPONENT).relu()
    return logits.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT) + logits.sign() * beyond.log1p()


def compression_slope(logits: Logits) -> Logits:
    """Returns the derivative of `compressed`: 1 for ``|V| <= 20``, and ``1 / (1 + |V| - 20)`` beyond."""
    return (1 + (logits.abs() - LARGEST_EXPONENT).relu()).reciprocal()


class Divergence(ABC):
    """Base class of f-divergences, with the functions that both players and Roth's regularizer need."""

    threshold: ClassVar[float]
    """f'(1): images with larger scores are more likely real than fake."""

    @abstractmethod
    def generator_function(self, ratio: Ratios) -> Ratios:
        """Returns f(u), the function that generates the divergence."""

    @abstractmethod
    def activation(self, logits: Logits) -> Scores:
        """Returns g_f(V), an increasing function with values in the domain of f*."""

    @abstractmethod
    def conjugate(self, score: Scores) -> Scores:
        """Returns f*(t) for scores t that `activation` can return."""

    @abstractmethod
    def conjugate_of_activation(self, logits: Logits) -> Scores:
        """Returns f*(g_f(V)) by one formula, because the two functions in turn would lose digits or overflow."""

    @abstractmethod
    def conjugate_curvature(self, score: Scores) -> Scores:
        """Returns f*''(t), which is ``1 / f''(u)`` at ``t = f'(u)``; it weights gradients in Roth et al. 2017,
        arXiv:1705.09367."""

    @abstractmethod
    def logit_curvature(self, logits: Logits) -> Scores:
        """Returns ``f*''(g_f(V)) g_f'(V)^2``, the same weight for the gradient of the logit instead of the score.

        ``f*''(T) ||dT/dx||^2 = logit_curvature(V) ||dV/dx||^2``, but on the left side one factor may overflow while the
        other vanishes.
        """


@final
class KullbackLeibler(Divergence):
    """``KL(P || Q)``, f(u) = u log u. It is high for a generator that misses modes."""

    threshold: ClassVar[float] = 1.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return ratio * ratio.log()

    def activation(self, logits: Logits) -> Scores:
        return 1 + compressed(logits - 1)

    def conjugate(self, score: Scores) -> Scores:
        return (score - 1).exp()

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return compressed(logits - 1).exp()

    def conjugate_curvature(self, score: Scores) -> Scores:
        return (score - 1).exp()

    def logit_curvature(self, logits: Logits) -> Scores:
        return compressed(logits - 1).exp() * compression_slope(logits - 1).square()


@final
class ReverseKullbackLeibler(Divergence):
    """``KL(Q || P)``, f(u) = -log u. It is high for fakes where there are no data, but allows missing modes."""

    threshold: ClassVar[float] = -1.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return -ratio.log()

    def activation(self, logits: Logits) -> Scores:
        return -(-compressed(logits)).exp()

    def conjugate(self, score: Scores) -> Scores:
        return -1 - (-score).log()

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return compressed(logits) - 1

    def conjugate_curvature(self, score: Scores) -> Scores:
        return score.square().reciprocal()

    def logit_curvature(self, logits: Logits) -> Scores:
        return compression_slope(logits).square()


@final
class PearsonChiSquared(Divergence):
    """The Pearson divergence ``chi^2``, f(u) = (u - 1)^2."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return (ratio - 1).square()

    def activation(self, logits: Logits) -> Scores:
        return logits

    def conjugate(self, score: Scores) -> Scores:
        # Below -2, which f'(u) never reaches, the supremum over u >= 0 is -1. The paper's parabola is above it, so that
        # the bound still holds, and such scores have a gradient towards -2.
        return score.square() / 4 + score

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return self.conjugate(logits)

    def conjugate_curvature(self, score: Scores) -> Scores:
        return torch.full_like(score, 0.5)

    def logit_curvature(self, logits: Logits) -> Scores:
        return self.conjugate_curvature(logits)


@final
class NeymanChiSquared(Divergence):
    """The Neyman divergence, ``chi^2`` with its arguments swapped, f(u) = (1 - u)^2 / u."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return (1 - ratio).square() / ratio

    def activation(self, logits: Logits) -> Scores:
        return -(-compressed(logits)).expm1()

    def conjugate(self, score: Scores) -> Scores:
        return 2 - 2 * (1 - score).sqrt()

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return 2 - 2 * (-compressed(logits) / 2).exp()

    def conjugate_curvature(self, score: Scores) -> Scores:
        return 0.5 * (1 - score).pow(-1.5)

    def logit_curvature(self, logits: Logits) -> Scores:
        return 0.5 * (-compressed(logits) / 2).exp() * compression_slope(logits).square()


@final
class SquaredHellinger(Divergence):
    """The squared Hellinger distance, f(u) = (sqrt(u) - 1)^2, between 0 and 2."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return (ratio.sqrt() - 1).square()

    def activation(self, logits: Logits) -> Scores:
        return -(-compressed(logits)).expm1()

    def conjugate(self, score: Scores) -> Scores:
        return score / (1 - score)

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return compressed(logits).expm1()

    def conjugate_curvature(self, score: Scores) -> Scores:
        return 2 * (1 - score).pow(-3)

    def logit_curvature(self, logits: Logits) -> Scores:
        return 2 * compressed(logits).exp() * compression_slope(logits).square()


@final
class JensenShannon(Divergence):
    """Twice the Jensen-Shannon divergence, f(u) = u log u - (u + 1) log((1 + u) / 2), between 0 and 2 log 2."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return ratio * ratio.log() - (ratio + 1) * ((1 + ratio) / 2).log()

    def activation(self, logits: Logits) -> Scores:
        return math.log(2) - softplus(-logits)

    def conjugate(self, score: Scores) -> Scores:
        return -(2 - score.exp()).log()

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return softplus(logits) - math.log(2)

    def conjugate_curvature(self, score: Scores) -> Scores:
        return 2 * score.exp() / (2 - score.exp()).square()

    def logit_curvature(self, logits: Logits) -> Scores:
        return logits.sigmoid()


@final
class GoodfellowDivergence(Divergence):
    """The first GAN's divergence, ``2 JSD - log 4``, f(u) = u log u - (u + 1) log(u + 1).

    Its optimal logit is log p/q. The paper's tables call it GAN.
    """

    threshold: ClassVar[float] = -math.log(2)

    def generator_function(self, ratio: Ratios) -> Ratios:
        return ratio * ratio.log() - (ratio + 1) * (ratio + 1).log()

    def activation(self, logits: Logits) -> Scores:
        return -softplus(-logits)

    def conjugate(self, score: Scores) -> Scores:
        return -(-score.expm1()).log()

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return softplus(logits)

    def conjugate_curvature(self, score: Scores) -> Scores:
        return score.exp() / score.expm1().square()

    def logit_curvature(self, logits: Logits) -> Scores:
        return logits.sigmoid()


@final
class TotalVariation(Divergence):
    """The total variation ``E_Q |p/q - 1| / 2``, between 0 and 1. f is piecewise linear, with curvatures of 0."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return (ratio - 1).abs() / 2

    def activation(self, logits: Logits) -> Scores:
        return logits.tanh() / 2

    def conjugate(self, score: Scores) -> Scores:
        return score

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return self.activation(logits)

    def conjugate_curvature(self, score: Scores) -> Scores:
        return torch.zeros_like(score)

    def logit_curvature(self, logits: Logits) -> Scores:
        return torch.zeros_like(logits)
