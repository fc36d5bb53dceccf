"""Automatic optimization of one critic, against a decoder that does not train."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer

from tests.foreign.networks import LATENT, Critic, Generator, adam


class AutomaticCritic(LightningModule):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.decoder = Generator().requires_grad_(False)
        self.critic = Critic(dropout=dropout)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        y = self.decoder(torch.randn(len(x), LATENT, device=self.device))
        loss = softplus(-self.critic(x)).mean() + softplus(self.critic(y)).mean()
        self.log("loss", loss)
        total: Tensor = loss + self.by_hand(x, y)
        return total

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> Optimizer:
        return adam(self.critic)
