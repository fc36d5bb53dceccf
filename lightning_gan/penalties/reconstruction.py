"""The terms of IntroVAE (Huang et al. 2018, arXiv:1807.06358) and Soft-IntroVAE (Daniel and Tamar 2021,
arXiv:2012.13253).

An image's energy is the KL divergence of its code from the standard normal distribution (`kl_to_standard_normal`). The
encoder makes it low for real images and high for the decoder's images; the decoder makes it low for its own images.
Weights are those of the authors' codes, for images in [0, 1]; the IntroVAE paper's alpha and beta are half of w_neg and
twice w_rec in its code.
"""

import torch
from einops import reduce

from lightning_gan.tensors.shapes import Images, PerSample, Scalar


def reconstruction_error(images: Images, reconstructions: Images) -> PerSample:
    """Returns ``sum (x - x')^2`` over all pixels, for images in [-1, 1], in the authors' units for images in [0, 1].

    Example:
        >>> reconstruction_error(torch.ones(1, 1, 2, 2), -torch.ones(1, 1, 2, 2)).item()
        4.0
    """
    return reduce((images - reconstructions).square(), "batch channels height width -> batch", "sum") / 4


def margin_shortfall(energies: PerSample, *, margin: float, batch_mean: Scalar) -> Scalar:
    """Returns ``[m - E]_+`` of IntroVAE (arXiv:1807.06358); E is the MEAN energy of a batch, as in the authors' code.

    Args:
        energies: energies of this rank's images in nats.
        margin: margin m in nats.
        batch_mean: mean energy over all ranks, without gradient; if it is at least m, the result is 0 on all ranks.

    Returns:
        This rank's part: the mean over ranks is the term of the whole batch, and the same holds for the gradient.

    Example:
        >>> energies = torch.tensor([80.0, 100.0])
        >>> margin_shortfall(energies, margin=120.0, batch_mean=energies.mean()).item()
        30.0
    """
    shortfall = margin - energies.mean()
    return torch.where(batch_mean < margin, shortfall, torch.zeros_like(shortfall))


def exponential_evidence(
    errors: PerSample, energies: PerSample, *, scale: float, error_weight: float, energy_weight: float
) -> Scalar:
    """Returns ``E exp(-2 s (beta_rec r + beta_neg KL))`` of Soft-IntroVAE (arXiv:2012.13253).

    Args:
        errors: reconstruction errors r of the decoder's images.
        energies: energies KL of the decoder's images in nats.
        scale: scale s, 1 divided by the number of values in an image.
        error_weight: weight beta_rec of the reconstruction errors.
        energy_weight: weight beta_neg of the energies.

    Example:
        >>> exponential_evidence(
        ...     torch.tensor([100.0]), torch.tensor([10.0]), scale=1 / 3072, error_weight=1.0, energy_weight=256.0
        ... ).item()  # doctest: +ELLIPSIS
        0.1769...
    """
    return (-2 * scale * (error_weight * errors + energy_weight * energies)).exp().mean()
