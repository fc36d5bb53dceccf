"""A figure of progressive growing: images from the same latents at every resolution."""

from collections.abc import Iterator
from typing import Any, ClassVar

from lightning_gan.callbacks.figures.figure import columns_for
from lightning_gan.callbacks.figures.paper_figure import PaperFigure, Picture, check_counts
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.foreign.host_sampling import sample_bytes
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.shapes import ImageBytes


class GrowingGrid(PaperFigure):
    """Draws one row per resolution of a growing GAN, with samples from the same latents at the end of each stage.

    The last row shows the present resolution. The figure is drawn at the end of every resolution (progressive growing:
    Karras et al. 2018, arXiv:1710.10196). All rows are enlarged to the same size, and saved in checkpoints. `test` of a
    run without this callback shows only the present resolution, and so does a GAN that does not grow.

    Args:
        columns: number of latents, one per column; None is one per class if there are 2 to 16 classes, else 8.
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of each resolution
            and of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for columns below 1.

    Attributes:
        rows: uint8 images of each row, `columns channels height width`, by their height.
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
        # Rows of a checkpoint with another number of columns are dropped, and so are rows of larger images.
        kept = {size: row for size, row in self.rows.items() if size < height and len(row) == len(images)}
        self.rows = kept | {height: images}
        labels_left = [f"{row.shape[-2]} x {row.shape[-1]}" for row in self.rows.values()]
        yield Picture(pixels=Table(rows=list(self.rows.values()), row_labels=labels_left).drawn())

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"rows": dict(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.rows = {int(height): row.cpu() for height, row in state_dict["rows"].items()}
