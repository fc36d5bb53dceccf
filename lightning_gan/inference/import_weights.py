"""The command `import`: makes a checkpoint of this package of other people's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gan.atomic_files import written_whole
from lightning_gan.inference.load import built_model
from lightning_gan.interop.foreign_file import read_foreign
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, all_formats
from lightning_gan.loop.checkpoint_hash import save_with_hash
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.growable import Growable
from lightning_gan.loop.other_networks import CLASS_PATH

LARGEST_DIFFERENCE = 1e-5
"""Largest difference between outputs of the model and of the imported networks, relative to the largest output."""


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model with imported weights.

    Attributes:
        model: the model, in evaluation mode.
        format: the format of the files.
        imported: what was read from them.
    """

    model: GAN
    format: ForeignFormat
    imported: ImportedNetworks


def import_weights(
    file: str,
    out: str,
    *,
    discriminator: str | None = None,
    averaged: str | None = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Make a checkpoint of another project's weights, for `fit --weights`, `test`, `generate` and all other commands.

    The content of the file tells its format, and the shapes of its tensors tell the settings of the networks. Formats:
    the authors' pickles of PGGAN, StyleGAN, StyleGAN2-ADA (PyTorch) and R3GAN; BigGAN-PyTorch;
    pytorch-pretrained-BigGAN; GAN_stability; SNGAN's npz; IntroVAE; VGAN. Nothing that a file names is imported or run:
    arrays and plain data alone are read. Every tensor of a network must have its place, and the model must compute what
    the imported networks compute.

    Args:
        file: file of the weights; of the generator, in projects with one file per network.
        out: checkpoint that is written, such as celebahq.ckpt; it must not exist.
        discriminator: file of the discriminator, in projects with one file per network (BigGAN-PyTorch, SNGAN).
        averaged: file of the generator with averaged weights, in such projects (BigGAN-PyTorch's G_ema.pth).
        settings: settings of the other project that no file contains, such as {"BN_eps": 0.0001} for BigGAN-PyTorch.
    """
    target = Path(out)
    if target.exists():
        raise ValueError(f"{target} exists, and nothing is overwritten; give another name")
    files = ForeignFiles(
        path=Path(file),
        main=read_foreign(Path(file)),
        discriminator=None if discriminator is None else read_foreign(Path(discriminator)),
        averaged=None if averaged is None else read_foreign(Path(averaged)),
    )
    found = imported_model(files, settings or {})
    write_model(found, target, source=files.path)
    for line in report_of(found, settings or {}):
        print(line)
    print(f"{target}: train on with `lightning-gan fit --weights {target}`, or `lightning-gan generate {target}`")


def imported_model(files: ForeignFiles, settings: Mapping[str, Any]) -> ImportedModel:
    """The model of files of another project.

    Args:
        files: the files.
        settings: settings of the other project that the files do not contain.

    Raises:
        ValueError: if the format is not known, weights are missing or left over, or there is no model with the settings
            of the file.
    """
    name, kind = recognised(files)
    unknown = sorted(set(settings) - set(kind.options))
    if unknown:
        known = f"only {', '.join(kind.options)}" if kind.options else "none, because its files contain all"
        raise ValueError(f"--settings {unknown[0]}: {name} has {known}; leave it out")
    if not kind.separate_files and (files.discriminator is not None or files.averaged is not None):
        raise ValueError(f"{name} has all networks in one file; leave --discriminator and --averaged out")
    try:
        imported = kind.read(files, {**kind.options, **settings})
    # Of torch for tensors that are missing or left over, and of arithmetic for shapes that no network has.
    except (RuntimeError, KeyError, IndexError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{files.path} looks like {name}, but does not fit it: {_short(error)}") from error
    _check_finite(imported, files.path)
    model = built_model(imported.class_path, imported.settings, files.path)
    if imported.growth is not None:
        model.grow(*imported.growth)
        for network in imported.networks.values():
            assert isinstance(network, Growable)
            network.grow(*imported.growth)
    try:
        for path, network in imported.networks.items():
            model.get_submodule(path).load_state_dict(network.state_dict())
    except RuntimeError as error:
        raise ValueError(f"{files.path}: {imported.class_path} has other layers: {_short(error)}") from error
    if "generator_ema" not in imported.networks:
        model.generator_ema.load_state_dict(model.generator.state_dict())
    model.averaged = "generator_ema" in imported.networks
    model.eval().requires_grad_(False)
    _check_outputs(model, imported)
    return ImportedModel(model=model, format=kind, imported=imported)


def recognised(files: ForeignFiles) -> tuple[str, ForeignFormat]:
    """The name and the format of the main file.

    Args:
        files: the files.

    Raises:
        ValueError: if no format, or more than one, recognises it.
    """
    formats = all_formats()
    fitting = [(name, kind) for name, kind in formats.items() if kind.recognises(files.main)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{files.path} fits {' and '.join(name for name, _ in fitting)}; give a file of one of them")
    if isinstance(files.main, dict) and {"state_dict", "pytorch-lightning_version"} <= files.main.keys():
        raise ValueError(
            f"{files.path} is a checkpoint of Lightning and needs no import; `fit --weights {files.path}` takes it"
        )
    raise ValueError(f"{files.path} is of no format that is known here: {'; '.join(k.title for k in formats.values())}")


def write_model(found: ImportedModel, path: Path, *, source: Path) -> None:
    """Write a model as a checkpoint, without the state of a training.

    Args:
        found: the model.
        path: path of the checkpoint.
        source: file of the weights, whose name is recorded.
    """
    imported = found.imported
    content = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": version("lightning"),
        "state_dict": found.model.state_dict(),
        # As the command line writes them: all are plain data.
        "hyper_parameters": {
            **imported.settings,
            "_class_path": imported.class_path,
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
        },
        CLASS_PATH: imported.class_path,
        "imported_from": {"format": found.format.title, "file": source.name},
    }
    with written_whole(path) as file:
        save_with_hash(content, file)


def report_of(found: ImportedModel, settings: Mapping[str, Any]) -> list[str]:
    """What an import has done, as lines of text.

    Args:
        found: the model.
        settings: settings that the user gave.
    """
    imported, model = found.imported, found.model
    shown = {name: value for name, value in imported.settings.items() if not isinstance(value, dict)}
    lines = [
        f"format: {found.format.title}",
        f"model: {type(model).__name__}({', '.join(f'{name}={value}' for name, value in shown.items())})",
    ]
    for path, (name, count) in imported.sources.items():
        tensors = len(model.get_submodule(path).state_dict())
        lines.append(f"  {path:<14} {count} tensors of {name}, which are {tensors} here")
    if "generator_ema" not in imported.sources:
        lines.append("  generator_ema  a copy of the generator, because the file has no averaged weights")
    if "discriminator" not in imported.sources:
        lines.append("  discriminator  new weights, because the file has none")
    if imported.growth is not None and imported.growth != (model.hparams["image_size"], 1.0):
        lines.append(f"grown to {imported.growth[0]} pixels, whose blocks have the weight {imported.growth[1]:g}")
    if imported.not_used:
        lines.append(f"not used: {', '.join(imported.not_used)}")
    taken = [f"{name}={value}" for name, value in found.format.options.items() if name not in settings]
    if assumed := [*taken, *imported.assumed]:
        lines.append(f"assumed, because the file does not say it: {', '.join(assumed)}")
    return [*lines, "checked: the model computes what the imported networks compute"]


def _check_finite(imported: ImportedNetworks, path: Path) -> None:
    for network, module in imported.networks.items():
        for name, value in module.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(
                    f"{path}: {network}.{name} has numbers that are not finite (NaN or infinite), so that the training "
                    "had failed when it was written; give an earlier file"
                )


@torch.no_grad()
def _check_outputs(model: GAN, imported: ImportedNetworks) -> None:
    """Check that the model computes what the imported networks compute, with what is not among their weights, too."""
    own = _outputs(model)
    with _replaced(model, imported):
        theirs = _outputs(model)
    for name, value in own.items():
        difference = (value - theirs[name]).abs().max() / theirs[name].abs().max().clamp(min=1e-6)
        if not difference <= LARGEST_DIFFERENCE:  # also for NaN
            raise ValueError(
                f"{name} of {type(model).__name__} differ from those of the imported networks by {difference:.1e}: the "
                "file has a setting that the model does not have"
            )


def _outputs(model: GAN) -> dict[str, Tensor]:
    latents, labels = model.draw_latents(4, seed=0)
    images = {f"images (ema={ema})": model.sample(latents, labels, clipped=False, ema=ema) for ema in (False, True)}
    return {**images, "scores": model.score(images["images (ema=False)"].clamp(-1, 1), labels)}


@contextmanager
def _replaced(model: GAN, imported: ImportedNetworks) -> Iterator[None]:
    """Context manager in which the model has the imported networks in place of its own."""
    before = {path: model.get_submodule(path) for path in imported.networks}
    try:
        for path, network in imported.networks.items():
            setattr(model, path, network)
        yield
    finally:
        for path, network in before.items():
            setattr(model, path, network)


def _short(error: Exception) -> str:
    """The message of an error in one line, of which torch's have many."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    lines = [line.strip() for line in str(error).splitlines()]
    message = " ".join(lines[1:] or lines)
    return message if len(message) <= 300 else f"{message[:300]}..."
