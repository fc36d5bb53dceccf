"""A conditional game: the critic's condition comes first, and both images are noised in the step."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer

from lightning_gan import fake as mark_fake
from lightning_gan import real as mark_real
from tests.foreign.networks import LATENT, Critic, Generator, adam


class ConditionalCritic(nn.Module):
    """Images and a condition of their size to one logit."""

    def __init__(self, *, dropout: float) -> None:
        super().__init__()
        self.critic = Critic(dropout=dropout)

    def forward(self, condition: Tensor, images: Tensor) -> Tensor:
        logits: Tensor = self.critic(images + 0.5 * condition)
        return logits


class PairGAN(LightningModule):
    """Clamps the fakes, so that they share no memory with the generator's output."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.netG = Generator()
        self.netD = ConditionalCritic(dropout=dropout)

    def finished(self, images: Tensor) -> Tensor:
        return images.clamp(-0.8, 0.8)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        opt_d, opt_g = self.optimizers()  # type: ignore[attr-defined]
        real = batch[0]
        self.condition = real.flip(-1)
        real, fake = self.both(real)
        opt_d.zero_grad()
        loss = softplus(-self.netD(self.condition, real)).mean() + softplus(self.netD(self.condition, fake)).mean()
        self.manual_backward(loss + self.by_hand(real, fake))
        opt_d.step()

        opt_g.zero_grad()
        fake = self.finished(self.netG(torch.randn(len(real), LATENT, device=self.device)))
        self.manual_backward(softplus(-self.netD(self.condition, fake)).mean())
        opt_g.step()

    def both(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """The real images and the fakes as the critic gets them."""
        return real, self.finished(self.netG(torch.randn(len(real), LATENT, device=self.device))).detach()

    def by_hand(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would write a penalty."""
        return 0.0

    def configure_optimizers(self) -> list[Optimizer]:
        return [adam(self.netD), adam(self.netG)]


class MarkingGAN(PairGAN):
    """Noises both sides, and marks them."""

    def both(self, real: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = super().both(real)
        return tuple(  # type: ignore[return-value]
            mark(images + 0.1 * torch.randn_like(images)) for mark, images in ((mark_real, real), (mark_fake, fake))
        )
