"""Callbacks: regularizers, evaluations, figures, and the schedules, averages and checkpoints of a training run."""

from lightning_gan.callbacks.evaluation.encoder_evaluation import EncoderEvaluation
from lightning_gan.callbacks.evaluation.evaluation import Evaluation
from lightning_gan.callbacks.evaluation.latent_metrics import LinearSeparability, PerceptualPathLength
from lightning_gan.callbacks.evaluation.mode_count import ModeCount
from lightning_gan.callbacks.evaluation.sample_metrics import MultiScaleSimilarity, SlicedWasserstein
from lightning_gan.callbacks.evaluation.singular_values import SingularValues
from lightning_gan.callbacks.evaluation.torch_fidelity import TorchFidelity
from lightning_gan.callbacks.figures.growing_grid import GrowingGrid
from lightning_gan.callbacks.figures.reconstructions import InterpolationGrid, ReconstructionGrid
from lightning_gan.callbacks.figures.sample_sheets import SampleSheets, TruncationSweep
from lightning_gan.callbacks.figures.samples import SampleGrid
from lightning_gan.callbacks.figures.style_figures import NoiseComparison, StyleMixingGrid, StyleRange
from lightning_gan.callbacks.regularizers.adaptive_augmentation import AdaptiveAugmentation
from lightning_gan.callbacks.regularizers.adaptive_pseudo_augmentation import AdaptivePseudoAugmentation
from lightning_gan.callbacks.regularizers.approximated_gradient_penalty import FiniteDifferenceR1, FiniteDifferenceR2
from lightning_gan.callbacks.regularizers.augmentation import Augmentation, DiffAugment
from lightning_gan.callbacks.regularizers.bottleneck import Bottleneck
from lightning_gan.callbacks.regularizers.consistency_regularization import BCR, CR, ZCRDiscriminator, ZCRGenerator
from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.callbacks.regularizers.game_dynamics import (
    ConsensusOptimization,
    NagarajanKolter,
    SymplecticGradientAdjustment,
)
from lightning_gan.callbacks.regularizers.gradient_penalty import (
    DRAGAN,
    R1,
    R2,
    DivergencePenalty,
    Drift,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
)
from lightning_gan.callbacks.regularizers.instance_noise import InstanceNoise
from lightning_gan.callbacks.regularizers.lecam import LeCam
from lightning_gan.callbacks.regularizers.orthogonal import OrthogonalDiscriminator, OrthogonalGenerator
from lightning_gan.callbacks.regularizers.path_length import PathLength
from lightning_gan.callbacks.regularizers.quadratic_potential import QuadraticPotential
from lightning_gan.callbacks.regularizers.roth import Roth, RothFGAN
from lightning_gan.callbacks.regularizers.spectral_norm import SpectralNorm
from lightning_gan.callbacks.regularizers.weight_clipping import WeightClipping
from lightning_gan.callbacks.training.adam_betas import AdamBetas
from lightning_gan.callbacks.training.averaged_weights import load_averaged_weights
from lightning_gan.callbacks.training.best_average import load_best_reconstructed_weights
from lightning_gan.callbacks.training.checkpoint import KimgCheckpoint
from lightning_gan.callbacks.training.divergence_signs import DivergenceSigns
from lightning_gan.callbacks.training.ema import EMA
from lightning_gan.callbacks.training.freeze_d import FreezeD
from lightning_gan.callbacks.training.learning_rate import LearningRate
from lightning_gan.callbacks.training.non_finite import NonFinite, NonFinitePolicy
from lightning_gan.callbacks.training.power_function_ema import PowerFunctionEMA
from lightning_gan.callbacks.training.progress import KimgProgressBar
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing
from lightning_gan.callbacks.training.reconstructed_ema import load_reconstructed_weights, reconstructed_ema
from lightning_gan.callbacks.training.standing_statistics import StandingStatistics
from lightning_gan.callbacks.training.stop_on_signal import StopOnSignal
from lightning_gan.callbacks.training.stopping import StopAtKimg
from lightning_gan.callbacks.training.throughput import Throughput
from lightning_gan.callbacks.training.top_k_schedule import TopKSchedule
from lightning_gan.foreign.clock import ImageClock, SampleCount
from lightning_gan.foreign.penalty import Penalty

__all__ = [
    "BCR",
    "CR",
    "DRAGAN",
    "EMA",
    "R1",
    "R2",
    "AdamBetas",
    "AdaptiveAugmentation",
    "AdaptivePseudoAugmentation",
    "Augmentation",
    "Bottleneck",
    "ConsensusOptimization",
    "ConsistencyTerm",
    "DiffAugment",
    "DivergencePenalty",
    "DivergenceSigns",
    "Drift",
    "EncoderEvaluation",
    "Evaluation",
    "FiniteDifferenceR1",
    "FiniteDifferenceR2",
    "FreezeD",
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
    "ModeCount",
    "MultiScaleSimilarity",
    "NagarajanKolter",
    "NoiseComparison",
    "NonFinite",
    "NonFinitePolicy",
    "OrthogonalDiscriminator",
    "OrthogonalGenerator",
    "PathLength",
    "Penalty",
    "PerceptualPathLength",
    "PowerFunctionEMA",
    "ProgressiveGrowing",
    "QuadraticPotential",
    "ReconstructionGrid",
    "Roth",
    "RothFGAN",
    "SampleCount",
    "SampleGrid",
    "SampleSheets",
    "SingularValues",
    "SlicedWasserstein",
    "SpectralNorm",
    "StandingStatistics",
    "StopAtKimg",
    "StopOnSignal",
    "StyleMixingGrid",
    "StyleRange",
    "SymplecticGradientAdjustment",
    "Throughput",
    "TopKSchedule",
    "TorchFidelity",
    "TruncationSweep",
    "WeightClipping",
    "ZCRDiscriminator",
    "ZCRGenerator",
    "ZeroCenteredGradientPenalty",
    "load_averaged_weights",
    "load_best_reconstructed_weights",
    "load_reconstructed_weights",
    "reconstructed_ema",
]
