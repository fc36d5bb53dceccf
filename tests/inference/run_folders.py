"""Folders as a training leaves them, without a training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

RECORD: dict[str, Any] = {
    "stage": "fit",
    "kimg": 2.0,
    "checkpoint": None,
    "weights": "a0",
    "trained_here": True,
    "extractor": "DigitFeatures",
    "real_count": 100,
    "fake_count": 50,
    "seed": 0,
    "truncation": 1.0,
    "ema": True,
    "metrics": {"frechet_distance": 8.0, "recall": 0.5},
}


def config(*, gamma: float = 1.0, width: int = 8, callbacks: int = 1) -> dict[str, Any]:
    r1 = {"class_path": "lightning_gan.callbacks.R1", "init_args": {"gamma": gamma}}
    return {
        "seed_everything": 0,
        "model": {"class_path": "lightning_gan.models.DCGAN", "init_args": {"width": width}},
        "data": {"class_path": "lightning_gan.data.Digits", "init_args": {"image_size": 32}},
        "trainer": {"callbacks": [r1] * callbacks},
    }


def measured(kimg: float, distance: float, **settings: Any) -> dict[str, Any]:
    return {**RECORD, "kimg": kimg, "metrics": {"frechet_distance": distance, "recall": 0.5}, **settings}


def run_folder(
    folder: Path,
    *,
    settings: dict[str, Any] | None = None,
    records: list[dict[str, Any]] | None = None,
    losses: list[float] | None = None,
    gray: int | None = None,
) -> Path:
    """A folder with those files that are given."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings or config()))
    if records is not None:
        (folder / "metrics.json").write_text(json.dumps(records))
    if losses is not None:
        rows = [f"{1000 * (n + 1)},{n + 1},0.1,{loss}" for n, loss in enumerate(losses)]
        (folder / "log.csv").write_text(
            "\n".join(["step,kimg,generator/learning_rate,generator/adversarial", *rows, ""])
        )
    if gray is not None:
        (folder / "samples").mkdir()
        for kimg, value in (("000001.000", 0), ("000012.500", gray)):
            pixels = np.full((40, 60), value, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "samples" / f"kimg_{kimg}.png")
    return folder
