"""Projects of `pytorch_lightning`, the package with the same files as `lightning.pytorch` and other classes."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pytorch_lightning") is None, reason="pytorch_lightning is not installed")
def test_callbacks_work_in_its_trainer_and_replace_its_bar_and_its_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.foreign.pytorch_lightning_worker", str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("REPORT "))
    assert json.loads(line.removeprefix("REPORT ")) == {
        "bars": ["KimgProgressBar"],
        "checkpoints": ["KimgCheckpoint"],
        "last callback": "KimgCheckpoint",
        "saved": [f"{run}/checkpoints/{name}.ckpt" for run in ("cut", "whole") for name in ("last", "previous")],
        "grids": [f"kimg_000000.0{images}.png" for images in ("00", "08", "16", "24")],
        "resumes exactly": True,
        "validates with the average": True,
        "trains without": True,
    }
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(tmp_path / "whole" / "board"))
    events.Reload()
    assert [event.step for event in events.Images("samples")] == [0, 4, 8, 12]
