"""Small networks for pairs of images and codes, smooth, so that every gradient can be written anew."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.models.adversarial_inference import AdversarialInference, Encoder
from tests.toys import LATENT, SIZE, ToyGenerator


class ToyEncoder(Encoder):
    """Grey 4x4 images to a Gaussian over latents, and a draw of it."""

    def __init__(self) -> None:
        super().__init__()
        self.noise_dim = LATENT
        self.hidden = nn.Linear(SIZE * SIZE, 8)
        self.output = nn.Linear(8, 2 * LATENT)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.output(self.hidden(images.flatten(1)).tanh())
        mean, deviation = outputs.chunk(2, dim=1)
        return mean if noise is None else mean + deviation.exp() * noise


class PairCritic(nn.Module):
    """A grey 4x4 image and a latent to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(SIZE * SIZE + LATENT, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        logits: Tensor = self.output(self.hidden(torch.cat([images.flatten(1), codes], dim=1)).tanh())
        return logits


class LinearPairCritic(nn.Module):
    """``w . x + v . z``: the gradient by the image is w, whatever the code."""

    def __init__(self) -> None:
        super().__init__()
        self.of_image = nn.Linear(SIZE * SIZE, 1, bias=False)
        self.of_code = nn.Linear(LATENT, 1, bias=False)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        logits: Tensor = self.of_image(images.flatten(1)) + self.of_code(codes)
        return logits


def toy_inference(*, critic: nn.Module | None = None, **settings: Any) -> AdversarialInference:
    """A game of toys with fixed initial weights."""
    torch.manual_seed(7)
    return AdversarialInference(
        generator=ToyGenerator(),
        encoder=ToyEncoder(),
        discriminator=critic if critic is not None else PairCritic(),
        latent_dim=LATENT,
        **settings,
    )
