"""Instance noise: the critic sees every image through Gaussian noise, so that the two distributions overlap.

Sønderby et al. 2017, arXiv:1610.04490; Arjovsky and Bottou 2017, arXiv:1701.04862.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_gan.callbacks.training.clock import ImageClock, network_of
from lightning_gan.compat import state_key_of
from lightning_gan.schedules.rates import LearningRateSchedule


class InstanceNoise(ImageClock):
    """Adds fresh noise to the first floating-point argument of every call of a network in training mode.

    Real and fake images are treated alike, in both players' turns, and so are those that penalties look at again. What
    penalties differentiate by is the image before the noise. In evaluation mode nothing is added.

    It works in any LightningModule.

    Args:
        standard_deviation: sigma at the start, of images in [-1, 1].
        schedule: what sigma is multiplied by, as a function of images seen, for instance `LinearDecay(end_kimg=1000)`;
            None keeps it.
        network: attribute path of the critic.

    Raises:
        ValueError: for a negative standard deviation, an unknown network, or one that is called without an image.
    """

    def __init__(
        self,
        *,
        standard_deviation: float = 0.1,
        schedule: LearningRateSchedule | None = None,
        network: str = "discriminator",
    ) -> None:
        if standard_deviation < 0:
            raise ValueError(f"InstanceNoise: standard_deviation={standard_deviation} must not be negative")
        self.standard_deviation = standard_deviation
        self.schedule = schedule
        self.network = network
        # A tensor, so that a compiled turn goes on with the same graph while it changes.
        self._sigma = torch.tensor(standard_deviation)
        self._hook: RemovableHandle | None = None

    def sigma_at(self, images_seen: int) -> float:
        """The standard deviation in the batch that starts after `images_seen` images."""
        return self.standard_deviation * (1.0 if self.schedule is None else self.schedule.at(images_seen))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        network_of(pl_module, self.network, setting="InstanceNoise(network=...)")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._sigma = self._sigma.to(pl_module.device)
        network = network_of(pl_module, self.network, setting="InstanceNoise(network=...)")
        self._remove_hook()
        # Only now, so that those who watch the network's calls since fit began see images before the noise.
        self._hook = network.register_forward_pre_hook(self._add_noise, with_kwargs=True)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._sigma.fill_(self.sigma_at(self.images_seen))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._remove_hook()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove_hook()

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _add_noise(
        self, network: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not network.training:
            return arguments, keywords
        for place, value in enumerate(arguments):
            if isinstance(value, Tensor) and value.is_floating_point():
                return (*arguments[:place], self._noisy(value), *arguments[place + 1 :]), keywords
        for name, value in keywords.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                return arguments, {**keywords, name: self._noisy(value)}
        raise ValueError(f"InstanceNoise: network={self.network!r} was called without floating-point images")

    def _noisy(self, images: Tensor) -> Tensor:
        return images + self._sigma.to(images.dtype) * torch.randn_like(images)

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network)
