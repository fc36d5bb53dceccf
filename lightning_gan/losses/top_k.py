"""Top-k training: the generator is trained on its best fakes alone (Sinha et al. 2020, arXiv:2002.06224)."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


class TopK(AdversarialLoss):
    """Changes an objective so that the generator's cost leaves out the fakes with the lowest logits.

    The generator's cost keeps the `fraction` of fakes with the highest logits of a batch, and at least one. The
    discriminator's cost does not change. The batch is a rank's own, or one slice of it if a turn is accumulated from
    slices. If a patch discriminator returns several logits for an image, their mean decides. `TopKSchedule` lowers the
    fraction during training, as the paper does.

    Args:
        loss: objective to change; its generator's cost must not depend on real images.
        fraction: share of the fakes on which the generator is trained, in (0, 1]; with 1 the objective does not change.

    Raises:
        ValueError: for a fraction out of range, or a relativistic objective.

    Example:
        >>> import torch
        >>> from lightning_gan.losses.wasserstein import Wasserstein
        >>> TopK(loss=Wasserstein(), fraction=0.5).generator(None, torch.tensor([1.0, 5.0, -9.0, 3.0])).item()
        -4.0
    """

    def __init__(self, *, loss: AdversarialLoss, fraction: float = 1.0) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f"TopK: fraction={fraction} must be above 0 and at most 1")
        if loss.generator_needs_real:
            raise ValueError(
                f"TopK cannot drop fakes of {type(loss).__name__}, whose generator compares them with real images; "
                "take an objective of fakes alone, such as NonSaturating or Hinge"
            )
        self.loss = loss
        self.neutral_score = loss.neutral_score
        self.ignores_shifts = loss.ignores_shifts
        self.fraction = fraction

    def kept_of(self, count: int) -> int:
        """Returns the number of fakes, out of `count`, on which the generator is trained."""
        return max(round(self.fraction * count), 1)

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        count = len(fake_logits)
        kept = self.kept_of(count)
        if kept == count:  # in their original order, so that the sum has the same rounding errors
            return self.loss.generator(None, fake_logits)
        realness = fake_logits.detach().reshape(count, -1).mean(dim=1)
        return self.loss.generator(None, fake_logits[realness.topk(kept).indices])
