"""Small networks for the modules of this folder."""

import torch
from torch import Tensor, nn

LATENT = 4
SIZE = 4


class Generator(nn.Module):
    """Latents to grey 4x4 images."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(LATENT, 8)
        self.output = nn.Linear(8, SIZE * SIZE)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.output(self.hidden(latents).tanh()).tanh()
        return images.view(-1, 1, SIZE, SIZE)


class Critic(nn.Module):
    """Grey 4x4 images to one logit."""

    def __init__(self, *, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(4 * SIZE * SIZE, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.drop(self.conv(images).tanh()).flatten(1))
        return logits


def adam(network: nn.Module) -> torch.optim.Adam:
    """Without momentum, and with an epsilon that keeps rounding of tiny gradients from becoming steps."""
    return torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.0, 0.99), eps=1e-3)
