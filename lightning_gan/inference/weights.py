"""Begins a training with the weights of another one: what fits by name and shape is copied, and the rest is told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gan.inference.exported_folder import is_exported, read_exported
from lightning_gan.inference.load import checkpoint_at
from lightning_gan.loop.checkpointing import CheckpointError, read_checkpoint
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.other_networks import differing_settings, model_in

NO_WEIGHTS = ("_counts", "generator_ema.", "image_transforms.", "latent_transforms.")
"""Beginnings of the names of what is not copied: the clock, the average, and what callbacks have added."""

SHOWN = 6
"""Number of layers that a line of the report names."""


@dataclass(frozen=True, kw_only=True)
class WeightsReport:
    """What `load_weights` has done. Names are those of the tensors in the model's state dict.

    Attributes:
        file: the checkpoint, or the exported folder.
        class_path: dotted path of the class of the file's model; None if the file does not say it.
        copied: tensors that the model has from the file now.
        other_shape: tensors that keep their new weights because the file has another shape, with both shapes as text.
        missing: tensors that keep their new weights because the file does not have them.
        unused: tensors of the file that the model does not have.
        settings: settings of the networks that differ, as text; they may change what equal weights compute.
    """

    file: Path
    class_path: str | None
    copied: tuple[str, ...]
    other_shape: dict[str, str]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    settings: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report as lines of text, with at most `SHOWN` layers of each kind."""
        copied = Counter(name.partition(".")[0] for name in self.copied)
        new = Counter(name.partition(".")[0] for name in (*self.other_shape, *self.missing))
        kind = "" if self.class_path is None else f" of {self.class_path.rpartition('.')[2]}"
        lines = [f"weights{kind} from {self.file}; the clock, the optimizers and the callbacks begin anew"]
        for network in sorted({*copied, *new}):
            total = copied[network] + new[network]
            lines.append(f"  {network}: {copied[network]} of {total} tensors are copied")
        if self.other_shape:
            # The tensor of a layer with the most dimensions is its weight.
            layers = {_layer(name): shapes for name, shapes in sorted(self.other_shape.items(), key=_dimensions)}
            words = [f"{layer} ({layers[layer]})" for layer in _layers(tuple(self.other_shape))]
            lines.append(f"  new weights, because the file has another shape: {_listed(words)}")
        if self.missing:
            lines.append(f"  new weights, because the file has none: {_listed(_layers(self.missing))}")
        if self.unused:
            lines.append(f"  in the file and not in the model: {_listed(_layers(self.unused))}")
        if self.settings:
            lines.append(f"  other settings: {_listed(list(self.settings))}")
        return lines


@torch.no_grad()
def load_weights(model: GAN, path: str | Path) -> WeightsReport:
    """Copy the weights of a file to a model that may have other classes, channels, sizes or layers.

    Tensors of the same name and shape are copied; all others keep their values, and none is cut or padded. In networks
    that grow, layers are named by their resolution, so that those of the resolutions that both have are copied. The
    weight of a layer, its bias and its singular vectors are copied together or not at all. The averaged generator
    becomes a copy of the generator. The clock, the optimizers and the state of callbacks are not in these tensors and
    begin anew. If the file has averaged weights alone (an exported folder), the generator has them.

    Args:
        model: model that is changed.
        path: a checkpoint file, the folder of a run, an exported folder, or a file that `lightning-gan import` wrote.

    Returns:
        What was copied and what was not.

    Raises:
        CheckpointError: if the file cannot be read.
        ValueError: if no weight fits.
    """
    file, class_path, settings, found = _content(Path(path))
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(NO_WEIGHTS)}
    theirs = {name: tensor for name, tensor in found.items() if not name.startswith(NO_WEIGHTS)}
    other_shape = {
        name: f"{list(tensor.shape)} here, {list(theirs[name].shape)} in the file"
        for name, tensor in own.items()
        if name in theirs and theirs[name].shape != tensor.shape
    }
    missing = [name for name in own if name not in theirs]
    # A bias belongs to its weight, and so do the singular vectors of a spectrally normalized one.
    apart = {_layer(name) for name in (*other_shape, *missing)}
    split = [name for name in own if _layer(name) in apart and name not in other_shape and name not in missing]
    copied = [name for name in own if name in theirs and name not in other_shape and name not in split]
    if not any(name in dict(model.named_parameters()) for name in copied):
        raise ValueError(
            f"no weight of {file} fits {type(model).__name__} by name and shape ({_example(own, theirs)}); give a "
            "checkpoint of the same class of models"
        )
    for name in copied:
        own[name].copy_(theirs[name])
    model.generator_ema.load_state_dict(model.generator.state_dict())
    return WeightsReport(
        file=file,
        class_path=class_path,
        copied=tuple(copied),
        other_shape={**other_shape, **dict.fromkeys(split, "its layer has another shape")},
        missing=tuple(missing),
        unused=tuple(name for name in theirs if name not in own),
        settings=tuple(differing_settings(model.hparams, settings)),
    )


def model_settings_in(path: str | Path) -> tuple[str | None, dict[str, Any]]:
    """The class path (None if it does not say it) and the settings of the model of a file, as plain data.

    Args:
        path: a checkpoint file, the folder of a run, an exported folder, or a file that `lightning-gan import` wrote.

    Raises:
        CheckpointError: if the file cannot be read.
    """
    _, class_path, settings, _ = _content(Path(path))
    return class_path, settings


def _content(path: Path) -> tuple[Path, str | None, dict[str, Any], Mapping[str, Tensor]]:
    """The file that a path stands for, the class and the settings of its model, and its tensors."""
    if is_exported(path):
        exported = read_exported(path)
        tensors = {f"{at}.{name}": value for at, own in exported.weights.items() for name, value in own.items()}
        return path, exported.class_path, exported.settings, tensors
    file = checkpoint_at(path)
    if file.is_dir():
        raise CheckpointError(
            f"{file} is a sharded checkpoint, whose weights `--weights` does not read; train one more batch with "
            "another --trainer.strategy to write a whole one"
        )
    content = read_checkpoint(file, for_training=False)
    class_path, settings = model_in(content)
    return file, class_path, settings, content["state_dict"]


def _layer(name: str) -> str:
    """The layer of a tensor: its weight, its bias and what normalizes the weight belong together.

    Example:
        >>> _layer("discriminator.blocks.0.conv.parametrizations.weight.original")
        'discriminator.blocks.0.conv'
        >>> _layer("discriminator.blocks.0.conv.bias")
        'discriminator.blocks.0.conv'
        >>> _layer("generator.synthesis.noise4")
        'generator.synthesis.noise4'
    """
    layer, separator, _ = name.partition(".parametrizations.")
    owner, _, last = name.rpartition(".")
    return layer if separator else owner if last in ("weight", "bias") else name


def _dimensions(shapes: tuple[str, str]) -> int:
    return shapes[1].count(",") if "[" in shapes[1] else -1


def _layers(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(_layer(name) for name in names))


def _listed(words: Sequence[str]) -> str:
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" ({more} more)" if more > 0 else "")


def _example(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    """The first names on both sides, to compare."""
    return f"{next(iter(own), 'nothing')} here, {next(iter(theirs), 'nothing')} in the file"
