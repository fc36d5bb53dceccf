"""Identifies the call of a generator that made the fakes of a turn, or refuses."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lightning_gan.foreign.calls import Call
from lightning_gan.foreign.structures import places_of, shape_text
from lightning_gan.tensors.precision import full_precision


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratorCall:
    """A call of a generator, with the places of its latents and of its images.

    Attributes:
        call: the call.
        latent_place: place of the latents among its arguments.
        image_place: place of the images in its output.
    """

    call: Call
    latent_place: str
    image_place: str

    @property
    def latents(self) -> Tensor:
        """The latents, detached."""
        return self.call.seen[self.latent_place].tensor.detach()

    def again(self, latents: Tensor) -> Tensor:
        """Images of other latents, with the other arguments of the call."""
        samples = len(self.latents)
        output = self.call.again({self.latent_place: latents}, rows=slice(0, len(latents)), samples=samples)
        return full_precision(dict(places_of(output))[self.image_place])


def call_that_made(images: Tensor, calls: Sequence[Call], *, generator: str, latents: str | None) -> GeneratorCall:
    """The call whose output is exactly these images.

    Args:
        images: fakes of the discriminator's turn.
        calls: calls of the generator during the batch.
        generator: attribute path of the generator, for error messages.
        latents: place of the latents that the user has named; None if there is only one possibility.

    Raises:
        ValueError: if the images were changed since, or the latents cannot be identified.
    """
    for call in reversed(calls):
        for place, made in call.made.items():
            if made.is_all_of(images):
                latent_place = _latent_place(call, generator=generator, latents=latents)
                return GeneratorCall(call=call, latent_place=latent_place, image_place=place)
    raise ValueError(
        f"the fakes of {shape_text(images)} are no output of {generator!r} as it is in this batch, so that their "
        "latents are not known; a penalty on latents needs fakes that were not changed before the discriminator got "
        "them"
    )


def calls_of_the_turn(
    calls: Sequence[Call], *, critic_calls: Sequence[Call], generator: str, latents: str | None, mean_over_calls: bool
) -> list[GeneratorCall]:
    """The calls that made the fakes of the generator's turn: one, or several if a penalty is the mean over them.

    Args:
        calls: calls of the generator during the batch.
        critic_calls: calls of the discriminator in this turn; they tell which outputs are images.
        generator: attribute path of the generator, for error messages.
        latents: place of the latents that the user has named; None if there is only one possibility.
        mean_over_calls: whether there may be several.

    Raises:
        ValueError: if they cannot be identified.
    """
    trained = [call for call in calls if any(made.is_trained for made in call.made.values())]
    if not trained:
        raise ValueError(
            f"{generator!r} was not called with gradients in this batch; name the network that is called (not its "
            "method forward): generator=..."
        )
    scored = [seen.tensor for call in critic_calls for seen in call.seen.values() if seen.has_graph]
    chosen = [
        (call, place)
        for call in trained
        for place, made in call.made.items()
        if any(made.has(tensor) for tensor in scored)
    ]
    if not chosen:
        latest = trained[-1].turn
        present = [call for call in trained if call.turn == latest]
        chosen = [(call, place) for call in present for place, made in call.made.items() if made.is_trained]
    if len({place for _, place in chosen}) > 1:
        raise ValueError(
            f"{generator!r} returns several tensors ({', '.join(dict.fromkeys(place for _, place in chosen))}), and "
            "which are its images cannot be told; name a part of it that returns only images: generator=..."
        )
    if len(chosen) > 1 and not mean_over_calls:
        raise ValueError(
            f"{generator!r} was called {len(chosen)} times in its turn; for the mean of the penalty over these calls "
            "set mean_over_calls=True"
        )
    return [
        GeneratorCall(
            call=call, latent_place=_latent_place(call, generator=generator, latents=latents), image_place=place
        )
        for call, place in chosen
    ]


def _latent_place(call: Call, *, generator: str, latents: str | None) -> str:
    places = list(call.floating)
    if latents is not None and latents in places:
        return latents
    if latents is None and len(places) == 1:
        return places[0]
    seen = ", ".join(f"{place}: {shape_text(own.tensor)}" for place, own in call.seen.items()) or "no tensor"
    problem = (
        "which argument holds the latents cannot be told" if latents is None else f"there is no latents={latents!r}"
    )
    raise ValueError(
        f"{problem}: {generator!r} was called with ({seen}); say which argument they are: "
        f"latents={(places or ['z'])[0]!r}"
    )
