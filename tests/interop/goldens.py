"""Reads `tests/goldens/*.npz`: weights, inputs and outputs of official implementations at small sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDENS = Path(__file__).parents[1] / "goldens"


class Golden:
    """One implementation: `config`, `state` by network and variable name, and the arrays `input/...`, `output/...`."""

    def __init__(self, name: str) -> None:
        arrays = np.load(GOLDENS / f"{name}.npz")
        self.config: dict[str, Any] = json.loads(str(arrays["config"]))
        self.arrays = {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "config"}
        self.state: dict[str, dict[str, Tensor]] = {}
        for key, value in self.arrays.items():
            if key.startswith("state/"):
                _, network, variable = key.split("/", 2)
                self.state.setdefault(network, {})[variable] = value

    def __getitem__(self, key: str) -> Tensor:
        return self.arrays[key]


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return ((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max()).item()
