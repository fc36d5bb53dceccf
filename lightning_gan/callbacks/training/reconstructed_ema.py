"""Averages of any length, made of the files of `PowerFunctionEMA` (arXiv:2312.02696, section 3.2 and appendix C)."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.callbacks.training.power_function_ema import saved_averages
from lightning_gan.foreign.average import copy_tensors, tensors_of_network
from lightning_gan.foreign.host import host_of
from lightning_gan.schedules.power_function import exponent_of, reconstruction_weights


@dataclass(frozen=True, kw_only=True)
class ReconstructedEMA:
    """An average that was not tracked in training.

    Attributes:
        images_seen: number of images seen at the end of the average.
        generator: attribute path of the network.
        tensors: averaged parameters, and buffers as they were then, by their names in the network.
        files: number of files that it was made of.
    """

    images_seen: int
    generator: str
    tensors: dict[str, Tensor]
    files: int


def reconstructed_ema(
    folder: str | PathLike[str], *, relative_width: float, kimg: float | None = None
) -> ReconstructedEMA:
    """Makes the average of a relative width of the files that `PowerFunctionEMA` has saved.

    It is the sum of saved averages whose profile over time is nearest to the wanted one, by least squares. Widths
    between those that were tracked and above are near; smaller ones need files at shorter intervals.

    Args:
        folder: folder of the files, such as `runs/stylegan/averages`.
        relative_width: length of the average: standard deviation of the times of its weights, divided by the length of
            training; above 0 and below 0.288.
        kimg: end of the average in thousands of images, at which a file must have been saved; None takes the last file.

    Raises:
        ValueError: for a width out of range, a folder without files, and a time without a file.
    """
    exponent = exponent_of(relative_width)
    times = saved_averages(Path(folder))
    if not times:
        raise ValueError(f"{folder} has no averages of PowerFunctionEMA; give the folder of a run with this callback")
    end = max(times) if kimg is None else kimg
    if end not in times:
        raise ValueError(
            f"kimg={kimg}: {folder} has no averages of this time; give one from {min(times):g} to {max(times):g}, such "
            f"as {min(times, key=lambda time: abs(time - end)):g}"
        )
    contents = [_content(file) for time, file in times.items() if time <= end]
    saved = [
        (exponent_of(width), float(content["images_seen"]))
        for content in contents
        for width in content["relative_widths"]
    ]
    last = contents[-1]
    factors = reconstruction_weights(saved, (exponent, float(last["images_seen"])))
    averages = [average for content in contents for average in content["averages"]]
    # In fp64, because factors of both signs are large where profiles are alike.
    sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in averages[0].items()}
    for factor, average in zip(factors, averages, strict=True):
        for name, value in average.items():
            sums[name].add_(value.double(), alpha=factor)
    tensors = {name: value.to(averages[0][name].dtype) for name, value in sums.items()}
    return ReconstructedEMA(
        images_seen=last["images_seen"],
        generator=last["generator"],
        tensors=tensors | last["buffers"],
        files=len(contents),
    )


def _content(file: Path) -> dict[str, Any]:
    # Mapped into memory, because all files together may be larger than it.
    content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return content


def load_reconstructed_weights(
    module: LightningModule, folder: str | PathLike[str], *, relative_width: float, kimg: float | None = None
) -> ReconstructedEMA:
    """Copies a reconstructed average into the network `generator_ema` of a `GAN`, or the generator of another module.

    Args:
        module: module with the network that was averaged.
        folder: folder of the files that `PowerFunctionEMA` has saved, such as `runs/stylegan/averages`.
        relative_width: length of the average: standard deviation of the times of its weights, divided by the length of
            training; above 0 and below 0.288.
        kimg: end of the average in thousands of images, at which a file must have been saved; None takes the last file.

    Returns:
        The average.

    Raises:
        ValueError: for a width out of range, a folder without files, a time without a file, and an average that does
            not fit the network.
    """
    made = reconstructed_ema(folder, relative_width=relative_width, kimg=kimg)
    host = host_of(module)
    copies = host.averaged_copies(made.generator)
    path = copies[0] if copies else made.generator
    live = tensors_of_network(host.network(path, setting="load_reconstructed_weights"))
    for name in sorted(live.keys() | made.tensors.keys()):
        if name not in live or name not in made.tensors or live[name].shape != made.tensors[name].shape:
            raise ValueError(
                f"load_reconstructed_weights: {name!r} of {path!r} is not the same in {folder}; make the module with "
                "the settings of the run"
            )
    copy_tensors([live[name] for name in made.tensors], list(made.tensors.values()))
    if copies:
        host.use_averaged_copies()
    return made
