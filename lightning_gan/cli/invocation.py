"""What is asked for: the command, the configurations by their paths, the checkpoint and the run's name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_gan.cli.configs import find_config, read_config
from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.runs import last_checkpoint


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command line, read as far as it can be without importing a model.

    Attributes:
        command: `fit`, `validate` or `test`.
        configs: paths of configurations, or configurations themselves as text; a later one wins.
        options: all other arguments, as given; they win over configurations.
        checkpoint: where to go on from, or None.
        name: what the run is called.
        keep_name: whether `name` was given on the command line, so that it must not be numbered.
    """

    command: str
    configs: list[str]
    options: list[str]
    checkpoint: Path | None
    name: str
    keep_name: bool


def read_invocation(command: str, arguments: list[str]) -> Invocation:
    """Read the arguments that follow a command.

    Raises:
        CommandLineError: if a configuration or a checkpoint is missing, or a configuration cannot be read.
    """
    names, rest = take_values(arguments, "--config", "-c")
    checkpoints, rest = take_values(rest, "--ckpt_path")
    run_names, rest = take_values(rest, "--name")
    configs = [name if _is_text(name) else str(find_config(name)) for name in names]
    settings = [_settings(config) for config in configs]
    checkpoints = [str(found["ckpt_path"]) for found in settings if found.get("ckpt_path")] + checkpoints
    keep_name = bool(run_names)
    name = run_names[-1] if run_names else _default_name(configs, settings, rest)
    if name != Path(name).name or name in ("", ".", ".."):
        raise CommandLineError(f"--name {name}: the name of a run is the name of a folder in runs/, without slashes")
    checkpoint = None
    # Whoever asks for help is not told that a file is missing.
    if checkpoints and checkpoints[-1] not in ("null", "None", "") and not asks_for_help(rest):
        checkpoint = _existing(checkpoints[-1], name=name, keep_name=keep_name, is_named=bool(run_names or configs))
    return Invocation(
        command=command, configs=configs, options=rest, checkpoint=checkpoint, name=name, keep_name=keep_name
    )


def take_values(arguments: list[str], *names: str) -> tuple[list[str], list[str]]:
    """The values of an option, in order, and the arguments without it.

    Raises:
        CommandLineError: if a value is missing.

    Example:
        >>> take_values(["--name", "a", "--model=M", "--name=b"], "--name")
        (['a', 'b'], ['--model=M'])
    """
    values: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        option, equals, value = argument.partition("=")
        if option not in names:
            rest.append(argument)
            continue
        if not equals:
            value = next(remaining, "")
            if not value or (value.startswith("-") and not _is_text(value)):
                raise CommandLineError(f"{option} needs a value")
        values.append(value)
    return values, rest


def asks_for_help(options: list[str]) -> bool:
    """Whether help is wanted rather than a run."""
    return any(option in ("-h", "--help") or option.partition("=")[0].endswith(".help") for option in options)


def _is_text(config: str) -> bool:
    """Whether a configuration is given as text rather than by a path."""
    return config.lstrip().startswith("{") or "\n" in config


def _settings(config: str) -> dict[str, Any]:
    if not _is_text(config):
        return read_config(Path(config))
    settings = yaml.safe_load(config)
    return settings if isinstance(settings, dict) else {}


def _default_name(configs: list[str], settings: list[dict[str, Any]], options: list[str]) -> str:
    """The name in a configuration, or of the first one with a model, or of the model."""
    named = [str(found["name"]) for found in settings if found.get("name")]
    if named:
        return named[-1]
    paths = [(Path(config), found) for config, found in zip(configs, settings, strict=True) if not _is_text(config)]
    # Fragments for hardware and callbacks may come first; they do not name a run.
    with_model = [path for path, found in paths if "model" in found] or [path for path, _ in paths]
    if with_model:
        return with_model[0].stem
    models, _ = take_values(options, "--model")
    return models[0].rsplit(".", 1)[-1].lower() if models else "run"


def _existing(checkpoint: str, *, name: str, keep_name: bool, is_named: bool) -> Path:
    if checkpoint == "last":
        if not is_named:
            raise CommandLineError(
                "--ckpt_path last: of which run? Give its --config or --name, or the checkpoint's path"
            )
        return last_checkpoint(name, keep_name=keep_name)
    path = Path(checkpoint)
    if not path.exists():
        raise CommandLineError(f"there is no checkpoint {checkpoint}")
    return path
