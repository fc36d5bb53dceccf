"""Transforms of the networks' inputs: of all images (augmentation, instance noise), of the real images alone (pseudo
augmentation), and of latents (latent optimization).

A `GAN` has three lists of them, `image_transforms`, `latent_transforms` and `real_transforms`. They are submodules,
which are saved and moved to devices with it; the first two are compiled with it. Gradient penalties differentiate with
respect to the images before the image transforms, and after the transforms of real images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import nn

from lightning_gan.loop.turn import Player
from lightning_gan.tensors.shapes import FakeImages, FakeLabels, FakeLatents, FakeLogits, Images, PerSample


class Transform(nn.Module, ABC):
    """Base class of transforms. The loop passes them the number of images seen and the player whose turn it is.

    Attributes:
        player: player whose turn it is; None in modules whose turns are not known.
    """

    player: Player | None = None

    def begin_batch(self, images_seen: int) -> None:
        """Update the transform. The loop calls it before every batch, outside of compiled graphs.

        Store values that depend on `images_seen` in a buffer and change it in place. A Python number would be a
        constant of the compiled graph, which would be compiled again for every new value.

        Args:
            images_seen: number of images that training has used before this batch, over all ranks.
        """


class ImageTransform(Transform):
    """A transform of all images, real and fake, that the discriminator is given in training mode."""

    @abstractmethod
    def forward(self, images: FakeImages) -> FakeImages:
        """Transform images. Random numbers are drawn from torch's global random state.

        Args:
            images: images in about [-1, 1], `batch channels height width`.

        Returns:
            The images that the discriminator is given, of the same shape.
        """


class LatentTransform(Transform):
    """A transform of the latents of a turn, from which the generator then makes the fakes of the turn."""

    differentiates: ClassVar[bool] = False
    """Whether the transform differentiates with respect to the latents. They then require grad."""

    @abstractmethod
    def forward(
        self, latents: FakeLatents, labels: FakeLabels | None, *, score: Callable[[FakeLatents], FakeLogits]
    ) -> FakeLatents:
        """Transform latents.

        In the discriminator's turn, fakes are made without gradients. A transform that differentiates must then use
        `torch.enable_grad()`.

        Args:
            latents: latents as they were drawn, `fakes latent_dim`.
            labels: classes of the fakes; None without classes.
            score: function from latents to the discriminator's scores of the images that the generator makes of them.

        Returns:
            The latents that the generator is given, of the same shape.
        """


class RealTransform(Transform):
    """A transform of the real images of the discriminator's turns, which may put generated images in their place.

    The whole turn, with its penalties, takes the result for the real images. The generator's turn has the real ones.
    """

    @abstractmethod
    def forward(self, images: Images, generated: Images, chances: PerSample) -> Images:
        """Transform real images. No random numbers are drawn: `generated` and `chances` depend on the position alone.

        Args:
            images: real images in about [-1, 1], `batch channels height width`.
            generated: generated images of latents of their own, as many as real ones, without gradient. Each has the
                label of the real image in its place.
            chances: one uniform number in [0, 1) for each image, `batch`.

        Returns:
            The images that the turn takes for real, of the same shape.
        """
