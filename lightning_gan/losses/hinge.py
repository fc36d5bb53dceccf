"""The hinge objective (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17)."""

from torch.nn.functional import relu

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import Logits, Scalar


class Hinge(AdversarialLoss):
    """The hinge objective: the discriminator's cost of real logits above 1 and of fake logits below -1 is 0.

    Example:
        >>> import torch
        >>> Hinge().discriminator(torch.tensor([1.0, 3.0]), torch.tensor([-1.0, -7.0])).item()
        0.0
    """

    neutral_score = 0.0

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()

    def generator(self, real_logits: Logits | None, fake_logits: Logits) -> Scalar:
        return -fake_logits.mean()
