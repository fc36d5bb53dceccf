"""Top-k training: the generator learns from its best fakes alone (Sinha et al. 2020, arXiv:2002.06224)."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


class TopK(AdversarialLoss):
    """Another objective, whose generator drops the fakes that the critic finds least real.

    A batch keeps its `fraction` of highest scores, and at least one; the critic sees all. The batch is a rank's own, or
    one slice of it where a turn is accumulated from slices. A patch critic's scores of one image are averaged to rank
    it. `TopKSchedule` lowers the fraction during training, as the paper does.

    Args:
        loss: the objective; one whose generator does not look at real images.
        fraction: share of the fakes that the generator learns from, above 0 and at most 1, where 1 is the objective as
            it is.

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
        self.fraction = fraction

    def kept_of(self, count: int) -> int:
        """How many of `count` fakes the generator learns from."""
        return max(round(self.fraction * count), 1)

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        count = len(fake_logits)
        kept = self.kept_of(count)
        if kept == count:  # in the order they came in, so that the sum rounds as the objective's own
            return self.loss.generator(None, fake_logits)
        realness = fake_logits.detach().reshape(count, -1).mean(dim=1)
        return self.loss.generator(None, fake_logits[realness.topk(kept).indices])
