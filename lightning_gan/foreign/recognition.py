"""Identifies the real and the fake images among the recorded inputs of a discriminator, or refuses.

What a user says of them comes first (`InputSettings`), then what the training step has marked, then the memory that the
inputs lie in: the batch's memory holds real images, the generator's outputs are fakes. What is left is decided only if
there is one possibility, and otherwise refused.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, TypeAlias

from lightning_gan.foreign.calls import Seen, storage_of
from lightning_gan.foreign.inputs import FoundInputs, Input, InputSettings, rows_within, without_doubles
from lightning_gan.foreign.observer import MarkKind, Record
from lightning_gan.foreign.structures import shape_text, structure_text

Kind: TypeAlias = Literal["real", "fake", "attached fake", "attached", "differentiated", "unknown"]
"""The kind of an input. Attached means with a graph; differentiated means a leaf that requires grad."""

TEXTS: dict[Kind, str] = {
    "real": "of the batch",
    "fake": "of the generator",
    "attached fake": "of the generator, with its graph",
    "attached": "with a graph",
    "differentiated": "differentiated by",
    "unknown": "unknown",
}
"""How error messages call the kinds."""

MARK_ROWS = (
    "mark rows of images that are concatenated before the call: `from lightning_gan import real, fake`, then "
    "discriminator(torch.cat([real(x), fake(y)]))"
)
"""Advice for a call that has both kinds of images."""


class CriticInputs:
    """The real and the fake images of one discriminator in the present turn.

    Args:
        asker: name of the penalty, for error messages.
        critic: attribute path of the discriminator.
        generator: attribute path of the generator; None if there is none.
        record: record of the batch.
        image_places: places of generated images that the generator's turns have shown.
        settings: what the user says.
        found: where earlier turns have found the images of the user's functions; it is changed.
    """

    def __init__(
        self,
        *,
        asker: str,
        critic: str,
        generator: str | None,
        record: Record,
        image_places: set[str],
        settings: InputSettings,
        found: FoundInputs,
    ) -> None:
        self.asker = asker
        self.critic = critic
        self.settings = settings
        self.counts: dict[str, int] = {}
        self._generator = generator
        self._record = record
        self._made = record.made(generator)
        self._image_places = image_places
        self._found = found
        self._calls = [call for call in record.critics[critic] if call.trains]

    @property
    def count(self) -> int:
        """The largest number of inputs of one kind that has been asked for."""
        return max(self.counts.values(), default=1)

    @cached_property
    def reals(self) -> list[Input]:
        """The real images of this turn: one input, or several if a penalty is the mean over them.

        Raises:
            ValueError: if they cannot be identified.
        """
        return self._counted("real", self._told["real"] or self._recognized_reals())

    @cached_property
    def fakes(self) -> list[Input]:
        """The fakes of this turn: one input, or several if a penalty is the mean over them.

        Raises:
            ValueError: if they cannot be identified.
        """
        return self._counted("fake", self._told["fake"] or self._recognized_fakes())

    def _counted(self, which: MarkKind, inputs: list[Input]) -> list[Input]:
        others = {name: count for name, count in self.counts.items() if name != which and count > 1}
        if len(inputs) > 1 and any(count != len(inputs) for count in others.values()):
            raise ValueError(
                f"{self.critic!r} has {len(inputs)} {which} inputs in this turn, but {next(iter(others.values()))} of "
                f"the other kind, so they are no pairs; {self._say_which}"
            )
        self.counts[which] = len(inputs)
        return inputs

    # ------------------------------------------------------------------ what was said

    @cached_property
    def _told(self) -> dict[MarkKind, list[Input]]:
        """The inputs that the user or marks name, by their kinds; empty lists if nothing does."""
        real, fake = self._told_of("real"), self._told_of("fake")
        if any(own.is_same(other) for own in real for other in fake):
            raise ValueError(
                f"real={self.settings.real} and fake={self.settings.fake} name the same images; {self._seen_text}; "
                f"{MARK_ROWS}"
            )
        return {"real": real, "fake": fake}

    def _told_of(self, which: MarkKind) -> list[Input]:
        choice = self.settings.real if which == "real" else self.settings.fake
        if isinstance(choice, int):
            choice = [choice]
        if isinstance(choice, list):
            self._check_called()
            for number in choice:
                if not -len(self._calls) <= number < len(self._calls):
                    raise ValueError(f"there is no call {number} ({which}={number}); {self._seen_text}")
            told = [Input(call=self._calls[number], place=self._place) for number in choice]
            if len(self._calls) == 1:
                self._refuse_concatenation(which, told[0])
            return told
        if choice is not None:
            self._check_called()
            images = choice(self._record.batch)
            located = self._found.located(
                which, images, asker=self.asker, inputs=self._inputs, seen=lambda: self._seen_text
            )
            return [located]
        return self._marked(which)

    def _refuse_concatenation(self, which: MarkKind, only: Input) -> None:
        """Refuse the turn's only call as images of one kind, if it has as many as the batch and the fakes together."""
        images = only.images
        generated = {own.shape[0] for own in self._made if own.shape and own.shape[1:] == images.shape[1:]}
        in_batch = {len(own.tensor) for own in self._record.data if own.tensor.dim()}
        if any(len(images) == real + fakes for real in in_batch for fakes in generated):
            raise ValueError(
                f"{which}=0 names a call with {len(images)} samples, as many as the batch and the generator's output "
                f"have together; {self._seen_text}; {MARK_ROWS}"
            )

    def _marked(self, which: MarkKind) -> list[Input]:
        marks = [mark.seen for mark in self._record.marks if mark.kind == which]
        matched = without_doubles(
            [
                Input(call=call, place=place, rows=rows)
                for call in self._calls
                for place, seen in call.floating.items()
                for mark in marks
                if (rows := rows_within(mark, seen)) is not None
            ]
        )
        if matched or not marks or not self._calls:
            return matched
        # The marked images were concatenated, or are no input of this discriminator.
        inputs_of_others = [
            seen
            for path, calls in self._record.critics.items()
            if path != self.critic
            for call in calls
            for seen in call.floating.values()
        ]
        own = self._calls[-1].seen[self._place].tensor
        loose = [
            mark
            for mark in self._record.marks
            if mark.kind == which
            and mark.seen.tensor.shape[1:] == own.shape[1:]
            and not any(rows_within(mark.seen, seen) is not None for seen in inputs_of_others)
        ]
        latest = max((mark.turn for mark in loose), default=0)
        loose = [mark for mark in loose if mark.turn == latest]
        if loose and len(self._calls[-1].seen) > 1:
            raise ValueError(
                f"the marked {which} images were concatenated before {self.critic!r} was called, which has further "
                "arguments, so that the rows of these are not known; mark rows of the concatenated images instead: "
                f"{which}(both[:{len(loose[0].seen.tensor)}])"
            )
        return [Input(call=self._calls[-1], place=self._place, marked=mark.seen) for mark in loose]

    # ------------------------------------------------------------------ what is recognized

    def _recognized_reals(self) -> list[Input]:
        kinds = self._kinds
        unknown, fakes = kinds["unknown"], kinds["fake"] or kinds["attached fake"]
        if kinds["real"]:
            # One unknown input is that of the fakes, if these are not among the others.
            there = bool(fakes or kinds["attached"])
            self._check_left("real", unknown, allowed=0 if there else 1, beside=kinds["real"][0])
            self._check_left("real", kinds["attached"], allowed=None, beside=kinds["real"][0])
            return self._one_or_mean("real", kinds["real"])
        # Augmented or scaled: there must be real images, and nothing else can be them.
        if not fakes or not unknown or kinds["attached"] or kinds["differentiated"]:
            raise ValueError(self._cannot_tell("real"))
        self._check_left("real", unknown, allowed=1, beside=fakes[0])
        return unknown

    def _recognized_fakes(self) -> list[Input]:
        kinds = self._kinds
        unknown, real, fakes = kinds["unknown"], kinds["real"], kinds["fake"] or kinds["attached fake"]
        if fakes:
            others = kinds["attached"] + [own for own in kinds["attached fake"] if not _is_one_of(own, fakes)]
            self._check_left("fake", others, allowed=0, beside=fakes[0])
            self._check_left("fake", unknown, allowed=0 if real else 1, beside=fakes[0])
            return self._one_or_mean("fake", fakes)
        # Augmented, from a pool, or left attached: there must be fakes, and nothing else can be them.
        left = unknown + kinds["attached"]
        called = self._generator is None or bool(self._record.calls_of(self._generator))
        if not real or not left or not called:
            raise ValueError(self._cannot_tell("fake"))
        self._check_left("fake", left, allowed=1, beside=real[0])
        return left

    def _check_left(self, which: MarkKind, left: Sequence[Input], *, allowed: int | None, beside: Input) -> None:
        """Refuse inputs that could be real or fake too.

        Args:
            which: kind of the images that are asked for.
            left: inputs whose kind is not known.
            allowed: number of inputs whose kind follows from that of the others; None for any number.
            beside: known input. An unknown one with another number of samples may be real and fake images that were
                concatenated.
        """
        too_many = allowed is not None and len(left) > allowed
        if too_many or any(len(own.images) != len(beside.images) for own in left):
            raise ValueError(self._cannot_tell(which))

    def _one_or_mean(self, which: MarkKind, inputs: list[Input]) -> list[Input]:
        if len(inputs) > 1 and not self.settings.mean_over_calls:
            raise ValueError(
                f"{self.critic!r} was called with {len(inputs)} different {which} inputs in this turn; "
                f"{self._seen_text}; for the mean of the penalty over them set {self.asker}(mean_over_calls=True), "
                f"or say which call counts: {self.asker}({which}={self._numbers(inputs)[0]})"
            )
        return inputs

    @cached_property
    def _kinds(self) -> dict[Kind, list[Input]]:
        """The inputs of every kind, where each counts once."""
        self._check_called()
        said: dict[Kind, list[Input]] = {"real": self._said("real"), "fake": self._said("fake")}
        kinds: dict[Kind, list[Input]] = {kind: [] for kind in TEXTS}
        for own in self._inputs:
            named = next((kind for kind, inputs in said.items() if any(own.is_same(other) for other in inputs)), None)
            kinds[named or self._kind(own.call.seen[own.place])].append(own)
        return {kind: without_doubles(inputs) for kind, inputs in kinds.items()}

    def _said(self, which: MarkKind) -> list[Input]:
        return [own for own in self._told[which] if own.marked is None]

    def _kind(self, seen: Seen) -> Kind:
        storage = storage_of(seen.tensor)
        in_batch = [own for own in self._record.data if storage is not None and storage_of(own.tensor) is storage]
        if any(own.version == seen.version for own in in_batch):
            return "real"  # what lies in the batch is data, even if the generator has handed it on
        if in_batch:
            return "unknown"  # the batch was changed in place
        if any(made.has(seen.tensor) for made in self._made):
            return "attached fake" if seen.has_graph else "fake"
        if seen.has_graph:
            return "attached"
        return "differentiated" if seen.requires_grad else "unknown"

    # ------------------------------------------------------------------ the place of the images

    @cached_property
    def _inputs(self) -> list[Input]:
        return [Input(call=call, place=self._place) for call in self._calls]

    @cached_property
    def _place(self) -> str:
        """The place of the images among the discriminator's arguments.

        Raises:
            ValueError: if it cannot be identified.
        """
        self._check_called()
        places = list(dict.fromkeys(place for call in self._calls for place in call.floating))
        place = self._place_among(places)
        if place is None or any(place not in call.floating for call in self._calls):
            advice = f"say which argument holds the images: {self.asker}(image={(places or ['x'])[-1]!r})"
            if self.settings.image is not None:
                problem = f"not every call has a tensor of floating-point numbers as image={self.settings.image!r}"
            else:
                problem = "which argument holds the images cannot be told"
            raise ValueError(f"{problem}; {self._seen_text}; {advice}")
        return place

    def _place_among(self, places: Sequence[str]) -> str | None:
        if self.settings.image is not None:
            return self.settings.image
        if len(places) <= 1:
            return places[0] if places else None
        learned = self._image_places & set(places)
        if learned:
            return next(iter(learned)) if len(learned) == 1 else None
        kinds = {
            place: [self._kind(call.floating[place]) for call in self._calls if place in call.floating]
            for place in places
        }
        generated = [place for place, own in kinds.items() if "fake" in own or "attached fake" in own]
        if len(generated) != 1:
            return None
        others_are_data = all(kind == "real" for place, own in kinds.items() if place not in generated for kind in own)
        return generated[0] if others_are_data or "real" in kinds[generated[0]] else None

    # ------------------------------------------------------------------ messages

    def _check_called(self) -> None:
        if not self._calls:
            raise ValueError(
                f"{self.critic!r} was not called with gradients in this batch since the last step of an optimizer; "
                "name the network that is called (not its method forward, and not a part of a compiled one): "
                "discriminator=..."
            )

    @property
    def _seen_text(self) -> str:
        """What the discriminator was called with, and what the batch holds."""
        calls = []
        for number, call in enumerate(self._calls):
            inputs = [
                f"{place}: {shape_text(seen.tensor)} {TEXTS[self._kind(seen)]}" for place, seen in call.seen.items()
            ]
            calls.append(f"{number}: ({', '.join(inputs)})")
        times = {1: "once", 2: "twice"}.get(len(calls), f"{len(calls)} times")
        batch = structure_text(self._record.batch)
        return f"{self.critic!r} was called {times}, with {', '.join(calls)}; the batch is a {batch}"

    @property
    def _say_which(self) -> str:
        if [len(call.floating) for call in self._calls] == [1]:
            return (
                "if both are in this call, mark them in the step: `from lightning_gan import real, fake`, then "
                f"discriminator(torch.cat([real(x), fake(y)])); if one kind is, say {self.asker}(real=0)"
            )
        return (
            f"say by these numbers which call has them, {self.asker}(real=..., fake=...), or mark the images in the "
            "step: `from lightning_gan import real, fake`, then discriminator(real(x)) and discriminator(fake(y))"
        )

    def _cannot_tell(self, which: MarkKind) -> str:
        other_places = [
            place
            for call in self._calls
            for place, seen in call.floating.items()
            if place != self._place and self._kind(seen) == which
        ]
        hint = f"; if {other_places[0]!r} holds them, say image={other_places[0]!r}" if other_places else ""
        advice = self._say_which
        if self._inputs and all(self._kind(own.call.seen[own.place]) == "attached" for own in self._inputs):
            advice = (
                "these inputs are computed by other parts of the module; name the whole network that is called with "
                f"images, and which part of its output are the scores: {self.asker}(discriminator=..., scores=...)"
            )
        return f"the {which} images cannot be told: {self._seen_text}; {advice}{hint}"

    def _numbers(self, inputs: Sequence[Input]) -> list[int]:
        return [number for number, call in enumerate(self._calls) if any(call is own.call for own in inputs)]


def _is_one_of(own: Input, others: Sequence[Input]) -> bool:
    """Whether images are the same memory as one of the others, with or without a graph."""
    return any(own.call.seen[own.place].is_same(other.call.seen[other.place]) for other in others)
