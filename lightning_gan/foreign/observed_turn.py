"""The turn of a module that is not a `GAN`, computed from the recorded calls of its networks."""

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
    """The settings of an observed turn, and the recorded calls that it is computed from.

    Attributes:
        asker: name of the penalty, for error messages.
        player: player whose turn it is.
        pl_module: module that contains the networks.
        record: recorded calls of the networks.
        critic: attribute path of the discriminator.
        generator: attribute path of the generator; None if there is none.
        real: function that takes the real images out of a batch; None identifies them by the recorded calls.
        differentiates_real: whether the real images must require grad.
        differentiates_fake: whether the fakes must require grad.
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
    """A turn of a module that is not a `GAN`, computed from the recorded calls of its networks.

    Each attribute is computed once, when a penalty first reads it. R1, for example, does not read the fakes, so that
    they need not be identified.

    Images that are not `batch channels height width` are reshaped to `batch features 1 1`, and back to the network's
    own shape before a forward pass of the discriminator.
    """

    watched: Watched

    def __init__(self) -> None:
        """Leave all fields unset. The caller sets `watched`, because a shape checker reads a new dataclass's fields."""

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
        """Raw scores of other images, by a call with the other arguments of the module's own call."""
        call = self._seen.fake
        if call is None or labels is None or labels is not self.fake_labels:
            call = self._example
        return self._score(call, images, labels)

    def generator(self, latents: Latents, labels: Labels | None) -> Images:
        """Images of other latents, by a call with the other arguments of the module's own call."""
        replaced = {self._latent_slot: latents}
        slot = self._made.label_slot(self._latent_slot)
        if labels is not None and slot is not None:
            replaced[slot] = labels
        return _as_maps(self._made.again(replaced))

    # ------------------------------------------------------------------ the recorded calls

    @property
    def _is_discriminators(self) -> bool:
        return self.watched.player == "discriminator"

    @cached_property
    def _seen(self) -> Recognized:
        return self.watched.record.recognized(self.watched.critic, self.watched.generator)

    @cached_property
    def _example(self) -> Call:
        """The call whose other arguments belong to real images."""
        if self._seen.example is not None:
            return self._seen.example
        if self._seen.kinds:
            raise ValueError(
                f"the arguments that {self.watched.critic!r} needs with real images could not be identified; call it "
                "with the unchanged labels of the batch"
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
        return next(tensors_of(self._made.output)).detach()  # the fakes before an augmentation

    def _cannot_tell(self, which: str) -> str:
        name = self.watched.critic
        if not self._seen.kinds:
            return (
                f"{name!r} was not called with gradients in this batch since its optimizer's last step; name the one "
                "that is called (not its method forward): discriminator=..."
            )
        return (
            f"no input of {name!r} in this turn could be identified as the {which} images (its inputs were, in order: "
            f"{', '.join(self._seen.kinds)}); give a function that takes the real images out of a batch: "
            f"{self.watched.asker}(real=lambda batch: batch[0]), in YAML the import path of such a function"
        )

    @cached_property
    def _made(self) -> Call:
        """The call of the generator that made the fakes of this turn."""
        calls = self.watched.record.generator_calls(self.watched.generator)
        if self._is_discriminators:
            fake = [] if self._seen.fake is None else [self._seen.fake.tensors[self._seen.slot]]
            preferred = [call for call in calls if storages(tensors_of(call.output)) & storages(fake)]
        else:
            preferred = [call for call in calls if any(output.requires_grad for output in tensors_of(call.output))]
        calls = preferred or calls
        if not calls:
            raise ValueError(
                f"{self.watched.generator!r} was not called in this batch; name the module that is called (not its "
                "method forward): generator=..."
            )
        return calls[-1]

    @cached_property
    def _latent_slot(self) -> Slot:
        slots = list(self._made.tensors)
        if not slots:
            raise ValueError(f"{self.watched.generator!r} was called without a tensor; pass its latents as a tensor")
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
    """Convert images to fp32 and to the shape `batch channels height width`."""
    images = full_precision(images)
    return images if images.dim() == 4 else images.reshape(len(images), -1, 1, 1)


def _labels_of(call: Call, *, first: Slot) -> Labels | None:
    slot = call.label_slot(first)
    return None if slot is None else call.tensors[slot].detach()
