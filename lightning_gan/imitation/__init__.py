"""Imitation learning: VAIL, GAIL, VAIRL and PPO, and everything that only they need.

No other part of the package imports this one.
"""

from lightning_gan.imitation.demonstrations import Demonstrations
from lightning_gan.imitation.episode_returns import EpisodeReturns
from lightning_gan.imitation.ppo import PPO
from lightning_gan.imitation.record_demonstrations import RecordDemonstrations
from lightning_gan.imitation.rollouts import Rollouts
from lightning_gan.imitation.vail import GAIL, VAIL
from lightning_gan.imitation.vairl import VAIRL

__all__ = [
    "GAIL",
    "PPO",
    "VAIL",
    "VAIRL",
    "Demonstrations",
    "EpisodeReturns",
    "RecordDemonstrations",
    "Rollouts",
]
