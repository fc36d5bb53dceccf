"""R1 and R2: zero-centred gradient penalties (Mescheder et al. 2018, arXiv:1801.04406)."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_gan.game import Penalty, Player, Turn
from lightning_gan.penalties import zero_centered
from lightning_gan.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class R1(Penalty):
    """``gamma / 2 * E ||dD/dx||^2`` on real images (eq. 9); the authors' code has no 1/2, so its 10 is 20 here.

    Args:
        gamma: the papers' gamma; around 0.0002 * resolution^2 / batch size is a start
            (Karras et al. 2020, arXiv:2006.06676).
        every_n_turns: interval in the discriminator's turns; 16 is usual, with the same gamma.
    """

    name: ClassVar[str] = "r1"
    player: ClassVar[Player] = "discriminator"
    differentiates_real: ClassVar[bool] = True

    gamma: float = 10.0

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        return zero_centered(turn.real_logits, turn.real) * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class R2(Penalty):
    """``gamma / 2 * E ||dD/dx||^2`` on fakes (eq. 10); the generator feels nothing of it.

    Args:
        gamma: the papers' gamma.
        every_n_turns: interval in the discriminator's turns.
    """

    name: ClassVar[str] = "r2"
    player: ClassVar[Player] = "discriminator"
    differentiates_fake: ClassVar[bool] = True

    gamma: float = 10.0

    @property
    def weight(self) -> float:
        return self.gamma / 2

    def penalty(self, turn: Turn) -> Scalar:
        return zero_centered(turn.fake_logits, turn.fake) * turn.gradient_scale**2
