"""The folder of an exported model: weights in safetensors, and a YAML file with the settings of their networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from lightning_gan.loop.checkpointing import CheckpointError

SETTINGS = "generator.yaml"
"""Name of the file with the settings, which makes a folder one of an exported model."""


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The content of the folder of an exported model.

    Attributes:
        class_path: dotted path of the model's class.
        settings: arguments of its constructor as plain data.
        resolution: active resolution in pixels of a model that grows; None for others.
        fade_in: weight of the newest blocks of a model that grows, in (0, 1].
        value_range: the original values that -1 and 1 of the images stand for; None for bytes.
        weights: tensors by name, by the attribute path of the network in the model.
    """

    class_path: str
    settings: dict[str, Any]
    resolution: int | None
    fade_in: float
    value_range: tuple[float, float] | None
    weights: dict[str, dict[str, Tensor]]


def is_exported(path: Path) -> bool:
    """Whether a path is the folder of an exported model."""
    return (path / SETTINGS).is_file()


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a file of safetensors, which holds no code.

    Args:
        tensors: tensors by name, on any device.
        path: path of the file.

    Raises:
        ImportError: if safetensors is not installed.
    """
    from safetensors.torch import save

    # The format has no strides: convolutions of networks in channels_last would be refused.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.write_bytes(save(plain, metadata={"format": "pt"}))  # `save_file` makes a file that only its owner can read


def read_exported(folder: Path) -> ExportedModel:
    """Read the settings and the weights of an exported model.

    Args:
        folder: folder that `lightning-gan export` or `publish` has written.

    Raises:
        CheckpointError: if a file is missing or cannot be read.
        ImportError: if safetensors is not installed.
    """
    file = folder / SETTINGS
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        networks: dict[str, str] = found["networks"]
        content = ExportedModel(
            class_path=found["class_path"],
            settings=dict(found["init_args"]),
            resolution=found["growth"]["resolution"] if found.get("growth") else None,
            fade_in=found["growth"]["fade_in"] if found.get("growth") else 1.0,
            value_range=tuple(found["value_range"]) if found.get("value_range") else None,
            weights={path: {} for path in networks.values()},
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} is no file of settings that `export` has written; export the model again"
        ) from error
    for name, path in networks.items():
        content.weights[path].update(_read_tensors(folder / f"{name}.safetensors"))
    return content


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(
            f"there is no {path}: the folder has no weights that this package reads; export the model again with "
            "--formats safetensors"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no whole file of safetensors; export the model again") from error
