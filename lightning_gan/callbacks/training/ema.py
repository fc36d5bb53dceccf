"""The exponential moving average (EMA) of the generator's weights, from which images are sampled.

PGGAN samples from such an average (Karras et al. 2018, arXiv:1710.10196, section 5). The half-life is given in images,
so that it does not depend on the batch size; the ramp-up is that of Karras et al. 2020 (ADA, arXiv:2006.06676).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.compat import copy_all, is_torch_batch_norm, lerp_all, state_key_of
from lightning_gan.foreign.average import (
    Average,
    Shadow,
    TensorPlaces,
    averaged_paths,
    averages,
    loaded_shadow,
    overlap,
    saved_shadow,
)
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.host_sampling import averaging_of
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.schedules.values import Schedule, check_ends, number_at


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


class _Move:
    """Moves an average towards the weights. Which tensors it consists of is found once, before training.

    Args:
        average: the average of a network's weights, after it has begun.
        average_statistics: whether running statistics are averaged and not copied.
    """

    def __init__(self, average: Average, *, average_statistics: bool) -> None:
        network = average.network
        buffers = [name for name, _ in network.named_buffers()]
        statistics = running_statistics_of(network) if average_statistics else set()
        self.average = average
        self.places = TensorPlaces(network)
        self.moved = [name for name, _ in network.named_parameters()] + [n for n in buffers if n in statistics]
        self.copied = [name for name in buffers if name not in statistics]

    def __call__(self, *, decay: float) -> None:
        move_average(self.average.values(self.moved), self.places.tensors(self.moved), decay=decay)
        copy_all(self.average.values(self.copied), self.places.tensors(self.copied))


class EMA(AveragesGenerator, ImageClock):
    """Averages the generator's parameters after every batch, and copies its buffers.

    In a `GAN`, the average is its submodule `generator_ema`, which `GAN.sample` uses. In other modules, this callback
    keeps and saves the average; it replaces the weights during validation, test and prediction, and inside
    `with ema.applied(module)`. `load_averaged_weights` takes the average out of a checkpoint, where no trainer and no
    callback is there:

        module = TheirModule.load_from_checkpoint(path)
        lightning_gan.callbacks.load_averaged_weights(module, path)

    Networks that grow need no special treatment: a block's weights do not change before the block becomes active, so
    that until then its average equals them.

    List this callback before those that sample.

    Args:
        half_life_kimg: thousands of images after which the weight of the old average is one half; 10 in StyleGAN, 10 to
            500 in ADA. It may be a schedule, whose present number is logged as `ema/half_life_kimg`.
        ramp_up: largest half-life as a share of the images seen, which shortens the half-life early in training; 0.05
            in ADA, None for no ramp-up.
        start_kimg: thousands of images during which the average is a copy of the weights.
        average_statistics: whether the running statistics of batch normalization are averaged, as in BigGAN, instead of
            copied. (BigGAN's code averages all buffers, but averaged singular vectors would not have unit length.)
        generator: attribute path of the generator in modules that are no `GAN`, or a list of paths of several networks,
            such as `["encoder", "quantizer", "decoder"]`.

    Raises:
        ValueError: for settings out of range, for a path that is given twice or is a part of another, and before
            training for a module without such networks, for several paths in a `GAN`, and for two callbacks that
            average the same weights.
    """

    def __init__(
        self,
        *,
        half_life_kimg: float | Schedule = 10.0,
        ramp_up: float | None = None,
        start_kimg: float = 0.0,
        average_statistics: bool = False,
        generator: str | list[str] = "generator",
    ) -> None:
        check_ends("EMA: half_life_kimg", half_life_kimg, least=0.0)
        if not start_kimg >= 0:
            raise ValueError(f"EMA: start_kimg={start_kimg} must not be negative")
        if ramp_up is not None and ramp_up <= 0:
            raise ValueError(f"EMA: ramp_up={ramp_up} must be positive; leave it out for no ramp-up")
        paths = [generator] if isinstance(generator, str) else list(generator)
        if not paths:
            raise ValueError("EMA: generator=[] names no network; give at least one attribute path")
        for own, other in combinations(paths, 2):
            if overlap(own, other):
                raise ValueError(
                    f"EMA: generator={paths} names the same weights by {own!r} and {other!r}; leave one of the two out"
                )
        self.half_life_kimg = half_life_kimg
        self.ramp_up = ramp_up
        self.start_kimg = start_kimg
        self.average_statistics = average_statistics
        self.generator = generator if isinstance(generator, str) else paths
        self._shadows = {path: Shadow() for path in paths}
        self._moves: list[_Move] = []

    def decay_at(self, images_seen: int, *, batch_images: int) -> float:
        """Returns the decay, in [0, 1], for a batch of `batch_images` images that starts after `images_seen` images."""
        if images_seen < 1000 * self.start_kimg:
            return 0.0
        half_life_images = 1000 * number_at(self.half_life_kimg, images_seen)
        if self.ramp_up is not None:
            half_life_images = min(half_life_images, self.ramp_up * images_seen)
        return ema_decay(batch_images, half_life_images=half_life_images)

    # ------------------------------------------------------------------ fit

    # Networks are looked for when a loop starts and not in `setup`, because Lightning calls `configure_model`, in which
    # they may be made, after `setup`.

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._check(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        averages = self._averages(pl_module)
        for average in averages:
            average.begin()
        self._moves = [_Move(average, average_statistics=self.average_statistics) for average in averages]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        decay = self.decay_at(self.images_before, batch_images=self.images_seen - self.images_before)
        for move in self._moves:
            move(decay=decay)
        logs = (batch_idx + 1) % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if logs and isinstance(self.half_life_kimg, Schedule):
            pl_module.log("ema/half_life_kimg", self.half_life_kimg.at(self.images_before))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._moves = []  # the callback may outlive the networks

    def _averages(self, pl_module: LightningModule) -> list[Average]:
        host = host_of(pl_module)
        return [host.average(shadow, path=path, setting="EMA(generator=...)") for path, shadow in self._shadows.items()]

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        in_gan = host_of(pl_module).keeps_average
        for other in averaging_of(trainer):
            if other is not self and (in_gan or any(averages(other, path) for path in averaged_paths(self))):
                raise ValueError(
                    f"EMA: generator={self.generator!r} and generator={other.generator!r} of two callbacks average the "
                    "same weights; leave one of the callbacks out, or give them networks that do not overlap"
                )
        if in_gan and not isinstance(self.generator, str):
            raise ValueError(
                f"EMA: generator={self.generator} is only for modules that are no lightning_gan.GAN; "
                f"{type(pl_module).__name__} averages its own generator, so leave generator out"
            )
        for average in self._averages(pl_module):
            average.check()

    # ------------------------------------------------------------------ the average replaces the weights

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Gives the networks their averaged weights inside the context; does nothing in a `GAN`.

        A `GAN` keeps the average in a network of its own.
        """
        put_in: list[Average] = []
        try:
            for average in self._averages(pl_module):
                if average.put_in():
                    put_in.append(average)
            yield
        finally:
            for average in reversed(put_in):
                average.take_out()

    def _put_in(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer, pl_module)
        for average in self._averages(pl_module):
            average.put_in()

    def _take_out(self, pl_module: LightningModule) -> None:
        # In the opposite order, because networks that share weights set aside what the one before has put in.
        for average in reversed(self._averages(pl_module)):
            average.take_out()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._put_in(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_out(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._put_in(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_out(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._put_in(trainer, pl_module)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_out(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Now, because checkpoint callbacks, which come last, would save the average as the weights.
        self._take_out(pl_module)

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        return state_key_of(self, generator=self.generator)

    def state_dict(self) -> dict[str, Any]:
        tensors = {path: shadow.tensors for path, shadow in self._shadows.items() if shadow.tensors}
        return super().state_dict() | ({"shadow": saved_shadow(tensors, self.generator)} if tensors else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for path, tensors in loaded_shadow(state_dict.get("shadow", {}), self.generator).items():
            self._shadows[path].tensors = tensors
