"""Pure functions of images seen: how a network grows, what happens to learning rates."""

from lightning_gan.schedules.growth import Growth, GrowthSchedule
from lightning_gan.schedules.rates import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    LinearDecay,
    RampUp,
)

__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "Growth",
    "GrowthSchedule",
    "LearningRateSchedule",
    "LinearDecay",
    "RampUp",
]
