"""The interface of GANs with an encoder: codes of images, reconstructions and interpolations."""

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_gan.tensors.shapes import Images, Latents


class Autoencoder(ABC):
    """A model that encodes images to codes and decodes codes to images. IntroVAE and BiGAN derive from it."""

    @abstractmethod
    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        """The codes of images, `batch latent`, without sampling, from networks in evaluation mode.

        Args:
            images: images in [-1, 1], `batch channels height width`, of the size that the model is made for.
            ema: True uses averaged weights if the encoder has them.
        """

    @abstractmethod
    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        """Images in about [-1, 1], `batch channels height width`, of codes, from networks in evaluation mode.

        Args:
            codes: codes as `encode` returns them, `batch latent`.
            ema: True uses averaged weights if the generator has them.
        """

    def encoding_network(self, *, ema: bool = True) -> nn.Module:
        """The network whose weights `encode` uses: the model's submodule whose weights an exported encoder contains.

        It is not abstract, because an encoder need not be a network. Models whose encoder is one override it.

        Args:
            ema: True returns the network with averaged weights if there is one.

        Raises:
            ValueError: if the model does not override it.
        """
        raise ValueError(
            f"{type(self).__name__} does not say which network encodes; override Autoencoder.encoding_network to export"
        )

    def reconstruct(self, images: Images, *, ema: bool = True) -> Images:
        """Encode images and decode their codes: images in about [-1, 1], of the same shape.

        Args:
            images: images in [-1, 1], `batch channels height width`.
            ema: True uses averaged weights if the networks have them.
        """
        return self.decode(self.encode(images, ema=ema), ema=ema)

    def interpolate(
        self, first: Images, second: Images, *, steps: int, ema: bool = True
    ) -> Float[Tensor, "batch steps channels height width"]:
        """Images in about [-1, 1] of codes that are interpolated linearly between the codes of two batches of images.

        Args:
            first: images in [-1, 1], whose reconstructions are the first images of the interpolations.
            second: images in [-1, 1] of the same shape, whose reconstructions are the last images.
            steps: number of images in each interpolation, which includes both reconstructions; at least 2.
            ema: True uses averaged weights if the networks have them.

        Raises:
            ValueError: for fewer than 2 steps.
        """
        if steps < 2:
            raise ValueError(f"steps={steps} must be at least 2, because both reconstructions are included")
        begin, end = self.encode(first, ema=ema), self.encode(second, ema=ema)
        shares = torch.linspace(0, 1, steps, device=begin.device)
        codes = torch.lerp(begin[:, None], end[:, None], shares[None, :, None])
        images = self.decode(rearrange(codes, "batch steps code -> (batch steps) code"), ema=ema)
        return rearrange(images, "(batch steps) c h w -> batch steps c h w", steps=steps)


def autoencoder_of(module: LightningModule, *, asker: str) -> Autoencoder:
    """The module, typed as an `Autoencoder`.

    Args:
        module: the model.
        asker: name of the callback, for the error message.

    Raises:
        ValueError: if the module does not derive from `Autoencoder`.
    """
    if not isinstance(module, Autoencoder):
        raise ValueError(
            f"{asker}: {type(module).__name__} has no encoder, so images have no codes; use a model that derives from "
            "lightning_gan.loop.autoencoder.Autoencoder (BiGAN, ALI, IntroVAE), or leave this callback out"
        )
    return module
