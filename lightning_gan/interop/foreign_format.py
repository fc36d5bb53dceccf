"""What a module of this folder says of the files of its project, so that `lightning-gan import` can read them.

Every module that has the name `FORMAT`, a `ForeignFormat`, is a format. The folder is walked to find them.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import lightning_gan.interop


@dataclass(frozen=True, kw_only=True)
class ForeignFiles:
    """The files of one import.

    Attributes:
        path: path of the main file. A file of settings may stand beside it.
        main: its content.
        discriminator: content of the file of the discriminator, in projects that write one file per network.
        averaged: content of the file of the generator with averaged weights, in such projects.
    """

    path: Path
    main: Any
    discriminator: Any = None
    averaged: Any = None


@dataclass(frozen=True, kw_only=True)
class ImportedNetworks:
    """The networks of a file, as a model of this package has them.

    Attributes:
        class_path: dotted path of the model's class.
        settings: arguments of its constructor as plain data, taken from the shapes of the tensors.
        networks: the imported networks by their attribute paths in the model, such as "generator".
        sources: number of tensors that each network was made of, by the same paths, with the name in the file.
        growth: active resolution in pixels and weight of the newest blocks, for networks that grow; None for others.
        not_used: parts of the file that are no weights of networks, such as the state of an optimizer.
        assumed: remarks about what the file does not say.
    """

    class_path: str
    settings: dict[str, Any]
    networks: dict[str, nn.Module]
    sources: dict[str, tuple[str, int]]
    growth: tuple[int, float] | None = None
    not_used: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ForeignFormat:
    """A format of another project.

    Attributes:
        title: the project, and whose it is.
        recognises: whether the content of a file is of this format.
        read: returns the networks of files of this format. The second argument has settings that the user gave.
        options: settings of the project that its files do not contain, with the values that are taken otherwise.
        separate_files: whether the project writes one file per network.
    """

    title: str
    recognises: Callable[[Any], bool]
    read: Callable[[ForeignFiles, Mapping[str, Any]], ImportedNetworks]
    options: Mapping[str, Any] = field(default_factory=dict)
    separate_files: bool = False


def all_formats() -> dict[str, ForeignFormat]:
    """The formats of this folder, by the names of their modules."""
    found: dict[str, ForeignFormat] = {}
    for module in pkgutil.iter_modules(lightning_gan.interop.__path__):
        names = vars(import_module(f"lightning_gan.interop.{module.name}"))
        if isinstance(names.get("FORMAT"), ForeignFormat):
            found[module.name] = names["FORMAT"]
    return found


def counted(name: str, weights: Mapping[str, Tensor]) -> tuple[str, int]:
    """An entry of `ImportedNetworks.sources`.

    Args:
        name: name of the weights in the file.
        weights: the tensors.
    """
    return name, len(weights)
