"""Adam with the default settings of PGGAN and StyleGAN, as a class that configurations can name."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


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
        super().__init__(
            params, lr=lr, betas=(float(betas[0]), float(betas[1])), eps=eps, weight_decay=weight_decay, fused=fused
        )
