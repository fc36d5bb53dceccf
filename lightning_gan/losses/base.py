"""The base class of adversarial objectives: the costs of both players, computed from the discriminator's logits."""

from abc import ABC, abstractmethod
from typing import ClassVar

from lightning_gan.tensors.shapes import Logits, Scalar


class AdversarialLoss(ABC):
    """An objective of both players. Logits are scores without a sigmoid, high for real images."""

    generator_needs_real: ClassVar[bool] = False
    """Whether the generator's cost depends on the logits of real images (relativistic losses)."""
    neutral_score: float | None = None
    """The logit c for which ``discriminator(r, f) = discriminator(2c - f, 2c - r)``; None if there is no such logit."""
    ignores_shifts: bool = False
    """Whether a number that is added to all logits does not change the discriminator's cost; signs then say nothing."""

    @abstractmethod
    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """Returns the cost that the discriminator minimizes, averaged over the batch.

        Args:
            real_logits: logits of real images.
            fake_logits: logits of fakes.
        """

    @abstractmethod
    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        """Returns the cost that the generator minimizes, averaged over the batch.

        Args:
            real_logits: logits of real images; None unless `generator_needs_real` is true.
            fake_logits: logits of fakes.
        """
