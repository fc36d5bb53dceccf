"""What the encoder and the decoder of IntroVAE and Soft-IntroVAE want, as pure functions.

Huang et al. 2018, arXiv:1807.06358, and Daniel and Tamar 2021, arXiv:2012.13253. An image's energy is the divergence of
its code from the standard normal (`kl_to_standard_normal`): the encoder wants it low for real images and high for what
the decoder makes, the decoder wants it low for the latter. Weights are those of the authors' codes, for images in
[0, 1]; where the paper of IntroVAE has alpha and beta, its code has half of w_neg and twice of w_rec.
"""

import torch
from einops import reduce

from lightning_gan.tensors.shapes import Images, PerSample, Scalar


def reconstruction_error(images: Images, reconstructions: Images) -> PerSample:
    """``sum (x - x')^2`` over all pixels, of images in [-1, 1], in the authors' units of images in [0, 1].

    Example:
        >>> reconstruction_error(torch.ones(1, 1, 2, 2), -torch.ones(1, 1, 2, 2)).item()
        4.0
    """
    return reduce((images - reconstructions).square(), "batch channels height width -> batch", "sum") / 4


def margin_shortfall(energies: PerSample, *, margin: float, batch_mean: Scalar) -> Scalar:
    """``[m - E]_+`` of IntroVAE (arXiv:1807.06358), E being the MEAN energy of a batch, as in the authors' code.

    Args:
        energies: of this rank's images.
        margin: m, in nats.
        batch_mean: their mean over all ranks, without gradient; it decides for all ranks whether the hinge is closed.

    Returns:
        This rank's share: the mean over ranks is the hinge of the whole batch, and so is the gradient's.

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
    """``E exp(-2 s (beta_rec r + beta_neg KL))`` of Soft-IntroVAE (arXiv:2012.13253), the exponential of every sample.

    Args:
        errors: r, of reconstructing what the decoder made.
        energies: KL, of what the decoder made.
        scale: s, one over the number of an image's values.
        error_weight: beta_rec.
        energy_weight: beta_neg.

    Example:
        >>> exponential_evidence(
        ...     torch.tensor([100.0]), torch.tensor([10.0]), scale=1 / 3072, error_weight=1.0, energy_weight=256.0
        ... ).item()  # doctest: +ELLIPSIS
        0.1769...
    """
    return (-2 * scale * (error_weight * errors + energy_weight * energies)).exp().mean()
