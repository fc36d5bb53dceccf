"""How the examples with this package's own loop are tried."""

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "examples"


def example_named(name: str) -> ModuleType:
    """A fresh import of an example."""
    spec = spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed_by(name: str, folder: Path) -> str:
    """What an example prints as a script in an empty folder, where it must leave nothing, within a core's minute."""
    begin = os.times()
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    end = os.times()
    assert done.returncode == 0, done.stderr
    assert end.children_user - begin.children_user < 60
    assert not list(folder.iterdir())
    return done.stdout


def numbers_in(text: str, pattern: str) -> list[float]:
    """The numbers that a pattern finds in a text."""
    found = [float(number) for number in re.findall(pattern, text)]
    assert found, f"no {pattern} in {text}"
    return found
