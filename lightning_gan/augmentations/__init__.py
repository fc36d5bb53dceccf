"""Augmentations of the images that a discriminator sees, as pure functions."""

from lightning_gan.augmentations.adaptation import adapted, mean_sign
from lightning_gan.augmentations.adaptive import AugmentationGroups, augmented
from lightning_gan.augmentations.colours import brightness, contrast, hue_rotation, luma_flip, recoloured, saturation
from lightning_gan.augmentations.corruptions import band_filtered, cut_out, normalized_gains
from lightning_gan.augmentations.differentiable import (
    brightened,
    contrasted,
    differentiably_augmented,
    saturated,
    shifted,
    with_cutout,
)
from lightning_gan.augmentations.pseudo import pseudo_augmented
from lightning_gan.augmentations.warping import blitted, quarter_turns, rotation, scaling, translation, warped
from lightning_gan.augmentations.wavelets import filter_bank, sym6

__all__ = [
    "AugmentationGroups",
    "adapted",
    "augmented",
    "band_filtered",
    "blitted",
    "brightened",
    "brightness",
    "contrast",
    "contrasted",
    "cut_out",
    "differentiably_augmented",
    "filter_bank",
    "hue_rotation",
    "luma_flip",
    "mean_sign",
    "normalized_gains",
    "pseudo_augmented",
    "quarter_turns",
    "recoloured",
    "rotation",
    "saturated",
    "saturation",
    "scaling",
    "shifted",
    "sym6",
    "translation",
    "warped",
    "with_cutout",
]
