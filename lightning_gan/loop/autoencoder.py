"""What GANs with an encoder offer besides samples: codes of real images, reconstructions, and ways between them."""

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.tensors.shapes import Images, Latents


class Autoencoder(ABC):
    """A model that finds the code of an image and makes an image of a code. IntroVAE and BiGAN derive from it."""

    @abstractmethod
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        """The codes of images in [-1, 1], without sampling, from networks in evaluation mode.

        Args:
            images: `batch channels height width`, of the model's size.
            ema: use averaged weights, where the encoder has some.
        """

    @abstractmethod
    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        """Images in about [-1, 1] of codes as `encode` gives them, from networks in evaluation mode."""

    def reconstruct(self, images: Images, *, ema: bool = True) -> Images:
        """Images through the encoder and back."""
        return self.decode(self.encode(images, ema=ema), ema=ema)

    def interpolate(
        self, first: Images, second: Images, *, steps: int, ema: bool = True
    ) -> Float[Tensor, "batch steps channels height width"]:
        """Images on the straight way between the codes of two batches of images, both ends included.

        Args:
            first: where to begin; its reconstruction is step 0.
            second: where to end.
            steps: images on each way, both reconstructions included.
            ema: use averaged weights, where there are some.

        Raises:
            ValueError: for fewer than 2 steps.
        """
        if steps < 2:
            raise ValueError(f"steps={steps} must be at least 2: both ends belong to the way")
        begin, end = self.encode(first, ema=ema), self.encode(second, ema=ema)
        shares = torch.linspace(0, 1, steps, device=begin.device)
        codes = torch.lerp(begin[:, None], end[:, None], shares[None, :, None])
        images = self.decode(rearrange(codes, "batch steps code -> (batch steps) code"), ema=ema)
        return rearrange(images, "(batch steps) c h w -> batch steps c h w", steps=steps)


def autoencoder_of(module: LightningModule, *, asker: str) -> Autoencoder:
    """The module, as one that has an encoder.

    Args:
        module: the model.
        asker: the callback, for the error.

    Raises:
        ValueError: if it has none.
    """
    if not isinstance(module, Autoencoder):
        raise ValueError(
            f"{asker}: {type(module).__name__} has no encoder, so images have no codes; use a model that derives from "
            "lightning_gan.loop.autoencoder.Autoencoder (BiGAN, ALI, IntroVAE), or leave this callback out"
        )
    return module
