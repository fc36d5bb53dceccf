"""GAN-QP (Su 2018, arXiv:1811.07296): a critic bounded by a quadratic potential, without gradient penalties."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.gan_qp import ImageDistance, RootMeanSquare, quadratic_potential
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class QuadraticPotential(Penalty):
    """``E (D(x) - D(G(z)))^2 / (2 lambda d(x, G(z)))``, which makes GAN-QP of the `Wasserstein` objective.

    The critic's best difference of a pair is ``lambda d``: its score rises by lambda per unit of distance from a fake
    to a real image, so that it needs no other Lipschitz bound. The paper takes two turns of the critic for one of the
    generator, whose cost has no such term.

    Args:
        slope: the paper's lambda.
        distance: how far two images are from each other; None is the root mean square over pixels.
        every_n_turns: interval in the discriminator's turns; the paper's is 1.

    Raises:
        ValueError: for a slope that is not positive.
    """

    name: ClassVar[str] = "quadratic_potential"
    player: ClassVar[Player] = "discriminator"

    slope: float = 10.0
    distance: ImageDistance | None = None

    def __post_init__(self) -> None:
        if self.slope <= 0:
            raise ValueError(f"QuadraticPotential: slope={self.slope} must be positive; 10 is the paper's")
        super().__post_init__()

    @property
    def weight(self) -> float:
        return 1 / self.slope

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        distance = self.distance if self.distance is not None else RootMeanSquare()
        return quadratic_potential(turn.real_logits, turn.fake_logits, turn.real, turn.fake, distance=distance)
