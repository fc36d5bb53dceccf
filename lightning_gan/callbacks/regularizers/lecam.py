"""LeCam regularization of the discriminator, for small data sets (Tseng et al. 2021, arXiv:2104.03310)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from lightning_gan.callbacks.regularizers.running_penalty import RunningPenalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.lecam_divergence import lecam_divergence
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Scalar


@dataclass(kw_only=True, eq=False)
class LeCam(RunningPenalty):
    """Adds ``weight * (E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2)`` to the discriminator's cost.

    a_R and a_F are moving averages of the mean scores of real and generated images in earlier turns, over all ranks.
    Before `start_kimg`, and in the first batch, the penalty is 0 and the averages are the latest means.

    The authors' code moves the averages by the present turn's means before it uses them. Here they move after the step,
    because the means over all slices and ranks are not known before it. Ours are therefore ``1 - decay`` times the
    distance between the present mean and the average away from theirs.

    Args:
        weight: factor of the penalty, the paper's lambda; 0.3 for BigGAN on CIFAR.
        decay: weight of the old average after a turn, in [0, 1); the authors use 0.9 and 0.99.
        start_kimg: thousands of images after which the penalty is added; the authors wait for 1000 steps.
        one_sided: whether only real scores above a_F and fake scores below a_R are penalized, as in the authors' code;
            False is the paper's formula.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for settings out of range.
    """

    name: ClassVar[str] = "lecam"
    player: ClassVar[Player] = "discriminator"
    state_names: ClassVar[tuple[str, ...]] = ("real_average", "fake_average")

    weight: float = 0.3
    decay: float = 0.99
    start_kimg: float = 0.0
    one_sided: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"LeCam: decay={self.decay} must be at least 0 and below 1")
        if self.start_kimg < 0:
            raise ValueError(f"LeCam: start_kimg={self.start_kimg} must not be negative")
        self._has_averages = False
        self._has_begun = False
        self._factor = torch.zeros(())  # 0 or 1; a tensor, so that a compiled turn keeps its graph

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        real_average, fake_average = self.state.unbind()
        divergence = lecam_divergence(
            turn.real_logits,
            turn.fake_logits,
            real_average=real_average,
            fake_average=fake_average,
            one_sided=self.one_sided,
        )
        self.measure(full_precision(turn.real_logits).mean(), full_precision(turn.fake_logits).mean())
        return divergence * self._factor

    def after_step(self, strategy: Strategy) -> None:
        super().after_step(strategy)
        self._has_averages = True

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        return measured.lerp(state, self.decay) if self._has_begun else measured

    def sleeps_at(self, images_seen: int, steps: int) -> bool:
        return steps < self.start_step  # until start_kimg the averages run, and the penalty is not added

    def begin_at(self, images_seen: int) -> None:
        """Decides whether the penalty is added in the batch that starts after `images_seen` images."""
        self._has_begun = self._has_averages and images_seen >= 1000 * self.start_kimg
        self._factor.fill_(float(self._has_begun))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._factor = self._factor.to(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.begin_at(self.images_seen)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"has_averages": self._has_averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._has_averages = state_dict["has_averages"]
