"""Averages of the generator's weights that are saved at intervals, for averages of any length after training.

Post-hoc EMA of Karras et al. 2024, arXiv:2312.02696, section 3.2. `reconstructed_ema` makes the averages.
"""

import re
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks.training.doubles import refuse_doubles
from lightning_gan.callbacks.training.ema import move_average
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.average import TensorPlaces
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import host_of
from lightning_gan.metrics.record_file import set_aside
from lightning_gan.schedules.power_function import exponent_of, power_function_decay

FOLDER = "averages"
"""Name of the folder of the saved averages within the folder of the run."""
_FILE_NAME = re.compile(r"kimg_(\d+\.\d{3})\.pt")


def saved_averages(folder: Path) -> dict[float, Path]:
    """The files of averages in a folder by their thousands of images seen, the earliest first.

    Args:
        folder: folder of the files; it need not exist.
    """
    matches = {file: _FILE_NAME.fullmatch(file.name) for file in folder.glob("kimg_*")}
    return dict(sorted((float(match[1]), file) for file, match in matches.items() if match is not None))


class PowerFunctionEMA(ImageClock):
    """Tracks two averages of the generator's weights and saves them at intervals, for `lightning-gan ema`.

    Of these, averages of every other length can be made after training, so that no half-life has to be chosen before
    it. Training, samples and evaluations are as they are without it; `EMA` may stand beside it. It works in any
    LightningModule. Averages of sharded weights are sharded in the same way; files and checkpoints have whole ones.
    Every file has as many numbers as the generator has weights, times the number of widths.

    Args:
        relative_widths: lengths of the tracked averages: standard deviation of the times of the averaged weights,
            divided by the length of training, each above 0 and below 0.288; 0.05 and 0.1 in the paper.
        every_kimg: thousands of images between two saved files. The authors save 8 to 16 thousand of them for one
            training; some tens are enough for widths of 0.05 and more.
        generator: attribute path of the network whose weights are averaged.
        dirpath: folder of the files; None is `averages` in the trainer's `default_root_dir`.

    Raises:
        ValueError: for widths out of range or given twice, and an interval of less than one image; before training for
            a module without such a network, and for a resumed run with other widths.
    """

    def __init__(
        self,
        *,
        relative_widths: tuple[float, ...] = (0.05, 0.1),
        every_kimg: float = 100.0,
        generator: str = "generator",
        dirpath: str | None = None,
    ) -> None:
        self.relative_widths = tuple(relative_widths)
        if not self.relative_widths or len(set(self.relative_widths)) < len(self.relative_widths):
            raise ValueError(
                f"PowerFunctionEMA: relative_widths={list(self.relative_widths)} must be different numbers; give two, "
                "such as [0.05, 0.1]"
            )
        self.exponents = [exponent_of(width) for width in self.relative_widths]
        self.every_kimg = every_kimg
        self.generator = generator
        self.dirpath = dirpath
        self._every_images = images_of_kimg("PowerFunctionEMA: every_kimg", every_kimg)
        self._averages: list[dict[str, Tensor]] = []
        self._places: TensorPlaces | None = None
        self._images_saved = 0

    # ------------------------------------------------------------------ fit

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_doubles(self, trainer, setting="generator")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        network = host_of(pl_module).network(self.generator, setting="PowerFunctionEMA(generator=...)")
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        self._places = TensorPlaces(network)
        if not self._averages:
            if self.images_seen:
                rank_zero_warn(
                    f"PowerFunctionEMA begins after {self.kimg:g} kimg, so that its averages take the present weights "
                    "for those of all images before; give the callback from the start for exact lengths"
                )
            self._averages = [{name: weight.clone() for name, weight in weights.items()} for _ in self.exponents]
        for average in self._averages:
            if average.keys() != weights.keys():
                different = sorted(average.keys() ^ weights.keys())[0]
                raise ValueError(
                    f"PowerFunctionEMA: only one of the saved averages and {self.generator!r} has a tensor "
                    f"{different!r}; load a checkpoint of the same network"
                )
        self._averages = [
            {name: _placed_as(live, own[name]) for name, live in weights.items()} for own in self._averages
        ]
        self._images_saved = self.images_seen
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._set_aside(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._places is not None
        batch_images = self.images_seen - self.images_before
        for average, exponent in zip(self._averages, self.exponents, strict=True):
            decay = power_function_decay(self.images_before, batch_images=batch_images, exponent=exponent)
            move_average(list(average.values()), self._places.tensors(average), decay=decay)
        if crosses_multiple(self.images_before, self.images_seen, every_images=self._every_images):
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._images_saved < self.images_seen:
            self._save(trainer, pl_module)
        # The first rank writes. No other one may read the folder before it has all files.
        trainer.strategy.barrier("PowerFunctionEMA")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._places = None  # the callback may outlive the network

    # ------------------------------------------------------------------ files

    def _folder(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / FOLDER if self.dirpath is None else Path(self.dirpath)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the averages and the present buffers; the first rank writes, and all take part in gathering shards."""
        self._images_saved = self.images_seen
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        averages = [{name: _whole(value) for name, value in average.items()} for average in self._averages]
        if not trainer.is_global_zero:
            return
        network = host_of(pl_module).network(self.generator, setting="PowerFunctionEMA(generator=...)")
        content = {
            "images_seen": self.images_seen,
            "generator": self.generator,
            "relative_widths": list(self.relative_widths),
            "averages": averages,
            "buffers": {name: buffer.detach().cpu() for name, buffer in network.named_buffers()},
        }
        with written_whole(self._folder(trainer) / f"kimg_{self.kimg:010.3f}.pt") as file:
            torch.save(content, file)

    def _set_aside(self, trainer: Trainer) -> None:
        """Rename the files of a run that this one does not continue, so that they are not mixed with its own."""
        for kimg, file in saved_averages(self._folder(trainer)).items():
            if kimg > self.kimg:
                kept = set_aside(file, reason="of_earlier_run")
                assert kept is not None
                rank_zero_info(f"PowerFunctionEMA: {file} is of a run that is not continued, and is now {kept.name}")

    # ------------------------------------------------------------------ state

    @property
    def state_key(self) -> str:
        return state_key_of(self, generator=self.generator)

    def state_dict(self) -> dict[str, Any]:
        # Every rank takes part: Lightning asks all of them for the state of their callbacks.
        averages = [{name: _whole(value) for name, value in average.items()} for average in self._averages]
        tracked = {"relative_widths": list(self.relative_widths), "averages": averages}
        return super().state_dict() | (tracked if self._averages else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        widths = tuple(state_dict.get("relative_widths", self.relative_widths))
        if widths != self.relative_widths:
            raise ValueError(
                f"PowerFunctionEMA: relative_widths={list(self.relative_widths)} are {list(widths)} in the checkpoint, "
                "and averages of other widths cannot be begun in between; give those of the checkpoint"
            )
        self._averages = [dict(average) for average in state_dict.get("averages", [])]


def _whole(tensor: Tensor) -> Tensor:
    """A tensor in main memory, gathered from all ranks if it is sharded; all of them call it then."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def _placed_as(live: Tensor, average: Tensor) -> Tensor:
    """An average on the device of a weight, sharded as it is; it may be whole, as in a checkpoint."""
    if isinstance(live, DTensor) and not isinstance(average, DTensor):
        return distribute_tensor(average.to(live.device), live.device_mesh, live.placements)
    return average.to(live.device)
