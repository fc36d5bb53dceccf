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
from torch.distributed.tensor import DTensor

from lightning_gan.callbacks.training.clock import ImageClock, network_of
from lightning_gan.compat import is_torch_batch_norm, lerp_all, state_key_of
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.penalty import AveragesGenerator


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


@torch.no_grad()
def copy_tensors(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Every source into its target, in place."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


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
        self._shadow: dict[str, Tensor] = {}
        self._set_aside: list[Tensor] = []

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
        if not isinstance(pl_module, GAN):
            network_of(pl_module, self.generator, setting="EMA(generator=...)")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if not isinstance(pl_module, GAN):
            self._shadow = self._shadow_on_device(pl_module) or {
                name: tensor.detach().clone() for name, tensor in self._foreign_tensors(pl_module).items()
            }
        elif not pl_module.averaged:
            # Training went on without an average so far: its copy is as old as the beginning.
            self._average_gan(pl_module, decay=0.0)
            pl_module.averaged = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        decay = self.decay_at(self.images_before, batch_images=self.images_seen - self.images_before)
        if isinstance(pl_module, GAN):
            self._average_gan(pl_module, decay=decay)
        else:
            self._average_foreign(pl_module, decay=decay)

    def _average_gan(self, gan: GAN, *, decay: float) -> None:
        move_average(list(gan.generator_ema.parameters()), list(gan.generator.parameters()), decay=decay)
        self._average_buffers(dict(gan.generator_ema.named_buffers()), gan.generator, decay=decay)

    def _average_foreign(self, pl_module: LightningModule, *, decay: float) -> None:
        network = network_of(pl_module, self.generator, setting="EMA(generator=...)")
        weights = dict(network.named_parameters())
        move_average([self._shadow[name] for name in weights], list(weights.values()), decay=decay)
        self._average_buffers(self._shadow, network, decay=decay)

    def _average_buffers(self, averages: dict[str, Tensor], network: nn.Module, *, decay: float) -> None:
        live = dict(network.named_buffers())
        averaged = running_statistics_of(network) & live.keys() if self.average_statistics else set()
        names = [name for name in live if name in averaged]
        move_average([averages[name] for name in names], [live[name] for name in names], decay=decay)
        copied = [name for name in live if name not in averaged]
        copy_tensors([averages[name] for name in copied], [live[name] for name in copied])

    # ------------------------------------------------------------------ the average in the place of the weights

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Inside, the generator of a module that is no `GAN` has the averaged weights. In a `GAN` nothing happens."""
        swapped = self._swap_in(pl_module)
        try:
            yield
        finally:
            if swapped:
                self._swap_out(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_in(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_out(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_in(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_out(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_in(pl_module)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap_out(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Before any checkpoint callback (they come last) may save the average as if it were the weights.
        self._swap_out(pl_module)

    def _swap_in(self, pl_module: LightningModule) -> bool:
        """Put the average in; false if there is none, or if it is in already."""
        shadow = {} if isinstance(pl_module, GAN) or self._set_aside else self._shadow_on_device(pl_module)
        if shadow:
            live = list(self._foreign_tensors(pl_module).values())
            self._set_aside = [tensor.detach().clone() for tensor in live]
            copy_tensors(live, list(shadow.values()))
        return bool(shadow)

    def _swap_out(self, pl_module: LightningModule) -> None:
        if self._set_aside:
            copy_tensors(list(self._foreign_tensors(pl_module).values()), self._set_aside)
            self._set_aside = []

    def _shadow_on_device(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """The average, in the order of the generator's tensors; empty before there is one."""
        if not self._shadow:
            return {}
        live = self._foreign_tensors(pl_module)
        if live.keys() != self._shadow.keys():
            different = sorted(live.keys() ^ self._shadow.keys())[0]
            raise ValueError(
                f"EMA: only one of the saved average and {self.generator!r} has a tensor {different!r}; "
                "load a checkpoint of the same network"
            )
        self._shadow = {name: self._shadow[name].to(tensor.device) for name, tensor in live.items()}
        return self._shadow

    def _foreign_tensors(self, pl_module: LightningModule) -> dict[str, Tensor]:
        network: nn.Module = network_of(pl_module, self.generator, setting="EMA(generator=...)")
        tensors: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            raise ValueError(
                f"EMA: {self.generator!r} is sharded, but the average of a {type(pl_module).__name__}, which is no "
                "lightning_gan.GAN, is kept whole; use strategy='ddp', or make the module a GAN"
            )
        return tensors

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        return state_key_of(self, generator=self.generator)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | ({"shadow": self._shadow} if self._shadow else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._shadow = dict(state_dict.get("shadow", {}))
