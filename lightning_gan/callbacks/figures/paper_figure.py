"""What figures of papers have in common: they are drawn of a GAN, in training or trained."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

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
    """Refuse counts below 1; None is fine.

    Raises:
        ValueError: naming the figure and the count.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{figure}: {name}={count} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a figure.

    Args:
        pixels: what it shows.
        part: what follows the figure's name and the kimg in the file's name, such as `_layers`.
        is_logged: whether loggers get it, too.
    """

    pixels: Grid
    part: str = ""
    is_logged: bool = True


class PaperFigure(EvaluationLoops, Figure):
    """Draws into `figures/NAME/kimg_000160.000.png` of a run: at the end of fit, and in `validate` and `test`.

    For a trained run: `python cli.py test --config RUN.yaml --config addons/figures.yaml --ckpt_path last`.
    The loggers of TensorBoard and W&B get the pictures as `figures/NAME`. Drawing leaves training as it is: random
    state and the networks' modes are restored. The same weights and seed give the same pictures.

    Its place among the callbacks is behind those that average weights.

    Args:
        name: what the figure is called; two of a kind in one run need two names.
        every_kimg: thousands of images between pictures while fitting; None draws at the end alone.
        seed: latents, and the networks' noise, are a function of it.
        ema: show the averaged generator, if there is one.
        directory: where to; None is `figures` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for settings that cannot be drawn, and before training for a module that is no `GAN`.
    """

    folder: ClassVar[str] = "figures"

    def __init__(self, *, name: str, every_kimg: float | None, seed: int, ema: bool, directory: str | None) -> None:
        super().__init__(every_kimg=every_kimg, directory=directory)
        self.name = name
        self.seed = seed
        self.ema = ema

    @abstractmethod
    def pictures(self, module: GAN) -> Iterator[Picture]:
        """The figure's pictures, one after the other, of images that are sampled on every rank."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="name")
        host_of(pl_module).check_makes_images(type(self).__name__)
        self.gan(pl_module)

    def gan(self, pl_module: LightningModule) -> GAN:
        """The module, which can be sampled.

        Raises:
            ValueError: if how to sample it is not known.
        """
        return host_of(pl_module).gan(
            type(self).__name__, problem="how to sample it is not known", remedy="leave this figure out"
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
        """Have the networks draw the same noise from here on, whatever was drawn before."""
        torch.manual_seed(derived_seed(self.seed, "noise of samples", *position))

    def try_truncations(self, trainer: Trainer, pl_module: LightningModule, truncations: Sequence[float]) -> None:
        """Sample one image with each, so that a model which cannot says so before training and not after it.

        Raises:
            ValueError: the model's own.
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
        self.draw(trainer, pl_module)

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name)
