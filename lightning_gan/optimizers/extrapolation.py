"""Optimizers for two-player games, in which plain gradient steps can rotate around an equilibrium without convergence.

On the bilinear game ``min_theta max_phi theta * phi`` with step size h, the distance to the equilibrium is multiplied
by ``sqrt(1 + h^2)`` in a simultaneous gradient step, by ``sqrt(1 - h^2 + h^4)`` in an extragradient step, and by less
than 1 in an optimistic step with h below ``1 / sqrt(3)``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lightning_gan.optimizers.adam import check_adam


def _called(closure: Callable[[], Any] | None) -> Any:
    """What the closure of an optimizer's step returns, called with gradients enabled; None without a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


class ExtraAdam(torch.optim.Adam):
    """Extragradient with Adam's directions (Gidel et al. 2019, arXiv:1802.10551, algorithm 4).

    Calls of `step` alternate. The first call *extrapolates*, ``w' = w - lr * d(w)``, and stores w. The second call
    *updates* the stored copy, ``w <- w - lr * d(w')``. Two batches are one iteration. Use this optimizer for both
    players, so that both are extrapolated in the same batch. In this package's alternating loop each player is trained
    against the other's newest weights, which converges faster: the distance to the equilibrium of the bilinear game is
    multiplied by ``sqrt(1 - h^2)``.

    After an odd number of batches the networks have extrapolated weights. An average of weights includes these. A
    checkpoint contains the extrapolated and the stored weights, so that training resumes exactly.

    Args:
        params: parameters to optimize, or parameter groups.
        lr: learning rate of the extrapolation and of the update.
        betas: decay rates of the running averages of the gradient and of its square, each in [0, 1). Both calls update
            the averages.
        eps: number that is added to the square root of the second moment.
        fused: True updates all parameters in one kernel.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.0002,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        fused: bool = True,
    ) -> None:
        check_adam(lr=lr, betas=betas, eps=eps)
        super().__init__(params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, fused=fused)
        for group in self.param_groups:
            group["extrapolated"] = False  # part of the group's settings, because those are saved

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Extrapolate the weights, or update the weights that were stored before the last extrapolation.

        Args:
            closure: function that computes the gradients at the present weights and returns the loss; None if the
                gradients are already there.

        Returns:
            What the closure returned, or None without a closure.
        """
        result = _called(closure)  # before the weights change, because it computes gradients at the present weights
        if self.param_groups[0]["extrapolated"]:
            for weight in _weights(self):
                # A weight without a copy had no gradient, so it was not extrapolated.
                if "anchor" in self.state[weight]:
                    weight.copy_(self.state[weight]["anchor"])
            super().step()
        else:
            anchors = [weight.clone() for weight in _weights(self)]
            super().step()
            for weight, anchor in zip(_weights(self), anchors, strict=True):
                if self.state[weight]:  # Adam initializes empty states, so nothing may be stored in an empty one
                    self.state[weight]["anchor"] = anchor
        for group in self.param_groups:
            group["extrapolated"] = not group["extrapolated"]
        return result


class OptimisticAdam(torch.optim.Adam):
    """Optimistic Adam: ``w <- w - 2 lr * d_t + lr * d_{t-1}``, with ``d_0 = 0`` and Adam's direction d_t.

    It is algorithm 1 of Daskalakis et al. 2018 (arXiv:1711.00141). Each step needs one gradient.

    Args:
        params: parameters to optimize, or parameter groups.
        lr: learning rate.
        betas: decay rates of the running averages of the gradient and of its square, each in [0, 1).
        eps: number that is added to the square root of the second moment.
        fused: True updates all parameters in one kernel.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.0002,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        fused: bool = True,
    ) -> None:
        check_adam(lr=lr, betas=betas, eps=eps)
        super().__init__(params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one optimistic step.

        Args:
            closure: function that computes the gradients at the present weights and returns the loss; None if the
                gradients are already there.

        Returns:
            What the closure returned, or None without a closure.
        """
        result = _called(closure)
        moving = [weight for weight in _weights(self) if weight.grad is not None]
        before = [weight.clone() for weight in moving]
        super().step()
        for weight, old in zip(moving, before, strict=True):
            # The move is a new tensor and not the gradient's, which is overwritten before the move is needed again.
            move = weight - old
            weight.add_(move)
            if "previous_move" in self.state[weight]:
                weight.sub_(self.state[weight]["previous_move"])
            self.state[weight]["previous_move"] = move
        return result


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
