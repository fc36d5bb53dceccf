"""Optimizers for games: plain gradient steps circle around an equilibrium, these look one step ahead and reach it.

On the bilinear game ``min_theta max_phi theta * phi`` with steps h the distance to the equilibrium is multiplied by
``sqrt(1 + h^2)`` in a simultaneous gradient step, by ``sqrt(1 - h^2 + h^4)`` in an extragradient step, and by less than
1 in an optimistic step with h below ``1 / sqrt(3)``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class ExtraAdam(torch.optim.Adam):
    """Extragradient with Adam's directions (Gidel et al. 2019, arXiv:1802.10551, algorithm 4).

    Calls of `step` alternate: the first *extrapolates*, ``w' = w - lr * d(w)``, and keeps w; the second *updates*,
    ``w <- w - lr * d(w')``, from the copy that was kept. Two batches are one iteration. Both players need this
    optimizer, so that they are extrapolated together. In this package's alternating loop each player sees the other's
    newest weights, which contracts more: the bilinear game by ``sqrt(1 - h^2)``.

    After an odd number of batches the networks hold extrapolated weights: an average of weights takes them in, and a
    checkpoint has both, so that training goes on exactly.

    Args:
        params: what to optimize.
        lr: learning rate of both halves.
        betas: decay of the two moments, which move in both halves.
        eps: added to the root of the second moment.
        fused: one kernel for all parameters.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.0002,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        fused: bool = True,
    ) -> None:
        super().__init__(params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, fused=fused)
        for group in self.param_groups:
            group["extrapolated"] = False  # among the settings, because those are saved

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Extrapolate, or update from where the last call extrapolated."""
        result = None
        if closure is not None:
            # Before anything moves: it computes gradients at the weights of the moment.
            with torch.enable_grad():
                result = closure()
        if self.param_groups[0]["extrapolated"]:
            for weight in _weights(self):
                # Whatever has no copy had no gradient, and so was not extrapolated.
                if "anchor" in self.state[weight]:
                    weight.copy_(self.state[weight]["anchor"])
            super().step()
        else:
            anchors = [weight.clone() for weight in _weights(self)]
            super().step()
            for weight, anchor in zip(_weights(self), anchors, strict=True):
                if self.state[weight]:  # Adam takes an empty state for a new one, so nothing else may fill it
                    self.state[weight]["anchor"] = anchor
        for group in self.param_groups:
            group["extrapolated"] = not group["extrapolated"]
        return result


class OptimisticAdam(torch.optim.Adam):
    """Adam that takes every direction twice and takes the one before back (Daskalakis et al. 2018, arXiv:1711.00141,
    algorithm 1): ``w <- w - 2 lr * d_t + lr * d_{t-1}``, with ``d_0 = 0``. One gradient for each step.

    Args:
        params: what to optimize.
        lr: learning rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        fused: one kernel for all parameters.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.0002,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        fused: bool = True,
    ) -> None:
        super().__init__(params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One optimistic step."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        moving = [weight for weight in _weights(self) if weight.grad is not None]
        before = [weight.clone() for weight in moving]
        super().step()
        for weight, old in zip(moving, before, strict=True):
            # A tensor of its own, never the gradient: that is overwritten before it is needed again.
            move = weight - old
            weight.add_(move)
            if "previous_move" in self.state[weight]:
                weight.sub_(self.state[weight]["previous_move"])
            self.state[weight]["previous_move"] = move
        return result


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
