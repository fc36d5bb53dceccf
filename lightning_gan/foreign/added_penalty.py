"""How a penalty is added to a player's cost: by a `GAN`'s own loop, or by its gradient before the optimizer's step.

A `GAN` adds the penalty to its own cost. In every other module the calls of its networks are recorded. Before each step
of the optimizer that updates the penalty's network, another forward pass computes the penalty, and its gradient is
added.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.foreign.added_gradient import add_gradient_of, value_of
from lightning_gan.foreign.host_growing import gradient_scale_of
from lightning_gan.foreign.inputs import FoundInputs, InputSettings
from lightning_gan.foreign.observed_turn import ObservedTurn, Watched
from lightning_gan.foreign.observer import Observer, Record, observer_of, release
from lightning_gan.foreign.optimizer_checks import (
    GradientsOfEarlierBatches,
    StepsPastLightning,
    check_owner,
    owned_parameters,
)
from lightning_gan.foreign.recognition import CriticInputs
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.penalty_term import PenaltyTerm


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedPenalty:
    """A penalty, and the places of its networks and images in a module that is not a `GAN`.

    Args:
        term: the penalty.
        discriminators: attribute paths of the discriminators.
        generator: attribute path of the generator; None if the module has none.
        scores: function that takes the scores out of a discriminator's output; None if it returns only scores.
        latents: place of the latents among the generator's arguments; None if there is only one possibility.
        inputs: what the user says of the discriminators' inputs.
        begins_later: whether the penalty begins after the start of training.
    """

    term: PenaltyTerm
    discriminators: tuple[str, ...]
    generator: str | None
    scores: Callable[[Any], Tensor] | None
    latents: str | None
    inputs: InputSettings
    begins_later: bool

    @property
    def name(self) -> str:
        """The name of the penalty's class, for error messages."""
        return type(self.term).__name__

    @property
    def paths(self) -> tuple[str, ...]:
        """Attribute paths of the networks that the penalty regularizes."""
        if self.term.player == "discriminator":
            return self.discriminators
        assert self.generator is not None
        return (self.generator,)


class PenaltySteps(ABC):
    """What a penalty does in the hooks of a training."""

    @abstractmethod
    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Check the networks and their optimizers when fit starts.

        Raises:
            ValueError: for networks that do not exist, or that not exactly one optimizer updates.
        """

    @abstractmethod
    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """Begin to record the networks' calls for a batch."""

    @abstractmethod
    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """Add the gradient of the penalty before the optimizer of its network steps.

        Raises:
            ValueError: if the real or the fake images of the turn cannot be identified.
        """

    @abstractmethod
    def end_batch(self, placed: PlacedPenalty, trainer: Trainer, *, batch_index: int) -> None:
        """Stop recording after a batch.

        Raises:
            ValueError: if an optimizer was stepped without Lightning's knowledge.
        """

    @abstractmethod
    def end_fit(self, placed: PlacedPenalty) -> None:
        """Check when fit ends what could not be checked before without waiting for the device."""

    @abstractmethod
    def release(self) -> None:
        """Remove the hooks from the module's networks."""


@final
class JoinedPenalties(PenaltySteps):
    """Penalties of a `GAN`, whose own loop adds them to its cost. The hooks do nothing."""

    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        """Do nothing."""

    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        """Do nothing."""

    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        """Do nothing."""

    def end_batch(self, placed: PlacedPenalty, trainer: Trainer, *, batch_index: int) -> None:
        """Do nothing."""

    def end_fit(self, placed: PlacedPenalty) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


@dataclass(kw_only=True, eq=False)
class Progress:
    """What happened to a penalty in the present fit.

    Attributes:
        earlier: notices gradients of earlier batches, by the paths of the regularized networks.
        found: where the images of the user's functions are, by the paths of the discriminators.
        steps: number of steps of the regularized networks' optimizers.
        batches: number of batches.
        past: notices steps that Lightning does not tell callbacks about; None before the first batch.
        stepped: paths of the regularized networks that have stepped in this batch.
        is_due: whether the penalty is due in this batch; the first of several networks decides it.
        is_checked: whether the inputs of a penalty that has not begun yet have been identified once.
    """

    earlier: dict[str, GradientsOfEarlierBatches]
    found: dict[str, FoundInputs]
    steps: int = 0
    batches: int = 0
    past: StepsPastLightning | None = None
    stepped: set[str] = field(default_factory=set)
    is_due: bool = False
    is_checked: bool = False


_progress: WeakKeyDictionary[PenaltyTerm, Progress] = WeakKeyDictionary()


