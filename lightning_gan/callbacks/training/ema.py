"""The exponential moving average (EMA) of the generator's weights, from which images are sampled.

PGGAN samples from such an average (Karras et al. 2018, arXiv:1710.10196, section 5). The half-life is given in images,
so that it does not depend on the batch size; the ramp-up is that of Karras et al. 2020 (ADA, arXiv:2006.06676).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.compat import is_torch_batch_norm, lerp_all, state_key_of
from lightning_gan.foreign.average import Average, Shadow, copy_tensors
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.averaging import AveragesGenerator


def ema_decay(batch_images: int, *, half_life_images: float) -> float:
    """The weight of the old average after a batch: ``0.5 ^ (batch_images / half_life_images)``; 0 for a half-life of 0.

    Args:
        batch_images: number of images in the batch, over all ranks.
        half_life_images: number of images after which the weight of the old average is one half.

    Example:
        >>> ema_decay(32, half_life_images=32.0)
        0.5
    """
    return 0.5 ** (batch_images / half_life_images) if half_life_images > 0 else 0.0


@torch.no_grad()
def move_average(
    averages: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    decay: float,
) -> None:
    """Computes ``average = decay * average + (1 - decay) * weight`` in place, as one operation for all tensors.

    Args:
        averages: tensors that are updated.
        weights: tensors of the same shapes that are averaged.
        decay: weight of the old average, in [0, 1]; 0 copies the weights exactly.
    """
    lerp_all(averages, weights, 1.0 - decay)


def running_statistics_of(network: nn.Module) -> set[str]:
    """Returns the names of a network's buffers that hold running means and variances of batch normalization."""
    return {
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        for name, buffer in module.named_buffers(recurse=False)
        if (isinstance(module, BatchNorm) or is_torch_batch_norm(module))
        and name.startswith("running_")
        and buffer.is_floating_point()
    }


class EMA(AveragesGenerator, ImageClock):
    """Averages the generator's parameters after every batch, and copies its buffers.

    In a `GAN`, the average is its submodule `generator_ema`, which `GAN.sample` uses. In other modules, this callback
    keeps and saves the average; it replaces the weights during validation, test and prediction, and inside
    `with ema.applied(module)`.

    Networks that grow need no special treatment: a block's weights do not change before the block becomes active, so
    that until then its average equals them.

    List this callback before those that sample.

    Args:
        half_life_kimg: thousands of images after which the weight of the old average is one half; 10 in StyleGAN, 10 to
            500 in ADA.
        ramp_up: largest half-life as a share of the images seen, which shortens the half-life early in training; 0.05
            in ADA, None for no ramp-up.
        start_kimg: thousands of images during which the average is a copy of the weights.
        average_statistics: whether the running statistics of batch normalization are averaged, as in BigGAN, instead of
            copied. (BigGAN's code averages all buffers, but averaged singular vectors would not have unit length.)
        generator: attribute path of the generator in modules that are no `GAN`.

    Raises:
        ValueError: for settings out of range, or a module without such a network.
    """

    def __init__(
        self,
        *,
        half_life_kimg: float = 10.0,
        ramp_up: float | None = None,
        start_kimg: float = 0.0,
        average_statistics: bool = False,
        generator: str = "generator",
    ) -> None:
        if half_life_kimg < 0 or start_kimg < 0:
            raise ValueError(f"EMA: half_life_kimg={half_life_kimg} and start_kimg={start_kimg} must not be negative")
        if ramp_up is not None and ramp_up <= 0:
            raise ValueError(f"EMA: ramp_up={ramp_up} must be positive; leave it out for no ramp-up")
        self.half_life_kimg = half_life_kimg
        self.ramp_up = ramp_up
        self.start_kimg = start_kimg
        self.average_statistics = average_statistics
        self.generator = generator
        self._shadow = Shadow()

    def decay_at(self, images_seen: int, *, batch_images: int) -> float:
        """Returns the decay, in [0, 1], for a batch of `batch_images` images that starts after `images_seen` images."""
        if images_seen < 1000 * self.start_kimg:
            return 0.0
        half_life_images = 1000 * self.half_life_kimg
        if self.ramp_up is not None:
            half_life_images = min(half_life_images, self.ramp_up * images_seen)
        return ema_decay(batch_images, half_life_images=half_life_images)

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average(pl_module).check()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._average(pl_module).begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        decay = self.decay_at(self.images_before, batch_images=self.images_seen - self.images_before)
        average = self._average(pl_module)
        self._move(average.tensors, average.network, decay=decay)

    def _average(self, pl_module: LightningModule) -> Average:
        return host_of(pl_module).average(self._shadow, path=self.generator, setting="EMA(generator=...)")

    def _move(self, averages: dict[str, Tensor], network: nn.Module, *, decay: float) -> None:
        weights, buffers = dict(network.named_parameters()), dict(network.named_buffers())
        statistics = running_statistics_of(network) & buffers.keys() if self.average_statistics else set()
        moved = weights | {name: buffer for name, buffer in buffers.items() if name in statistics}
        move_average([averages[name] for name in moved], list(moved.values()), decay=decay)
        copied = {name: buffer for name, buffer in buffers.items() if name not in statistics}
        copy_tensors([averages[name] for name in copied], list(copied.values()))

    # ------------------------------------------------------------------ the average replaces the weights

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Gives the generator its averaged weights inside the context; does nothing in a `GAN`.

        A `GAN` keeps the average in a network of its own.
        """
        average = self._average(pl_module)
        is_in = average.put_in()
        try:
            yield
        finally:
            if is_in:
                average.take_out()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).put_in()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).take_out()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).put_in()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).take_out()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).put_in()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._average(pl_module).take_out()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Now, because checkpoint callbacks, which come last, would save the average as the weights.
        self._average(pl_module).take_out()

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        return state_key_of(self, generator=self.generator)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | ({"shadow": self._shadow.tensors} if self._shadow.tensors else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._shadow.tensors = dict(state_dict.get("shadow", {}))
