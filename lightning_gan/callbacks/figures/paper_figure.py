"""The base class of the papers' figures, which are drawn from a `GAN` during or after training."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng

from lightning_gan.callbacks.evaluation.evaluation_loops import EvaluationLoops
from lightning_gan.callbacks.figures.figure import Figure
from lightning_gan.callbacks.figures.pictures import Grid
from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.seeds import derived_seed


def check_counts(figure: str, **counts: int | None) -> None:
    """Refuses counts below 1; None is allowed.

    Args:
        figure: name of the figure, for the error message.
        **counts: counts by the names of their settings.

    Raises:
        ValueError: if a count is below 1; the message names the figure and the setting.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{figure}: {name}={count} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a figure.

    Args:
        pixels: uint8 pixels of the picture, `grid_height grid_width shown_channels`.
        part: text at the end of the file's name, after the figure's name and the kimg, such as `_layers`.
        is_logged: whether the loggers get the picture, too.
    """

    pixels: Grid
    part: str = ""
    is_logged: bool = True


class PaperFigure(EvaluationLoops, Figure):
    """Writes pictures `figures/NAME/kimg_000160.000.png`, at the end of fit, and in `validate` and `test`.

    For a trained run: `python cli.py test --config RUN.yaml --config addons/figures.yaml --ckpt_path last`.
    The loggers of TensorBoard and W&B get the pictures as `figures/NAME`. The callback does not change training: it
    restores the random state and the modes of the networks. The same weights and seed give the same pictures.

    List it after callbacks that average weights.

    Args:
        name: name of the figure's folder and title; two figures of the same class in one run need different names.
        every_kimg: thousands of images between pictures while fitting; None draws only at the end of fit.
        seed: integer that determines the latents and the networks' noise.
        ema: whether the averaged generator is shown, if there is one.
        directory: directory of the figure's folder; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for settings out of range, and before training for a module that is no `GAN`.
    """

    folder: str = "figures"

    def __init__(self, *, name: str, every_kimg: float | None, seed: int, ema: bool, directory: str | None) -> None:
        super().__init__(every_kimg=every_kimg, directory=directory)
        self.name = name
        self.seed = seed
        self.ema = ema

    @abstractmethod
    def pictures(self, module: GAN) -> Iterator[Picture]:
        """Yields the figure's pictures; called on every rank, because sharded networks are sampled on all of them."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name")
        host_of(pl_module).check_makes_images(type(self).__name__)
        self.gan(pl_module)

    def gan(self, pl_module: LightningModule) -> GAN:
        """Returns the module as a `GAN`.

        Raises:
            ValueError: if it is no `GAN`, so that it is not known how to sample it.
        """
        return host_of(pl_module).gan(
            type(self).__name__,
            problem="how to sample it is not known",
            remedy="leave this figure out, or draw with SampleGrid(sampler=...)",
        )

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            for picture in self.pictures(self.gan(pl_module)):
                if not trainer.is_global_zero:
                    continue
                file = f"{self.name}/kimg_{self.kimg:010.3f}{picture.part}"
                if picture.is_logged:
                    title = f"{self.folder}/{self.name}{picture.part}"
                    self._publish(trainer, pl_module, picture.pixels, file=file, title=title)
                else:
                    self._write(trainer, picture.pixels, file=file)

    def seed_noise(self, *position: int | str) -> None:
        """Seeds torch's random numbers, from which the networks draw their noise.

        Args:
            *position: name or number of a part of the figure; each part has noise of its own.
        """
        torch.manual_seed(derived_seed(self.seed, "noise of samples", *position))

    def try_truncations(self, trainer: Trainer, pl_module: LightningModule, truncations: Sequence[float]) -> None:
        """Samples one image with each truncation, so that unsupported values raise an error before training.

        Args:
            trainer: trainer whose precision is used.
            pl_module: module that is sampled.
            truncations: values of `GAN.sample(truncation=...)`.

        Raises:
            ValueError: if the model does not support a truncation.
        """
        gan = self.gan(pl_module)
        with isolate_rng(), trainer.precision_plugin.forward_context():
            latents, labels = gan.draw_latents(1, seed=0)
            for truncation in truncations:
                if truncation != 1.0:
                    gan.sample(latents, labels, truncation=truncation, ema=self.ema)

    def end_loop(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().end_loop(trainer, pl_module)
        self._read(pl_module)
        self._draw_now(trainer, pl_module)

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name)
