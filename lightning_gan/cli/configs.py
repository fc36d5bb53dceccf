"""Finds configuration files by name, first in the working directory and then among those of the package."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.yaml_text import read_text, settings_in


def shipped_folder() -> Path:
    """The folder `configs`: inside of the package if it is installed, next to it in a clone of the repository."""
    package = Path(__file__).parent.parent
    return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"


def shipped_configs() -> list[str]:
    """The names of the configurations that come with the package, such as `addons/r1.yaml`."""
    folder = shipped_folder()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))


def find_config(name: str) -> Path:
    """Find a configuration file by its name.

    Args:
        name: a path, or the name of a configuration of the package, with or without `.yaml` or a leading `configs/`.

    Raises:
        CommandLineError: if there is no such file. The message lists configurations with similar names.
    """
    if Path(name).is_dir():
        raise CommandLineError(f"--config {name}: this is a folder; give a file of settings in it")
    if Path(name).exists() and not Path(name).is_file():
        raise CommandLineError(f"--config {name}: this is no regular file; write the settings to a file")
    file_name = name if name.endswith((".yaml", ".yml", ".json")) else f"{name}.yaml"
    shipped = file_name.removeprefix("./").removeprefix("configs/")
    for candidate in (Path(name), Path(file_name), shipped_folder() / shipped):
        if candidate.is_file():
            return candidate
    known = shipped_configs()
    by_last_part = {Path(path).name: path for path in known}
    close = [
        *(path for path in known if Path(path).name == Path(shipped).name),  # the right name in another folder
        *get_close_matches(shipped, known, n=3),
        *(by_last_part[match] for match in get_close_matches(Path(shipped).name, by_last_part, n=2)),
    ]
    hint = (
        f"did you mean {' or '.join(dict.fromkeys(close))}?"
        if close
        else "the command configs lists those of the package"
    )
    raise CommandLineError(f"there is no configuration {name}, neither here nor in the package; {hint}")


def shown_config(config: str) -> str:
    """The name of a configuration for a message: of one of the package its name in it, of a text `--config`.

    Args:
        config: path of a configuration, or a configuration as text.
    """
    if is_text(config):
        return "--config"
    path = Path(config)
    return path.relative_to(shipped_folder()).as_posix() if path.is_relative_to(shipped_folder()) else config


def is_text(config: str) -> bool:
    """Whether a configuration is given as text and not as a path."""
    return config.lstrip().startswith("{") or "\n" in config


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings in a file. An empty file has none.

    Raises:
        CommandLineError: if the file cannot be read, or `settings_in` cannot take its text.
    """
    return settings_in(read_text(path), name=str(path))
