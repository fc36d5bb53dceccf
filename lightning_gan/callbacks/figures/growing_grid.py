"""The growing grid: what became of the same latents, resolution by resolution."""

from collections.abc import Iterator
from typing import Any, ClassVar

from lightning_gan.callbacks.figures.figure import columns_for
from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.foreign.sampling import sample_bytes
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.shapes import ImageBytes


class GrowingGrid(PaperFigure):
    """A row for every resolution, of the same latents: how each stage of a growing GAN ended, and where it is now.

    It is drawn at the end of every resolution (progressive growing: Karras et al. 2018, arXiv:1710.10196). Rows are
    enlarged to one size. They are kept in checkpoints; `test` of a run that had no such callback shows the present
    resolution alone, and so does a GAN that does not grow.

    Args:
        columns: how many latents; None is one per class if there are 2 to 16, else 8.
        name: see `PaperFigure`.
        every_kimg: see `PaperFigure`.
        seed: see `PaperFigure`.
        ema: see `PaperFigure`.
        directory: see `PaperFigure`.

    Raises:
        ValueError: without columns.

    Attributes:
        rows: images by their height, `columns channels height width`.
    """

    draws_stage_ends: ClassVar[bool] = True

    def __init__(
        self,
        *,
        columns: int | None = None,
        name: str = "growing",
        every_kimg: float | None = None,
        seed: int = 0,
        ema: bool = True,
        directory: str | None = None,
    ) -> None:
        check_counts(type(self).__name__, columns=columns)
        super().__init__(name=name, every_kimg=every_kimg, seed=seed, ema=ema, directory=directory)
        self.columns = columns
        self.rows: dict[int, ImageBytes] = {}

    def pictures(self, module: GAN) -> Iterator[Picture]:
        latents, labels = module.draw_latents(self.columns or columns_for(module.number_of_classes), seed=self.seed)
        self.seed_noise()
        images = sample_bytes(module, latents, labels, ema=self.ema)
        height = images.shape[-2]
        # A checkpoint's rows may be of other settings than these: such rows, and those of larger images, are not ours.
        kept = {size: row for size, row in self.rows.items() if size < height and len(row) == len(images)}
        self.rows = kept | {height: images}
        labels_left = [f"{row.shape[-2]} x {row.shape[-1]}" for row in self.rows.values()]
        yield Picture(pixels=Table(rows=list(self.rows.values()), row_labels=labels_left).drawn())

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"rows": dict(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.rows = {int(height): row.cpu() for height, row in state_dict["rows"].items()}
