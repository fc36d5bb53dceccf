"""f-GAN: any f-divergence as an adversarial objective (Nowozin et al. 2016, arXiv:1606.00709)."""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.losses.divergences import Divergence
from lightning_gan.tensors.shapes import Logits, Scalar


class FGAN(AdversarialLoss):
    """The discriminator raises ``E_P g_f(V) - E_Q f*(g_f(V))`` towards the divergence (section 2.4).

    Args:
        divergence: which one; `JensenShannon` and `GoodfellowDivergence` are the first GAN's game.
        saturating: True lets the generator lower the same bound, ``-E_Q f*(g_f(V))``; False lets it raise
            ``E_Q g_f(V)`` (section 3.2), whose gradient does not vanish while it is losing.

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
