"""The turn of a module that does not ask its penalties, from what an observer noted of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.foreign.observer import Call, Recognized, Record, Slot, storages, tensors_of
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Labels, Latents, Logits


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Where to look, and for what.

    Attributes:
        asker: the penalty's name, for errors.
        player: whose turn it is.
        pl_module: whose networks they are.
        record: the networks' calls.
        critic: the critic's attribute path.
        generator: the generator's, None if there is none.
        real: takes real images out of a batch; None recognizes them.
        differentiates_real: whether real images must require grad.
        differentiates_fake: whether fakes must.
    """

    asker: str
    player: Player
    pl_module: LightningModule
    record: Record
    critic: str
    generator: str | None
    real: Callable[[Any], Tensor] | None
    differentiates_real: bool
    differentiates_fake: bool


class ObservedTurn(Turn):
    """A turn of a module that does not ask its penalties, made of the calls that an observer noted.

    Whatever a penalty asks for is computed then, once: R1 needs no fakes, and asks no one to tell what they are.

    Images that are no maps are shown as maps of 1x1, and a critic that takes them gets its own shape.
    """

    watched: Watched

    def __init__(self) -> None:
        """`watched` is set afterwards: a checker of shapes reads the fields of a new dataclass, all of them."""

    @cached_property
    def player(self) -> Player:
        return self.watched.player

    @cached_property
    def real(self) -> Images:
        differentiated = self._is_discriminators and self.watched.differentiates_real
        return _as_maps(self._real_as_given).requires_grad_(differentiated)

    @cached_property
    def labels(self) -> Labels | None:
        return _labels_of(self._example, first=self._seen.slot)

    @cached_property
    def latents(self) -> Latents:
        return self._made.tensors[self._latent_slot].detach()

    @cached_property
    def fake(self) -> Images:
        if not self._is_discriminators:
            return self.generator(self.latents, self.fake_labels)
        return _as_maps(self._fake_as_given).requires_grad_(self.watched.differentiates_fake)

    @cached_property
    def fake_labels(self) -> Labels | None:
        if not self._is_discriminators:
            return _labels_of(self._made, first=self._latent_slot)
        return _labels_of(self._seen.fake or self._example, first=self._seen.slot)

    @cached_property
    def real_logits(self) -> Logits | None:
        return self._score(self._example, self.real, self.labels)

    @cached_property
    def fake_logits(self) -> Logits:
        return self._score(self._seen.fake or self._example, self.fake, self.fake_labels)

    def critic(self, images: Images, labels: Labels | None) -> Logits:
        """Scores of other images, with the other arguments of the module's own call."""
        call = self._seen.fake
        if call is None or labels is None or labels is not self.fake_labels:
            call = self._example
        return self._score(call, images, labels)

    def generator(self, latents: Latents, labels: Labels | None) -> Images:
        """Other images, with the other arguments of the module's own call."""
        replaced = {self._latent_slot: latents}
        slot = self._made.label_slot(self._latent_slot)
        if labels is not None and slot is not None:
            replaced[slot] = labels
        return _as_maps(self._made.again(replaced))

    # ------------------------------------------------------------------ what it is made of

    @property
    def _is_discriminators(self) -> bool:
        return self.watched.player == "discriminator"

    @cached_property
    def _seen(self) -> Recognized:
        return self.watched.record.recognized(self.watched.critic, self.watched.generator)

    @cached_property
    def _example(self) -> Call:
        """The call whose other arguments go with real images."""
        if self._seen.example is not None:
            return self._seen.example
        if self._seen.kinds:
            raise ValueError(
                f"it cannot be told which arguments of {self.watched.critic!r} go with real images; call it with the "
                "labels of the batch as they are"
            )
        network = self.watched.pl_module.get_submodule(self.watched.critic)
        return Call(network=network, arguments=(torch.empty(0),), keywords={})

    @cached_property
    def _real_as_given(self) -> Tensor:
        if self.watched.real is not None:
            return self.watched.real(self.watched.record.batch).detach()
        if self._seen.real is None:
            raise ValueError(self._cannot_tell("real"))
        return self._seen.real.tensors[self._seen.slot].detach()

    @cached_property
    def _fake_as_given(self) -> Tensor:
        if self._seen.fake is not None:
            return self._seen.fake.tensors[self._seen.slot].detach()
        if self.watched.real is None or not self.watched.record.generator_calls(self.watched.generator):
            raise ValueError(self._cannot_tell("fake"))
        return next(tensors_of(self._made.output)).detach()  # fakes that were augmented, as they were before

    def _cannot_tell(self, which: str) -> str:
        name = self.watched.critic
        if not self._seen.kinds:
            return (
                f"{name!r} was not called with gradients in this batch since its optimizer's last step; name the one "
                "that is called: discriminator=..."
            )
        return (
            f"no input of {name!r} in this turn can be told to be the {which} images (there were, in order: "
            f"{', '.join(self._seen.kinds)}); say what the real ones are: "
            f"{self.watched.asker}(real=lambda batch: batch[0]), in YAML the import path of such a function"
        )

    @cached_property
    def _made(self) -> Call:
        """The call of the generator that this turn is about."""
        calls = self.watched.record.generator_calls(self.watched.generator)
        if self._is_discriminators:
            fake = [] if self._seen.fake is None else [self._seen.fake.tensors[self._seen.slot]]
            preferred = [call for call in calls if storages(tensors_of(call.output)) & storages(fake)]
        else:
            preferred = [call for call in calls if any(output.requires_grad for output in tensors_of(call.output))]
        calls = preferred or calls
        if not calls:
            raise ValueError(
                f"{self.watched.generator!r} was not called in this batch; name the module that is called itself: "
                "generator=..."
            )
        return calls[-1]

    @cached_property
    def _latent_slot(self) -> Slot:
        slots = list(self._made.tensors)
        if not slots:
            raise ValueError(f"{self.watched.generator!r} was called without a tensor; its first one is its latents")
        return slots[0]

    def _score(self, call: Call, images: Images, labels: Labels | None) -> Logits:
        slot = self._seen.slot
        if slot in call.tensors and call.tensors[slot].numel():
            images = images.reshape(len(images), *call.tensors[slot].shape[1:])
        replaced = {slot: images}
        label_slot = call.label_slot(slot)
        if labels is not None and label_slot is not None:
            replaced[label_slot] = labels
        return call.again(replaced)


def _as_maps(images: Tensor) -> Images:
    """fp32, `batch channels height width`."""
    images = full_precision(images)
    return images if images.dim() == 4 else images.reshape(len(images), -1, 1, 1)


def _labels_of(call: Call, *, first: Slot) -> Labels | None:
    slot = call.label_slot(first)
    return None if slot is None else call.tensors[slot].detach()
