"""The clock of all callbacks of this package: the number of images seen, over all ranks, in any LightningModule.

A `GAN` counts images itself. In other modules the images of every batch are counted, because the meaning of steps
differs between modules: with two optimizers, each batch may count as two steps. The size of the first dimension of the
batch's tensors is the number of images, or the function of the callback `SampleCount` tells it.
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.structures import structure_text
from lightning_gan.loop.logged_numbers import check_logging_interval


def images_of_kimg(name: str, kimg: float) -> int:
    """Convert thousands of images to a number of images, rounded to an integer.

    Args:
        name: name of the setting, for the error message.
        kimg: thousands of images.

    Raises:
        ValueError: if the result is less than one image.

    Example:
        >>> images_of_kimg("every_kimg", 0.25)
        250
    """
    if not math.isfinite(kimg):
        raise ValueError(f"{name}={kimg} must be a finite number of thousands of images")
    images = round(1000 * kimg)
    if images < 1:
        raise ValueError(f"{name}={kimg} is less than one image; it counts thousands of images and must be positive")
    return images


def crosses_multiple(before: int, now: int, *, every_images: int) -> bool:
    """Whether a multiple of `every_images` is in (before, now].

    Args:
        before: number of images seen before the batch.
        now: number of images seen after the batch.
        every_images: interval, in images.

    Example:
        >>> [crosses_multiple(seen - 32, seen, every_images=50) for seen in (32, 64, 96, 128)]
        [False, True, False, True]
    """
    return now // every_images > before // every_images


class SampleCount(Callback):
    """Tells all callbacks that count images how many samples a batch has, in a module that is no `GAN`.

    It is only needed for batches whose tensors have first dimensions of different sizes, or no dimensions, such as
    packed sequences and graphs. Its place among the trainer's callbacks does not matter. On several devices, the
    numbers of all ranks are added, so that they may differ.

    Args:
        count: function of the batch that returns its number of samples on this rank.

    Raises:
        ValueError: for a second one, for a `GAN`, and at the first batch if the function returns no such number.
    """

    def __init__(self, *, count: Callable[[Any], int]) -> None:
        self.count = count
        self._samples: int | None = None

    @property
    def samples(self) -> int:
        """Number of samples of the present batch, over all ranks."""
        assert self._samples is not None
        return self._samples

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if len([*_sample_counts(trainer)]) > 1:
            raise ValueError("SampleCount: the trainer has several of them; give it one, which all callbacks use")
        if host_of(pl_module).counts_images:
            raise ValueError(
                f"SampleCount: {type(pl_module).__name__} is a lightning_gan.GAN, which counts its images itself; "
                "leave this callback out"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Before the batch, so that all callbacks can read the number after it, whatever their order.
        counted = self.count(batch)
        try:
            samples = operator.index(counted)
        except TypeError:
            samples = -1
        if samples < 0:
            raise ValueError(
                f"SampleCount: count returned {counted!r} for a {structure_text(batch)}; it must return the number of "
                "samples, an integer that is not negative"
            )
        if trainer.world_size > 1:
            total = torch.tensor(samples, device=pl_module.device)
            samples = int(trainer.strategy.reduce(total, reduce_op="sum"))
        self._samples = samples


def _sample_counts(trainer: Trainer) -> Iterator[SampleCount]:
    return (callback for callback in trainer.callbacks if isinstance(callback, SampleCount))  # type: ignore[attr-defined]


class ImageClock(Callback):
    """Base class of callbacks that use the number of images that training has seen.

    A checkpoint contains this number once, and not in the state of each callback. It is the same for all callbacks, and
    a callback that is added to a resumed run reads it too.

    A subclass that overrides a hook of this class must first call it through `super()`. A subclass that is also a
    callback of Lightning must call that callback's hooks itself.

    Attributes:
        images_before: value of `images_seen` before the batch that has just ended.
    """

    images_before: int = 0
    _images: int = 0
    _uncounted_batch: str | None = None  # its structure, for the error message

    @property
    def images_seen(self) -> int:
        """Number of images that training has used, over all ranks, including the batch that has just ended.

        Raises:
            ValueError: if the number is not known, because the module is not a `GAN`, the tensors of its batch do not
                have the same first dimension, and there is no `SampleCount`.
        """
        if self._uncounted_batch is not None:
            raise ValueError(
                f"{type(self).__name__} counts images by the first dimension that all tensors of a batch share, but "
                f"the batch is a {self._uncounted_batch}; add the callback SampleCount(count=...), whose function of "
                "the batch returns its number of images"
            )
        return self._images

    @property
    def kimg(self) -> float:
        """Thousands of images that training has used, over all ranks."""
        return self.images_seen / 1000

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        check_logging_interval(trainer)
        self._read(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Again, because strategies that shard load a checkpoint only after on_fit_start.
        self._read(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._read(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now: int | None
        if (count := next(_sample_counts(trainer), None)) is not None:
            now = self._images + count.samples
        else:
            now = host_of(pl_module).images_after(batch, before=self._images, ranks=trainer.world_size)
        if now is None:
            self._uncounted_batch = structure_text(batch)
        else:
            self._images = now

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        host_of(pl_module).save_clock(self._images, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        self._images = self.images_before = host_of(pl_module).saved_clock(checkpoint)

    def _read(self, pl_module: LightningModule) -> None:
        self._images = self.images_before = host_of(pl_module).images_seen(counted=self._images)
