"""The truncation trick of BigGAN (Brock et al. 2019, arXiv:1809.11096, section 3.1): latents nearer to 0.

Fidelity is bought with variety. In the paper, values "whose magnitude is above a threshold are resampled". The
networks that the authors published take something else: normals resampled at 2, multiplied by a truncation psi.
"""

import math

from lightning_gan.tensors.shapes import Latents


def truncated_normal(latents: Latents, *, threshold: float) -> Latents:
    """Standard normals to normals truncated to [-threshold, threshold], without drawing anything.

    Every value keeps its quantile: ``x = F^-1(Phi(z))``, F the distribution of normals that are resampled until they
    are within the threshold; since that is symmetric, ``erf(x / sqrt 2) = erf(z / sqrt 2) erf(threshold / sqrt 2)``.
    Exact in distribution, and neighbours stay neighbours, so that thresholds can be compared on the same latents.

    Args:
        latents: standard normal.
        threshold: above 0, in standard deviations; the paper's figures have 2, 1, 0.5 and 0.04.

    Raises:
        ValueError: if the threshold is not positive.
    """
    if threshold <= 0:
        raise ValueError(f"the truncation's threshold={threshold} must be positive")
    inside = (latents / math.sqrt(2)).erf() * math.erf(threshold / math.sqrt(2))
    return (math.sqrt(2) * inside.erfinv()).clamp(-threshold, threshold)


def truncated_latents(latents: Latents, *, truncation: float) -> Latents:
    """What BigGAN samples with: normals truncated to [-2, 2], times `truncation`; at 1 the latents as they are.

    Below 1 this is the distribution of the authors' published networks, with standard deviation ``0.88 truncation``.
    At 1 theirs is still truncated at 2; here 1 is the whole distribution, as in every model. For the paper's own form
    give `sample` latents from `truncated_normal`.

    Args:
        latents: standard normal.
        truncation: psi, from 0 (all latents 0: one image per class) to 1.

    Raises:
        ValueError: for a truncation out of [0, 1].
    """
    if not 0.0 <= truncation <= 1.0:
        raise ValueError(f"truncation={truncation} must be from 0 to 1")
    return latents if truncation == 1.0 else truncation * truncated_normal(latents, threshold=2.0)
