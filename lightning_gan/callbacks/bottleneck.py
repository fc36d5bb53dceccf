"""The variational discriminator bottleneck's penalty (Peng et al. 2019, arXiv:1810.00821)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_gan.callbacks.clock import network_of
from lightning_gan.callbacks.measuring import MeasuringPenalty
from lightning_gan.game import Player, Turn
from lightning_gan.penalties.bottleneck import dual_ascent, kl_to_standard_normal
from lightning_gan.shapes import PerSample, Scalar


@dataclass(kw_only=True, eq=False)
class Bottleneck(MeasuringPenalty):
    """``beta * KL(E(z|x) || N(0, I))`` over real and fake images, beta rising while the KL exceeds I_c.

    The discriminator's. Its encoder returns `(mean, log_variance)`, each `batch code`, like
    `layers.bottleneck.GaussianCode`; this penalty listens to it while the discriminator looks at the batch and costs
    no second look. The paper's ``- beta * I_c`` has no gradient and is left out.

    Args:
        information_constraint: I_c in nats; infinite lets everything through.
        beta_step_size: alpha_beta, how far a step moves beta per nat of excess; beta starts at 0.
        encoder: attribute path of the module that returns `(mean, log_variance)`.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for negative settings, an unknown encoder, or one that returns something else or is not called.
    """

    name: ClassVar[str] = "bottleneck"
    player: ClassVar[Player] = "discriminator"
    state_names: ClassVar[tuple[str, ...]] = ("beta",)

    information_constraint: float = 0.1
    beta_step_size: float = 1e-5
    encoder: str = "discriminator.bottleneck"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.information_constraint < 0 or self.beta_step_size < 0:
            raise ValueError(
                f"Bottleneck: information_constraint={self.information_constraint} and "
                f"beta_step_size={self.beta_step_size} must not be negative"
            )
        # Of the first two looks since the last backward: those at a turn's real and fake images. Other penalties may
        # look again afterwards.
        self._divergences: list[PerSample] = []
        self._hook: RemovableHandle | None = None

    @property
    def weight(self) -> float:
        return 1.0  # beta is a part of the penalty, because it moves

    @property
    def beta(self) -> Scalar:
        """The price of a nat."""
        return self.state[0]

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None and turn.fake_logits is not None  # both looks have happened, or happen now
        if len(self._divergences) < 2:
            raise ValueError(
                f"Bottleneck: encoder={self.encoder!r} was not called for real and for fake images in the "
                "discriminator's turn; name the module that returns (mean, log_variance)"
            )
        divergence = torch.cat(self._divergences).mean()
        self._divergences = []
        self.measure(divergence)
        return self.beta * divergence

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        return dual_ascent(
            state[0], measured[0], information_constraint=self.information_constraint, step_size=self.beta_step_size
        )[None]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        encoder = network_of(pl_module, self.encoder, setting="Bottleneck(encoder=...)")
        self._remove_hook()
        if stage == "fit":
            self._hook = encoder.register_forward_hook(self._listen)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._divergences = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._divergences = []  # where penalties are settled here, others may have looked just now
        super().on_before_optimizer_step(trainer, pl_module, optimizer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._remove_hook()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._remove_hook()

    def _remove_hook(self) -> None:
        self._divergences = []
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _listen(self, encoder: nn.Module, arguments: Any, output: Any) -> None:
        if not encoder.training or len(self._divergences) == 2:
            return
        if not (isinstance(output, tuple) and len(output) == 2):
            raise ValueError(
                f"Bottleneck: encoder={self.encoder!r} returns a {type(output).__name__} instead of "
                "(mean, log_variance); name the module that returns them"
            )
        mean, log_variance = output
        self._divergences.append(kl_to_standard_normal(mean, log_variance))
