"""Sample grids: what the generator makes of the same latents, again and again while it trains."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import torch
from einops import rearrange
from jaxtyping import UInt8
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from torch import Tensor

from lightning_gan.callbacks.clock import ImageClock, crosses_multiple, images_of_kimg, network_of
from lightning_gan.callbacks.ema import EMA
from lightning_gan.callbacks.progressive_growing import ProgressiveGrowing
from lightning_gan.gan import GAN, evaluation_mode
from lightning_gan.image_bytes import to_bytes
from lightning_gan.layers.resampling import nearest_upsample
from lightning_gan.seeds import derived_seed
from lightning_gan.shapes import ImageBytes, Images

Grid: TypeAlias = UInt8[Tensor, "grid_height grid_width shown_channels"]
"""Pixels of a picture, as image files have them."""

SCREEN_WIDTH = 1024
"""Grids are enlarged by a whole factor as long as they are no wider than this, so that small digits can be seen."""

IMAGES_AT_ONCE = 16
"""Images of one forward pass: a grid may hold more than a batch that fits into memory."""


def image_grid(images: ImageBytes, *, columns: int, factor: int = 1) -> Grid:
    """Images side by side, row by row, every pixel enlarged to `factor` x `factor`.

    Args:
        images: as many as fill whole rows. Of 2 channels the first is shown, of more than 4 the first three.
        columns: images per row.
        factor: enlargement.
    """
    channels = images.shape[1]
    shown = 1 if channels == 2 else min(channels, 3) if channels != 4 else 4
    images = nearest_upsample(images[:, :shown], factor=factor)
    return rearrange(images, "(rows columns) c h w -> (rows h) (columns w) c", columns=columns)


def enlargement(height: int, width: int, *, final_height: int, columns: int) -> int:
    """The factor that brings small images to the size of the final ones, and those to the size of a screen.

    Example:
        >>> [enlargement(size, size, final_height=32, columns=10) for size in (4, 8, 16, 32)]
        [24, 12, 6, 3]
    """
    to_final = max(final_height // height, 1)
    return to_final * max(SCREEN_WIDTH // (columns * width * to_final), 1)


class SampleGrid(ImageClock):
    """Writes PNG grids `samples/kimg_000012.300.png`, and hands them to the loggers of TensorBoard and W&B.

    The first grid is of the untrained networks, the last of the end of fit; while a GAN grows there is one at the end
    of every resolution. All grids of a run have the same size and the same latents; with up to 16 classes there is a
    column for each. Sampling leaves training as it is: random state and the networks' modes are restored.

    Its place among the callbacks is behind those that average weights.

    Args:
        every_kimg: thousands of images between grids.
        columns: images per row; None is one per class if there are 2 to 16, else 8.
        rows: rows of images.
        seed: latents, and the networks' noise, are a function of it.
        truncation: passed to `GAN.sample`.
        ema: show the averaged generator, if an `EMA` callback is there.
        directory: where to; None is `samples` in the trainer's `default_root_dir`.
        generator: name of the generator in modules that are no `GAN`: an attribute path.
        latent_dim: in such modules, the size of a latent; a list such as [100, 1, 1] for generators that take maps.
        number_of_classes: in such modules, above 0 if the generator takes class indices as a second argument.

    Raises:
        ValueError: for settings that cannot be drawn.
    """

    def __init__(
        self,
        *,
        every_kimg: float = 10.0,
        columns: int | None = None,
        rows: int = 8,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        directory: str | None = None,
        generator: str = "generator",
        latent_dim: int | list[int] | None = None,
        number_of_classes: int = 0,
    ) -> None:
        if rows < 1 or (columns is not None and columns < 1):
            raise ValueError(f"SampleGrid: rows={rows} and columns={columns} must be at least 1")
        self.every_kimg = every_kimg
        self.columns = columns
        self.rows = rows
        self.seed = seed
        self.truncation = truncation
        self.ema = ema
        self.directory = directory
        self.generator = generator
        self.latent_dim = latent_dim
        self.number_of_classes = number_of_classes
        self._every_images = images_of_kimg("SampleGrid: every_kimg", every_kimg)
        self._drawn_at: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(pl_module, GAN):
            return
        network_of(pl_module, self.generator, setting="SampleGrid(generator=...)")
        if self.latent_dim is None:
            raise ValueError(
                f"SampleGrid: {type(pl_module).__name__} is no lightning_gan.GAN, so the size of its latents is not "
                "known; give latent_dim"
            )
        if self.truncation != 1.0:
            raise ValueError(f"SampleGrid: truncation={self.truncation} is for lightning_gan.GAN; leave it at 1")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.images_seen == 0:
            self.draw(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        growing = _growing(trainer)
        # Now, and not with the next batch: that one comes to networks which have grown.
        stage_ends = growing is not None and growing.changes_resolution(self.images_before, self.images_seen)
        if stage_ends or crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drawn_at != self.images_seen:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sample on every rank, because sharded networks need all of them; write on the first."""
        classes = pl_module.number_of_classes if isinstance(pl_module, GAN) else self.number_of_classes
        columns = self.columns or (classes if 2 <= classes <= 16 else 8)
        with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            torch.manual_seed(derived_seed(self.seed, "noise of samples"))
            images = self._sample(trainer, pl_module, count=self.rows * columns)
        self._drawn_at = self.images_seen
        if not trainer.is_global_zero:
            return
        growing = _growing(trainer)
        height, width = images.shape[-2:]
        final_height = height if growing is None else growing.schedule.final_resolution
        factor = enlargement(height, width, final_height=final_height, columns=columns)
        self._write(trainer, image_grid(to_bytes(images).cpu(), columns=columns, factor=factor))

    def _sample(self, trainer: Trainer, pl_module: LightningModule, *, count: int) -> Images:
        """`count` images, a few at a time; labels go through the classes in turn, so that columns are classes."""
        if isinstance(pl_module, GAN):
            latents, labels = pl_module.draw_latents(count, seed=self.seed)
            parts = [
                pl_module.sample(
                    latents[few], None if labels is None else labels[few], truncation=self.truncation, ema=self.ema
                )
                for few in _few_at_a_time(count)
            ]
            return torch.cat(parts)
        return self._sample_foreign(trainer, pl_module, count=count)

    def _sample_foreign(self, trainer: Trainer, pl_module: LightningModule, *, count: int) -> Images:
        assert self.latent_dim is not None
        shape = [self.latent_dim] if isinstance(self.latent_dim, int) else self.latent_dim
        random = torch.Generator().manual_seed(derived_seed(self.seed, "samples"))
        latents = torch.randn(count, *shape, generator=random).to(pl_module.device)
        labels = torch.arange(count, device=pl_module.device) % max(self.number_of_classes, 1)
        network = network_of(pl_module, self.generator, setting="SampleGrid(generator=...)")
        with ExitStack() as stack:
            stack.enter_context(evaluation_mode(network))
            for callback in trainer.callbacks if self.ema else []:  # type: ignore[attr-defined]
                if isinstance(callback, EMA) and callback.generator == self.generator:
                    stack.enter_context(callback.applied(pl_module))
            parts = [
                network(latents[few], labels[few]) if self.number_of_classes else network(latents[few])
                for few in _few_at_a_time(count)
            ]
        return torch.cat(parts).float()

    def _write(self, trainer: Trainer, grid: Grid) -> None:
        folder = Path(self.directory) if self.directory else Path(trainer.default_root_dir) / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((grid[..., 0] if grid.shape[-1] == 1 else grid).numpy())
        image.save(folder / f"kimg_{self.kimg:010.3f}.png")
        for logger in trainer.loggers:
            # Loggers have an axis of thousands of images, as for the losses.
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("samples", grid.numpy(), int(self.kimg), dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image("samples", [image], step=int(self.kimg))

    @property
    def state_key(self) -> str:
        return self._generate_state_key(ema=self.ema, seed=self.seed, truncation=self.truncation)


def _few_at_a_time(count: int) -> list[slice]:
    return [slice(start, start + IMAGES_AT_ONCE) for start in range(0, count, IMAGES_AT_ONCE)]


def _growing(trainer: Trainer) -> ProgressiveGrowing | None:
    found = [callback for callback in trainer.callbacks if isinstance(callback, ProgressiveGrowing)]  # type: ignore[attr-defined]
    return found[0] if found else None
