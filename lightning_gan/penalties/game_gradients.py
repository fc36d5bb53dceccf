"""Regularizers on the players' gradients by their own weights: what bends a game's vector field.

Such a number is no mean over samples: it is made of products of the *whole* batch's gradients. Where the batch is split
over ranks or slices, the gradients have to be averaged before they are multiplied. So every function here takes a
part's gradients, which carry a graph, and the mean of all parts' gradients, which carries none, and returns a number
whose gradient, averaged over the parts, is that of the regularizer. With a single part, both are the same gradients.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lightning_gan.tensors.shapes import Scalar

Gradients: TypeAlias = Sequence[Tensor]
"""The gradient of one cost by all weights of one player, a tensor for each of its parameters."""


@dataclass(frozen=True, kw_only=True)
class GameGradients:
    """The gradients of both costs, ``L_G`` and ``L_D`` (each minimised by its player), by both players' weights.

    Attributes:
        generator: ``dL_G / d theta``, which the generator descends.
        discriminator: ``dL_D / d psi``, which the discriminator descends.
        generator_by_opponent: ``dL_G / d psi``; empty unless it was asked for.
        discriminator_by_opponent: ``dL_D / d theta``; empty unless it was asked for.
    """

    generator: Gradients
    discriminator: Gradients
    generator_by_opponent: Gradients = ()
    discriminator_by_opponent: Gradients = ()

    def flat(self) -> list[Tensor]:
        """All tensors in one list."""
        return [
            *self.generator,
            *self.discriminator,
            *self.generator_by_opponent,
            *self.discriminator_by_opponent,
        ]

    def refilled(self, tensors: Sequence[Tensor]) -> "GameGradients":
        """The same structure around other tensors, in the order of `flat`."""
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
    """Both players' gradients, differentiable once more.

    Args:
        generator_cost: what the generator minimises.
        discriminator_cost: what the discriminator minimises, from the same forward pass, with the generator in it.
        generator_weights: the generator's parameters, theta.
        discriminator_weights: the discriminator's parameters, psi.
        by_opponent: also differentiate each cost by the other player's weights.
    """
    return GameGradients(
        generator=_gradients(generator_cost, generator_weights),
        discriminator=_gradients(discriminator_cost, discriminator_weights),
        generator_by_opponent=_gradients(generator_cost, discriminator_weights) if by_opponent else (),
        discriminator_by_opponent=_gradients(discriminator_cost, generator_weights) if by_opponent else (),
    )


def _gradients(cost: Scalar, weights: Sequence[Tensor]) -> Gradients:
    # Blocks of a network that still sleep have no gradient: zeros.
    return torch.autograd.grad(cost, weights, create_graph=True, materialize_grads=True)


def derivative_by(value: Scalar, weights: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of a regularizer, None for weights that it does not depend on."""
    if not value.requires_grad:
        return [None for _ in weights]
    return list(torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True))


def inner_product(first: Gradients, second: Gradients) -> Scalar:
    """``<first, second>`` over all weights."""
    return _total((a * b).sum() for a, b in zip(first, second, strict=True))


def squared_norm(gradients: Gradients) -> Scalar:
    """The sum of squares over all weights."""
    return _total(gradient.square().sum() for gradient in gradients)


def _total(terms: Iterable[Tensor]) -> Scalar:
    return torch.stack(list(terms)).sum()


def consensus_size(mean: GameGradients) -> Scalar:
    """``R = 1/2 (||dL_G/dtheta||^2 + ||dL_D/dpsi||^2)`` (Mescheder et al. 2017, arXiv:1705.10461, section 4)."""
    return (squared_norm(mean.generator) + squared_norm(mean.discriminator)) / 2


def consensus(part: GameGradients, mean: GameGradients) -> Scalar:
    """What has the gradient of `consensus_size`, by the weights of either player."""
    return inner_product(part.generator, mean.generator) + inner_product(part.discriminator, mean.discriminator)


def nagarajan_kolter(part: GameGradients, mean: GameGradients) -> Scalar:
    """What has the gradient of ``||dL_D/dpsi||^2`` (Nagarajan & Kolter 2017, arXiv:1706.04156, section 4)."""
    return 2 * inner_product(part.discriminator, mean.discriminator)


def symplectic_of_generator(part: GameGradients, mean: GameGradients) -> Scalar:
    """What has the generator's part of ``A' xi`` as its gradient by the generator's weights.

    ``xi = (dL_G/dtheta, dL_D/dpsi)`` is the simultaneous gradient, ``J`` its Jacobian and ``A = (J - J') / 2`` the part
    that turns instead of falling (Balduzzi et al. 2018, arXiv:1802.05642, section 2). The blocks of A for one player
    are 0; the others are second derivatives of ``L_D - L_G``, which commute, so that no Jacobian-vector product is
    needed: ``(A' xi)_theta = d/dtheta <d(L_D - L_G)/dpsi, xi_psi> / 2``.
    """
    own = inner_product(part.discriminator, mean.discriminator)
    return (own - inner_product(part.generator_by_opponent, mean.discriminator)) / 2


def symplectic_of_discriminator(part: GameGradients, mean: GameGradients) -> Scalar:
    """What has the discriminator's part of ``A' xi`` as its gradient by the discriminator's weights."""
    own = inner_product(part.generator, mean.generator)
    return (own - inner_product(part.discriminator_by_opponent, mean.generator)) / 2


def alignment(simultaneous: Gradients, adjustment: Gradients, hamiltonian: Gradients) -> Scalar:
    """The sign that makes the adjustment pull towards stable and away from unstable fixed points: 1 or -1.

    ``sign(<xi, grad H> <A' xi, grad H> / d + 1/10)`` with ``H = ||xi||^2 / 2`` and d weights (Balduzzi et al. 2018,
    arXiv:1802.05642, algorithm 1).

    Args:
        simultaneous: ``xi``, of both players.
        adjustment: ``A' xi``, of both players.
        hamiltonian: ``grad H``, by both players' weights.
    """
    weights = sum(gradient.numel() for gradient in simultaneous)
    product = inner_product(simultaneous, hamiltonian) * inner_product(adjustment, hamiltonian)
    return torch.where(product / weights + 0.1 >= 0, 1.0, -1.0)
