"""Least squares (Mao et al. 2017, arXiv:1611.04076, eq. 9): targets 1 for real, 0 for fake, with the paper's halves."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


class LeastSquares(AdversarialLoss):
    """The least squares objective; the discriminator's optimal cost is 1/4 if both distributions are equal."""

    neutral_score = 0.5

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return 0.5 * (real_logits - 1).square().mean() + 0.5 * fake_logits.square().mean()

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return 0.5 * (fake_logits - 1).square().mean()
