"""LeCam regularization (Tseng et al. 2021, arXiv:2104.03310)."""

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Logits, Scalar


def lecam_divergence(
    real_logits: Logits, fake_logits: Logits, *, real_average: Scalar, fake_average: Scalar, one_sided: bool
) -> Scalar:
    """Returns ``E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2``.

    It keeps the logits of real images close to the average logit of fakes, and the logits of fakes close to that of
    real images.

    Args:
        real_logits: logits of real images.
        fake_logits: logits of fakes.
        real_average: moving average a_R of the logits of real images.
        fake_average: moving average a_F of the logits of fakes.
        one_sided: whether only real logits above a_F and fake logits below a_R count, as in the authors' code.

    Example:
        >>> from torch import tensor
        >>> averages = {"real_average": tensor(1.5), "fake_average": tensor(-0.5)}
        >>> lecam_divergence(tensor([2.0]), tensor([-1.0]), **averages, one_sided=False).item()
        12.5
    """
    above = full_precision(real_logits) - fake_average
    below = real_average - full_precision(fake_logits)
    if one_sided:
        above, below = above.relu(), below.relu()
    return above.square().mean() + below.square().mean()
