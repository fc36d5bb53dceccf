"""The command `export`: writes the networks of a checkpoint to files for other programs, and checks every file."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_gan import __version__
from lightning_gan.atomic_files import put_in_place
from lightning_gan.inference.export_formats import Format, all_formats, formats_named
from lightning_gan.inference.exported_folder import SETTINGS
from lightning_gan.inference.exported_networks import (
    ExportedNetwork,
    description_of,
    exported_networks,
    largest_difference,
    rounding_of,
)
from lightning_gan.inference.load import LoadedModel, load_with_settings
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import GeneratorSampling

LARGEST_DIFFERENCE = 1e-4
"""Largest difference between a file and the network: images are in [-1, 1].

It may be larger where a rounding of the weights already makes such a difference.
"""

HEADER = """\
# A model of lightning_gan {version}. `lightning_gan.load` reads this folder if it has files of safetensors.
# The graphs (*.pt2, *.onnx) need neither this file nor the package.
"""


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """A file of an exported network.

    Attributes:
        name: its name.
        size: its size in bytes.
        difference: largest difference between its outputs and the network's.
        batch_sizes: numbers of images with which it was checked.
        rounding: what a rounding of the weights changes in the outputs, if `difference` is above 1e-4; else None.
    """

    name: str
    size: int
    difference: float
    batch_sizes: list[int]
    rounding: float | None = None


def export(checkpoint: str, out_folder: str, *, formats: str | None = None, truncation: float = 1.0) -> None:
    """Export the sampled generator of a checkpoint, and its encoder if it has one, for other programs.

    The folder gets generator.yaml (class, settings, inputs), generator.safetensors (weights, for `lightning_gan.load`),
    generator.pt2 (a graph of torch.export, which needs torch alone) and generator.onnx. The graphs take latents
    `batch x latent_dim`, and class indices `batch` if the model has classes, and return images in [-1, 1]. They have
    the averaged weights if there are any, the stored noise, and a batch of any size. Every file is read again and
    compared with the model; a difference above 1e-4 that is not of rounding is an error, and then nothing is written.

    Args:
        checkpoint: a checkpoint file, or the folder of a run.
        out_folder: folder for the files, which must be new or empty.
        formats: safetensors, torch and onnx, with commas between them; without it, all whose packages are installed.
        truncation: strength of the truncation trick that the graphs contain; 1 samples the whole distribution.
    """
    chosen = formats_named(formats) if formats is not None else all_formats()
    if formats is None:
        for one in [one for one in chosen if one.missing]:
            print(
                f"{one.name}: left out, because {', '.join(one.missing)} is not installed (pip install "
                "'lightning-gan[export]')"
            )
        chosen = [one for one in chosen if not one.missing]
    folder = Path(out_folder)
    check_new(folder)
    loaded = load_with_settings(checkpoint)
    print(f"{loaded.file}: {type(loaded.model).__name__} after {loaded.model.kimg:g} kimg")
    write_export(loaded, folder, formats=chosen, truncation=truncation, report=_print)
    print(f"{folder}: these files and {SETTINGS}")


def _print(written: WrittenFile) -> None:
    size = f"{written.size / 1e6:.1f} MB" if written.size >= 1e5 else f"{written.size / 1e3:.1f} kB"
    batches = ", ".join(map(str, written.batch_sizes))
    print(
        f"  {written.name:<22} {size:>9}  largest difference {written.difference:.1e} (batches of {batches})",
        flush=True,
    )
    if written.rounding is not None:
        print(
            f"    (The model itself changes by {written.rounding:.1e} if its weights are moved by their rounding, "
            "2^-23; a longer training makes this less.)",
            flush=True,
        )


def check_new(folder: Path) -> None:
    """Check that a folder does not exist, or is empty.

    Raises:
        ValueError: if it has files, or is no folder.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise ValueError(f"{folder} exists, and nothing is overwritten; give the name of a new folder")


