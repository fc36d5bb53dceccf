"""The test of stacked digits: how many of the 1,000 modes a generator makes, and how evenly."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.callbacks.evaluation.comparison import Comparison, Reals
from lightning_gan.callbacks.evaluation.gathering import Described
from lightning_gan.metrics import DigitFeatures
from lightning_gan.metrics.digit_features import NUMBER_OF_CLASSES
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.metrics.mode_coverage import digit_modes, mode_coverage
from lightning_gan.metrics.report import Better, Record
from lightning_gan.tensors.shapes import Features, ImageBytes

MOST_CHANNELS = 3


class ModeCount(Comparison):
    """Counts the modes of stacked digits among generated images, and the divergence of their shares from equal ones.

    The test of Metz et al. 2017 (arXiv:1611.02163) with the numbers of VEEGAN and PacGAN: the modes that occur among
    26,000 generated images, of 1,000 (10 for each channel), and the reverse Kullback-Leibler divergence in nats. The
    package's classifier of digits tells the mode, so that the numbers are close to, but not those of the papers'
    classifiers. The same two numbers of the real images are logged beside them as `real_modes` and `real_reverse_kl`.

    List it after callbacks that average weights.

    Args:
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        fake_count: number of images to generate, 26,000 in the papers. Counts of other numbers are not comparable.
        batch_size: number of images that each rank generates at once. If networks draw noise, it changes the images.
        seed: integer that determines the latents and the noise.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file.

    Raises:
        ValueError: for settings out of range, and before training starts for images of more than three channels.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None = None,
        fake_count: int = 26_000,
        batch_size: int = 100,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        real: Callable[[Any], Tensor] | None = None,
        value_range: Sequence[float] | None = None,
        name: str = "modes",
    ) -> None:
        super().__init__(
            every_kimg=every_kimg,
            fake_count=fake_count,
            batch_size=batch_size,
            seed=seed,
            truncation=truncation,
            ema=ema,
            sampler=sampler,
            real=real,
            value_range=value_range,
            name=name,
        )
        self.check_counts(fake_count=fake_count)
        self.classifier = DigitFeatures()
        self._modes = 0  # known when images have been tried

    @property
    def least_reals(self) -> int:
        return 1

    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        if images.shape[1] > MOST_CHANNELS:
            raise ValueError(
                f"{self.title}: images have {images.shape[1]} channels; stacked digits have one digit in each of at "
                "most three (--config data/stacked_digits.yaml)"
            )
        self._modes = NUMBER_OF_CLASSES ** images.shape[1]
        modes = digit_modes(images, self.classifier.to(images.device))
        return [Described(modes[:, None].float(), positions)]

    def floors(self, reals: list[Rows]) -> dict[str, float]:
        (real,) = reals
        return {f"real_{name}": float(value) for name, value in self._numbers(real).items()}

    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
        (fake,) = fakes
        return {
            "classifier": type(self.classifier).__name__,
            "real_count": len(reals.parts[0]),
            **drawn,
            "metrics": {**self._numbers(fake), **reals.floors},
        }

    def _numbers(self, rows: Features) -> dict[str, float]:
        found = mode_coverage(rows[:, 0].to(torch.int64), number_of_modes=self._modes)
        return {"modes": float(found.modes), "reverse_kl": found.reverse_kl}

    def titles(self) -> dict[str, str]:
        return {
            "modes": f"modes of {self._modes}",
            "reverse_kl": "reverse KL divergence in nats",
            "real_modes": "  modes of the real images",
            "real_reverse_kl": "  reverse KL divergence of the real images",
        }

    def better(self) -> dict[str, Better]:
        return {"modes": "more", "reverse_kl": "less"}

    def headline(self, numbers: dict[str, float]) -> str:
        return f"{numbers['modes']:.0f} modes, reverse KL divergence {numbers['reverse_kl']:.3f}"
