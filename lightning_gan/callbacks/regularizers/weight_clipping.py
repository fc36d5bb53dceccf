"""Weight clipping of the critic, as in the first WGAN (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1)."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_gan.callbacks.regularizers.late_networks import network_in_setup
from lightning_gan.compat import clamp_all
from lightning_gan.foreign.host import host_of


@torch.no_grad()
def clip_parameters(network: nn.Module, *, limit: float) -> None:
    """Clamps every parameter of a network to [-limit, limit], in place.

    As in the authors' code, this includes biases and the parameters of normalization layers.

    Args:
        network: network whose parameters are clamped; they may be sharded (FSDP2).
        limit: largest absolute value of a parameter.
    """
    parameters = [p.to_local() if isinstance(p, DTensor) else p for p in network.parameters()]
    clamp_all(parameters, limit=limit)


class WeightClipping(Callback):
    """Clips a network's parameters before training and right after each step of the optimizer that has them.

    This follows the paper. The authors' code clips before every turn of the critic, so that the generator's turn uses
    an unclipped critic. Use it with `Wasserstein` and an optimizer without momentum, such as RMSprop.

    The callback works in any LightningModule, with manual and with automatic optimization.

    Args:
        limit: largest absolute value of a parameter, the paper's c, above 0.
        network: attribute path of the network whose parameters are clipped.

    Raises:
        ValueError: for a limit that is not positive, an unknown network, or one that no optimizer trains.
    """

    def __init__(self, *, limit: float = 0.01, network: str = "discriminator") -> None:
        if limit <= 0:
            raise ValueError(f"WeightClipping: limit={limit} must be positive; the paper uses 0.01")
        self.limit = limit
        self.network = network
        self._hooks: list[RemovableHandle] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        network_in_setup(trainer, pl_module, self.network, setting="WeightClipping(network=...)")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        network = host_of(pl_module).network(self.network, setting="WeightClipping(network=...)")
        own = {id(parameter) for parameter in network.parameters()}
        owners = [
            optimizer
            for optimizer in trainer.optimizers
            if any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"])
        ]
        if not owners:
            raise ValueError(
                f"WeightClipping: no optimizer has parameters of network={self.network!r}; name a network that is "
                "trained"
            )

        def clip(optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
            clip_parameters(network, limit=self.limit)

        self._remove_hooks()
        # PyTorch's own hook, because Lightning has none between a step and the next forward pass.
        self._hooks = [optimizer.register_step_post_hook(clip) for optimizer in owners]
        clip_parameters(network, limit=self.limit)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remove_hooks()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove_hooks()

    def _remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
