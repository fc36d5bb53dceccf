"""What an adversarial objective is: two numbers to minimise, from the critic's scores."""

from abc import ABC, abstractmethod
from typing import ClassVar

from lightning_gan.tensors.shapes import Logits, Scalar


class AdversarialLoss(ABC):
    """An objective of both players; scores are raw (no sigmoid) and high for real images."""

    generator_needs_real: ClassVar[bool] = False
    """Whether the generator's cost uses the scores of real images (relativistic losses)."""
    neutral_score: float | None = None
    """The score c that mirrors both kinds, ``discriminator(r, f) = discriminator(2c - f, 2c - r)``; None for none."""

    @abstractmethod
    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """What the discriminator minimises, averaged over the batch."""

    @abstractmethod
    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        """What the generator minimises, averaged over the batch.

        `real_logits` is None unless `generator_needs_real`.
        """
