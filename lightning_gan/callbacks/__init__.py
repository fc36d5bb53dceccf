"""Regularizers, and what stands around the loop: average, growing, samples, progress, checkpoints, the end."""

from lightning_gan.callbacks.bottleneck import Bottleneck
from lightning_gan.callbacks.checkpoint import KimgCheckpoint
from lightning_gan.callbacks.clock import ImageClock
from lightning_gan.callbacks.consistency import BCR, CR, ZCRDiscriminator, ZCRGenerator
from lightning_gan.callbacks.consistency_term import ConsistencyTerm
from lightning_gan.callbacks.ema import EMA
from lightning_gan.callbacks.encoder_evaluation import EncoderEvaluation
from lightning_gan.callbacks.episode_returns import EpisodeReturns
from lightning_gan.callbacks.evaluation import Evaluation
from lightning_gan.callbacks.figures import SampleSheets, TruncationSweep
from lightning_gan.callbacks.game_dynamics import (
    ConsensusOptimization,
    NagarajanKolter,
    SymplecticGradientAdjustment,
)
from lightning_gan.callbacks.gradient_penalty import (
    DRAGAN,
    R1,
    R2,
    DivergencePenalty,
    Drift,
    FiniteDifferenceR1,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
)
from lightning_gan.callbacks.growing_grid import GrowingGrid
from lightning_gan.callbacks.instance_noise import InstanceNoise
from lightning_gan.callbacks.latent_metrics import LinearSeparability, PerceptualPathLength
from lightning_gan.callbacks.learning_rate import LearningRate
from lightning_gan.callbacks.lecam import LeCam
from lightning_gan.callbacks.orthogonal import OrthogonalDiscriminator, OrthogonalGenerator
from lightning_gan.callbacks.path_length import PathLength
from lightning_gan.callbacks.progress import KimgProgressBar
from lightning_gan.callbacks.progressive_growing import ProgressiveGrowing
from lightning_gan.callbacks.quadratic_potential import QuadraticPotential
from lightning_gan.callbacks.reconstructions import InterpolationGrid, ReconstructionGrid
from lightning_gan.callbacks.record_demonstrations import RecordDemonstrations
from lightning_gan.callbacks.roth import Roth, RothFGAN
from lightning_gan.callbacks.sample_metrics import MultiScaleSimilarity, SlicedWasserstein
from lightning_gan.callbacks.samples import SampleGrid
from lightning_gan.callbacks.singular_values import SingularValues
from lightning_gan.callbacks.spectral_norm import SpectralNorm
from lightning_gan.callbacks.standing_statistics import StandingStatistics
from lightning_gan.callbacks.stopping import StopAtKimg
from lightning_gan.callbacks.style_figures import NoiseComparison, StyleMixingGrid, StyleRange
from lightning_gan.callbacks.top_k import TopKSchedule
from lightning_gan.callbacks.weight_clipping import WeightClipping

__all__ = [
    "BCR",
    "CR",
    "DRAGAN",
    "EMA",
    "R1",
    "R2",
    "Bottleneck",
    "ConsensusOptimization",
    "ConsistencyTerm",
    "DivergencePenalty",
    "Drift",
    "EncoderEvaluation",
    "EpisodeReturns",
    "Evaluation",
    "FiniteDifferenceR1",
    "GradientPenalty",
    "GrowingGrid",
    "ImageClock",
    "InstanceNoise",
    "InterpolationGrid",
    "KimgCheckpoint",
    "KimgProgressBar",
    "LeCam",
    "LearningRate",
    "LinearSeparability",
    "LipschitzPenalty",
    "MultiScaleSimilarity",
    "NagarajanKolter",
    "NoiseComparison",
    "OrthogonalDiscriminator",
    "OrthogonalGenerator",
    "PathLength",
    "PerceptualPathLength",
    "ProgressiveGrowing",
    "QuadraticPotential",
    "ReconstructionGrid",
    "RecordDemonstrations",
    "Roth",
    "RothFGAN",
    "SampleGrid",
    "SampleSheets",
    "SingularValues",
    "SlicedWasserstein",
    "SpectralNorm",
    "StandingStatistics",
    "StopAtKimg",
    "StyleMixingGrid",
    "StyleRange",
    "SymplecticGradientAdjustment",
    "TopKSchedule",
    "TruncationSweep",
    "WeightClipping",
    "ZCRDiscriminator",
    "ZCRGenerator",
    "ZeroCenteredGradientPenalty",
]
