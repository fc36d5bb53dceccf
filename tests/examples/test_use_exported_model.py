"""The example makes the model's images where neither this package nor Lightning can be imported."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_gan import models
from lightning_gan.inference.export_formats import all_formats
from lightning_gan.inference.export_model import write_export
from tests.inference.made_models import made

EXAMPLE = Path(__file__).parents[2] / "examples" / "use_exported_model.py"

WITHOUT_THE_PACKAGE = """
import runpy, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lightning_gan", "lightning", "pytorch_lightning", "torchmetrics"):
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_exported_files_need_neither_this_package_nor_lightning(tmp_path: Path) -> None:
    settings = {"image_size": 8, "image_channels": 3, "latent_dim": 5, "number_of_classes": 3}
    loaded = made(models.DCGAN, **settings, generator_width=4, discriminator_width=4)
    write_export(loaded, tmp_path / "out", formats=all_formats())
    command = [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(EXAMPLE), "out"]
    run = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "sheet_of_torch.png: 32 images of generator.pt2" in run.stdout
    sheets = []
    for name in ("torch", "onnx"):
        with Image.open(tmp_path / f"sheet_of_{name}.png") as picture:
            sheets.append(np.asarray(picture).astype(int))
    assert sheets[0].shape == (4 * 8, 8 * 8, 3) and sheets[0].std() > 1
    assert abs(sheets[0] - sheets[1]).max() <= 1


def test_it_says_how_it_is_called() -> None:
    run = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True)
    assert run.returncode == 1 and "usage: python use_exported_model.py FOLDER" in run.stderr
