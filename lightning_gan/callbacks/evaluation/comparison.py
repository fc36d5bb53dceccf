"""Measurements that compare generated with real images: where the reals come from, and how the fakes are drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, final

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_gan.callbacks.evaluation.measurement import Share, gathered
from lightning_gan.callbacks.evaluation.reals_measurement import RealsMeasurement, positions_in_set, validation_batches
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.observer import tensors_of
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.report import Record
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.shapes import Features, ImageBytes, Labels, Latents

Sampler: TypeAlias = Callable[[LightningModule, int, int], Tensor]
"""Makes images `[count, channels, height, width]` in about [-1, 1] of (module, count, seed)."""


class Described(NamedTuple):
    """What is kept of some images: rows of numbers, and the place of each row in the whole set, -1 for none."""

    rows: Features
    positions: Int64[Tensor, " batch"]


@dataclass
class Gathering:
    """What is kept of the images that a rank has seen so far."""

    parts: list[FeatureSet] = field(default_factory=list)
    images: int = 0

    def add(self, images: int, described: list[Described]) -> None:
        """Adds a batch of `images` images."""
        self.parts = self.parts or [FeatureSet() for _ in described]
        for part, (rows, positions) in zip(self.parts, described, strict=True):
            part.update(rows, positions)
        self.images += images


class Reals(NamedTuple):
    """What is kept of all reals, and numbers of them alone: `floors`. Rank 0 alone has them."""

    parts: list[Features]
    floors: dict[str, float]


def images_of(batch: Any) -> Tensor:
    """The images of a batch: its first tensor with four dimensions.

    Raises:
        ValueError: if there is none.
    """
    for tensor in tensors_of(batch):
        if tensor.dim() == 4:
            return tensor
    raise ValueError(
        f"Evaluation: no images [batch, channels, height, width] in a batch of type {type(batch).__name__}"
    )


class _Fakes(ABC):
    """Where generated images come from."""

    asked: Tensor | None
    """The class that every image is made for, None without classes."""

    @abstractmethod
    def images(self, share: Share) -> Tensor:
        """The images of a batch, in about [-1, 1]."""


@final
class _LatentFakes(_Fakes):
    """What a `GAN` makes of latents."""

    def __init__(self, gan: GAN, latents: Latents, labels: Labels | None, *, truncation: float, ema: bool) -> None:
        self.gan, self.latents, self.asked = gan, latents, labels
        self.truncation, self.ema = truncation, ema

    def images(self, share: Share) -> Tensor:
        classes = None if self.asked is None else self.asked[share.positions]
        return self.gan.sample(self.latents[share.positions], classes, truncation=self.truncation, ema=self.ema)


@final
class _SampledFakes(_Fakes):
    """What a user's function makes."""

    def __init__(self, module: LightningModule, sampler: Sampler) -> None:
        self.module, self.sampler, self.asked = module, sampler, None

    def images(self, share: Share) -> Tensor:
        return self.sampler(self.module, len(share.positions), share.seed)


