"""Augmentation of all images that the discriminator sees: DiffAugment, and ADA's pipeline with a given probability.

Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676.
"""

import torch
from torch import Tensor

from lightning_gan.augmentations import (
    AugmentationGroups,
    augmented,
    differentiably_augmented,
    filter_bank,
    sym6,
)
from lightning_gan.callbacks.regularizers.discriminator_transform import DiscriminatorTransform
from lightning_gan.loop.transforms import ImageTransform
from lightning_gan.schedules.values import Schedule
from lightning_gan.tensors.precision import full_precision, without_autocast
from lightning_gan.tensors.shapes import FakeImages


class DifferentiableAugmentation(ImageTransform):
    """The transform of DiffAugment.

    Args:
        colour: whether brightness, saturation and contrast are changed.
        shift: whether images are moved.
        cutout: whether a rectangle is set to 0.
    """

    def __init__(self, *, colour: bool, shift: bool, cutout: bool) -> None:
        super().__init__()
        self.colour = colour
        self.shift = shift
        self.cutout = cutout

    def forward(self, images: FakeImages) -> FakeImages:
        """Returns augmented images `batch channels height width`."""
        return differentiably_augmented(images, colour=self.colour, shift=self.shift, cutout=self.cutout)


class AugmentationPipeline(ImageTransform):
    """ADA's pipeline, in which each operation is applied to an image with the probability `p`.

    Args:
        groups: groups of operations.
        probability: probability p at the start, in [0, 1].
        schedule: factor of the probability, as a function of images seen; None keeps p, which others may change.
    """

    p: Tensor
    low_pass: Tensor
    bank: Tensor

    def __init__(self, *, groups: AugmentationGroups, probability: float, schedule: Schedule | None = None) -> None:
        super().__init__()
        self.groups = groups
        self.probability = probability
        self.schedule = schedule
        # A tensor, so that a compiled turn keeps its graph when p changes.
        self.register_buffer("p", torch.tensor(probability), persistent=False)
        self.register_buffer("low_pass", sym6().float(), persistent=False)
        self.register_buffer("bank", filter_bank().float(), persistent=False)

    def begin_batch(self, images_seen: int) -> None:
        if self.schedule is None:
            return
        factor = self.schedule.at(images_seen)
        if factor < 0:
            raise ValueError(
                f"Augmentation: schedule is {factor:g} at {images_seen / 1000:g} kimg, and a factor of a probability "
                "must not be negative; give for example Cosine(first=0, last=1, end_kimg=20000)"
            )
        self.p.fill_(min(self.probability * factor, 1.0))

    def forward(self, images: FakeImages) -> FakeImages:
        """Returns augmented images `batch channels height width`, which are computed in fp32 at least."""
        with without_autocast(images.device):  # it would resample in bf16
            seen = augmented(full_precision(images), self.p, groups=self.groups, low_pass=self.low_pass, bank=self.bank)
        return seen.to(images.dtype)


class DiffAugment(DiscriminatorTransform):
    """Augments every image that the discriminator is given, real or generated, in both players' turns.

    Zhao et al. 2020, arXiv:2006.10738: brightness, saturation and contrast; shifts by up to an eighth of the image; a
    rectangle of zeros of half of its width and height. The generator learns through the augmentation. In evaluation
    mode nothing is changed. Penalties differentiate by the image before the augmentation.

    It is for data sets of some hundred to ten thousand images; `AdaptiveAugmentation` finds out by itself how much is
    needed. It works in any LightningModule.

    Args:
        colour: whether brightness, saturation and contrast are changed, the authors' policy "color".
        shift: whether images are moved, "translation".
        cutout: whether a rectangle is set to 0, "cutout".
        network: attribute path of the discriminator.
        image: name of the discriminator's argument that is the images, or a list of names, in modules that are no
            `GAN`. None is for discriminators whose only floating-point tensor it is.

    Raises:
        ValueError: if all operations are off, for an unknown network, or one that is called without an image.
    """

    def __init__(
        self,
        *,
        colour: bool = True,
        shift: bool = True,
        cutout: bool = True,
        network: str = "discriminator",
        image: str | list[str] | None = None,
    ) -> None:
        if not (colour or shift or cutout):
            raise ValueError("DiffAugment: colour, shift and cutout are all false; leave the callback out")
        transform = DifferentiableAugmentation(colour=colour, shift=shift, cutout=cutout)
        super().__init__(transform=transform, network=network, image=image)


class Augmentation(DiscriminatorTransform):
    """Augments every image that the discriminator is given by ADA's operations, with a probability that is given.

    Karras et al. 2020, arXiv:2006.06676, section 2.2. Each operation is applied to each image with the probability p
    times the factor of its group. Real and generated images are augmented in both players' turns, and the generator
    learns through the augmentation. In evaluation mode nothing is changed. Penalties differentiate by the image before
    the augmentation. With p above 0.8, augmentations are likely to appear in generated images.

    `AdaptiveAugmentation` chooses p by itself. A given p, constant or scheduled, is for losses whose scores have no
    sign that tells real images from fakes: R3GAN's authors let it rise to 0.3 to 0.55. It works in any LightningModule.

    Args:
        probability: probability p of each operation, in [0, 1].
        schedule: factor of the probability, as a function of images seen, such as `RampUp(kimg=5000)`, or R3GAN's
            `Cosine(first=0, last=1, end_kimg=20000)`; None keeps p. The product is at most 1.
        groups: factors of the probability for each group of operations.
        network: attribute path of the discriminator.
        image: name of the discriminator's argument that is the images, or a list of names, in modules that are no
            `GAN`. None is for discriminators whose only floating-point tensor it is.

    Raises:
        ValueError: for a probability that is not in [0, 1], an unknown network, or one that is called without an image.
            In the first turn, for colour augmentation of images that have neither 1 nor 3 channels. In training, for
            a schedule that becomes negative.
    """

    def __init__(
        self,
        *,
        probability: float,
        schedule: Schedule | None = None,
        groups: AugmentationGroups = AugmentationGroups(),
        network: str = "discriminator",
        image: str | list[str] | None = None,
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"Augmentation: probability={probability} must be between 0 and 1")
        self.pipeline = AugmentationPipeline(groups=groups, probability=probability, schedule=schedule)
        super().__init__(transform=self.pipeline, network=network, image=image)
