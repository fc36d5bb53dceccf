"""Numbers that are not finite: they are noticed on the device, and read at intervals, so that training never waits.

Every batch leaves some numbers on the device: the terms of both players' costs, the norms of their gradients, the
largest pixel. `NumberRecord` keeps them, without an operation that waits for the device, and reads them together.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import TypeAlias

import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lightning_gan.compat import norms_of_all
from lightning_gan.loop.batches import label_problem
from lightning_gan.tensors.across_ranks import ranks

TURNS_OF_A_SCALER = 30
"""How many turns in a row a loss scaler of half precision may leave out before the gradients count as not finite. Each
of them halves the scale, which begins at 2^16 and should reach a useful value after some turns."""


class NonFiniteError(ValueError):
    """A number of the training is not finite. The message names it, and what to do."""


class Numbers(Enum):
    """What numbers belong to. It decides the advice of the error message."""

    PIXELS = "pixels"
    LABELS = "labels"
    TERM = "term of a cost"
    GRADIENT = "gradient"
    WEIGHT = "weight"


@dataclass(frozen=True, kw_only=True)
class NonFiniteNumber:
    """The first number that was found not to be finite. It is the same on every rank.

    Attributes:
        numbers: what the number belongs to.
        message: one line that names it, its value, when it was seen, and what to do.
    """

    numbers: Numbers
    message: str


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """Numbers of one batch, which are still on the device.

    Attributes:
        numbers: what they belong to.
        values: the numbers in fp32, one-dimensional. Of labels it is infinity if one is out of range, else 0.
        names: names of the values. For gradients the parameters, because names are only needed for a message.
        images_seen: images that training had used before the batch.
        advice: what to do if they are not finite.
        shown: number that the message shows; None shows the value itself.
    """

    numbers: Numbers
    values: Tensor
    names: Sequence[str] | Sequence[nn.Parameter]
    images_seen: int
    advice: str
    shown: Tensor | None = None


_Finding: TypeAlias = tuple[tuple[int, int], Numbers, str]
"""When a number was seen (images, place in the record), what it belongs to, and the message about it."""


class HandlesNonFinite(Callback, ABC):
    """Interface of a callback that decides what happens when a number is not finite. Without one, training stops.

    Attributes:
        every_n_batches: number of batches after which the record is read.
        leaves_steps_out: whether steps with gradients that are not finite are left out. The terms, pixels and gradients
            of a batch are then not an error.
    """

    every_n_batches: int
    leaves_steps_out: bool

    @abstractmethod
    def leaves_out(self, trainer: Trainer, optimizer: Optimizer) -> bool:
        """Whether the step that follows has to be left out. The gradients are then removed.

        Args:
            trainer: the trainer.
            optimizer: optimizer that is about to step.

        Raises:
            NonFiniteError: if too many steps in a row were left out.
        """

    @abstractmethod
    def handle(self, trainer: Trainer, pl_module: LightningModule, found: NonFiniteNumber) -> None:
        """Repair the training.

        Args:
            trainer: the trainer.
            pl_module: module that is trained.
            found: the number that is not finite.

        Raises:
            NonFiniteError: if training has to stop.
        """


def handler_of(trainer: Trainer) -> HandlesNonFinite | None:
    """The trainer's callback that decides about numbers that are not finite, or None."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, HandlesNonFinite)), None)


def gradients_of(optimizer: Optimizer) -> list[tuple[nn.Parameter, Tensor]]:
    """The parameters of an optimizer that have a gradient, each with this rank's part of the gradient."""
    return [
        (parameter, local_part(parameter.grad))
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None and parameter.grad.numel()
    ]


def is_set_on_a_rank(flag: Tensor) -> bool:
    """Whether a flag is not 0 on any rank. It waits for the device; all ranks must call it together."""
    shared = flag.float()
    if ranks() > 1:
        torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX)
    return bool(shared.item())


def uses_loss_scaler(trainer: Trainer) -> bool:
    """Whether a loss scaler leaves out steps with infinite gradients, which are normal in fp16."""
    precision = trainer.precision_plugin
    return isinstance(precision, MixedPrecision) and precision.scaler is not None


