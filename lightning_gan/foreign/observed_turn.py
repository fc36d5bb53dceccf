"""The turn of a module that is not a `GAN`, computed from the recorded calls of its networks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from lightning_gan.foreign.calls import Call
from lightning_gan.foreign.generator_calls import GeneratorCall, call_that_made, calls_of_the_turn
from lightning_gan.foreign.inputs import Input
from lightning_gan.foreign.observer import Record
from lightning_gan.foreign.recognition import CriticInputs
from lightning_gan.foreign.structures import shape_text, structure_text
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Labels, Logits

SCORES = "lightning_gan.foreign.scores"
"""Import path of the functions for the setting `scores`, for error messages."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What an observed turn is computed from.

    Attributes:
        asker: name of the penalty, for error messages.
        player: player whose turn it is.
        inputs: real and fake inputs of the discriminator.
        record: recorded calls of the networks.
        critic: attribute path of the discriminator.
        generator: attribute path of the generator; None if there is none.
        scores: function that takes the scores out of the discriminator's output; None if it returns only scores.
        latents: place of the latents among the generator's arguments; None if there is only one possibility.
        mean_over_calls: whether a penalty is the mean over several calls of the generator in its turn.
        gradient_scale: value of `Turn.gradient_scale`.
        differentiates_real: whether the real images must require grad.
        differentiates_fake: whether the fakes must require grad.
    """

    asker: str
    player: Player
    inputs: CriticInputs
    record: Record
    critic: str
    generator: str | None
    scores: Callable[[Any], Tensor] | None
    latents: str | None
    mean_over_calls: bool
    gradient_scale: float
    differentiates_real: bool
    differentiates_fake: bool

    @cached_property
    def generator_calls(self) -> list[GeneratorCall]:
        """The calls of the generator in its own turn."""
        assert self.generator is not None
        return calls_of_the_turn(
            self.record.calls_of(self.generator),
            critic_calls=self.record.critics[self.critic],
            generator=self.generator,
            latents=self.latents,
            mean_over_calls=self.mean_over_calls,
        )


class ObservedTurn(Turn):
    """A turn of a module that is not a `GAN`, computed from the recorded calls of its networks.

    Each attribute is computed once, when a penalty first reads it. R1, for example, does not read the fakes, so that
    they need not be identified. If there are several real or fake inputs, each turn has one of them, or one pair.

    Images that are not `batch channels height width` are reshaped to `batch features 1 1`, and back to the network's
    own shape before a forward pass of the discriminator.
    """

    watched: Watched
    index: int

    def __init__(self) -> None:
        """Leave all fields unset. The caller sets the attributes, because a shape checker reads the fields."""

    @cached_property
    def player(self) -> Player:
        return self.watched.player

    @cached_property
    def gradient_scale(self) -> float:
        return self.watched.gradient_scale

    @cached_property
    def real(self) -> Images:
        differentiated = self._is_discriminators and self.watched.differentiates_real
        return _as_maps(self._real.images).requires_grad_(differentiated)

    @cached_property
    def labels(self) -> Labels | None:
        return _labels_of(self._real)

    @cached_property
    def latents(self) -> Tensor:  # in translations, for example, they are images
        return self._made.latents

    @cached_property
    def fake(self) -> Images:
        if not self._is_discriminators:
            return self.generator(self.latents, self.fake_labels)
        return _as_maps(self._fake.images).requires_grad_(self.watched.differentiates_fake)

    @cached_property
    def fake_labels(self) -> Labels | None:
        return (
            _labels_of(self._fake) if self._is_discriminators else _label_of(self._made.call, self._made.latent_place)
        )

    @cached_property
    def real_logits(self) -> Logits | None:
        return self._score(self._real, self.real)

    @cached_property
    def fake_logits(self) -> Logits:
        return self._score(self._fake, self.fake)

    def critic(self, images: Images, labels: Labels | None) -> Logits:
        """Raw scores of other images, with the other arguments of the module's own call on real images, or on fakes."""
        if labels is not None and self._is_discriminators and labels is self.fake_labels:
            return self.score_fakes(images)
        return self.score_reals(images)

    def score_reals(self, images: Images) -> Logits:
        """Raw scores of images that replace the first real images, with the other arguments of these."""
        return self._score(self._real, images)

    def score_fakes(self, images: Images) -> Logits:
        """Raw scores of images that replace the first fakes, with the other arguments of these."""
        return self._score(self._fake, images)

    def generator(self, latents: Tensor, labels: Labels | None) -> Images:
        """Images of other latents, with the other arguments of the module's own call."""
        return _as_maps(self._made.again(latents))

    # ------------------------------------------------------------------ the recorded calls

    @property
    def _is_discriminators(self) -> bool:
        return self.watched.player == "discriminator"

    @cached_property
    def _real(self) -> Input:
        reals = self.watched.inputs.reals
        return reals[min(self.index, len(reals) - 1)]

    @cached_property
    def _fake(self) -> Input:
        fakes = self.watched.inputs.fakes
        return fakes[min(self.index, len(fakes) - 1)]

    @cached_property
    def _made(self) -> GeneratorCall:
        """The call of the generator that made the fakes of this turn."""
        watched = self.watched
        if not self._is_discriminators:
            return watched.generator_calls[min(self.index, len(watched.generator_calls) - 1)]
        if watched.generator is None:
            raise ValueError(f"it needs the latents of the fakes, but generator=None; {watched.asker}(generator=...)")
        return call_that_made(
            self._fake.images,
            watched.record.calls_of(watched.generator),
            generator=watched.generator,
            latents=watched.latents,
        )

    def _score(self, own: Input, images: Images) -> Logits:
        output = own.again(images)
        scores = output if self.watched.scores is None else self.watched.scores(output)
        if isinstance(scores, Tensor) and scores.dim():
            return full_precision(scores)
        returned = f"{self.watched.critic!r} returns a {structure_text(output)}"
        if self.watched.scores is None:
            raise ValueError(
                f"{returned} and not one score or map of scores for each sample; say which part are the scores, for "
                f"example scores={SCORES}.first, .last or .summed: {self.watched.asker}(scores=...)"
            )
        kind = shape_text(scores) if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise ValueError(f"{returned}, of which scores=... makes {kind}; it must return a tensor `batch ...`")


def _as_maps(images: Tensor) -> Images:
    """Convert images to fp32 and to the shape `batch channels height width`."""
    images = full_precision(images)
    return images if images.dim() == 4 else images.reshape(len(images), -1, 1, 1)


def _labels_of(own: Input) -> Labels | None:
    """The labels that belong to images, if there is exactly one argument that has the shape of labels."""
    labels = _label_of(own.call, own.place)
    return None if labels is None else labels[own.rows]


def _label_of(call: Call, place: str) -> Labels | None:
    found = [seen.tensor for other, seen in call.seen.items() if other != place and _may_be_labels(seen.tensor)]
    return found[0].detach() if len(found) == 1 else None


def _may_be_labels(tensor: Tensor) -> bool:
    """Whether a tensor has the shape and dtype of class indices, or of one row of class weights per image."""
    return tensor.dim() == (2 if tensor.is_floating_point() else 1)
