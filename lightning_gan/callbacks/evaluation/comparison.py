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

from lightning_gan.callbacks.evaluation.finite_images import ImageCount
from lightning_gan.callbacks.evaluation.guarded import on_first_rank
from lightning_gan.callbacks.evaluation.measurement import Share, gathered
from lightning_gan.callbacks.evaluation.reals_measurement import RealsMeasurement, positions_in_set, validation_batches
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing, growing_of
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.sampler import Sampler, sampled_images
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.metrics.report import Record
from lightning_gan.tensors.image_bytes import nearest_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Labels, Latents

TRIED = 2
"""Number of real and of generated images that are described before training, to refuse those that cannot be."""


class Described(NamedTuple):
    """The rows of numbers that a measurement keeps of some images.

    Attributes:
        rows: numbers of the images, `batch features`.
        positions: position of each row in the whole set of images, or -1 for rows that are left out.
    """

    rows: Rows
    positions: Int64[Tensor, " batch"]


@dataclass
class Gathering:
    """The rows that a rank has collected so far.

    Args:
        asker: name of the callback, for error messages.
        what: what the images are, such as "generated images".

    Attributes:
        parts: one set of rows for each part that `Comparison.describe` returns.
        images: number of images that the rank has read.
        pixels: count of the images that are not finite.
        numbers: count of the images whose rows are not finite.
    """

    asker: str
    what: str
    parts: list[FeatureSet] = field(default_factory=list)
    images: int = 0

    def __post_init__(self) -> None:
        self.pixels = ImageCount(asker=self.asker, what=self.what)
        self.numbers = ImageCount(asker=self.asker, what=f"features of {self.what}")

    def add(self, images: int, described: list[Described]) -> None:
        """Adds the rows of a batch of `images` images, one `Described` for each part."""
        self.parts = self.parts or [FeatureSet() for _ in described]
        for part, (rows, positions) in zip(self.parts, described, strict=True):
            part.update(self.numbers.read(rows, counted=positions >= 0), positions)
        self.images += images

    def check(self, trainer: Trainer, module: LightningModule, *, kimg: float) -> int:
        """Raises an error on all ranks if images or rows are not finite; returns the number of images of all ranks.

        Raises:
            ValueError: if images or rows are not finite.
        """
        count = self.pixels.check(trainer, module, kimg=kimg)
        self.numbers.check(trainer, module, kimg=kimg)
        return count


