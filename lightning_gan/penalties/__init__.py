"""Regularizers as pure functions of tensors; each returns a number without its weight."""

from lightning_gan.penalties.f_gan_regularizer import f_gan_regularizer, jensen_shannon_regularizer
from lightning_gan.penalties.gan_qp import ImageDistance, MeanAbsolute, RootMeanSquare, quadratic_potential
from lightning_gan.penalties.gradient import gradient_at, gradient_norm, squared_gradient_norm, zero_centered
from lightning_gan.penalties.interpolation import distance_to_target, excess_over_one, interpolated
from lightning_gan.penalties.kl_divergence import dual_ascent, kl_to_standard_normal
from lightning_gan.penalties.lecam_divergence import lecam_divergence
from lightning_gan.penalties.orthogonality import off_diagonal_orthogonality, orthogonality

__all__ = [
    "ImageDistance",
    "MeanAbsolute",
    "RootMeanSquare",
    "distance_to_target",
    "dual_ascent",
    "excess_over_one",
    "f_gan_regularizer",
    "gradient_at",
    "gradient_norm",
    "interpolated",
    "jensen_shannon_regularizer",
    "kl_to_standard_normal",
    "lecam_divergence",
    "off_diagonal_orthogonality",
    "orthogonality",
    "quadratic_potential",
    "squared_gradient_norm",
    "zero_centered",
]