class Comparison(RealsMeasurement):
    """Measures generated beside real images.

    The reals are those that every `RealsMeasurement` gets; while fitting they are read once. Real images are a batch's
    first tensor with four dimensions, uint8 or float in [-1, 1].

    It works on a `GAN`, and with `sampler` on any LightningModule. Its place among the callbacks is behind those that
    average weights.

    A subclass says in `describe` what is kept of images, in `floors` what the reals are measured by alone, and in
    `compare` what the numbers are.

    Args:
        every_kimg: see `Measurement`.
        fake_count: images to generate.
        batch_size: images to generate at once, on each rank. Where networks draw noise, it changes the images.
        seed: see `Measurement`.
        truncation: passed to `GAN.sample`.
        ema: passed to `GAN.sample`. Other modules are always evaluated with the weights that `EMA` averages.
        sampler: gives images `[count, channels, height, width]` in about [-1, 1] of a module that is no `GAN`, from
            (module, count, seed). It is called per batch, with networks in evaluation mode and without gradients.
        name: see `Measurement`.

    Raises:
        ValueError: for settings that cannot be evaluated, and before training starts for a run that cannot be.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None,
        fake_count: int,
        batch_size: int,
        seed: int,
        truncation: float,
        ema: bool,
        sampler: Callable[[LightningModule, int, int], Tensor] | None,
        name: str,
    ) -> None:
        super().__init__(every_kimg=every_kimg, batch_size=batch_size, seed=seed, name=name)
        if sampler is not None and (truncation != 1.0 or not ema):
            raise ValueError(
                f"{self.title}: truncation and ema are passed to GAN.sample; with a sampler, set them there"
            )
        self.fake_count = fake_count
        self.truncation = truncation
        self.ema = ema
        self.sampler = sampler
        self._validation_reals: Reals | None = None
        self._loop_reals = Gathering()

    # ------------------------------------------------------------------ what a comparison is

    @abstractmethod
    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        """What is kept of some images, always as many parts; `positions` are theirs in the set, -1 for duplicates."""

    @abstractmethod
    def floors(self, reals: list[Features]) -> dict[str, float]:
        """Numbers of the reals alone, on rank 0."""

    @abstractmethod
    def compare(self, reals: Reals, fakes: list[Features], *, asked: Tensor | None, drawn: Record) -> Record:
        """The numbers, under "metrics", and what they depend on; on rank 0.

        Args:
            reals: what is kept of the reals.
            fakes: what is kept of the fakes.
            asked: the class that every fake was made for, None without classes.
            drawn: what the fakes depend on.
        """

    # ------------------------------------------------------------------ when

    def check(self, module: LightningModule) -> None:
        if self.sampler is None:
            host_of(module).check_makes_images(self.title)
            self._gan(module)

    def forget(self) -> None:
        self._loop_reals = Gathering()

    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        self._add_reals(trainer, module, self._loop_reals, batch)

    # ------------------------------------------------------------------ the comparison

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        reals = self._reals(trainer, module)
        fakes, asked = self._fakes(trainer, module)
        if not trainer.is_global_zero:
            return {}
        drawn = {
            "fake_count": self.fake_count,
            "seed": self.seed,
            "truncation": self.truncation if self.sampler is None else None,
            "ema": host_of(module).uses_average(trainer, ema=self.ema),
        }
        return self.compare(reals, fakes, asked=asked, drawn=drawn)

    def _reals(self, trainer: Trainer, module: LightningModule) -> Reals:
        if trainer.state.fn != TrainerFn.FITTING:
            gathering, self._loop_reals = self._loop_reals, Gathering()
            return self._finished(trainer, module, gathering)
        if self._validation_reals is None:
            gathering = Gathering()
            for batch in validation_batches(trainer):
                self._add_reals(trainer, module, gathering, batch)
            self._validation_reals = self._finished(trainer, module, gathering)
        return self._validation_reals

    def _finished(self, trainer: Trainer, module: LightningModule, gathering: Gathering) -> Reals:
        parts = [gathered(trainer, module, part) for part in gathering.parts]
        return Reals(parts=parts, floors=self.floors(parts) if trainer.is_global_zero else {})

    def _add_reals(self, trainer: Trainer, module: LightningModule, gathering: Gathering, batch: Any) -> None:
        """This rank's batch, at the positions that its images have in the data set."""
        images = images_of(batch).to(module.device)
        positions = positions_in_set(trainer, len(images), after=gathering.images)
        gathering.add(len(images), self._described(images, positions))

    def _fakes(self, trainer: Trainer, module: LightningModule) -> tuple[list[Features], Tensor | None]:
        source = self._source(module)
        gathering = Gathering()
        for share in self.shares(trainer, self.fake_count):
            with trainer.precision_plugin.forward_context():
                images = source.images(share)
            gathering.add(len(images), self._described(images, share.filed))
        return [gathered(trainer, module, part) for part in gathering.parts], source.asked

    def _source(self, module: LightningModule) -> _Fakes:
        if self.sampler is not None:
            return _SampledFakes(module, self.sampler)
        gan = self._gan(module)
        latents, labels = gan.draw_latents(self.fake_count, seed=self.seed)
        return _LatentFakes(gan, latents, labels, truncation=self.truncation, ema=self.ema)

    def _gan(self, module: LightningModule) -> GAN:
        return host_of(module).gan(
            self.title,
            problem="how to draw images from it is not known",
            remedy="give sampler=, a function of (module, count, seed) that makes images in [-1, 1]",
        )

    def _described(self, images: Tensor, positions: Int64[Tensor, " batch"]) -> list[Described]:
        return self.describe(images if images.dtype == torch.uint8 else to_bytes(images), positions)
