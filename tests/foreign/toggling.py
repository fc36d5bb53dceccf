"""The style of Lightning's own GAN example: toggled optimizers, the generator first, binary cross entropy."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from tests.foreign.networks import LATENT, Critic, Generator, adam


class TogglingGAN(LightningModule):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = Generator()
        self.discriminator = Critic(dropout=dropout)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z)
        return images

    def adversarial_loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(y_hat, y)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        imgs, _ = batch
        optimizer_g, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        z = torch.randn(imgs.shape[0], LATENT).type_as(imgs)

        self.toggle_optimizer(optimizer_g)
        valid = torch.ones(imgs.size(0), 1).type_as(imgs)
        g_loss = self.adversarial_loss(self.discriminator(self(z)), valid)
        self.log("g_loss", g_loss, prog_bar=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real_loss = self.adversarial_loss(self.discriminator(imgs), valid)
        fake = torch.zeros(imgs.size(0), 1).type_as(imgs)
        generated = self(z).detach()
        fake_loss = self.adversarial_loss(self.discriminator(generated), fake)
        d_loss = (real_loss + fake_loss) / 2 + self.by_hand(imgs, generated)
        self.log("d_loss", d_loss, prog_bar=True)
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        return [adam(self.generator), adam(self.discriminator)], []