def write_export(
    loaded: LoadedModel,
    folder: Path,
    *,
    formats: Sequence[Format],
    truncation: float = 1.0,
    report: Callable[[WrittenFile], None] | None = None,
) -> None:
    """Write the networks of a model in several formats. The folder is complete and checked, or it is not there.

    Args:
        loaded: the model.
        folder: folder for the files, which must be new or empty.
        formats: the formats.
        truncation: strength of the truncation trick.
        report: function that is called after each file was checked; None for none.

    Raises:
        ValueError: if the folder has files, the model cannot be exported, or a file does not compute what the network
            computes.
        ImportError: if a package is not installed.
    """
    check_new(folder)
    draft = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)  # of an export that was killed
    draft.mkdir(parents=True)
    try:
        write_files(loaded, draft, formats=formats, truncation=truncation, report=report)
        put_in_place(draft, folder, previous=None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_files(
    loaded: LoadedModel,
    folder: Path,
    *,
    formats: Sequence[Format],
    truncation: float = 1.0,
    report: Callable[[WrittenFile], None] | None = None,
) -> None:
    """Write the networks of a model to an existing folder, in which files of the same names are replaced.

    The arguments and errors are those of `write_export`.
    """
    networks = exported_networks(loaded.model, truncation=truncation)
    settings = settings_of(loaded, networks, truncation=truncation)
    text = HEADER.format(version=__version__) + yaml.safe_dump(settings, sort_keys=False, width=100)
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    for one in formats:
        files = {network.name: folder / f"{network.name}{one.suffix}" for network in networks}
        for network in networks:
            one.write(network, files[network.name])
        for network in networks:
            written = _checked(one, network, files[network.name], truncation=truncation)
            if report is not None:
                report(written)


def _checked(kind: Format, network: ExportedNetwork, path: Path, *, truncation: float) -> WrittenFile:
    difference, sizes = largest_difference(kind.read(path, network, truncation=truncation), network)
    rounding = rounding_of(network) if difference > LARGEST_DIFFERENCE else None
    if rounding is not None and difference > rounding:
        raise ValueError(
            f"{path.name} differs from the model by {difference:.1e}, and at most {LARGEST_DIFFERENCE:.0e} is "
            "allowed; export it in another format (--formats)"
        )
    return WrittenFile(
        name=path.name, size=path.stat().st_size, difference=difference, batch_sizes=sizes, rounding=rounding
    )


def settings_of(loaded: LoadedModel, networks: list[ExportedNetwork], *, truncation: float) -> dict[str, Any]:
    """What `generator.yaml` contains: everything that is needed to build the model and to call its networks.

    Args:
        loaded: the model.
        networks: its exported networks.
        truncation: strength of the truncation trick in the graphs.
    """
    model = loaded.model
    channels, height, width = networks[0].function(*networks[0].inputs(2)).shape[1:]
    return {
        "class_path": loaded.class_path,
        # The settings of the training make no networks. Tuples become lists, which YAML has.
        "init_args": json.loads(json.dumps({k: v for k, v in loaded.settings.items() if k != "training"})),
        "growth": None if model.resolution is None else {"resolution": model.resolution, "fade_in": model.fade_in},
        "networks": {network.name: network.belongs_to for network in networks},
        "latent_dim": model.latent_dim,
        "latents": _prior_of(model),
        "number_of_classes": model.number_of_classes,
        "image_channels": channels,
        "image_height": height,
        "image_width": width,
        "image_range": [-1.0, 1.0],
        # What -1 and 1 stand for; null for images of 8 bits.
        "value_range": None if loaded.value_range is None else [loaded.value_range.low, loaded.value_range.high],
        "averaged_weights": model.averaged,
        "kimg": model.kimg,
        "graphs": {"truncation": truncation, **{network.name: description_of(network) for network in networks}},
    }


def _prior_of(model: GAN) -> str:
    """What the latents are: standard normal, or what the method of a model that draws others says."""
    if type(model).prior is GeneratorSampling.prior:
        return "standard normal"
    return (type(model).prior.__doc__ or "").strip().partition("\n")[0].replace("`", "").rstrip(".")
