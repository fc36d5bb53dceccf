"""The Wasserstein objective (Arjovsky et al. 2017, arXiv:1701.07875, eq. 2)."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


class Wasserstein(AdversarialLoss):
    """The Wasserstein objective: ``E D(G(z)) - E D(x)`` for the critic, ``-E D(G(z))`` for the generator.

    It does not limit the critic's Lipschitz constant; use weight clipping, a gradient penalty or spectral
    normalization.
    """

    neutral_score = 0.0
    ignores_shifts = True

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return fake_logits.mean() - real_logits.mean()

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return -fake_logits.mean()
