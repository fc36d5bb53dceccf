"""Adam with the constants of the field, as a class, so that configurations can name it and print its defaults."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class GANAdam(torch.optim.Adam):
    """Adam without momentum: betas (0, 0.99), as in PGGAN and every StyleGAN (arXiv:1710.10196, appendix A.1).

    Momentum averages gradients of an opponent that has moved on since.

    Args:
        params: what to optimize.
        lr: learning rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: L2 penalty.
        fused: one kernel for all parameters; on CPU it is several times faster for the many small tensors of a GAN.
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
