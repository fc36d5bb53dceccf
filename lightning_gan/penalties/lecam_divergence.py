"""LeCam regularization: scores stay close to the other side's average score (Tseng et al. 2021, arXiv:2104.03310)."""

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Logits, Scalar


def lecam_divergence(
    real_logits: Logits, fake_logits: Logits, *, real_average: Scalar, fake_average: Scalar, one_sided: bool
) -> Scalar:
    """``E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2``.

    Args:
        real_logits: scores of real images.
        fake_logits: scores of fakes.
        real_average: a_R, the moving average of real scores.
        fake_average: a_F, the moving average of fake scores.
        one_sided: as in the authors' code, count only real scores above a_F and fake scores below a_R.

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
