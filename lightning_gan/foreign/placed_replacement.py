"""Generated images in the place of real ones: in the loop of a `GAN`, or in a hook on any other discriminator."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from lightning_gan.compat import is_compiled
from lightning_gan.foreign.calls import Call, Seen, changed_arguments, storage_of
from lightning_gan.foreign.observer import Observer, names_of_arguments, observer_of
from lightning_gan.foreign.sampler import Sampler, check_sampler, sampled_images
from lightning_gan.foreign.structures import shape_text
from lightning_gan.foreign.transformed_network import PlacedTransform, TransformInLoop
from lightning_gan.layers.buffers import unmoved_buffers
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.transforms import RealTransform
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.seeds import derived_seed


@dataclass(frozen=True, kw_only=True)
class ReplacedSettings:
    """Where real images are replaced, and how the generated ones are made in a module that is not a `GAN`.

    Args:
        asker: name of the callback, for error messages.
        discriminator: attribute path of the discriminator.
        image: name of the discriminator's argument that is the images; None for its only floating-point tensor.
        sampler: function that makes images; None if there is none.
    """

    asker: str
    discriminator: str
    image: str | None
    sampler: Sampler | None


class PlacedReplacement(PlacedTransform):
    """A transform of the real images of the discriminator's turns, until it is removed."""

    @abstractmethod
    def end_batch(self) -> None:
        """Check after a batch that real images were found.

        Raises:
            ValueError: if they were not.
        """


@final
class ReplacedInLoop(PlacedReplacement):
    """A transform in the list `real_transforms` of a `GAN`, whose loop makes the images.

    Args:
        gan: model whose real images are replaced.
        transform: transform of real images.
        settings: the discriminator, which must be the model's own, and no function that makes images.

    Raises:
        ValueError: for models that make no images, whose turns depend on each other, for another discriminator, and
            with a function that makes images.
    """

    def __init__(self, gan: GAN, transform: RealTransform, settings: ReplacedSettings) -> None:
        asker, model = settings.asker, type(gan).__name__
        if settings.discriminator != "discriminator":
            raise ValueError(
                f"{asker}: discriminator={settings.discriminator!r} is not the whole discriminator of {model}, whose "
                "real images are replaced; leave discriminator out"
            )
        if settings.sampler is not None:
            raise ValueError(
                f"{asker}: {model} is a lightning_gan.GAN, whose own generator makes the images; leave sampler out"
            )
        if not gan.makes_images:
            raise ValueError(f"{asker}: {model} makes no images; leave this callback out")
        if not gan.turns_are_independent:
            raise ValueError(
                f"{asker}: a turn of {model} uses what the turn before made of the real images, so that these cannot "
                "be replaced in one turn; leave this callback out"
            )
        self._placed = TransformInLoop(gan, transform)

    def begin_batch(self, images_seen: int) -> None:
        """Do nothing, because the loop updates the transform."""

    def end_batch(self) -> None:
        """Do nothing, because the loop knows the real images."""

    def remove(self) -> None:
        self._placed.remove()


