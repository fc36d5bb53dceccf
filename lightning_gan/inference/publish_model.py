"""The command `publish`: a folder that is ready for a model hub."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from lightning_gan.atomic_files import put_in_place
from lightning_gan.callbacks.figures.pictures import enlargement, image_grid, write_png
from lightning_gan.inference.export_formats import formats_named
from lightning_gan.inference.export_model import check_new, write_files
from lightning_gan.inference.load import LoadedModel, load_with_settings
from lightning_gan.inference.model_card import License, model_card
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.tensors.image_bytes import to_bytes

COLUMNS, ROWS = 8, 4
"""Number of samples in a row of samples.png, and number of rows."""


def publish(
    checkpoint: str,
    out_folder: str,
    *,
    license: str | None = None,
    license_file: str | None = None,
    title: str | None = None,
    formats: str = "safetensors",
    truncation: float = 1.0,
    seed: int = 0,
) -> None:
    """Make a folder of a checkpoint that is ready for a model hub. Nothing is uploaded.

    It gets the weights in safetensors and generator.yaml (as `export` writes them), README.md (a model card: what it
    is, data, settings, measurements of the run's metrics.json with what they were measured with, how it is loaded),
    samples.png, and training.yaml (the settings of the run, with the last part of each path alone). Look at the card
    before you upload it: `hf upload USER/NAME OUT_FOLDER`, or `lightning_gan.inference.hub.push_to_hub`.

    Args:
        checkpoint: a checkpoint file, or the folder of a run.
        out_folder: folder for the files, which must be new or empty.
        license: SPDX identifier of the license that you give the weights, such as Apache-2.0 or CC-BY-NC-4.0, or
            LicenseRef-NAME for one of your own; required.
        license_file: file with the text of the license, which becomes LICENSE.
        title: title of the card; without it, the class of the model and the size of its images.
        formats: safetensors, and torch and onnx in addition, with commas between them.
        truncation: strength of the truncation trick of the samples and of graphs; 1 samples the whole distribution.
        seed: seed of the samples.
    """
    chosen = chosen_license(license, license_file)
    kinds = formats_named(formats)
    if not any(kind.name == "safetensors" for kind in kinds):
        raise ValueError(f"--formats {formats}: a hub needs the weights; add safetensors")
    folder = Path(out_folder)
    check_new(folder)
    loaded = load_with_settings(checkpoint)
    run = run_of(loaded.file)
    draft = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)  # of a command that was killed
    draft.mkdir(parents=True)
    try:
        write_files(loaded, draft, formats=kinds, truncation=truncation)
        shape = _write_samples(loaded, draft / "samples.png", truncation=truncation, seed=seed)
        settings, shortened = (None, []) if run is None else _settings_of(run)
        if settings is not None:
            text = yaml.safe_dump(settings, sort_keys=False)
            (draft / "training.yaml").write_text(text, encoding="utf-8")
        if chosen.file is not None:
            shutil.copyfile(chosen.file, draft / "LICENSE")
        records = [] if run is None else _records_of(run)
        card = model_card(
            loaded,
            title=title or f"{type(loaded.model).__name__} {shape[2]}x{shape[1]}",
            license_=chosen,
            shape=shape,
            pictures=_about_pictures(loaded, truncation=truncation, seed=seed),
            run=settings,
            records=records,
            encodes=isinstance(loaded.model, Autoencoder),
        )
        (draft / "README.md").write_text(card, encoding="utf-8")
        put_in_place(draft, folder, previous=None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if run is None:
        print(f"{loaded.file} is not in the folder of a run, so that the card has no training and no measurements")
    if shortened:
        print(f"training.yaml has the last part alone of {', '.join(shortened)}")
    print("look at README.md before you upload the folder")


def chosen_license(identifier: str | None, file: str | None) -> License:
    """The license that the user has chosen.

    Args:
        identifier: SPDX identifier.
        file: path of the text of the license.

    Raises:
        ValueError: if none was chosen, if it is not known, or if its file does not exist.
    """
    if identifier is None:
        raise ValueError(
            "--license is required, such as Apache-2.0 or CC-BY-NC-4.0: which license the weights have is your "
            "decision, and that of the training images may limit it"
        )
    try:
        known = canonicalize_license_expression(identifier)
    except InvalidLicenseExpression as error:
        raise ValueError(
            f"--license {identifier} is no identifier of SPDX (https://spdx.org/licenses); give one, or "
            "LicenseRef-NAME and --license_file for a license of your own"
        ) from error
    if " " in known:
        raise ValueError(f"--license {identifier} is a combination of licenses; give one")
    if file is not None and not Path(file).is_file():
        raise ValueError(f"--license_file {file}: there is no such file; give the text of the license")
    if known.startswith("LicenseRef-") and file is None:
        raise ValueError(f"--license {known} is a license of your own; give its text with --license_file")
    return License(identifier=known, file=None if file is None else Path(file))


def run_of(file: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint; None if the checkpoint is not in the folder of a run.

    Args:
        file: path of the checkpoint.
    """
    folder = file.parent.parent
    return folder if file.parent.name == "checkpoints" and (folder / "config.yaml").is_file() else None


def _write_samples(loaded: LoadedModel, path: Path, *, truncation: float, seed: int) -> tuple[int, int, int]:
    """Write a sheet of samples, and return the shape of an image."""
    images = loaded.model.sample(COLUMNS * ROWS, seed=seed, truncation=truncation)
    channels, height, width = images.shape[1:]
    factor = enlargement(height, width, final_height=height, columns=COLUMNS)
    write_png(path, image_grid(to_bytes(images), columns=COLUMNS, factor=factor))
    return channels, height, width


def _about_pictures(loaded: LoadedModel, *, truncation: float, seed: int) -> str:
    order = ", of the classes in turn" if loaded.model.number_of_classes else ""
    averaged = "averaged weights" if loaded.model.averaged else "weights"
    count = COLUMNS * ROWS
    return (
        f"The first {count} samples of seed {seed}{order}, with truncation {truncation:g}, from the {averaged}. None "
        f"was left out: `model.sample({count}, seed={seed}, truncation={truncation:g})`."
    )


def _settings_of(run: Path) -> tuple[dict[str, Any], list[str]]:
    """The settings of a run without the folders of this machine, and the names of those that had one."""
    settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")) or {}
    shortened: list[str] = []

    def without_folders(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: without_folders(item, f"{name}.{key}".lstrip(".")) for key, item in value.items()}
        if isinstance(value, list):
            return [without_folders(item, name) for item in value]
        if isinstance(value, str) and "://" not in value and "/" in value.replace("\\", "/"):
            shortened.append(name)
            return Path(value.replace("\\", "/")).name
        return value

    return without_folders(settings, ""), shortened


def _records_of(run: Path) -> Sequence[dict[str, Any]]:
    """The records of the run's measurements."""
    path = run / "metrics.json"
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is no valid JSON; move it away, or measure again with `lightning-gan test`"
        ) from error
    return [record for record in records if isinstance(record, dict) and "metrics" in record]
