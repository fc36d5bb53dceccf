"""A small configuration, and what tests of the command line do again and again."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_gan.cli import main

REPOSITORY = Path(__file__).parent.parent.parent

TINY: dict[str, Any] = {
    "model": {
        "class_path": "StyleGAN",
        "init_args": {
            "latent_dim": 4,
            "style_dim": 4,
            "mapping_layers": 1,
            "mapping_width": 4,
            "channel_base": 32,
            "channel_max": 4,
        },
    },
    "data": {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 8}},
    "trainer": {
        "accelerator": "cpu",
        "max_steps": 2,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [{"class_path": "R1", "init_args": {"gamma": 1.0}}],
    },
}

TRAINER: dict[str, Any] = {
    "accelerator": "auto",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "plugins": None,
    "logger": None,
    "callbacks": None,
    "enable_checkpointing": None,
    "enable_progress_bar": None,
}
"""What the command line's trainer section holds when nothing is given."""


def write(name: str, settings: dict[str, Any]) -> None:
    Path(name).write_text(yaml.safe_dump(settings))


def read(name: str) -> Any:
    return yaml.safe_load(Path(name).read_text())


def hyperparameters(run: str) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    return saved


def trained_batches(run: str) -> int:
    step: int = torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["global_step"]
    return step


def run(command_line: str) -> None:
    main(command_line.split())


def message_of(arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line ends in."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    assert exit_.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lightning-gan: error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("lightning-gan: error: ")
