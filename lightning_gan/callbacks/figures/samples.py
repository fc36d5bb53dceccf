"""Grids of images that the generator makes from the same latents at intervals of training."""

from collections.abc import Callable
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_gan.callbacks.evaluation.finite_images import finite_images_of
from lightning_gan.callbacks.figures.figure import Figure, columns_for
from lightning_gan.callbacks.figures.pictures import enlargement, image_grid
from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.callbacks.training.progressive_growing import growing_of
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.host_sampling import CalledSampling, SampledNetwork, Sampling
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes


class SampleGrid(Figure):
    """Writes PNG grids of samples, `samples/kimg_000012.300.png`, and logs them to TensorBoard and W&B.

    The first grid shows the untrained networks, the last one the end of fit; a growing GAN also gets a grid at the end
    of every resolution. All grids of a run have the same size and the same latents; with 2 to 16 classes there is one
    column for each class. Sampling does not change training: the random state and the modes of the networks are
    restored.

    With `sampler`, a function of the user makes what is drawn: translations, reconstructions, spectrograms. It is
    called with the networks in evaluation mode and with the weights that `EMA` averages, without gradients.

    List it after callbacks that average weights.

    Args:
        every_kimg: thousands of images between grids.
        columns: number of images per row; None is one per class if there are 2 to 16 classes, else 8.
        rows: number of rows of images.
        seed: integer that determines the latents and the networks' noise.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether the averaged generator is shown, if an `EMA` callback is there.
        directory: directory of the grids; None is the folder `name` in the trainer's `default_root_dir`.
        generator: attribute path of the generator in modules that are no `GAN`.
        latent_dim: size of a latent in modules that are no `GAN`; a list such as [100, 1, 1] is the shape of a latent.
            None is for a `GAN`, which has a `latent_dim` of its own.
        number_of_classes: number of classes in modules that are no `GAN`, if the generator takes class indices as a
            second argument; otherwise 0.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for any module; None samples the generator. It is called once for all images of a grid. In a `GAN`
            it chooses itself between `generator` and `generator_ema`.
        name: name of the grids' folder and of their title in loggers; two grids in one run need different names.

    Raises:
        ValueError: for settings out of range, for settings that have no effect with a sampler, and before training for
            a module that makes no images or cannot be sampled, and for a sampler that does not return such images.
    """

    draws_stage_ends: ClassVar[bool] = True

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
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        name: str = "samples",
    ) -> None:
        if rows < 1 or (columns is not None and columns < 1):
            raise ValueError(f"SampleGrid: rows={rows} and columns={columns} must be at least 1")
        of_generator = (generator, latent_dim, number_of_classes, truncation)
        if sampler is not None and of_generator != ("generator", None, 0, 1.0):
            raise ValueError(
                f"SampleGrid: generator={generator!r}, latent_dim={latent_dim}, number_of_classes={number_of_classes} "
                f"and truncation={truncation} have no effect with a sampler; leave them out, or use them in the sampler"
            )
        super().__init__(every_kimg=every_kimg, directory=directory)
        self.folder = name
        self.columns = columns
        self.rows = rows
        self.seed = seed
        self.truncation = truncation
        self.ema = ema
        self.generator = generator
        self.latent_dim = latent_dim
        self.number_of_classes = number_of_classes
        self.sampler = sampler

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name, ema, seed and truncation")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not in `setup`, because Lightning calls `configure_model`, in which networks may be made, after `setup`.
        super().on_fit_start(trainer, pl_module)
        if self.sampler is None:
            host_of(pl_module).check_makes_images("SampleGrid")
        self._sampling(pl_module).check(truncation=self.truncation)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.images_seen == 0:
            self._draw_now(trainer, pl_module)
        elif self.sampler is not None:
            # So that a resumed run, too, refuses a wrong sampler before it trains.
            with finite_images_of(pl_module, asker="SampleGrid", kimg=self.kimg):
                self._sampled(trainer, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        images, columns = self._sampled(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        growing = growing_of(trainer)
        height, width = images.shape[-2:]
        final_height = height if growing is None else growing.schedule.final_resolution
        factor = enlargement(height, width, final_height=final_height, columns=columns)
        grid = image_grid(images, columns=columns, factor=factor)
        self._publish(trainer, pl_module, grid, file=f"kimg_{self.kimg:010.3f}", title=self.folder)

    def _sampled(self, trainer: Trainer, pl_module: LightningModule) -> tuple[ImageBytes, int]:
        """The images of a grid, and its number of columns."""
        sampling = self._sampling(pl_module)
        columns = self.columns or columns_for(sampling.number_of_classes)
        with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            torch.manual_seed(derived_seed(self.seed, "noise of samples"))
            images = sampling.images(
                trainer, count=self.rows * columns, seed=self.seed, truncation=self.truncation, ema=self.ema
            )
        return images, columns

    def _sampling(self, pl_module: LightningModule) -> Sampling:
        if self.sampler is not None:
            return CalledSampling(pl_module, self.sampler, asker="SampleGrid")
        settings = SampledNetwork(
            generator=self.generator, latent_dim=self.latent_dim, number_of_classes=self.number_of_classes
        )
        return host_of(pl_module).sampling("SampleGrid", settings)

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.folder, ema=self.ema, seed=self.seed, truncation=self.truncation)