@final
class ReplacedBeforeNetwork(PlacedReplacement):
    """A hook that replaces the real images of every call of a discriminator that trains it.

    Real is what lies in the memory of the batch, and what the training step has marked with `lightning_gan.real`. The
    result is marked as real, so that penalties take it for the real images of the turn.

    On several ranks each makes the generated images and chances of all ranks from one seed, and takes the rows of its
    own, so that the results are those of one process with the batches of all ranks one behind the other.

    Args:
        module: module that contains the discriminator.
        transform: transform of real images.
        settings: the discriminator, its images, and the function that makes generated ones.

    Raises:
        ValueError: without such a function, or with one of other arguments, for a compiled discriminator, and in
            training if no real images are found or generated ones have another shape.
    """

    def __init__(self, module: LightningModule, transform: RealTransform, settings: ReplacedSettings) -> None:
        asker = settings.asker
        network = network_of(module, settings.discriminator, setting=f"{asker}(discriminator=...)")
        if settings.sampler is None:
            raise ValueError(
                f"{asker}: {type(module).__name__} is no lightning_gan.GAN, so how its generator is called is not "
                "known; give sampler=, a function of (module, count, seed) that returns generated images as the "
                "discriminator gets them"
            )
        check_sampler(settings.sampler, asker=asker)
        if is_compiled(network):
            raise ValueError(
                f"{asker}: {settings.discriminator!r} is compiled, and its real images can only be replaced in calls "
                "that are not; leave torch.compile out"
            )
        self._module, self._transform, self._settings = module, transform, settings
        self._sampler: Sampler = settings.sampler
        self._names = names_of_arguments(network)
        self._images_seen, self._calls, self._found = 0, 0, 0
        self._latest: Call | None = None
        # The hook runs before that of the observer, which is to record what the discriminator is given.
        self._hook = network.register_forward_pre_hook(self._replaced, prepend=True, with_kwargs=True)

    def begin_batch(self, images_seen: int) -> None:
        self._transform.begin_batch(images_seen)
        self._images_seen, self._calls = images_seen, 0

    def end_batch(self) -> None:
        latest, self._latest = self._latest, None
        if latest is None or self._found:
            return
        seen = ", ".join(f"{place}: {shape_text(own.tensor)}" for place, own in latest.seen.items())
        raise ValueError(
            f"{self._settings.asker}: no real images were found that could be replaced; "
            f"{self._settings.discriminator!r} was called with ({seen}), of which nothing lies in the memory of the "
            "batch; mark them in the step: `from lightning_gan import real`, then discriminator(real(x))"
        )

    def remove(self) -> None:
        self._hook.remove()

    def _replaced(
        self, network: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        observer = observer_of(self._module)
        if not network.training or not torch.is_grad_enabled() or not observer.is_watching:
            return None
        call = Call.of(network, arguments, keywords, names=self._names, turn=observer.turn)
        if not call.trains:
            return None
        self._latest = call
        place = self._settings.image
        if place is None and len(call.floating) == 1:
            place = next(iter(call.floating))
        if place not in call.floating:
            seen = ", ".join(f"{place}: {shape_text(own.tensor)}" for place, own in call.floating.items())
            raise ValueError(
                f"{self._settings.asker}: {self._settings.discriminator!r} was called with ({seen}), and which of "
                f"them are the images cannot be told; say it: image={next(iter(call.floating), 'x')!r}"
            )
        if not _is_real(call.floating[place], observer):
            return None
        self._found += 1
        return changed_arguments(
            arguments,
            keywords,
            lambda other, tensor: self._with_generated(tensor, observer) if other == place else tensor,
            names=self._names,
        )

    def _with_generated(self, images: Tensor, observer: Observer) -> Tensor:
        """Images of which some are replaced: on each rank the rows that one process would have in their place."""
        count, ranks, rank = len(images), self._module.trainer.world_size, self._module.global_rank
        mine = slice(rank * count, (rank + 1) * count)
        asker, seed = self._settings.asker, derived_seed("replacements", self._images_seen, self._calls)
        self._calls += 1
        with torch.no_grad(), observer.paused(), isolate_rng(), unmoved_buffers(self._module):
            torch.manual_seed(seed)  # of dropout, and of noise that the function does not draw by its seed
            generated = sampled_images(self._sampler, self._module, count=count * ranks, seed=seed, asker=asker)
        if generated.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{asker}: sampler returned images {shape_text(generated[mine])}, and the real ones that "
                f"{self._settings.discriminator!r} was called with are {shape_text(images)}; it must return images as "
                "the discriminator gets them"
            )
        generated = from_bytes(generated) if generated.dtype == torch.uint8 else generated
        random = torch.Generator(images.device).manual_seed(seed)
        chances = torch.rand(count * ranks, generator=random, device=images.device)
        mixed: Tensor = self._transform(images, generated[mine].detach().to(images.device), chances[mine])
        observer.note_mark("real", mixed)
        return mixed


def _is_real(seen: Seen, observer: Observer) -> bool:
    """Whether images lie unchanged in the memory of the batch, or were marked as real."""
    record, storage = observer.records[-1], storage_of(seen.tensor)
    in_batch = storage is not None and any(
        storage_of(own.tensor) is storage and own.version == seen.version for own in record.data
    )
    return in_batch or any(mark.kind == "real" and mark.seen.is_same(seen) for mark in record.marks)
