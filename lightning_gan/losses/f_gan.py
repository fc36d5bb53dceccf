"""f-GAN: f-divergences as adversarial objectives (Nowozin et al. 2016, arXiv:1606.00709)."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.losses.divergences import Divergence
from lightning_gan.tensors.shapes import Logits, Scalar


class FGAN(AdversarialLoss):
    """The f-GAN objective: the discriminator maximizes the bound ``E_P g_f(V) - E_Q f*(g_f(V))`` (section 2.4).

    Args:
        divergence: f-divergence to estimate; `JensenShannon` and `GoodfellowDivergence` give the first GAN's objective.
        saturating: whether the generator minimizes the same bound, ``-E_Q f*(g_f(V))``. If false, it maximizes
            ``E_Q g_f(V)`` (section 3.2), whose gradient does not vanish when the discriminator recognizes all fakes.

    Example:
        >>> import torch
        >>> from lightning_gan.losses.divergences import PearsonChiSquared
        >>> FGAN(divergence=PearsonChiSquared()).discriminator(torch.tensor([1.0]), torch.tensor([2.0])).item()
        2.0
    """

    def __init__(self, *, divergence: Divergence, saturating: bool = False) -> None:
        self.divergence = divergence
        self.saturating = saturating

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        real_scores = self.divergence.activation(real_logits)
        return self.divergence.conjugate_of_activation(fake_logits).mean() - real_scores.mean()

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        if self.saturating:
            return -self.divergence.conjugate_of_activation(fake_logits).mean()
        return -self.divergence.activation(fake_logits).mean()
