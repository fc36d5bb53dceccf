"""GAN-QP (Su 2018, arXiv:1811.07296): a quadratic potential that bounds the critic without a gradient penalty."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.gan_qp import ImageDistance, RootMeanSquare, quadratic_potential
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class QuadraticPotential(Penalty):
    """Adds ``E (D(x) - D(G(z)))^2 / (2 lambda d(x, G(z)))``; with the `Wasserstein` objective, this is GAN-QP.

    The optimal difference between the scores of a pair is ``lambda d``: the score increases by lambda per unit of
    distance from the generated to the real image, so that no other Lipschitz bound is needed. The paper uses two turns
    of the critic for one turn of the generator, whose cost has no such term.

    Args:
        slope: increase of the critic's score per unit of distance, the paper's lambda, above 0.
        distance: distance d between two images; None is the root mean square of their difference over pixels.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight;
            1 in the paper.

    Raises:
        ValueError: for a slope that is not positive.
    """

    name: ClassVar[str] = "quadratic_potential"
    player: ClassVar[Player] = "discriminator"

    slope: float = 10.0
    distance: ImageDistance | None = None

    def __post_init__(self) -> None:
        if self.slope <= 0:
            raise ValueError(f"QuadraticPotential: slope={self.slope} must be positive; the paper uses 10")
        super().__post_init__()

    @property
    def weight(self) -> float:
        return 1 / self.slope

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        distance = self.distance if self.distance is not None else RootMeanSquare()
        return quadratic_potential(turn.real_logits, turn.fake_logits, turn.real, turn.fake, distance=distance)
