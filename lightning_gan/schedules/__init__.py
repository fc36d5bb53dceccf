"""Schedules of growing, of learning rates and of other numbers, as pure functions of the number of images seen."""

from lightning_gan.schedules.growth import Growth, GrowthSchedule
from lightning_gan.schedules.rates import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    GaussianRampUp,
    LearningRateSchedule,
    LinearDecay,
    RampUp,
)
from lightning_gan.schedules.values import Cosine, Schedule

__all__ = [
    "Constant",
    "Cosine",
    "CosineDecay",
    "ExponentialDecay",
    "GaussianRampUp",
    "Growth",
    "GrowthSchedule",
    "LearningRateSchedule",
    "LinearDecay",
    "RampUp",
    "Schedule",
]
