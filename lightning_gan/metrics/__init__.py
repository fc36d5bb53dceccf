"""What a generator is measured by: feature extractors, and pure functions of two sets of features."""

from lightning_gan.metrics.digit_features import DigitFeatures
from lightning_gan.metrics.feature_set import FeatureSet
from lightning_gan.metrics.frechet import Gaussian, frechet_distance, frechet_floor, gaussian
from lightning_gan.metrics.inception_features import InceptionFeatures
from lightning_gan.metrics.kernel import kernel_distances, squared_discrepancy
from lightning_gan.metrics.neighbours import PrecisionRecall, neighbour_radii, precision_recall

__all__ = [
    "DigitFeatures",
    "FeatureSet",
    "Gaussian",
    "InceptionFeatures",
    "PrecisionRecall",
    "frechet_distance",
    "frechet_floor",
    "gaussian",
    "kernel_distances",
    "neighbour_radii",
    "precision_recall",
    "squared_discrepancy",
]
