"""Relativistic objectives (Jolicoeur-Martineau 2018, arXiv:1807.00734): they compare real images with fakes.

Both players' costs depend on the logits of real images and of fakes, with the roles swapped. They depend on differences
of logits alone, so that adding a constant to the logits has no effect.
"""

from abc import abstractmethod
from typing import ClassVar, final

from torch.nn.functional import relu, softplus

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.draws_by_position import mean_over_parts
from lightning_gan.tensors.shapes import Logits, Scalar


def paired_difference(favoured: Logits, other: Logits) -> Logits:
    """Returns the logits minus the logits at the same places of the other batch.

    Raises:
        ValueError: if the shapes differ.
    """
    if favoured.shape != other.shape:
        raise ValueError(
            f"a relativistic loss pairs every real image with a fake, but their logits have the shapes "
            f"{tuple(favoured.shape)} and {tuple(other.shape)}; make as many fakes as there are real images "
            "(drop_last=True drops a last, smaller batch)"
        )
    return favoured - other


def given(real_logits: Logits | None) -> Logits:
    """Returns the logits of real images in a generator's turn.

    Raises:
        ValueError: if there are none.
    """
    if real_logits is None:
        raise ValueError("a relativistic generator's cost needs real_logits: run the discriminator on real images, too")
    return real_logits


@final
class RelativisticStandard(AdversarialLoss):
    """RSGAN, also named RpGAN: the cost is ``softplus(-(D(x) - D(G(z))))`` of pairs of one real image and one fake.

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
    """Base class of objectives that compare each logit with the mean logit of the other batch.

    The means are over the batches of all ranks (in compiled turns, and outside of a `GAN`, over a rank's own). The
    paper's sums of two terms are halved, as in the author's code
    (github.com/AlexiaJM/RelativisticGAN).
    """

    generator_needs_real: ClassVar[bool] = True

    @abstractmethod
    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        """Returns the cost of a player that raises the `favoured` logits and lowers the `other` logits.

        Args:
            favoured: logits of the first batch minus the mean logit of the second; real images in the discriminator's
                turn, and fakes in the generator's.
            other: logits of the second batch minus the mean logit of the first.
        """

    @final
    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return self.cost(real_logits - mean_over_parts(fake_logits), fake_logits - mean_over_parts(real_logits))

    @final
    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return self.discriminator(fake_logits, given(real_logits))


@final
class RelativisticAverage(RelativisticAverageLoss):
    """RaSGAN: the logistic cost, which is log 2 for both players if all logits are equal."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return (softplus(-favoured).mean() + softplus(other).mean()) / 2


@final
class RelativisticAverageLeastSquares(RelativisticAverageLoss):
    """RaLSGAN: the squared error of the differences from 1 and -1, which is 1 for both players at equal logits."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return ((favoured - 1).square().mean() + (other + 1).square().mean()) / 2


@final
class RelativisticAverageHinge(RelativisticAverageLoss):
    """RaHingeGAN: the hinge cost with margin 1, which is 1 for both players if all logits are equal."""

    def cost(self, favoured: Logits, other: Logits) -> Scalar:
        return (relu(1 - favoured).mean() + relu(1 + other).mean()) / 2
