"""The base class of measurements that compare generated images with real ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_gan.callbacks.evaluation.measurement import Share, gathered
from lightning_gan.callbacks.evaluation.reals_measurement import RealsMeasurement, positions_in_set, validation_batches
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.sampler import Sampler, sampled_images
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.report import Record
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, ImageBytes, Labels, Latents


class Described(NamedTuple):
    """The rows of numbers that a measurement keeps of some images.

    Attributes:
        rows: numbers of the images, `batch features`.
        positions: position of each row in the whole set of images, or -1 for rows that are left out.
    """

    rows: Features
    positions: Int64[Tensor, " batch"]


@dataclass
class Gathering:
    """The rows that a rank has collected so far.

    Attributes:
        parts: one set of rows for each part that `Comparison.describe` returns.
        images: number of images that the rank has read.
    """

    parts: list[FeatureSet] = field(default_factory=list)
    images: int = 0

    def add(self, images: int, described: list[Described]) -> None:
        """Adds the rows of a batch of `images` images, one `Described` for each part."""
        self.parts = self.parts or [FeatureSet() for _ in described]
        for part, (rows, positions) in zip(self.parts, described, strict=True):
            part.update(rows, positions)
        self.images += images


class Reals(NamedTuple):
    """The collected rows of all real images. Only rank 0 has them; on other ranks they are empty.

    Attributes:
        parts: rows of all real images, one tensor `reals features` for each part of `Comparison.describe`.
        floors: numbers that depend on the real images only.
    """

    parts: list[Features]
    floors: dict[str, float]


class _Fakes(ABC):
    """A source of generated images."""

    asked: Tensor | None
    """Class index that each image is generated for; None without classes."""

    @abstractmethod
    def images(self, share: Share) -> Tensor:
        """Generates the images of a batch, `batch channels height width`, in about [-1, 1]."""


@final
class _LatentFakes(_Fakes):
    """Images that a `GAN` generates from latents."""

    def __init__(self, gan: GAN, latents: Latents, labels: Labels | None, *, truncation: float, ema: bool) -> None:
        self.gan, self.latents, self.asked = gan, latents, labels
        self.truncation, self.ema = truncation, ema

    def images(self, share: Share) -> Tensor:
        classes = None if self.asked is None else self.asked[share.positions]
        return self.gan.sample(self.latents[share.positions], classes, truncation=self.truncation, ema=self.ema)


@final
class _SampledFakes(_Fakes):
    """Images that the user's `sampler` generates."""

    def __init__(self, module: LightningModule, sampler: Sampler, *, asker: str) -> None:
        self.module, self.sampler, self.asker, self.asked = module, sampler, asker, None

    def images(self, share: Share) -> Tensor:
        count = len(share.positions)
        return sampled_images(self.sampler, self.module, count=count, seed=share.seed, asker=self.asker)


class Comparison(RealsMeasurement):
    """Compares generated images with real ones.

    The real images come from the dataloader that every `RealsMeasurement` reads; while fitting, they are read only
    once.

    The callback works on a `GAN`, and with `sampler` on any LightningModule. List it after callbacks that average
    weights.

    A subclass implements `describe`, which returns the rows to keep of some images, `floors`, which computes numbers of
    the real images only, and `compare`, which computes the numbers that are logged.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        fake_count: number of images to generate.
        batch_size: number of images that each rank generates at once. If networks draw noise, it changes the images.
        seed: integer that determines the latents, the noise and every other random choice.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`. It is called once per batch, with networks
            in evaluation mode and without gradients.
        real: function that takes the real images out of a batch; see `RealsMeasurement`.
        value_range: lowest and highest value of float real images; see `RealsMeasurement`.
        name: prefix of the logged names, and name of the JSON file.

    Raises:
        ValueError: for settings out of range, and before training starts for a module or a run that cannot be measured.
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
        real: Callable[[Any], Tensor] | None,
        value_range: Sequence[float] | None,
        name: str,
    ) -> None:
        super().__init__(
            every_kimg=every_kimg, batch_size=batch_size, seed=seed, real=real, value_range=value_range, name=name
        )
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

    # ------------------------------------------------------------------ for subclasses

    @abstractmethod
    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        """Computes the rows to keep of some images.

        Args:
            images: uint8 images, `batch channels height width`.
            positions: positions of the images in the whole set, or -1 for duplicates.

        Returns:
            The parts of the description. Their number is the same in every call.
        """

    @abstractmethod
    def floors(self, reals: list[Features]) -> dict[str, float]:
        """Computes numbers that depend on the real images only; called on rank 0.

        Args:
            reals: rows of all real images, one tensor `reals features` for each part of `describe`.
        """

    @abstractmethod
    def compare(self, reals: Reals, fakes: list[Features], *, asked: Tensor | None, drawn: Record) -> Record:
        """Returns a record of the numbers, under "metrics", and of the settings they depend on; called on rank 0.

        Args:
            reals: rows and floors of the real images.
            fakes: rows of all generated images, one tensor `fakes features` for each part of `describe`.
            asked: class index that each image was generated for; None without classes.
            drawn: settings that the generated images depend on, to be included in the record.
        """

    # ------------------------------------------------------------------ checks, and the batches of validate and test

    def check(self, module: LightningModule) -> None:
        if self.sampler is None:
            host_of(module).check_makes_images(self.title)
            self._gan(module)

    def few_fakes(self, trainer: Trainer, module: LightningModule) -> Tensor | None:
        if self.sampler is None:
            return None
        seed = derived_seed(self.seed, "fakes", 0)
        torch.manual_seed(seed)
        with trainer.precision_plugin.forward_context():
            return sampled_images(self.sampler, module, count=2, seed=seed, asker=self.title)

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
        """Adds the rows of this rank's batch, with the positions of its images in the data set."""
        images = self.real_images(module).images(batch).to(module.device)
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
            return _SampledFakes(module, self.sampler, asker=self.title)
        gan = self._gan(module)
        latents, labels = gan.draw_latents(self.fake_count, seed=self.seed)
        return _LatentFakes(gan, latents, labels, truncation=self.truncation, ema=self.ema)

    def _gan(self, module: LightningModule) -> GAN:
        return host_of(module).gan(
            self.title,
            problem="how to draw images from it is not known",
            remedy="give sampler=, a function of (module, count, seed) that returns images in [-1, 1]",
        )

    def _described(self, images: Tensor, positions: Int64[Tensor, " batch"]) -> list[Described]:
        return self.describe(images if images.dtype == torch.uint8 else to_bytes(images), positions)
