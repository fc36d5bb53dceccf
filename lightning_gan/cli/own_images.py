"""Puts one's own images in the place of a configuration's data, and changes a configuration for the digits for them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning_gan.models
from lightning_gan.cli.configs import is_text, read_config, shipped_folder, shown_config
from lightning_gan.cli.configured_callbacks import value_of
from lightning_gan.cli.errors import CommandLineError, constructor_parameters, short
from lightning_gan.cli.facts_of_data import FACTS_OF_DATA
from lightning_gan.cli.image_options import ImageOptions
from lightning_gan.cli.image_rule import KIMG_PER_PIXEL, OwnImages, retuned, rounded
from lightning_gan.cli.option_values import take_values
from lightning_gan.data.first_image import size_of_first
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import PixelSize, pixel_size
from lightning_gan.data.shown import shown
from lightning_gan.inference.weights import model_settings_in

IMAGE_FOLDER = "lightning_gan.data.ImageFolder"
NETWORKS = "folder"
"""Folder of the package's configurations with networks for own images, named as the configurations for the digits."""

LONGEST_NAME = 60
"""The largest number of characters that a run's name takes from that of its images."""


@dataclass(frozen=True, kw_only=True)
class OwnRun:
    """A command line with one's own images.

    Attributes:
        configs: paths of configurations, or configurations as text.
        settings: the settings of each of `configs`.
        options: all other arguments.
        name: name of the run: of the images, and of the configuration with the model.
        remarks: what was chosen, for a person to read.
    """

    configs: list[str]
    settings: list[dict[str, Any]]
    options: list[str]
    name: str
    remarks: list[str]


def with_own_images(
    images: ImageOptions,
    *,
    configs: list[str],
    settings: list[dict[str, Any]],
    options: list[str],
    has_model: bool,
    weights: Path | None = None,
) -> OwnRun:
    """Put images in the place of the data of the first configuration with a model.

    A configuration whose data are the digits is changed by the rule in `image_rule`, and gets the networks of the file
    of the same name in `configs/folder`, or those of the weights that training begins with, if they are of the same
    model. Any other configuration keeps all settings but those of its data.

    Args:
        images: the images.
        configs: paths of configurations, or configurations as text.
        settings: the settings of each of `configs`.
        options: all options, some of which the rule follows.
        has_model: whether a model is given otherwise than by a configuration, by a checkpoint for example.
        weights: path of the weights that training begins with; None without any.

    Raises:
        CommandLineError: if no model is given, other data are given too, or there are no images, sizes or classes.
        ValueError: if the folder or zip is refused.
    """
    base = next((place for place, found in enumerate(settings) if "model" in found), None)
    if base is None and not has_model:
        raise CommandLineError(
            f"--images {shown(images.path)}: no model is given; give for example --config stylegan.yaml. (To measure "
            "the images themselves: test --images FOLDER --reals FOLDER, with the images to compare them with)"
        )
    _refuse_other_data(configs, settings, options, after=-1 if base is None else base)
    files = ImageFiles(path=images.path, image_size=1, image_channels=3, labels=images.labels)
    if images.labels and files.number_of_classes == 0:
        raise CommandLineError(
            f"--labels: {shown(images.path)} has no classes ({files.origin.labels}); leave --labels out, or give each "
            "class a folder of its own, or write a dataset.json"
        )
    size = _size(images, files, model=_model_of(settings, options))
    data: dict[str, Any] = {"path": images.path, "image_size": size.height}
    if size.given_width is not None:
        data["image_width"] = size.given_width
    data["labels"] = images.labels
    resizes = images.image_size is not None
    if base is None:
        given = {"": IMAGE_FOLDER, **{f".{name}": value for name, value in data.items()}}
        given |= {".resize": "center_crop"} if resizes else {}
        more = [
            f"--data{name}={json.dumps(value) if isinstance(value, bool) else value}" for name, value in given.items()
        ]
        # Options and no configuration, with which the callbacks of a run that goes on would not be taken over.
        return OwnRun(
            configs=configs, settings=settings, options=[*more, *options], name=name_of(images.path), remarks=[]
        )
    changed, remarks = settings[base], list[str]()
    if _is_of_digits(changed):
        rule = OwnImages(
            image_size=data["image_size"],
            number_of_images=len(files),
            labels=images.labels,
            batch_size=_given_batch_size(settings[base + 1 :], options),
            total_kimg=_given_kimg(options),
            image_width=size.given_width,
        )
        networks, place = networks_for(configs[base]), None
        if networks is not None:
            place, changed = shown_config(str(networks)), merged(changed, read_config(networks))
        if weights is not None and (own := _networks_of(weights, changed)) is not None:
            place, changed = str(weights), merged(changed, {"model": {"init_args": own}})
        changed, left_out = retuned(changed, rule)
        data["batch_size"] = rule.chosen_batch_size
        remarks = _remarks(rule, changed, networks=place, left_out=left_out, options=options)
        changed["data"] = _image_folder({}, data, resizes=resizes)
    else:
        before = changed.get("data")
        kept = dict(before.get("init_args") or {}) if isinstance(before, dict) else {}
        changed = {**changed, "data": _image_folder(kept, data, resizes=resizes)}
        remarks = [
            f"--images: {len(files)} images; all settings of {shown_config(configs[base])} but those of its data stay"
        ]
    changed = {key: value for key, value in changed.items() if key != "name"}
    stem = "own" if is_text(configs[base]) else Path(configs[base]).stem
    return OwnRun(
        configs=[*configs[:base], json.dumps(changed, default=str), *configs[base + 1 :]],
        settings=[*settings[:base], changed, *settings[base + 1 :]],
        options=options,
        name=f"{name_of(images.path)}-{stem}",
        remarks=remarks,
    )


