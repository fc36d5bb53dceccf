"""The truncation trick of BigGAN (Brock et al. 2019, arXiv:1809.11096, section 3.1): latents that are closer to 0.

It increases fidelity and reduces variety. In the paper, values "whose magnitude is above a threshold are resampled".
The networks that the authors published use normals truncated at 2 that are multiplied by a truncation psi.
"""

import math

from lightning_gan.tensors.shapes import Latents


def truncated_normal(latents: Latents, *, threshold: float) -> Latents:
    """Transform standard normals to normals truncated to [-threshold, threshold], without drawing random numbers.

    Every value keeps its quantile: ``x = F^-1(Phi(z))``, where F is the distribution of normals that are resampled
    until they are within the threshold. F is symmetric, so that
    ``erf(x / sqrt 2) = erf(z / sqrt 2) erf(threshold / sqrt 2)``. The distribution is exact, and x is a continuous
    function of z, so that thresholds can be compared on the same latents.

    Args:
        latents: standard normal latents, `batch latent_dim`.
        threshold: largest absolute value, above 0, in standard deviations. The paper's figures use 2, 1, 0.5 and 0.04.

    Raises:
        ValueError: if the threshold is not positive.
    """
    if threshold <= 0:
        raise ValueError(f"the truncation's threshold={threshold} must be positive")
    inside = (latents / math.sqrt(2)).erf() * math.erf(threshold / math.sqrt(2))
    return (math.sqrt(2) * inside.erfinv()).clamp(-threshold, threshold)


def truncated_latents(latents: Latents, *, truncation: float) -> Latents:
    """The latents that BigGAN samples with: normals truncated to [-2, 2], multiplied by `truncation`.

    With a truncation of 1 the latents are unchanged, so that 1 is the whole distribution, as in every model; the
    authors' published networks truncate at 2 in this case too. Below 1 the distribution is that of their networks, with
    standard deviation ``0.88 truncation``. For the paper's form, call `sample` with latents from `truncated_normal`.

    Args:
        latents: standard normal latents, `batch latent_dim`.
        truncation: psi, in [0, 1]. With 0 all latents are 0, which gives one image per class.

    Raises:
        ValueError: if the truncation is not in [0, 1].
    """
    if not 0.0 <= truncation <= 1.0:
        raise ValueError(f"truncation={truncation} must be from 0 to 1")
    return latents if truncation == 1.0 else truncation * truncated_normal(latents, threshold=2.0)
