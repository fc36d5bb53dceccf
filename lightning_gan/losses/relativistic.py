"""Relativistic objectives (Jolicoeur-Martineau 2018, arXiv:1807.00734): real images score higher *than fakes*.

Both players use both scores, with their roles swapped. Only differences of scores count, so that a constant added to
the critic changes nothing.
"""

from abc import abstractmethod
from typing import ClassVar, final

from torch.nn.functional import relu, softplus

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


def paired_difference(favoured: Logits, other: Logits) -> Logits:
    """Scores minus the scores at the same places of the other batch.

    Raises:
        ValueError: if there are not as many.
    """
    if favoured.shape != other.shape:
        raise ValueError(
            f"a relativistic loss pairs every real image with a fake, but their logits have the shapes "
            f"{tuple(favoured.shape)} and {tuple(other.shape)}; make as many fakes as there are real images "
            "(drop_last=True drops a last, smaller batch)"
        )
    return favoured - other


def given(real_logits: Logits | None) -> Logits:
    """The real scores of a generator's turn.

    Raises:
        ValueError: if there are none.
    """
    if real_logits is None:
        raise ValueError("a relativistic generator is compared with real images: score them in its turn too")
    return real_logits


@final
class RelativisticStandard(AdversarialLoss):
    """RSGAN, also named RpGAN: ``softplus(-(D(x) - D(G(z))))`` on pairs of one real image and one fake.

    Example:
        >>> import torch
        >>> RelativisticStandard().discriminator(torch.tensor([7.0]), torch.tensor([7.0])).item()
        0.6931471824645996
    """

    generator_needs_real: ClassVar[bool] = True

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return softplus(-paired_difference(real_logits, fake_logits)).mean()

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return softplus(-paired_difference(fake_logits, given(real_logits))).mean()


class RelativisticAverageLoss(AdversarialLoss):
    """Every score is compared with the mean score of the other batch.

    The means are over a rank's own batch, as the loss itself is; many ranks with small batches have noisier means than
    one rank with all images.

    The paper's sums of two terms are halved, as in the author's code (github.com/AlexiaJM/RelativisticGAN).
    """

    generator_needs_real: ClassVar[bool] = True

    @abstractmethod
    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        """What it costs the player who wants `favoured` scores to be high.

        Args:
            favoured: scores of the images that should seem real, minus the mean score of the others.
            other: scores of the others, minus the mean score of the favoured.
        """

    @final
    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return self.cost(real_logits - fake_logits.mean(), fake_logits - real_logits.mean())

    @final
    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return self.discriminator(fake_logits, given(real_logits))


@final
class RelativisticAverage(RelativisticAverageLoss):
    """RaSGAN: the logistic cost; log 2 for both players where the critic knows nothing."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return (softplus(-favoured).mean() + softplus(other).mean()) / 2


@final
class RelativisticAverageLeastSquares(RelativisticAverageLoss):
    """RaLSGAN: differences are regressed to 1 and -1; 1 for both players where the critic knows nothing."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return ((favoured - 1).square().mean() + (other + 1).square().mean()) / 2


@final
class RelativisticAverageHinge(RelativisticAverageLoss):
    """RaHingeGAN: differences beyond the margin of 1 cost nothing; 1 for both where the critic knows nothing."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return (relu(1 - favoured).mean() + relu(1 + other).mean()) / 2
