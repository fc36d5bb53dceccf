"""Adaptive discriminator augmentation, ADA (Karras et al. 2020, arXiv:2006.06676)."""

from dataclasses import dataclass
from typing import ClassVar

from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks.regularizers.adaptive_probability import AdaptiveProbability
from lightning_gan.callbacks.regularizers.augmentation import AugmentationPipeline
from lightning_gan.callbacks.regularizers.discriminator_transform import TransformPlace
from lightning_gan.loop.turn import Turn
from lightning_gan.tensors.shapes import Scalar

LEAKS_ABOVE = 0.8
"""Above this probability augmentations are likely to appear in generated images (arXiv:2006.06676, section 2.2)."""


@dataclass(kw_only=True, eq=False)
class AdaptiveAugmentation(AdaptiveProbability):
    """Augments every image that the discriminator is given, with a probability p that follows its overfitting (ADA).

    Karras et al. 2020, arXiv:2006.06676. Every `interval` batches, p rises if ``r_t = E[sign(D(x))]`` of the real
    images of these batches is above the target, and falls otherwise, by the number of their images over
    `adaptation_kimg`. Real and generated images are augmented in both players' turns, and the generator learns through
    the augmentation. In evaluation mode nothing is changed. Penalties differentiate by the image before the
    augmentation.

    p and r_t are logged as `augmentation/p` and `augmentation/r_t`, and p is saved in checkpoints. There is a warning
    when p exceeds 0.8, above which augmentations are likely to appear in generated images (section 2.2).

    The callback is also a penalty that is 0, which reads the scores of real images. In modules that are no `GAN`, this
    takes another forward pass in each turn of the discriminator, unless `every_n_turns` is larger. The sign of a score
    has to tell real images from fakes, which it does with the non-saturating, hinge and least-squares losses, and not
    with `Wasserstein`.

    Args:
        target: value of r_t at which p stays, in (-1, 1).
        adaptation_kimg: thousands of images in which p can rise from 0 to 1; the authors' value is 500, and 100 for
            transfer.
        interval: number of batches between two steps of p.
        initial_probability: p at the start, in [0, 1].
        groups: factors of the probability for each group of operations.
        every_n_turns: interval of reading the scores, in turns of the discriminator.

    Raises:
        ValueError: for settings out of range, and when fit starts for a loss without a neutral score, such as
            relativistic ones, and for `Wasserstein`. In the first turn, for colour augmentation of images that have
            neither 1 nor 3 channels.
    """

    name: ClassVar[str] = "augmentation"

    groups: AugmentationGroups = AugmentationGroups()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pipeline = AugmentationPipeline(groups=self.groups, probability=self.initial_probability)
        self._place = TransformPlace(
            self.pipeline,
            network=self.only_discriminator,
            image=self.image,
            asker="AdaptiveAugmentation",
            setting="discriminator",
        )

    def overfitting(self, turn: Turn) -> Scalar:
        return self.signs_of(turn.real_logits)

    def check_place(self, pl_module: LightningModule) -> None:
        self._place.check(pl_module)

    def place(self, pl_module: LightningModule) -> None:
        self._place.place(pl_module)

    def remove(self) -> None:
        self._place.remove()

    def use_probability(self, probability: Tensor) -> None:
        self.pipeline.p.copy_(probability)

    def problem_of(self, probability: float) -> str | None:
        if probability <= LEAKS_ABOVE:
            return None
        return (
            f"p={probability:.2f} is above {LEAKS_ABOVE}, where augmentations are likely to appear in generated images "
            "(arXiv:2006.06676, section 2.2); more images, a smaller discriminator or a stronger R1 lower it"
        )
