"""Adam with the default settings of PGGAN and StyleGAN, as a class that configurations can name."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lightning_gan.tensors.numbers import check_at_least


def check_adam(*, lr: float | Tensor, betas: tuple[float, float], eps: float) -> None:
    """Check the settings that all variants of Adam have.

    Args:
        lr: learning rate.
        betas: decay rates of the running averages of the gradient and of its square.
        eps: number that is added to the square root of the second moment.

    Raises:
        ValueError: for the first one that is out of range.
    """
    check_at_least(0, lr=float(lr), eps=eps)
    if len(betas) != 2 or not all(0 <= float(beta) < 1 for beta in betas):
        raise ValueError(f"betas={tuple(betas)} must be two numbers of at least 0 and below 1, such as (0.0, 0.99)")


class GANAdam(torch.optim.Adam):
    """Adam without momentum: betas (0, 0.99), as in PGGAN and every StyleGAN (arXiv:1710.10196, appendix A.1).

    Momentum would average gradients that were computed against older weights of the opponent.

    Args:
        params: parameters to optimize, or parameter groups.
        lr: learning rate.
        betas: decay rates of the running averages of the gradient and of its square, each in [0, 1).
        eps: number that is added to the square root of the second moment.
        weight_decay: factor of the L2 penalty on the parameters; 0 adds none.
        fused: True updates all parameters in one kernel. On CPU this is several times faster for the many small tensors
            of a GAN.

    Raises:
        ValueError: for a negative number, one that is not finite, and betas that are not in [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.0, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool = True,
    ) -> None:
        check_adam(lr=lr, betas=betas, eps=eps)
        check_at_least(0, weight_decay=weight_decay)
        super().__init__(
            params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, weight_decay=weight_decay, fused=fused
        )
