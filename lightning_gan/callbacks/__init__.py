"""Callbacks: penalties, and what stands around the loop: average, growing, samples, progress, checkpoints, the end."""

from lightning_gan.callbacks.checkpoint import KimgCheckpoint
from lightning_gan.callbacks.clock import ImageClock
from lightning_gan.callbacks.ema import EMA
from lightning_gan.callbacks.evaluation import Evaluation
from lightning_gan.callbacks.gradient_penalty import R1, R2
from lightning_gan.callbacks.learning_rate import LearningRate
from lightning_gan.callbacks.progress import KimgProgressBar
from lightning_gan.callbacks.progressive_growing import ProgressiveGrowing
from lightning_gan.callbacks.samples import SampleGrid
from lightning_gan.callbacks.stopping import StopAtKimg

__all__ = [
    "EMA",
    "R1",
    "R2",
    "Evaluation",
    "ImageClock",
    "KimgCheckpoint",
    "KimgProgressBar",
    "LearningRate",
    "ProgressiveGrowing",
    "SampleGrid",
    "StopAtKimg",
]
