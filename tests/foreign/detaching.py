"""A DCGAN in plain PyTorch habits: names of its own, `.detach()`, nothing toggled, the critic first."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer

from tests.foreign.networks import LATENT, Critic, Generator, adam


class DetachingGAN(LightningModule):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.netG = Generator()
        self.netD = Critic(dropout=dropout)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        opt_d, opt_g = self.optimizers()  # type: ignore[attr-defined]
        real = batch[0]
        fake = self.netG(torch.randn(len(real), LATENT, device=self.device))

        opt_d.zero_grad()
        err_d = softplus(-self.netD(real)).mean() + softplus(self.netD(fake.detach())).mean()
        self.manual_backward(err_d + self.by_hand(real, fake.detach()))
        opt_d.step()

        opt_g.zero_grad()
        err_g = softplus(-self.netD(fake)).mean()
        self.manual_backward(err_g)
        opt_g.step()
        self.log_dict({"err_d": err_d, "err_g": err_g})

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> list[Optimizer]:
        return [adam(self.netD), adam(self.netG)]