class Reals(NamedTuple):
    """The collected rows of all real images. Only rank 0 has them; on other ranks they are empty.

    Attributes:
        parts: rows of all real images, one tensor `reals features` for each part of `Comparison.describe`.
        floors: numbers that depend on the real images only.
    """

    parts: list[Rows]
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
        # The authors measure with new noise for each image, which is a part of what the generator makes.
        return self.gan.sample(
            self.latents[share.positions],
            classes,
            truncation=self.truncation,
            fresh_noise=True,
            clipped=False,
            ema=self.ema,
        )


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
        self._loop_reals = self._new_reals()

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
    def floors(self, reals: list[Rows]) -> dict[str, float]:
        """Computes numbers that depend on the real images only; called on rank 0.

        Args:
            reals: rows of all real images, one tensor `reals features` for each part of `describe`.
        """

    @abstractmethod
    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
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
        self._loop_reals = self._new_reals()

    def try_out_with(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        images = self.real_images(module).images(batch)[:TRIED].to(module.device)
        reals, fakes = self._new_reals(), self._new_fakes()
        described = self._described(reals, images, torch.arange(len(images)))
        source, factor = self._source(module, count=TRIED), self._growth_until_measured(trainer)
        for share in self.shares(trainer, TRIED):
            with trainer.precision_plugin.forward_context():
                generated = nearest_upsample(source.images(share), factor=factor)
            fakes.add(len(generated), self._described(fakes, generated, share.filed))
        for gathering in (reals, fakes):
            gathering.check(trainer, module, kimg=self.kimg)
        if not all(len(rows) for rows, _ in described):
            raise ValueError(f"{self.title}: a batch of {len(images)} real images is too small; give larger batches")
        widths = [[rows.features[0].shape[1] for rows in fakes.parts], [rows.shape[1] for rows, _ in described]]
        if images.shape[1] != generated.shape[1] or widths[0] != widths[1]:
            raise ValueError(
                f"{self.title}: real images {list(images.shape[1:])} cannot be compared with generated images "
                f"{list(generated.shape[1:])} (channels, height, width); give images of the same shape, and with "
                "progressive growing set every_kimg to null, which measures at the end"
            )

    def _growth_until_measured(self, trainer: Trainer) -> int:
        """The factor by which generated images will be larger at the first measurement while fitting."""
        growing = growing_of(trainer)
        if growing is None or trainer.state.fn != TrainerFn.FITTING:
            return 1
        return self.first_resolution(growing) // growing.schedule.resolution_at(self.images_seen)

    def first_resolution(self, growing: ProgressiveGrowing) -> int:
        """The resolution in pixels at which growing networks are measured first from here on."""
        if self._every_images is None:
            return growing.schedule.final_resolution
        first = (self.images_seen // self._every_images + 1) * self._every_images
        return growing.schedule.resolution_at(first)

    def read(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        self._add_reals(trainer, module, self._loop_reals, batch)

    # ------------------------------------------------------------------ the comparison

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        reals = self._reals(trainer, module)
        fakes, asked = self._fakes(trainer, module)
        drawn = {
            "fake_count": self.fake_count,
            "seed": self.seed,
            "truncation": self.truncation if self.sampler is None else None,
            "ema": host_of(module).uses_average(trainer, ema=self.ema),
        }
        return on_first_rank(trainer, lambda: self.compare(reals, fakes, asked=asked, drawn=drawn)) or {}

    def _reals(self, trainer: Trainer, module: LightningModule) -> Reals:
        if trainer.state.fn != TrainerFn.FITTING:
            gathering, self._loop_reals = self._loop_reals, self._new_reals()
            return self._finished(trainer, module, gathering)
        if self._validation_reals is None:
            gathering = self._new_reals()
            for batch in validation_batches(trainer):
                self._add_reals(trainer, module, gathering, batch)
            self._validation_reals = self._finished(trainer, module, gathering)
        return self._validation_reals

    def _finished(self, trainer: Trainer, module: LightningModule, gathering: Gathering) -> Reals:
        self._check_count(gathering.check(trainer, module, kimg=self.kimg))
        parts = [gathered(trainer, module, part) for part in gathering.parts]
        floors = on_first_rank(trainer, lambda: self.floors(parts))
        return Reals(parts=parts, floors=floors or {})

    def _add_reals(self, trainer: Trainer, module: LightningModule, gathering: Gathering, batch: Any) -> None:
        """Adds the rows of this rank's batch, with the positions of its images in the data set."""
        images = self.real_images(module).images(batch).to(module.device)
        positions = positions_in_set(trainer, len(images), after=gathering.images)
        gathering.add(len(images), self._described(gathering, images, positions))

    def _fakes(self, trainer: Trainer, module: LightningModule) -> tuple[list[Rows], Tensor | None]:
        source = self._source(module, count=self.fake_count)
        gathering = self._new_fakes()
        for share in self.shares(trainer, self.fake_count):
            with trainer.precision_plugin.forward_context():
                images = source.images(share)
            gathering.add(len(images), self._described(gathering, images, share.filed))
        gathering.check(trainer, module, kimg=self.kimg)
        return [gathered(trainer, module, part) for part in gathering.parts], source.asked

    def _source(self, module: LightningModule, *, count: int) -> _Fakes:
        if self.sampler is not None:
            return _SampledFakes(module, self.sampler, asker=self.title)
        gan = self._gan(module)
        latents, labels = gan.draw_latents(count, seed=self.seed)
        return _LatentFakes(gan, latents, labels, truncation=self.truncation, ema=self.ema)

    def _gan(self, module: LightningModule) -> GAN:
        return host_of(module).gan(
            self.title,
            problem="how to draw images from it is not known",
            remedy="give sampler=, a function of (module, count, seed) that returns images in [-1, 1]",
        )

    def _described(self, gathering: Gathering, images: Tensor, positions: Int64[Tensor, " batch"]) -> list[Described]:
        images = gathering.pixels.read(images, counted=positions >= 0)
        return self.describe(images if images.dtype == torch.uint8 else nearest_bytes(images), positions)

    def _new_reals(self) -> Gathering:
        return Gathering(self.title, "real images")

    def _new_fakes(self) -> Gathering:
        return Gathering(self.title, "generated images")
