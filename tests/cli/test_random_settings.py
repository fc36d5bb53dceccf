"""Random changes of the package's configurations are read, or refused in one line; nothing else happens."""

import logging
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder

VALUES: list[Any] = [
    None, True, -1, 0, 3, 2**70, 0.5, -1e30, float("nan"), float("inf"), "", "x", "nan", "x" * 300, "ü\n\t", "a.b.C",
    [], [[]], [1, "a"], {}, {"class_path": "x"}, {"class_path": "EMA", "init_args": 3}, {"init_args": {}}, {1: 2},
    "lightning_gan.models.StyleGAN", "torch.nn.Linear", "{", "*a", "2001-99-99",
]  # fmt: skip
"""What may take the place of any setting."""


def places_in(settings: Any) -> list[tuple[Any, Any]]:
    """Every mapping or list within settings, with each of its keys or indices."""
    if isinstance(settings, dict):
        own = [(settings, key) for key in settings]
        return own + [place for value in settings.values() for place in places_in(value)]
    if isinstance(settings, list):
        own = [(settings, index) for index in range(len(settings))]
        return own + [place for value in settings for place in places_in(value)]
    return []


def change(settings: dict[str, Any], numbers: random.Random) -> None:
    """Change one random setting: another value, another name, or none."""
    owner, key = numbers.choice(places_in(settings))
    kind = numbers.choice(["value", "value", "value", "name", "nothing"])
    if kind == "value":
        owner[key] = numbers.choice(VALUES)
    elif kind == "nothing":
        del owner[key]
    elif isinstance(owner, dict):
        owner[f"{key}{numbers.choice(['s', '', '+', '.x', ' '])}"] = owner.pop(key)


def tried(seed: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A random configuration, parsed; what it was changed to if something else happens than is allowed."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    numbers = random.Random(seed)
    name = numbers.choice([name for name in shipped_configs() if "/" not in name])
    settings = yaml.safe_load((shipped_folder() / name).read_text(encoding="utf-8"))
    for _ in range(numbers.choice([1, 1, 2, 4])):
        if places_in(settings):
            change(settings, numbers)
    Path("random.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "random.yaml", "--print_config"])
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("lightning-gan: error: ")]
    as_wanted = (exit_.value.code in (0, None) and not errors) or (exit_.value.code == 2 and len(errors) == 1)
    return "" if as_wanted else f"{name} with seed {seed}: {exit_.value.code}, {lines}, {settings}"


@pytest.mark.parametrize("seed", range(8))
def test_a_random_change_is_read_or_refused_in_one_line(
    seed: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not tried(seed, capsys, monkeypatch)


@pytest.mark.slow
def test_many_random_changes_are_read_or_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(100, 300):
        assert not tried(seed, capsys, monkeypatch)