def _size(images: ImageOptions, files: ImageFiles, *, model: str | None) -> PixelSize:
    """The size that is given, or that of the first image: a square, unless the model may take rectangles.

    Args:
        images: the options.
        files: the images.
        model: path of the model's class; None if it is that of a checkpoint, which is compared with the data later.
    """
    if images.image_size is not None:
        return pixel_size(images.image_size, images.image_width)
    takes_width = model is None or "image_width" in constructor_parameters(
        model if "." in model else f"{lightning_gan.models.__name__}.{model}"
    )
    return size_of_first(files, option="--images", squares=not takes_width)


def _model_of(settings: list[dict[str, Any]], options: list[str]) -> str | None:
    """The path of the model's class, as the last configuration or option gives it; None if none does."""
    named = [model.get("class_path") if isinstance(model := found.get("model"), dict) else model for found in settings]
    named += take_values(options, "--model", "--model.class_path")[0]
    given = [name for name in named if isinstance(name, str)]
    return given[-1] if given else None


def networks_for(config: str) -> Path | None:
    """The file with networks for own images that belongs to a configuration of the package, or None.

    Args:
        config: path of a configuration, or a configuration as text.
    """
    if is_text(config) or Path(config).resolve().parent != shipped_folder().resolve():
        return None
    path = shipped_folder() / NETWORKS / Path(config).name
    return path if path.is_file() else None


