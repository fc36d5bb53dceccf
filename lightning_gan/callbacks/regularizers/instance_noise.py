"""Instance noise: Gaussian noise on all images of the discriminator, so that the two distributions overlap.

Sønderby et al. 2017, arXiv:1610.04490; Arjovsky and Bottou 2017, arXiv:1701.04862.
"""

import math

import torch
from torch import Tensor

from lightning_gan.callbacks.regularizers.discriminator_transform import DiscriminatorTransform
from lightning_gan.loop.transforms import ImageTransform
from lightning_gan.schedules.rates import LearningRateSchedule
from lightning_gan.tensors.draws_by_position import normal_like
from lightning_gan.tensors.shapes import FakeImages


class GaussianNoise(ImageTransform):
    """Adds noise to images: ``x + sigma n``, with new standard normal numbers ``n`` in every call.

    Args:
        standard_deviation: standard deviation of the noise at the start, sigma, on the scale of images in [-1, 1].
        schedule: factor that sigma is multiplied by, as a function of images seen; None keeps sigma constant.
    """

    sigma: Tensor

    def __init__(self, *, standard_deviation: float, schedule: LearningRateSchedule | None = None) -> None:
        super().__init__()
        self.standard_deviation = standard_deviation
        self.schedule = schedule
        # A tensor, so that a compiled turn keeps its graph when sigma changes.
        self.register_buffer("sigma", torch.tensor(standard_deviation), persistent=False)

    def sigma_at(self, images_seen: int) -> float:
        """Returns the standard deviation for the batch that starts after `images_seen` images."""
        return self.standard_deviation * (1.0 if self.schedule is None else self.schedule.at(images_seen))

    def begin_batch(self, images_seen: int) -> None:
        self.sigma.fill_(self.sigma_at(images_seen))

    def forward(self, images: FakeImages) -> FakeImages:
        """Returns images `batch channels height width` with new noise."""
        return images + self.sigma.to(images.dtype) * normal_like(images)


class InstanceNoise(DiscriminatorTransform):
    """Adds new noise to the images in every forward pass of a discriminator in training mode.

    Real and generated images get noise of the same strength in both players' turns, and so do the images of the
    penalties' own forward passes. Penalties differentiate by the image before the noise is added. In evaluation mode
    nothing is added.

    The callback works in any LightningModule: in a `GAN`, the noise is one of its `image_transforms`; in other modules,
    it is added to the arguments of every call of the network that are images.

    Args:
        standard_deviation: standard deviation of the noise at the start, sigma, on the scale of images in [-1, 1].
        schedule: factor that sigma is multiplied by, as a function of images seen, for instance
            `LinearDecay(end_kimg=1000)`; None keeps sigma constant.
        network: attribute path of the discriminator.
        image: name of the discriminator's argument that is the images, in modules that are no `GAN`, such as "image" or
            "images.high" for an entry of a dictionary, or a list of names, as ["y", "y_hat"] for a discriminator that
            takes real and generated images at once. None is for discriminators whose only floating-point tensor it is.

    Raises:
        ValueError: for a negative standard deviation, an unknown network, or one that is called without an image. In
            the first forward pass, if there are several floating-point tensors and `image` does not name the images.
    """

    def __init__(
        self,
        *,
        standard_deviation: float = 0.1,
        schedule: LearningRateSchedule | None = None,
        network: str = "discriminator",
        image: str | list[str] | None = None,
    ) -> None:
        if not 0 <= standard_deviation < math.inf:
            raise ValueError(f"InstanceNoise: standard_deviation={standard_deviation} must not be negative")
        self.standard_deviation = standard_deviation
        self.schedule = schedule
        self.noise = GaussianNoise(standard_deviation=standard_deviation, schedule=schedule)
        super().__init__(transform=self.noise, network=network, image=image)