def local_part(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor that FSDP2 has sharded; every other tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class NumberRecord:
    """The numbers of the batches since the last reading, and the reading.

    Args:
        clock_unit: name of one thousand images in messages, such as kimg; None if batches are counted, not images.
    """

    def __init__(self, *, clock_unit: str | None) -> None:
        self.clock_unit = clock_unit
        self._recorded: list[_Recorded] = []
        self._scaled: list[_Recorded] = []

    def clear(self) -> None:
        """Forget all numbers."""
        self._recorded.clear()
        self._scaled.clear()

    # ------------------------------------------------------------------ recording, which never waits for the device

    def add_terms(self, values: Tensor, *, names: Sequence[str], images_seen: int, advice: str) -> None:
        """Record the terms of a cost.

        Args:
            values: the terms, one-dimensional, in the order of `names`.
            names: names such as `discriminator/r1`.
            images_seen: images that training has used before this batch.
            advice: what to do if one is not finite.
        """
        self._add(Numbers.TERM, values.detach().float(), names, images_seen, advice)

    def add_pixels(self, images: Tensor, *, images_seen: int) -> None:
        """Record the pixels of real images, which are floating-point numbers.

        Args:
            images: images of any shape.
            images_seen: images that training has used before this batch.
        """
        self._add(
            Numbers.PIXELS,
            norms_of_all([images.detach()]),
            ["a pixel of the real images"],
            images_seen,
            "find the images by torch.isfinite(image).all() in the data set; usually a transform of the data divides "
            "by 0, or a file holds such values",
        )

    def add_labels(self, labels: Tensor, *, number_of_classes: int, images_seen: int) -> Tensor:
        """Record whether class indices are in range, and return them limited to the range.

        An index outside of the range would end a program on a GPU without a message, so it must not be used.

        Args:
            labels: class indices, one-dimensional.
            number_of_classes: number of classes of the model.
            images_seen: images that training has used before this batch.
        """
        limited = labels.clamp(0, number_of_classes - 1)
        wrong = limited != labels
        self._recorded.append(
            _Recorded(
                numbers=Numbers.LABELS,
                values=torch.where(wrong.any(), torch.inf, 0.0)[None],
                names=[str(number_of_classes)],
                images_seen=images_seen,
                advice="",
                shown=labels.gather(0, wrong.to(torch.uint8).argmax(dim=0, keepdim=True)),  # without a synchronisation
            )
        )
        return limited

    def add_gradients(
        self, gradients: Sequence[tuple[nn.Parameter, Tensor]], *, images_seen: int, advice: str, scaled: bool
    ) -> None:
        """Record the norms of gradients.

        Args:
            gradients: parameters with their gradients, as `gradients_of` returns them.
            images_seen: images that training has used before this batch.
            advice: what to do if one is not finite.
            scaled: whether a loss scaler leaves out steps with infinite gradients, as in training in fp16. It is then
                only an error if it does so all the time.
        """
        if not gradients:
            return
        norms = norms_of_all([gradient for _, gradient in gradients])
        recorded = _Recorded(
            numbers=Numbers.GRADIENT,
            values=norms,
            names=[parameter for parameter, _ in gradients],
            images_seen=images_seen,
            advice=advice,
        )
        if scaled:
            self._scaled = [*self._scaled[1 - TURNS_OF_A_SCALER :], recorded]
        else:
            self._recorded.append(recorded)

    def _add(self, numbers: Numbers, values: Tensor, names: Sequence[str], images_seen: int, advice: str) -> None:
        self._recorded.append(
            _Recorded(numbers=numbers, values=values, names=names, images_seen=images_seen, advice=advice)
        )

    # ------------------------------------------------------------------ reading, which waits for the device once

    def read(self, module: nn.Module, *, images_seen: int, weights: bool) -> NonFiniteNumber | None:
        """Read the record and empty it. All ranks must call this method, and all get the same result.

        Args:
            module: module whose weights are read, and that gives the names of parameters.
            images_seen: images that training has used.
            weights: whether to read the weights too.

        Returns:
            The first number that is not finite, or None if all are.
        """
        recorded, scaled = self._recorded, self._scaled
        self._recorded = []
        flags = [(~torch.cat([one.values for one in recorded]).isfinite()).any()] if recorded else []
        if len(scaled) >= TURNS_OF_A_SCALER:
            flags.append((~torch.stack([one.values.sum() for one in scaled]).isfinite()).all())
        norms = _norms_of_weights(module) if weights else None
        if norms is not None:
            flags.append((~norms.isfinite()).any())
        if not flags and ranks() == 1:
            return None
        device = flags[0].device if flags else next(chain(module.parameters(), module.buffers())).device
        if not is_set_on_a_rank(torch.stack(flags).any() if flags else torch.zeros((), device=device)):
            return None
        finding = self._first(module, recorded, norms, images_seen=images_seen)
        if finding is None and len(scaled) >= TURNS_OF_A_SCALER:
            finding = self._described(module, scaled[-1], place=len(recorded))
        return _first_of_all_ranks(finding)

    def _first(
        self, module: nn.Module, recorded: Sequence[_Recorded], norms: Tensor | None, *, images_seen: int
    ) -> _Finding | None:
        for place, one in enumerate(recorded):
            if (finding := self._described(module, one, place=place)) is not None:
                return finding
        if norms is None:
            return None
        wrong = (~norms.isfinite()).tolist()
        bad = [name for name, is_wrong in zip(_names_of_weights(module), wrong, strict=True) if is_wrong]
        if not bad:
            return None
        others = f" and {len(bad) - 1} other weights are" if len(bad) > 1 else " is"
        message = (
            f"the weight {bad[0]}{others} not finite at {self._time(images_seen)}; lower the learning rates and go on "
            "from an earlier checkpoint"
        )
        return (images_seen, len(recorded)), Numbers.WEIGHT, message

    def _described(self, module: nn.Module, one: _Recorded, *, place: int) -> _Finding | None:
        """What a message says about a record, or None if its numbers are right."""
        wrong = (~one.values.isfinite()).tolist()
        if not any(wrong):
            return None
        index = wrong.index(True)
        value, name = one.values[index].item(), one.names[index]
        if one.shown is not None and isinstance(name, str):
            problem = label_problem(int(one.shown), number_of_classes=int(name))
            return (one.images_seen, place), one.numbers, f"{problem} (seen at {self._time(one.images_seen)})"
        if isinstance(name, str):
            text = f"{name} is {value} at {self._time(one.images_seen)}"
        else:
            names = {id(parameter): path for path, parameter in module.named_parameters()}
            path = names.get(id(name), "a parameter outside of the module")
            text = f"the gradient of {path} is {value} at {self._time(one.images_seen)}"
        return (one.images_seen, place), one.numbers, f"{text}; {one.advice}"

    def _time(self, images_seen: int) -> str:
        return f"batch {images_seen}" if self.clock_unit is None else f"{images_seen / 1000:.3f} {self.clock_unit}"


def _names_of_weights(module: nn.Module) -> list[str]:
    """The names of what `_norms_of_weights` returns, in the same order."""
    named = chain(module.named_parameters(), module.named_buffers())
    return [name for name, tensor in named if tensor.is_floating_point() and tensor.numel()]


def _norms_of_weights(module: nn.Module) -> Tensor | None:
    """The norms of parameters and buffers, one-dimensional; None if the module has none.

    Infinite values of buffers count as 0, because masks of attention are infinite by intention.
    """
    parameters = [p for p in module.parameters() if p.is_floating_point() and p.numel()]
    buffers = [b for b in module.buffers() if b.is_floating_point() and b.numel()]
    if not parameters and not buffers:
        return None
    norms = norms_of_all([local_part(tensor) for tensor in chain(parameters, buffers)])
    is_buffer = torch.arange(len(norms), device=norms.device) >= len(parameters)
    return torch.where(is_buffer & norms.isinf(), 0.0, norms)


def _first_of_all_ranks(finding: _Finding | None) -> NonFiniteNumber:
    """The earliest finding of all ranks, of which at least one has found something."""
    findings: list[_Finding | None] = [finding]
    if ranks() > 1:
        findings = [None] * ranks()
        torch.distributed.all_gather_object(findings, finding)
    (_, rank), numbers, message = min(
        ((found[0], rank), found[1], found[2]) for rank, found in enumerate(findings) if found is not None
    )
    where = f" (rank {rank})" if ranks() > 1 else ""
    return NonFiniteNumber(numbers=numbers, message=f"{message}{where}")
