"""Images that are not finite are an error wherever they are measured or drawn, and never measured as black images."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.foreign.host import host_of
from lightning_gan.tensors.image_bytes import NotFiniteImagesError


class ImageCount:
    """Counts the images that a measurement reads, and those of them that are not finite.

    It waits for the device only in `check`. A rank that raised an error while the others measure would leave them
    waiting, so every rank reads all of its images, and `check` raises the error on all ranks.

    Args:
        asker: name of the callback, for the error message.
        what: what the images are, such as "generated images".
    """

    def __init__(self, *, asker: str, what: str) -> None:
        self.asker = asker
        self.what = what
        self._counts = torch.zeros(2, dtype=torch.int64)  # all images, and those that are not finite

    def read(self, images: Tensor, *, counted: Bool[Tensor, " batch"] | None = None) -> Tensor:
        """Counts images, and returns them with 0 in the place of values that are not finite.

        Args:
            images: images or other numbers, with one row for each image.
            counted: whether each image counts; images that fill up a rank's share do not. None counts all.
        """
        is_float = images.is_floating_point()
        broken = ~images.isfinite().flatten(1).all(dim=1) if is_float else images.new_zeros(len(images)).bool()
        kept = torch.ones_like(broken) if counted is None else counted.to(broken.device)
        self._counts = self._counts.to(broken.device) + torch.stack([kept.sum(), (broken & kept).sum()])
        return images.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) if is_float else images

    def check(self, trainer: Trainer, module: LightningModule, *, kimg: float) -> int:
        """Raises an error on all ranks if a rank has read images that are not finite; every rank calls it.

        Args:
            trainer: trainer that runs the ranks.
            module: module that is measured.
            kimg: thousands of images that training has used.

        Returns:
            The number of images that all ranks have read.

        Raises:
            ValueError: if images are not finite.
        """
        counts = trainer.strategy.reduce(self._counts.to(module.device), reduce_op="sum")
        count, broken = (int(number) for number in counts.tolist())
        if broken:
            raise ValueError(_problem(self.asker, self.what, module, broken=broken, count=count, kimg=kimg))
        return count


@contextmanager
def finite_images_of(module: LightningModule, *, asker: str, kimg: float) -> Iterator[None]:
    """Context manager in which the error for images that are not finite says where they come from.

    Args:
        module: module whose images are drawn.
        asker: name of the callback.
        kimg: thousands of images that training has used.

    Raises:
        ValueError: if `to_bytes` finds images that are not finite.
    """
    try:
        yield
    except NotFiniteImagesError as error:
        message = _problem(asker, "images", module, broken=error.broken, count=error.count, kimg=kimg)
        raise ValueError(message) from error


def _problem(asker: str, what: str, module: LightningModule, *, broken: int, count: int, kimg: float) -> str:
    return (
        f"{asker}: {broken} of {count} {what} of {type(module).__name__} are not finite (NaN or infinite) at {kimg:g} "
        f"{host_of(module).clock_unit}; if training has diverged, continue from an earlier checkpoint with lower "
        "learning rates; otherwise correct the network or the sampler"
    )
