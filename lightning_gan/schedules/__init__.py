"""Schedules of growing and of learning rates, as pure functions of the number of images seen."""

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

__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "GaussianRampUp",
    "Growth",
    "GrowthSchedule",
    "LearningRateSchedule",
    "LinearDecay",
    "RampUp",
]
