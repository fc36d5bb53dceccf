"""The first reading of a command line: the command, the configurations, the checkpoint and the name of the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_gan.cli.configs import find_config, is_text, read_config
from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.evaluated_checkpoint import with_last
from lightning_gan.cli.image_options import take_image_options
from lightning_gan.cli.option_values import asks_for_help, take_values
from lightning_gan.cli.protocol_option import take_protocol
from lightning_gan.cli.runs import CONFIG, last_checkpoint, resumed, tell
from lightning_gan.cli.yaml_text import check_value, settings_in

SECTIONS = ("model", "data", "trainer")
"""The sections of a configuration. `model: DCGAN` names a class alone."""


LONGEST_NAME_BYTES = 200
"""File systems allow 255 bytes. A number may follow the name, and loggers and editors add suffixes."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command line, read as far as possible without importing a model.

    Attributes:
        command: name of the command: `fit`, `validate` or `test`.
        configs: paths of configurations, or configurations as text. Later ones override earlier ones.
        settings: the settings of each of `configs`.
        options: all other arguments, unchanged. They override configurations.
        checkpoint: path of the checkpoint to continue from or to evaluate; None without one.
        name: name of the run.
        keep_name: whether the user gave `name` on the command line, so that no number may be added to it.
        begins_in: folder of the run that `--resume` begins, because it has no checkpoint yet; None otherwise.
        weights: path of the weights that a new training begins with; None without any, and if a run is continued.
        protocol: name of the protocol of `--protocol`; None without one.
    """

    command: str
    configs: list[str]
    settings: list[dict[str, Any]]
    options: list[str]
    checkpoint: Path | None
    name: str
    keep_name: bool
    begins_in: Path | None = None
    weights: Path | None = None
    protocol: str | None = None


def read_invocation(command: str, arguments: list[str]) -> Invocation:
    """Read the arguments after a command.

    Args:
        command: name of the command: `fit`, `validate` or `test`.
        arguments: all arguments after the command.

    Raises:
        CommandLineError: if a configuration or a checkpoint does not exist, a configuration cannot be read, or the name
            of the run is not the name of a folder.
    """
    names, rest = take_values(arguments, "--config", "-c")
    checkpoints, rest = take_values(rest, "--ckpt_path")
    run_names, rest = take_values(rest, "--name")
    given_weights, rest = take_values(rest, "--weights")
    configs = [name if is_text(name) else str(find_config(name)) for name in names]
    settings = [_settings(config) for config in configs]
    for argument in rest:
        option, equals, value = argument.partition("=")
        check_value(value if equals else argument, name=option if equals else argument[:20])
    protocol, rest = take_protocol(rest, command=command)
    images, rest = take_image_options(rest)
    named_after_images = None
    if images is not None and not asks_for_help(rest):
        from lightning_gan.cli.own_images import with_own_images  # imported here, because it imports torch

        begins_with = _weights(given_weights, settings) if command == "fit" else None
        has_model = bool(checkpoints or begins_with or "--resume" in rest or take_values(rest, "--model")[0])
        own = with_own_images(
            images, configs=configs, settings=settings, options=rest, has_model=has_model, weights=begins_with
        )
        configs, settings, rest, named_after_images = own.configs, own.settings, own.options, own.name
        if command == "fit":
            for line in own.remarks:
                tell(line)
    checkpoints = [str(found["ckpt_path"]) for found in settings if found.get("ckpt_path")] + checkpoints
    checkpoints = with_last(command, checkpoints, rest)
    keep_name = bool(run_names)
    name = run_names[-1] if run_names else named_after_images or _default_name(configs, settings, rest)
    check_name(name)
    roots = [trainer["default_root_dir"] for found in settings if (trainer := _trainer(found)).get("default_root_dir")]
    roots += take_values(rest, "--trainer.default_root_dir")[0]
    root = Path(roots[-1]) if roots else None
    is_named, begins_in = bool(run_names or configs), None
    checkpoint = None
    wanted = [path for path in checkpoints[-1:] if path not in ("null", "None", "")]
    if given_weights:
        _check_weights(given_weights[-1], command=command, continued=bool(wanted) or "--resume" in rest)
    if "--resume" in rest:
        if command != "fit":
            raise CommandLineError(f"--resume is no option of {command}; --ckpt_path last takes the newest checkpoint")
        if wanted and wanted != ["auto"]:
            raise CommandLineError(f"--resume and --ckpt_path {wanted[0]} contradict each other; give one of them")
        rest, wanted = [argument for argument in rest if argument != "--resume"], ["auto"]
    # A request for help does not fail because a checkpoint does not exist.
    if wanted and not asks_for_help(rest):
        _check_named(wanted[0], is_named=is_named)
        if wanted == ["auto"]:
            if command != "fit":
                raise CommandLineError(f"--ckpt_path auto is for fit alone; give {command} --ckpt_path last")
            folder, checkpoint = resumed(name, keep_name=keep_name, root=root)
            begins_in = folder if checkpoint is None else None
            if begins_in is not None and not configs and (folder / CONFIG).is_file():
                configs = [str(folder / CONFIG)]  # of a run that ended before its first checkpoint
                settings = [_settings(configs[0])]
        elif wanted == ["last"]:
            checkpoint = last_checkpoint(name, keep_name=keep_name, root=root)
        else:
            checkpoint = _existing(wanted[0])
    weights = _weights(given_weights, settings) if command == "fit" and checkpoint is None else None
    if weights is not None and not asks_for_help(rest) and not weights.exists():
        raise CommandLineError(
            f"--weights {weights}: there is no such checkpoint; give a file, a run or an exported folder"
        )
    return Invocation(
        command=command,
        configs=configs,
        settings=settings,
        options=rest,
        checkpoint=checkpoint,
        name=name,
        keep_name=keep_name,
        begins_in=begins_in,
        weights=weights,
        protocol=protocol,
    )


def _check_weights(weights: str, *, command: str, continued: bool) -> None:
    if command != "fit":
        raise CommandLineError(f"--weights is no option of {command}; give --ckpt_path {weights}")
    if continued:
        raise CommandLineError(
            f"--weights {weights} begins a new training, and --resume and --ckpt_path continue one; give one of them "
            "(a run that was begun with --weights is continued by --resume alone)"
        )


def _weights(given: list[str], settings: list[dict[str, Any]]) -> Path | None:
    """The weights that the option or a configuration names. The option holds; `null` is none."""
    named = [str(found["weights"]) for found in settings if found.get("weights")] + given
    return Path(named[-1]) if named and named[-1] not in ("null", "None") else None


def check_name(name: str) -> None:
    """Check that a name of a run can be the name of a folder on every file system, and be printed in one line.

    Raises:
        CommandLineError: if it cannot.
    """
    if name != Path(name).name or "\\" in name or name in ("", ".", ".."):
        raise CommandLineError(f"--name {name}: the name of a run is the name of a folder in runs/, without slashes")
    if not name.isprintable():
        raise CommandLineError(f"--name {name!r}: the name has a character that cannot be printed; leave it out")
    if name != name.strip() or name.startswith("-"):
        raise CommandLineError(f"--name {name!r}: the name must not begin or end with a space, nor begin with a dash")
    if len(name.encode()) > LONGEST_NAME_BYTES:
        raise CommandLineError(
            f"--name {name[:20]}...: the name has {len(name.encode())} bytes; give at most {LONGEST_NAME_BYTES}"
        )


def _settings(config: str) -> dict[str, Any]:
    settings = settings_in(config, name="--config") if is_text(config) else read_config(Path(config))
    name = "--config" if is_text(config) else config
    if not settings:
        raise CommandLineError(f"{name} is empty; write settings such as `model:` and `data:` to it, or leave it out")
    for section in SECTIONS:
        if section in settings and not isinstance(settings[section], dict | str):
            raise CommandLineError(
                f"{name}: `{section}:` holds no settings but {settings[section]!r}; give it settings, or leave it out"
            )
    return settings


def _default_name(configs: list[str], settings: list[dict[str, Any]], options: list[str]) -> str:
    """The name that a configuration gives, or else the file name of the first one with a model, or the model's name."""
    named = [str(found["name"]) for found in settings if found.get("name")]
    if named:
        return named[-1]
    paths = [(Path(config), found) for config, found in zip(configs, settings, strict=True) if not is_text(config)]
    # Configurations without a model, for hardware and callbacks, may come first. They do not name the run.
    with_model = [path for path, found in paths if "model" in found] or [path for path, _ in paths]
    if with_model:
        return with_model[0].stem
    models, _ = take_values(options, "--model")
    return models[0].rsplit(".", 1)[-1].lower() if models else "run"


def _trainer(settings: dict[str, Any]) -> dict[str, Any]:
    trainer = settings.get("trainer")
    return trainer if isinstance(trainer, dict) else {}


def _check_named(checkpoint: str, *, is_named: bool) -> None:
    if checkpoint in ("last", "auto") and not is_named:
        option = "--resume" if checkpoint == "auto" else "--ckpt_path last"
        raise CommandLineError(f"{option}: the run is not known; give its --config or --name, or the checkpoint's path")


def _existing(checkpoint: str) -> Path:
    path = Path(checkpoint)
    try:
        exists = path.exists()
    except OSError as error:
        raise CommandLineError(f"--ckpt_path {checkpoint[:60]}: {error.strerror}; give an existing file") from error
    if not exists:
        raise CommandLineError(f"there is no checkpoint {checkpoint}")
    return path
