"""The clock of all callbacks here: images seen, over all ranks, in any LightningModule; and networks by their names.

A `GAN` keeps the clock itself. In other modules steps mean different things (two optimizers count twice), so the images
of every batch are counted.
"""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_gan.foreign.observer import tensors_of
from lightning_gan.loop.gan import GAN


def images_of_kimg(name: str, kimg: float) -> int:
    """A whole number of images from thousands of them.

    Args:
        name: the setting, for the error.
        kimg: thousands of images.

    Raises:
        ValueError: if it is less than one image.

    Example:
        >>> images_of_kimg("every_kimg", 0.25)
        250
    """
    images = round(1000 * kimg)
    if images < 1:
        raise ValueError(f"{name}={kimg} is less than one image; it counts thousands of images and must be positive")
    return images


def crosses_multiple(before: int, now: int, *, every_images: int) -> bool:
    """Whether a multiple of `every_images` lies in (before, now].

    Example:
        >>> [crosses_multiple(seen - 32, seen, every_images=50) for seen in (32, 64, 96, 128)]
        [False, True, False, True]
    """
    return now // every_images > before // every_images


def network_of(pl_module: LightningModule, path: str, *, setting: str) -> nn.Module:
    """The submodule at an attribute path such as `"generator"` or `"nets.generator"`.

    Args:
        pl_module: the module it belongs to.
        path: attribute names, joined by dots.
        setting: the callback and its argument, for the error.

    Raises:
        ValueError: if there is none.
    """
    try:
        return pl_module.get_submodule(path)
    except AttributeError:
        names = ", ".join(name for name, _ in pl_module.named_children()) or "none"
        raise ValueError(
            f"{setting}: {type(pl_module).__name__} has no network {path!r}; its networks are {names}"
        ) from None


def check_makes_images(title: str, module: LightningModule) -> None:
    """Refuse a game that is about something else than images.

    Args:
        title: the callback, for the error.
        module: what it is asked to draw or to measure.

    Raises:
        ValueError: if the module makes no images.
    """
    if isinstance(module, GAN) and not module.makes_images:
        raise ValueError(f"{title}: {type(module).__name__} makes no images; leave this callback out")


class ImageClock(Callback):
    """A callback that knows how many images training has seen.

    A subclass that overrides a hook of this class calls it through `super()` first.

    Attributes:
        images_seen: images that training has used, over all ranks, including the batch that is just done.
        images_before: what `images_seen` was before that batch.
    """

    images_seen: int = 0
    images_before: int = 0
    _counts_itself: bool = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Again, because strategies that shard load a checkpoint only after on_fit_start.
        self._read(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._read(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(pl_module, GAN):
            self.images_seen = pl_module.images_seen
        else:
            self.images_seen += self._count(batch) * trainer.world_size

    def state_dict(self) -> dict[str, Any]:
        # Nothing of a GAN's clock: Lightning warns of callbacks with state that a later run leaves out.
        return {"images_seen": self.images_seen} if self._counts_itself else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.images_seen = self.images_before = state_dict.get("images_seen", 0)

    @property
    def kimg(self) -> float:
        """Thousands of images that training has used."""
        return self.images_seen / 1000

    def _read(self, pl_module: LightningModule) -> None:
        self._counts_itself = not isinstance(pl_module, GAN)
        if isinstance(pl_module, GAN):
            self.images_seen = pl_module.images_seen
        self.images_before = self.images_seen

    def _count(self, batch: Any) -> int:
        for tensor in tensors_of(batch):
            return tensor.shape[0]
        raise ValueError(
            f"{type(self).__name__} counts images by the first tensor of a batch, but the batch, a "
            f"{type(batch).__name__}, holds none; yield tensors, or lists, tuples or mappings of them"
        )
