"""Finds the callbacks of configurations that do not run, because a later list takes the place of theirs."""

from typing import Any

from lightning_gan.cli.errors import short


def replaced_callbacks(configurations: list[dict[str, Any]], parsed: dict[str, Any]) -> list[str]:
    """The class names of callbacks that a configuration gives and that are not among the parsed ones.

    Args:
        configurations: settings of all configurations.
        parsed: settings that result from the configurations and the options.

    Example:
        >>> first, second = {"trainer": {"callbacks": ["EMA", "R1"]}}, {"trainer": {"callbacks": ["R2"]}}
        >>> replaced_callbacks([first, second], second)
        ['EMA', 'R1']
    """
    left = callbacks_in(parsed)
    before = [name for settings in configurations for name in callbacks_in(settings)]
    return [name for name in dict.fromkeys(before) if name not in left]


def callbacks_in(settings: dict[str, Any]) -> list[str]:
    """The class names of the callbacks that settings give, also with `callbacks+`.

    Example:
        >>> callbacks_in({"trainer": {"callbacks": [{"class_path": "EMA"}], "callbacks+": "R1"}})
        ['EMA', 'R1']
    """
    trainer = settings.get("trainer")
    lists = [trainer.get(key) for key in ("callbacks", "callbacks+")] if isinstance(trainer, dict) else []
    given = [callback for callbacks in lists for callback in _as_list(callbacks)]
    named = [callback.get("class_path") if isinstance(callback, dict) else callback for callback in given]
    return [short(name) for name in named if isinstance(name, str)]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
