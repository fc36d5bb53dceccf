"""The rows of numbers that a rank collects of images, and the count of those that are not finite."""

from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.evaluation.finite_images import ImageCount
from lightning_gan.metrics.feature_set import FeatureSet, Rows


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


def where_doubles_are(tensor: Tensor) -> Tensor:
    """Moves a tensor from Apple's GPU, which has no float64, to the CPU; other tensors stay where they are."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


def gathered(trainer: Trainer, module: LightningModule, rows: FeatureSet) -> Rows:
    """Gathers the rows of all ranks in the order of their positions, and empties the set.

    Returns:
        Rows on rank 0, no rows on other ranks, on the device that the set was kept on.
    """
    home = rows.features[0].device
    if trainer.world_size > 1:
        # Ranks can only exchange tensors on their devices, so features in main memory are moved there and back.
        rows = rows.to(module.device)
    everything = rows.compute()
    rows.reset()
    return where_doubles_are((everything if trainer.is_global_zero else everything[:0]).to(home))