def _networks_of(weights: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of the networks whose weights are given, if they are of the configured model; otherwise None."""
    if not weights.exists():
        return None  # which is refused later
    class_path, found = model_settings_in(weights)
    model = settings["model"]
    configured = model.get("class_path") if isinstance(model, dict) else model
    if class_path is None or short(class_path) != short(str(configured)):
        return None
    return {name: value for name, value in found.items() if name not in (*FACTS_OF_DATA, "training")}


def merged(settings: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with others over them, as the parser merges configurations.

    Another class takes nothing over from the class before it.

    Example:
        >>> merged({"lr": {"class_path": "A", "init_args": {"a": 1}}, "b": 2}, {"lr": {"class_path": "B"}})
        {'lr': {'class_path': 'B'}, 'b': 2}
    """
    result = dict(settings)
    for key, value in over.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            other_class = "class_path" in value and value["class_path"] != before.get("class_path")
            value = value if other_class else merged(before, value)
        result[key] = value
    return result


def name_of(path: str) -> str:
    """The name of a folder or zip of images as a part of the name of a run.

    Example:
        >>> name_of("/data/my faces.zip"), name_of("--.zip")
        ('my faces', 'images')
    """
    name = Path(path).expanduser().absolute().name.removesuffix(".zip")
    name = "".join(character for character in name if character.isprintable() and character != "\\")
    return name[:LONGEST_NAME].strip().lstrip("-. ") or "images"


def _refuse_other_data(configs: list[str], settings: list[dict[str, Any]], options: list[str], *, after: int) -> None:
    given = [
        (data if isinstance(data, str) else data.get("class_path"), shown_config(config))
        for config, found in zip(configs[after + 1 :], settings[after + 1 :], strict=True)
        if isinstance(data := found.get("data"), dict | str)
    ]
    given += [(value, "the command line") for value in take_values(options, "--data")[0]]
    for class_path, place in given:
        if class_path is not None and short(str(class_path)) != short(IMAGE_FOLDER):
            raise CommandLineError(
                f"--images and the data {short(str(class_path))} of {place} contradict each other; give one of them"
            )


def _image_folder(kept: dict[str, Any], data: dict[str, Any], *, resizes: bool) -> dict[str, Any]:
    """The section `data` for an `ImageFolder`, which keeps those settings of the data before it that it has too."""
    taken = constructor_parameters(IMAGE_FOLDER)
    settings = {name: value for name, value in kept.items() if name in taken} | data
    if resizes:
        settings.setdefault("resize", "center_crop")
    return {"class_path": IMAGE_FOLDER, "init_args": settings}


def _is_of_digits(settings: dict[str, Any]) -> bool:
    data = settings.get("data")
    class_path = data.get("class_path") if isinstance(data, dict) else data
    return isinstance(class_path, str) and short(class_path) == "Digits"


def _given_batch_size(later: list[dict[str, Any]], options: list[str]) -> int | None:
    given: Any = None
    for settings in later:
        data = settings.get("data")
        arguments = data.get("init_args") if isinstance(data, dict) else None
        given = arguments.get("batch_size", given) if isinstance(arguments, dict) else given
    values = take_values(options, "--data.batch_size", "--data.init_args.batch_size")[0]
    given = value_of(values[-1]) if values else given
    return given if type(given) is int and given >= 1 else None  # the parser refuses anything else


def _given_kimg(options: list[str]) -> float | None:
    values = take_values(options, "--StopAtKimg.total_kimg", "--trainer.callbacks.StopAtKimg.total_kimg")[0]
    given: Any = value_of(values[-1]) if values else None
    return float(given) if type(given) in (int, float) and given > 0 else None


def _is_given(name: str, options: list[str]) -> bool:
    """Whether options give a setting of a callback, such as `R1.gamma`."""
    return bool(take_values(options, f"--{name}", f"--trainer.callbacks.{name}")[0])


def _remarks(
    rule: OwnImages, changed: dict[str, Any], *, networks: str | None, left_out: list[str], options: list[str]
) -> list[str]:
    kimg, size = rule.chosen_kimg, pixel_size(rule.image_size, rule.image_width)
    pixels = f"{size.height}^2" if size.given_width is None else f"{size.width} * {size.height}"
    callbacks = changed["trainer"]["callbacks"]
    names = [short(str(one.get("class_path") if isinstance(one, dict) else one)) for one in callbacks]
    if rule.total_kimg is not None:
        why = "as given"
    elif kimg == rounded(KIMG_PER_PIXEL * rule.side):
        why = f"{KIMG_PER_PIXEL:g} for each pixel of the size"
    else:
        why = f"each image {1000 * kimg / rule.number_of_images:.0f} times"
    tells_gamma = "R1" in names and not _is_given("R1.gamma", options)
    tells_half_life = "EMA" in names and not _is_given("EMA.half_life_kimg", options)
    parts = [
        f"{rule.number_of_images} images of {size}",
        f"batch size {rule.chosen_batch_size}",
        f"{kimg:g} kimg ({why})",
        *[f"gamma of R1 {rule.gamma:g} (0.0002 * {pixels} / {rule.chosen_batch_size})"] * tells_gamma,
        *[f"EMA's half-life {rule.half_life_kimg:g} kimg"] * tells_half_life,
        "networks as configured" if networks is None else f"networks of {networks}",
    ]
    remarks = [f"--images: {', '.join(parts)}; give any setting to change it, such as --StopAtKimg.total_kimg"]
    if left_out:
        instead = "SlicedWasserstein takes its place" if "SlicedWasserstein" in names else "nothing is measured"
        remarks.append(
            f"--images: {' and '.join(left_out)} compares by a network for digits and is left out; {instead} "
            "(Evaluation with InceptionFeatures measures the FID)"
        )
    return remarks
