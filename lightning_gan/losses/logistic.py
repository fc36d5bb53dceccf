"""The first GAN's objectives (Goodfellow et al. 2014, arXiv:1406.2661), on logits: softplus(t) = log(1 + exp(t))."""

from torch.nn.functional import softplus

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


def logistic(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """Returns ``-E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))`` (eq. 1), which is 2 log 2 if D is 0 everywhere."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


class NonSaturating(AdversarialLoss):
    """The non-saturating objective: the generator maximizes ``log sigmoid(D(G(z)))`` (section 3).

    The generator's gradient does not vanish when the discriminator recognizes all fakes.

    Example:
        >>> import torch
        >>> NonSaturating().generator(None, torch.tensor([0.0])).item()
        0.6931471824645996
    """

    neutral_score = 0.0

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return logistic(real_logits, fake_logits)

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return softplus(-fake_logits).mean()


class Minimax(AdversarialLoss):
    """The zero-sum game of eq. 1: the generator minimizes ``log(1 - sigmoid(D(G(z))))``.

    The generator's gradient vanishes when the discriminator recognizes all fakes.
    """

    neutral_score = 0.0

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return logistic(real_logits, fake_logits)

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return -softplus(fake_logits).mean()
