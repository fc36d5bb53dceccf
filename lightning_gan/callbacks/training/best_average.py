"""The best one of averages of several lengths, by any number that the caller measures (arXiv:2312.02696, section 4)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

from lightning.pytorch import LightningModule

from lightning_gan.callbacks.training.reconstructed_ema import ReconstructedEMA, load_reconstructed_weights
from lightning_gan.schedules.power_function import exponent_of


@dataclass(frozen=True, kw_only=True)
class EMASweep:
    """What was measured of averages of several lengths.

    Attributes:
        relative_width: the best one of the lengths.
        values: the measured number of every length, in the given order.
        average: the best average, which is in the module.
    """

    relative_width: float
    values: dict[float, float]
    average: ReconstructedEMA


def load_best_reconstructed_weights(
    module: LightningModule,
    folder: str | PathLike[str],
    *,
    relative_widths: Sequence[float],
    measure: Callable[[], float],
    higher_is_better: bool,
    kimg: float | None = None,
) -> EMASweep:
    """Measures averages of several lengths, each in the module, and leaves the best one in it.

    In a `GAN` the averages are in `generator_ema`. In another module they take the place of the generator's weights,
    which the checkpoints of its training have.

    Args:
        module: module with the network that `PowerFunctionEMA` averaged.
        folder: folder of the files, such as `runs/mine/averages`.
        relative_widths: two or more lengths, as in `reconstructed_ema`.
        measure: function that returns a number of the module as it is, such as
            `lambda: trainer.test(module, data)[0]["metrics/frechet_distance"]`.
        higher_is_better: whether the highest number is the best: False for distances. Of equal numbers the first one is
            the best.
        kimg: end of the averages in thousands of images, at which a file must have been saved; None takes the last
            file.

    Returns:
        The best length, all numbers, and the average.

    After an error of `measure` the module has the average that was to be measured.

    Raises:
        ValueError: for lengths out of range or given twice, less than two of them, a number that is not finite, and as
            in `load_reconstructed_weights`.
    """
    check_widths(relative_widths, setting="relative_widths")
    values: dict[float, float] = {}
    for width in relative_widths:
        load_reconstructed_weights(module, folder, relative_width=width, kimg=kimg)
        values[width] = float(measure())
        if not math.isfinite(values[width]):
            raise ValueError(
                f"measure() returned {values[width]} for relative_width={width}, by which lengths cannot be compared; "
                "leave this length out, or measure another number"
            )
    best = best_width(values, higher_is_better=higher_is_better)
    made = load_reconstructed_weights(module, folder, relative_width=best, kimg=kimg)
    return EMASweep(relative_width=best, values=values, average=made)


def check_widths(relative_widths: Sequence[float], *, setting: str) -> None:
    """Refuse lengths that cannot be compared, before any of them is measured.

    Args:
        relative_widths: the lengths.
        setting: how the user gave them, for the message.

    Raises:
        ValueError: for a length out of range, one given twice, and less than two.
    """
    for width in relative_widths:
        exponent_of(width)
    if len(relative_widths) < 2 or len(set(relative_widths)) < len(relative_widths):
        raise ValueError(
            f"{setting} {list(relative_widths)} must be two or more different numbers, such as [0.05, 0.1]"
        )


def best_width(values: Mapping[float, float], *, higher_is_better: bool) -> float:
    """The length with the best number, the first one of equal numbers.

    Args:
        values: the number of every length.
        higher_is_better: whether the highest number is the best.
    """
    return (max if higher_is_better else min)(values, key=values.__getitem__)
