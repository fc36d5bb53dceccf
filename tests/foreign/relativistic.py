"""A relativistic GAN: the generator's step looks at real images too, and comes first; fakes stay attached."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer

from tests.foreign.networks import LATENT, Critic, Generator, adam


class RelativisticGAN(LightningModule):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = Generator()
        self.discriminator = Critic(dropout=dropout)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizers: Any = self.optimizers()
        real = batch["image"]

        fake = self.generator(torch.randn(len(real), LATENT, device=self.device))
        g_loss = softplus(self.discriminator(real) - self.discriminator(fake)).mean()
        optimizers[0].zero_grad()
        self.manual_backward(g_loss)
        optimizers[0].step()

        fake = self.generator(torch.randn(len(real), LATENT, device=self.device))
        d_loss = softplus(self.discriminator(fake) - self.discriminator(real)).mean()
        optimizers[1].zero_grad()
        self.manual_backward(d_loss + self.by_hand(real, fake.detach()))
        optimizers[1].step()

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> list[Optimizer]:
        return [adam(self.generator), adam(self.discriminator)]
