"""Regularizers that are functions of the players' gradients by their own weights.

They are not means over samples but products of the *whole* batch's gradients. If the batch is split over ranks or
slices, the gradients must be averaged before they are multiplied. So every function takes the gradients of one part,
which have a graph, and the mean of all parts' gradients, which has none. It returns a number whose gradient, averaged
over the parts, is the gradient of the regularizer. With a single part, both arguments are the same gradients.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import Scalar

Gradients: TypeAlias = Sequence[Tensor]
"""The gradient of one cost by all weights of one player, with a tensor for each of its parameters."""


@dataclass(frozen=True, kw_only=True)
class GameGradients:
    """The gradients of the generator's cost L_G and of the discriminator's cost L_D by both players' weights.

    Attributes:
        generator: gradient ``dL_G / d theta`` of the generator's cost by its own weights.
        discriminator: gradient ``dL_D / d psi`` of the discriminator's cost by its own weights.
        generator_by_opponent: gradient ``dL_G / d psi`` by the discriminator's weights; empty if it was not computed.
        discriminator_by_opponent: gradient ``dL_D / d theta`` by the generator's weights; empty if it was not computed.
    """

    generator: Gradients
    discriminator: Gradients
    generator_by_opponent: Gradients = ()
    discriminator_by_opponent: Gradients = ()

    def flat(self) -> list[Tensor]:
        """Returns all tensors in one list."""
        return [
            *self.generator,
            *self.discriminator,
            *self.generator_by_opponent,
            *self.discriminator_by_opponent,
        ]

    def refilled(self, tensors: Sequence[Tensor]) -> "GameGradients":
        """Returns the same structure with other tensors, which are in the order of `flat`."""
        ends = [len(self.generator)]
        for part in (self.discriminator, self.generator_by_opponent, self.discriminator_by_opponent):
            ends.append(ends[-1] + len(part))
        return GameGradients(
            generator=tensors[: ends[0]],
            discriminator=tensors[ends[0] : ends[1]],
            generator_by_opponent=tensors[ends[1] : ends[2]],
            discriminator_by_opponent=tensors[ends[2] : ends[3]],
        )


def game_gradients(
    generator_cost: Scalar,
    discriminator_cost: Scalar,
    *,
    generator_weights: Sequence[Tensor],
    discriminator_weights: Sequence[Tensor],
    by_opponent: bool = False,
) -> GameGradients:
    """Computes both players' gradients with a graph, so that they can be differentiated again.

    Args:
        generator_cost: the generator's cost L_G.
        discriminator_cost: the discriminator's cost L_D, from the same forward pass, with a graph to the generator.
        generator_weights: the generator's parameters theta.
        discriminator_weights: the discriminator's parameters psi.
        by_opponent: whether each cost is also differentiated by the other player's weights.
    """
    return GameGradients(
        generator=_gradients(generator_cost, generator_weights),
        discriminator=_gradients(discriminator_cost, discriminator_weights),
        generator_by_opponent=_gradients(generator_cost, discriminator_weights) if by_opponent else (),
        discriminator_by_opponent=_gradients(discriminator_cost, generator_weights) if by_opponent else (),
    )


def _gradients(cost: Scalar, weights: Sequence[Tensor]) -> Gradients:
    # Blocks of a growing network that are not active yet get gradients of zeros.
    return torch.autograd.grad(cost, weights, create_graph=True, materialize_grads=True)


def derivative_by(value: Scalar, weights: Sequence[Tensor]) -> list[Tensor | None]:
    """Returns the gradient of a regularizer, with None for weights that it does not depend on."""
    if not value.requires_grad:
        return [None for _ in weights]
    return list(torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True))


def inner_product(first: Gradients, second: Gradients) -> Scalar:
    """Returns the inner product ``<first, second>`` over all weights."""
    return _total((a * b).sum() for a, b in zip(first, second, strict=True))


def squared_norm(gradients: Gradients) -> Scalar:
    """Returns the sum of squares over all weights."""
    return _total(gradient.square().sum() for gradient in gradients)


def _total(terms: Iterable[Tensor]) -> Scalar:
    return torch.stack(list(terms)).sum()


def consensus_size(mean: GameGradients) -> Scalar:
    """Returns ``R = 1/2 (||dL_G/dtheta||^2 + ||dL_D/dpsi||^2)`` (Mescheder et al. 2017, arXiv:1705.10461, sec. 4)."""
    return (squared_norm(mean.generator) + squared_norm(mean.discriminator)) / 2


def consensus(part: GameGradients, mean: GameGradients) -> Scalar:
    """Returns a number whose gradient, averaged over the parts, is that of `consensus_size`, by either's weights."""
    return inner_product(part.generator, mean.generator) + inner_product(part.discriminator, mean.discriminator)


def nagarajan_kolter(part: GameGradients, mean: GameGradients) -> Scalar:
    """Returns a number whose gradient, averaged over the parts, is that of ``||dL_D/dpsi||^2``.

    The source is Nagarajan & Kolter 2017, arXiv:1706.04156, section 4.
    """
    return 2 * inner_product(part.discriminator, mean.discriminator)


def symplectic_of_generator(part: GameGradients, mean: GameGradients) -> Scalar:
    """Returns a number whose gradient by the generator's weights is the generator's part of ``A' xi``.

    ``xi = (dL_G/dtheta, dL_D/dpsi)`` is the simultaneous gradient, ``J`` its Jacobian and ``A = (J - J') / 2`` its
    antisymmetric part, which causes rotations (Balduzzi et al. 2018, arXiv:1802.05642, section 2). The blocks of A for
    one player are 0; the others are second derivatives of ``L_D - L_G``, which commute, so that no Jacobian-vector
    product is needed: ``(A' xi)_theta = d/dtheta <d(L_D - L_G)/dpsi, xi_psi> / 2``.
    """
    own = inner_product(part.discriminator, mean.discriminator)
    return (own - inner_product(part.generator_by_opponent, mean.discriminator)) / 2


def symplectic_of_discriminator(part: GameGradients, mean: GameGradients) -> Scalar:
    """Returns a number whose gradient by the discriminator's weights is the discriminator's part of ``A' xi``."""
    own = inner_product(part.generator, mean.generator)
    return (own - inner_product(part.discriminator_by_opponent, mean.generator)) / 2


def alignment(simultaneous: Gradients, adjustment: Gradients, hamiltonian: Gradients) -> Scalar:
    """Returns the sign, 1 or -1, with which the adjustment leads to stable and away from unstable fixed points.

    It is ``sign(<xi, grad H> <A' xi, grad H> / d + 1/10)`` with ``H = ||xi||^2 / 2`` and the number d of weights
    (Balduzzi et al. 2018, arXiv:1802.05642, algorithm 1). The authors' notebook divides by the number of weight tensors
    instead, so that there a smaller negative product is enough for -1.

    Args:
        simultaneous: simultaneous gradient ``xi`` of both players.
        adjustment: adjustment ``A' xi`` of both players.
        hamiltonian: gradient ``grad H`` by both players' weights.
    """
    weights = sum(gradient.numel() for gradient in simultaneous)
    product = inner_product(simultaneous, hamiltonian) * inner_product(adjustment, hamiltonian)
    return torch.where(product / weights + 0.1 >= 0, 1.0, -1.0)
