"""Metrics of generators and encoders: feature extractors, and pure functions of features or images."""

from lightning_gan.metrics.class_frechet import ClassDistances, class_frechet_distances
from lightning_gan.metrics.clip_features import ClipFeatures
from lightning_gan.metrics.digit_features import DigitFeatures
from lightning_gan.metrics.dinov2_features import DinoV2Features
from lightning_gan.metrics.encoding import neighbour_accuracy, squared_errors
from lightning_gan.metrics.extractors import ClassifyingFeatures, FeatureExtractor
from lightning_gan.metrics.feature_set import FeatureSet
from lightning_gan.metrics.frechet import Gaussian, frechet_distance, frechet_floor, gaussian
from lightning_gan.metrics.frechet_extrapolation import Extrapolation, frechet_at_infinity
from lightning_gan.metrics.inception_features import InceptionFeatures
from lightning_gan.metrics.inception_score import InceptionScore, inception_score
from lightning_gan.metrics.jackknife import jackknife_error
from lightning_gan.metrics.kernel import kernel_distances, squared_discrepancy
from lightning_gan.metrics.linear_separability import linear_separability
from lightning_gan.metrics.lpips_distance import LpipsDistance
from lightning_gan.metrics.memorization import Memorization, memorization, nearest_images
from lightning_gan.metrics.mode_coverage import ModeCoverage, mode_coverage
from lightning_gan.metrics.neighbours import PrecisionRecall, neighbour_radii, precision_recall
from lightning_gan.metrics.perceptual_path import DigitDistance
from lightning_gan.metrics.random_features import RandomFeatures
from lightning_gan.metrics.sliced_wasserstein import sliced_wasserstein
from lightning_gan.metrics.structural_similarity import multi_scale_similarity

__all__ = [
    "ClassDistances",
    "ClassifyingFeatures",
    "ClipFeatures",
    "DigitDistance",
    "DigitFeatures",
    "DinoV2Features",
    "Extrapolation",
    "FeatureExtractor",
    "FeatureSet",
    "Gaussian",
    "InceptionFeatures",
    "InceptionScore",
    "LpipsDistance",
    "Memorization",
    "ModeCoverage",
    "PrecisionRecall",
    "RandomFeatures",
    "class_frechet_distances",
    "frechet_at_infinity",
    "frechet_distance",
    "frechet_floor",
    "gaussian",
    "inception_score",
    "jackknife_error",
    "kernel_distances",
    "linear_separability",
    "memorization",
    "mode_coverage",
    "multi_scale_similarity",
    "nearest_images",
    "neighbour_accuracy",
    "neighbour_radii",
    "precision_recall",
    "sliced_wasserstein",
    "squared_discrepancy",
    "squared_errors",
]
