"""The base class of penalties with a state of a few numbers, such as running means."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from lightning_gan.foreign.penalty import Penalty


@dataclass(kw_only=True, eq=False)
class RunningPenalty(Penalty):
    """A penalty that measures numbers in each call of `penalty`, and updates its state from them after the step.

    The measurements are averaged over the slices of a turn and over ranks, so that all ranks have the same state. State
    and measurements are tensors on the device; only saving waits for the device.

    A subclass names its numbers in `state_names`, reads `self.state` and calls `self.measure` in `penalty`, and returns
    the next state in `moved`.
    """

    state_names: ClassVar[tuple[str, ...]]
    """Names of the state's numbers, under which they are saved and logged; all numbers start at 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.state = torch.zeros(len(self.state_names))
        self._sum, self._measurements = torch.zeros_like(self.state), torch.zeros_like(self.state[0])

    @abstractmethod
    def moved(self, state: Float[Tensor, " numbers"], measured: Float[Tensor, " measured"]) -> Tensor:
        """Returns the next state from the present one and the averaged measurements of one turn."""

    def measure(self, *values: Tensor) -> None:
        """Adds one measurement to the turn's average: as many scalar tensors as the state has numbers."""
        assert len(values) == len(self.state_names)
        detached = torch.stack([value.detach() for value in values])
        self._sum = self._sum + detached.to(self._sum)
        self._measurements = self._measurements + 1

    def after_step(self, strategy: Strategy) -> None:
        measured = strategy.reduce(self._sum / self._measurements, reduce_op="mean")
        assert isinstance(measured, Tensor)
        self.state = self.moved(self.state, measured)
        self._reset_measurements()

    def forget(self) -> None:
        super().forget()
        self._reset_measurements()

    def _reset_measurements(self) -> None:
        self._sum, self._measurements = torch.zeros_like(self.state), torch.zeros_like(self.state[0])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.only_path  # noqa: B018  refuses several networks, because there is one state
        super().on_fit_start(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        assert isinstance(pl_module.dtype, torch.dtype)
        precision = torch.promote_types(pl_module.dtype, torch.float32)
        self.state = self.state.to(device=pl_module.device, dtype=precision)
        self._reset_measurements()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log_dict(self.logged_state(trainer))

    def logged_state(self, trainer: Trainer) -> dict[str, Tensor]:
        """Returns the numbers that are logged, by their names: the whole state, under the name of the penalty."""
        title = f"{self.player}/{self.logged_name(trainer.callbacks)}"  # type: ignore[attr-defined]
        return dict(zip((f"{title}_{name}" for name in self.state_names), self.state.unbind(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | dict(zip(self.state_names, self.state.tolist(), strict=True))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.state = torch.tensor([state_dict[name] for name in self.state_names], dtype=torch.float64)
