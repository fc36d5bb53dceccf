"""f-divergences, as f-GANs need them (Nowozin et al. 2016, arXiv:1606.00709, sections 2.1 to 2.4).

``D_f(P || Q) = E_Q f(p/q)`` with f convex. Its conjugate ``f*(t) = sup_u (u t - f(u))`` gives the bound
``D_f >= E_P T - E_Q f*(T)`` for any function T of the images into the domain of f*. A critic's logit V is put into that
domain by an activation, ``T = g_f(V)``, which grows with V. The bound is tight where ``T = f'(p/q)``, so that an image
with ``T > f'(1)`` is rather real.

Some activations and conjugates are exponentials of the logit, which overflow in fp32 at 88. There we first compress the
logit: it is left as it is up to 20, and grows like a logarithm beyond, so that its exponential goes on as a straight
line. Any growing activation is allowed, so the bound stays a bound, and nothing loses its gradient as under a clamp.
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
"""Where logits begin to be compressed: e^20 as a ratio of densities is beyond what a critic can learn."""


def compressed(logits: Logits) -> Logits:
    """The logit up to 20 in size, and ``20 + log(1 + |V| - 20)`` with its sign beyond: exp becomes its own tangent."""
    beyond = (logits.abs() - LARGEST_EXPONENT).relu()
    return logits.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT) + logits.sign() * beyond.log1p()


def compression_slope(logits: Logits) -> Logits:
    """The derivative of `compressed`: 1 up to 20, and 1 / (1 + |V| - 20) beyond."""
    return (1 + (logits.abs() - LARGEST_EXPONENT).relu()).reciprocal()


class Divergence(ABC):
    """One f, with what the two players and Roth's regularizer need of it."""

    threshold: ClassVar[float]
    """f'(1): images that score more are rather real."""

    @abstractmethod
    def generator_function(self, ratio: Ratios) -> Ratios:
        """f(u), the function that generates the divergence."""

    @abstractmethod
    def activation(self, logits: Logits) -> Scores:
        """g_f(V), growing, into the domain of f*."""

    @abstractmethod
    def conjugate(self, score: Scores) -> Scores:
        """f*(t) for scores t that `activation` can give."""

    @abstractmethod
    def conjugate_of_activation(self, logits: Logits) -> Scores:
        """f*(g_f(V)) in one piece, where the two functions one after the other would lose digits or overflow."""

    @abstractmethod
    def conjugate_curvature(self, score: Scores) -> Scores:
        """f*''(t), which is 1 / f''(u) at ``t = f'(u)``; Roth et al. 2017 (arXiv:1705.09367) weight gradients by it."""

    @abstractmethod
    def logit_curvature(self, logits: Logits) -> Scores:
        """f*''(g_f(V)) g_f'(V)^2: the same weight for the gradient of the logit instead of the score.

        ``f*''(T) ||dT/dx||^2 = logit_curvature(V) ||dV/dx||^2``, but on the left, factors that overflow meet factors
        that vanish.
        """


@final
class KullbackLeibler(Divergence):
    """``KL(P || Q)``, f(u) = u log u; it punishes a generator that misses modes."""

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
    """``KL(Q || P)``, f(u) = -log u; it punishes images where there are no data, and lets modes go."""

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
    """``chi^2``, f(u) = (u - 1)^2."""

    threshold: ClassVar[float] = 0.0

    def generator_function(self, ratio: Ratios) -> Ratios:
        return (ratio - 1).square()

    def activation(self, logits: Logits) -> Scores:
        return logits

    def conjugate(self, score: Scores) -> Scores:
        # Below -2, where no f'(u) lies, the supremum over u >= 0 is -1. The paper's parabola is above it, which keeps
        # the bound a bound and gives such scores a gradient back to -2.
        return score.square() / 4 + score

    def conjugate_of_activation(self, logits: Logits) -> Scores:
        return self.conjugate(logits)

    def conjugate_curvature(self, score: Scores) -> Scores:
        return torch.full_like(score, 0.5)

    def logit_curvature(self, logits: Logits) -> Scores:
        return self.conjugate_curvature(logits)


@final
class NeymanChiSquared(Divergence):
    """``chi^2`` with its arguments swapped, f(u) = (1 - u)^2 / u."""

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
    """The first GAN's own, ``2 JSD - log 4``, f(u) = u log u - (u + 1) log(u + 1); its optimal logit is log p/q.

    The paper's tables call it GAN.
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
    """``E_Q |p/q - 1| / 2``, between 0 and 1; f has a kink at 1 and is straight elsewhere, so its curvatures are 0."""

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
