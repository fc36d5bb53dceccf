"""The logging of each layer's largest singular values, as in BigGAN (Brock et al. 2019, arXiv:1809.11096, section 4).

The authors found that the first singular value of most layers of the generator grows throughout training and explodes
when training collapses, and that those of the discriminator are noisy, with spikes.
"""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.layers.top_singular_values import top_singular_values


class SingularValues(ImageClock):
    """Logs the largest singular values of each layer as `singular_values/NETWORK.LAYER/0`, `.../1` and so on.

    The values are those of the stored weights, before spectral normalization. The callback works in any
    LightningModule and does not change training.

    Args:
        every_kimg: thousands of images between measurements.
        networks: attribute paths of the networks.
        count: number of singular values of each layer, the largest first.
        exact_up_to: largest smaller side of a matrix that is decomposed exactly; larger matrices are decomposed
            approximately.

    Raises:
        ValueError: for settings out of range, unknown networks, and networks without weights of two or more dimensions.
    """

    def __init__(
        self,
        *,
        every_kimg: float = 100.0,
        networks: tuple[str, ...] = ("generator", "discriminator"),
        count: int = 3,
        exact_up_to: int = 512,
    ) -> None:
        if count < 1:
            raise ValueError(f"SingularValues: count={count} must be at least 1")
        self.every_kimg = every_kimg
        self.networks = networks
        self.count = count
        self.exact_up_to = exact_up_to
        self._every_images = images_of_kimg("SingularValues: every_kimg", every_kimg)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="networks")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not in `setup`, because Lightning calls `configure_model`, in which networks may be made, after `setup`.
        super().on_fit_start(trainer, pl_module)
        for path in self.networks:
            if not self._weights(pl_module, path):
                raise ValueError(f"SingularValues: network {path!r} has no weights of two or more dimensions")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images):
            return
        values = self.measure(pl_module)
        step = host_of(pl_module).logger_step(trainer, images_seen=self.images_seen)
        for logger in trainer.loggers:
            logger.log_metrics(values | {"kimg": self.kimg}, step=step)

    def measure(self, pl_module: LightningModule) -> dict[str, float]:
        """Returns all singular values by the names they are logged under."""
        values: dict[str, float] = {}
        for path in self.networks:
            for name, weight in self._weights(pl_module, path).items():
                whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                top = top_singular_values(whole, count=self.count, exact_up_to=self.exact_up_to)
                values |= {f"singular_values/{path}.{name}/{rank}": value for rank, value in enumerate(top.tolist())}
        return values

    def _weights(self, pl_module: LightningModule, path: str) -> dict[str, Tensor]:
        """The weights of two or more dimensions by their layers' names; parametrized weights as they are stored."""
        network = host_of(pl_module).network(path, setting="SingularValues(networks=...)")
        return {
            name.replace(".parametrizations.weight.original", "").removesuffix(".weight"): weight.detach()
            for name, weight in network.named_parameters()
            if weight.dim() >= 2
        }

    @property
    def state_key(self) -> str:
        return state_key_of(self, networks=list(self.networks))