@final
class AddedPenalties(PenaltySteps):
    """Penalties of a module that is not a `GAN`. Their gradients are added immediately before the optimizer's step."""

    def __init__(self, module: LightningModule) -> None:
        self.module = module

    def begin_fit(self, placed: PlacedPenalty, trainer: Trainer) -> None:
        for path in placed.discriminators:
            network_of(self.module, path, setting=f"{placed.name}(discriminator=...)")
            self._observer.watch_discriminator(self.module, path)
        if placed.generator is not None:
            network_of(self.module, placed.generator, setting=f"{placed.name}(generator=...)")
            self._observer.watch_generator(self.module, placed.generator)
        opponent = placed.generator if placed.term.player == "discriminator" else placed.discriminators[0]
        for path in placed.paths:
            try:
                check_owner(
                    self.module,
                    path,
                    opponent=opponent,
                    optimizers=trainer.optimizers,
                    setting=f"{placed.name}({placed.term.player}=...)",
                )
            except ValueError as error:
                raise ValueError(f"{placed.name}: {error}") from error
        _progress[placed.term] = Progress(
            earlier={path: GradientsOfEarlierBatches(self._parameters(path)) for path in placed.paths},
            found={path: FoundInputs() for path in placed.discriminators},
        )

    def begin_batch(self, placed: PlacedPenalty, batch: Any) -> None:
        self._observer.begin_batch(batch, accumulates=self.module.automatic_optimization)
        progress = _progress[placed.term]
        if progress.past is None:  # not when fit starts, because weights may be loaded after that
            progress.past = StepsPastLightning([p for path in placed.paths for p in self._parameters(path)])
        progress.batches += 1
        progress.stepped.clear()

    def before_step(self, placed: PlacedPenalty, trainer: Trainer, optimizer: Optimizer) -> None:
        observer, term, progress = self._observer, placed.term, _progress[placed.term]
        observer.note_step()
        paths = [path for path in placed.paths if self._owned(path, optimizer)]
        if not paths:
            return
        progress.steps += 1
        try:
            for path in paths:
                self._check_gradients(path, progress)
            if term.is_asleep:
                self._check_asleep(placed, paths, progress)
                return
            if not progress.stepped & {*placed.paths}:
                progress.is_due = term.is_due(term.player)
            progress.stepped |= {*paths}
            self._check_awake(placed, paths, progress)
            if progress.is_due:
                value = self._add(placed, paths, trainer, optimizer)
                name = term.logged_name(trainer.callbacks)  # type: ignore[attr-defined]
                self.module.log(f"{term.player}/{name}", value / term.every_n_turns)
                term.after_step(trainer.strategy)
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith(f"{placed.name}: ") else f"{placed.name}: {text}") from error

    def _add(self, placed: PlacedPenalty, paths: list[str], trainer: Trainer, optimizer: Optimizer) -> Tensor:
        """Add the gradient of the penalty for networks of one optimizer, and return its value."""
        # Under automatic optimization Lightning divides the loss of every batch by `accumulate_grad_batches`.
        accumulated = trainer.accumulate_grad_batches if self.module.automatic_optimization else 1
        values = []
        with self._observer.paused():
            for path in paths:
                critic = path if placed.term.player == "discriminator" else placed.discriminators[0]
                names = [critic] if placed.generator is None else [critic, placed.generator]
                of_batches = [
                    add_gradient_of(
                        partial(self._cost, placed, record, critic),
                        share=1 / accumulated,
                        networks=[self.module.get_submodule(name) for name in names],
                        parameters=self._owned(path, optimizer),
                        strategy=trainer.strategy,
                    )
                    for record in self._observer.records
                ]
                values.append(torch.stack(of_batches).mean())
        return torch.stack(values).sum()

    def _cost(self, placed: PlacedPenalty, record: Record, critic: str) -> Tensor:
        """The weighted penalty of one batch and one discriminator: the mean over its inputs."""
        watched = self._watched(placed, record, critic)
        values = [placed.term.weighted(_turn(watched, 0))]
        calls = 1 if placed.term.player == "discriminator" else len(watched.generator_calls)
        values += [placed.term.weighted(_turn(watched, n)) for n in range(1, max(watched.inputs.count, calls))]
        return torch.stack(values).mean()

    def _watched(self, placed: PlacedPenalty, record: Record, critic: str) -> Watched:
        inputs = CriticInputs(
            asker=placed.name,
            critic=critic,
            generator=placed.generator,
            record=record,
            image_places=self._observer.image_places.get(critic, set()),
            settings=placed.inputs,
            found=_progress[placed.term].found[critic],
        )
        return Watched(
            asker=placed.name,
            player=placed.term.player,
            inputs=inputs,
            record=record,
            critic=critic,
            generator=placed.generator,
            scores=placed.scores,
            latents=placed.latents,
            mean_over_calls=placed.inputs.mean_over_calls,
            gradient_scale=gradient_scale_of(self.module, critic),
            differentiates_real=placed.term.differentiates_real,
            differentiates_fake=placed.term.differentiates_fake,
        )

    # ------------------------------------------------------------------ checks

    def _check_gradients(self, path: str, progress: Progress) -> None:
        if progress.earlier[path].are_there:
            raise ValueError(
                f"the gradients of {path!r} are accumulated over several batches before a step, but a penalty is added "
                "for the last batch only; step once per batch, or cut one large batch into parts within the step "
                "(mean_over_calls=True), or use automatic optimization with accumulate_grad_batches; if the gradients "
                "of earlier batches are set to 0, do it with zero_grad(set_to_none=True)"
            )
        progress.earlier[path].note_step()

    def _check_asleep(self, placed: PlacedPenalty, paths: list[str], progress: Progress) -> None:
        """Compute a penalty that has not begun yet once, so that what it will need is refused now."""
        record = self._observer.records[-1]
        critics = paths if placed.term.player == "discriminator" else placed.discriminators
        if progress.is_checked or not all(record.critics[path] for path in critics):
            return
        networks = [self.module.get_submodule(path) for path in (*critics, placed.generator) if path is not None]
        with self._observer.paused(), isolate_rng():
            for critic in critics:
                value_of(partial(self._cost, placed, record, critic), networks=networks)
        placed.term.forget()
        progress.is_checked = True

    def _check_awake(self, placed: PlacedPenalty, paths: list[str], progress: Progress) -> None:
        """Refuse to regularize a discriminator whose loss is multiplied by 0 until a later step, in its first turn."""
        term = placed.term
        if progress.steps > 1 or term.player == "generator" or placed.begins_later or not all(self._calls(paths)):
            return
        gradients = [p.grad for path in paths for p in self._parameters(path) if p.grad is not None]
        if gradients and not any(bool(gradient.any()) for gradient in gradients):  # waits for the device, only once
            raise ValueError(
                f"the gradient of the loss of {' and '.join(map(repr, paths))} is 0 in its first turn; if the loss is "
                f"multiplied by 0 until a later step, let the penalty begin there: {placed.name}(start_step=...) or "
                f"start_kimg; if it is to regularize alone, set start_step=1"
            )

    def _calls(self, paths: list[str]) -> list[bool]:
        record = self._observer.records[-1]
        return [bool(record.critics.get(path)) for path in paths]

    def end_batch(self, placed: PlacedPenalty, trainer: Trainer, *, batch_index: int) -> None:
        progress, is_automatic = _progress[placed.term], self.module.automatic_optimization
        if not is_automatic and self._observer.records:
            for path in placed.paths:
                self._note_unfinished(placed, path, progress)
        self._observer.end_batch(accumulates=is_automatic)
        if not progress.steps and progress.past is not None and progress.past.happened:
            raise ValueError(
                f"{placed.name}: it has no effect, because Lightning did not see a step of the optimizer of "
                f"{' and '.join(map(repr, placed.paths))}, although it was stepped; call step() of what "
                "self.optimizers() returns, and not of its attribute .optimizer"
            )
        if (batch_index + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            for found in progress.found.values():
                found.check(placed.name)

    def _note_unfinished(self, placed: PlacedPenalty, path: str, progress: Progress) -> None:
        """Note whether a network was trained in this batch without a step."""
        critic = placed.term.player == "discriminator"
        record = self._observer.records[-1]
        calls = record.critics[path] if critic else record.generators[path]
        trained = any(call.trains and not all(seen.has_graph for seen in call.floating.values()) for call in calls)
        if path not in progress.stepped and trained and critic:
            progress.earlier[path].note_unfinished()
        else:
            progress.earlier[path].note_step()

    def end_fit(self, placed: PlacedPenalty) -> None:
        progress = _progress[placed.term]
        for found in progress.found.values():
            found.check(placed.name)
        if progress.batches and not progress.steps:
            rank_zero_warn(
                f"{placed.name}: it had no effect in {progress.batches} batches, because the optimizer of "
                f"{' and '.join(map(repr, placed.paths))} was never stepped"
            )

    def release(self) -> None:
        release(self.module)

    @property
    def _observer(self) -> Observer:
        return observer_of(self.module)

    def _parameters(self, path: str) -> list[torch.nn.Parameter]:
        return list(self.module.get_submodule(path).parameters())

    def _owned(self, path: str, optimizer: Optimizer) -> list[torch.nn.Parameter]:
        return [p for p in owned_parameters(self.module.get_submodule(path), optimizer) if p.requires_grad]


def _turn(watched: Watched, index: int) -> ObservedTurn:
    turn = ObservedTurn()
    turn.watched, turn.index = watched, index
    return turn
