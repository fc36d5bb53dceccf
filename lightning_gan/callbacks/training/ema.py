"""The exponential moving average of a generator's weights, which is what one samples.

Averaging the generator is as old as PGGAN (Karras et al. 2018, arXiv:1710.10196, section 5). Its half-life counts
images, so that it means the same at every batch size; the ramp-up is the one of Karras et al. 2020 (arXiv:2006.06676).
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
    """What a batch leaves of the old average: ``0.5 ^ (batch_images / half_life_images)``; 0 without a half-life.

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
    """``average = decay * average + (1 - decay) * weight``, in place, as one operation for all tensors.

    Args:
        averages: what is moved.
        weights: where to.
        decay: in [0, 1]; 0 copies exactly.
    """
    lerp_all(averages, weights, 1.0 - decay)


def running_statistics_of(network: nn.Module) -> set[str]:
    """Names of the buffers that hold batch normalization's running means and variances."""
    return {
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        for name, buffer in module.named_buffers(recurse=False)
        if (isinstance(module, BatchNorm) or is_torch_batch_norm(module))
        and name.startswith("running_")
        and buffer.is_floating_point()
    }


class EMA(AveragesGenerator, ImageClock):
    """Averages the generator's parameters after every batch; buffers are copied.

    In a `GAN` the average is its submodule `generator_ema`, which `GAN.sample` uses. Of other modules the average lives
    in this callback, is saved with it, and takes the place of the weights during validation, test and prediction, or
    inside `with ema.applied(module)`.

    Networks that grow need nothing special: a block that sleeps does not move, so its average equals it when it wakes.

    Its place among the callbacks is before those that sample.

    Args:
        half_life_kimg: thousands of images after which old weights count half; StyleGAN has 10, ADA 10 to 500.
        ramp_up: shortens the half-life early on to this share of the images seen; 0.05 in ADA, None for no ramp-up.
        start_kimg: thousands of images for which the average just follows the weights.
        average_statistics: also average what batch normalization keeps running averages of, as BigGAN does, instead of
            copying it. (Its code averages all buffers; singular vectors would lose their length by that.)
        generator: name of the generator in modules that are no `GAN`: an attribute path.

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
        """The decay for a batch of `batch_images` that started after `images_seen` images."""
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

    # ------------------------------------------------------------------ the average in the place of the weights

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Inside, the generator of a module that is no `GAN` has the averaged weights. In a `GAN` nothing happens."""
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
        # Before any checkpoint callback (they come last) may save the average as if it were the weights.
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
