"""Pseudo augmentation: generated images in the place of some real ones (APA, Jiang et al. 2021, arXiv:2111.06849)."""

import torch

from lightning_gan.tensors.shapes import Images, PerSample, Scalar


def pseudo_augmented(images: Images, generated: Images, chances: PerSample, probability: Scalar) -> Images:
    """Real images of which each is replaced by a generated one with a probability. The others stay bit for bit.

    Args:
        images: real images, `batch channels height width`.
        generated: generated images of the same shape, one for each real image.
        chances: uniform numbers in [0, 1), `batch`, which decide for each image.
        probability: the probability p in [0, 1]; 0 replaces none and 1 all.

    Example:
        >>> real, generated = torch.zeros(3, 1, 1, 1), torch.ones(3, 1, 1, 1)
        >>> mixed = pseudo_augmented(real, generated, torch.tensor([0.1, 0.7, 0.3]), torch.tensor(0.5))
        >>> mixed.flatten().tolist()
        [1.0, 0.0, 1.0]
    """
    replaced = (chances < probability)[:, None, None, None]
    return torch.where(replaced, generated.to(images.dtype), images)
