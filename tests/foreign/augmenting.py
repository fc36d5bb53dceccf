"""Networks in a dictionary, several critic steps, fakes under `no_grad`, and images that are augmented on their way."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.foreign.networks import LATENT, Critic, Generator, adam


class AugmentingGAN(LightningModule):
    def __init__(self, dropout: float = 0.0, augment_real: bool = True, augment_fake: bool = False) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.nets = nn.ModuleDict({"G": Generator(), "D": Critic(dropout=dropout)})
        self.augment_real = augment_real
        self.augment_fake = augment_fake

    def flip(self, x: Tensor) -> Tensor:
        return x.flip(-1)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        opt_d, opt_g = self.optimizers()  # type: ignore[attr-defined]
        images = batch[0]
        for _ in range(2):
            x = self.flip(images) if self.augment_real else images
            with torch.no_grad():
                x_hat = self.nets["G"](torch.randn(len(x), LATENT, device=self.device))
            if self.augment_fake:
                x_hat = self.flip(x_hat)
            d_loss = (1 - self.nets["D"](x)).relu().mean() + (1 + self.nets["D"](x_hat)).relu().mean()
            opt_d.zero_grad()
            self.manual_backward(d_loss + self.by_hand(x, x_hat))
            opt_d.step()

        x_hat = self.nets["G"](torch.randn(len(images), LATENT, device=self.device))
        g_loss = -self.nets["D"](self.flip(x_hat) if self.augment_fake else x_hat).mean()
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> list[Optimizer]:
        return [adam(self.nets["D"]), adam(self.nets["G"])]
