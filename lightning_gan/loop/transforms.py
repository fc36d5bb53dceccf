"""What images and latents pass through on their way into the networks: augmentation, instance noise, latent steps.

A `GAN` has two lists of transforms, `image_transforms` and `latent_transforms`. They are submodules: they are saved,
moved to devices and compiled with it. Penalties that differentiate by images do so in front of the transforms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import nn

from lightning_gan.loop.turn import Player
from lightning_gan.tensors.shapes import FakeImages, FakeLabels, FakeLatents, FakeLogits


class Transform(nn.Module, ABC):
    """What both kinds have in common: they are told the clock and the player.

    Attributes:
        player: whose turn it is; None in modules whose turns are not known.
    """

    player: Player | None = None

    def begin_batch(self, images_seen: int) -> None:
        """Called before every batch, outside of compiled graphs.

        Keep what follows from the clock in a tensor (a buffer) and change it in place: a number in Python would be a
        constant of the graph, which would then be compiled anew.

        Args:
            images_seen: images that training has used before this batch, over all ranks.
        """


class ImageTransform(Transform):
    """What every image passes through before the discriminator sees it, real and fake alike, while it trains."""

    @abstractmethod
    def forward(self, images: FakeImages) -> FakeImages:
        """Images as the discriminator sees them, in the shape that they had. Draw from the global random state."""


class LatentTransform(Transform):
    """What the latents of a turn pass through before the generator makes the turn's fakes of them."""

    differentiates: ClassVar[bool] = False
    """Whether it takes gradients by the latents. They then require grad."""

    @abstractmethod
    def forward(
        self, latents: FakeLatents, labels: FakeLabels | None, *, score: Callable[[FakeLatents], FakeLogits]
    ) -> FakeLatents:
        """Other latents, in the shape that they had.

        The discriminator's turn makes its fakes without gradients: what differentiates there does so within
        `torch.enable_grad()`.

        Args:
            latents: as they were drawn.
            labels: the classes of the fakes, None without classes.
            score: the discriminator's scores of the images that the generator makes of latents.
        """
