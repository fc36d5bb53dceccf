"""The formats in which networks are exported. Each writes a file and reads it again, so that it can be checked."""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from lightning_gan.inference.exported_folder import save_tensors
from lightning_gan.inference.exported_networks import ExportedNetwork, exported_networks
from lightning_gan.inference.load import load


class Format(ABC):
    """A format of files.

    Attributes:
        name: its name on the command line.
        suffix: suffix of its files.
        packages: packages that it needs, which need not be installed.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    @abstractmethod
    def write(self, network: ExportedNetwork, path: Path) -> None:
        """Write a network to a file.

        Raises:
            ImportError: if a package is not installed.
        """

    @abstractmethod
    def read(self, path: Path, network: ExportedNetwork, *, truncation: float) -> Callable[..., Tensor]:
        """Read a file as the function that it contains.

        Args:
            path: path of the file.
            network: the network that was written to it.
            truncation: strength of the truncation trick; files with weights alone do not contain it.
        """


@final
class Safetensors(Format):
    """The weights alone, without code. `lightning_gan.load` reads them together with `generator.yaml`."""

    name = "safetensors"
    suffix = ".safetensors"
    packages = ("safetensors",)

    def write(self, network: ExportedNetwork, path: Path) -> None:
        """Write the parameters and buffers, under their names in the network."""
        save_tensors(network.weights.state_dict(), path)

    def read(self, path: Path, network: ExportedNetwork, *, truncation: float) -> Callable[..., Tensor]:
        """Read the whole folder as a model, whose network of the same name it returns."""
        model = load(path.parent)
        (own,) = (one for one in exported_networks(model, truncation=truncation) if one.name == network.name)
        return own.function


@final
class Torch(Format):
    """A graph of `torch.export`, which torch alone runs: `torch.export.load(path).module()(latents)`."""

    name = "torch"
    suffix = ".pt2"
    packages = ()

    def write(self, network: ExportedNetwork, path: Path) -> None:
        """Write the graph, with a batch of any size."""
        with _without_remarks():
            torch.export.save(network.graph, path)

    def read(self, path: Path, network: ExportedNetwork, *, truncation: float) -> Callable[..., Tensor]:
        """Read the graph."""
        return torch.export.load(path).module()


@final
class ONNX(Format):
    """A graph of ONNX, which ONNX Runtime and many other programs run."""

    name = "onnx"
    suffix = ".onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")  # onnxruntime checks the file

    def write(self, network: ExportedNetwork, path: Path) -> None:
        """Write the graph, with a batch of any size."""
        import onnxscript  # noqa: F401  (torch's exporter needs it; its own message has many lines)

        with _without_remarks():
            program = torch.onnx.export(
                network.graph,
                dynamo=True,
                verbose=False,
                input_names=list(network.input_names),
                output_names=[network.output_name],
            )
        assert program is not None
        program.save(path)

    def read(self, path: Path, network: ExportedNetwork, *, truncation: float) -> Callable[..., Tensor]:
        """Read the graph for the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        batch = {one.shape[0] for one in (*session.get_inputs(), *session.get_outputs())}
        if any(isinstance(size, int) for size in batch):
            raise ValueError(f"{path.name} has a batch of a fixed size ({batch}); export it in another format")

        def run(*inputs: Tensor) -> Tensor:
            feed = {name: tensor.numpy() for name, tensor in zip(network.input_names, inputs, strict=True)}
            return torch.from_numpy(session.run([network.output_name], feed)[0])

        return run


def all_formats() -> list[Format]:
    """One of each format."""
    return [kind() for kind in Format.__subclasses__()]


def formats_named(names: str) -> list[Format]:
    """The formats with these names.

    Args:
        names: names with commas between them.

    Raises:
        ValueError: for a name that no format has.
    """
    known = {one.name: one for one in all_formats()}
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(f"--formats {names}: give one or several of {','.join(known)}, with commas between them")
    return [known[name] for name in wanted]


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Context manager that hides what exporters say about themselves."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
