"""Every configuration of the digits under one budget: one command, one table.

    python benchmarks/digits.py                      # all of them, one after another
    python benchmarks/digits.py pggan sngan --kimg 60

Each configuration is fitted as a user would (`python cli.py fit --config NAME.yaml`), in a process of its own, in
`runs/digits_NAME/`; a run that has finished there is read instead of repeated. The table has the images seen, the
minutes that took, and the last record of its `metrics.json`: Fréchet distance of 2,500 samples against all 5,000
digits by the shipped classifier's features, times the floor (the distance between two halves of the digits),
precision, recall, and for conditional models the share of samples that are of the class that was asked for. The last
grid of samples is copied to `--grids`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MINUTES = "minutes.json"


def configurations() -> list[str]:
    """The configurations at the top of `configs/` that train on the digits, by name."""
    return sorted(path.stem for path in (ROOT / "configs").glob("*.yaml") if "data.Digits" in path.read_text())


def fitted(name: str, *, kimg: float | None) -> Path:
    """The folder of a finished run; it is trained now if there is none."""
    budget = "" if kimg is None else f"_{kimg:g}kimg"
    folder = Path("runs") / f"digits_{name}{budget}"
    options = ["--config", f"{name}.yaml"]
    if kimg is not None:
        options += ["--config", str(budget_file(folder.parent, kimg=kimg))]
    return fitted_in(folder, options)


def fitted_in(folder: Path, options: list[str]) -> Path:
    """A folder in `runs/` in which a run has finished; the run is made now, and timed, if there is none.

    Args:
        folder: the folder, whose name is that of the run.
        options: options of `fit`.
    """
    if not (folder / MINUTES).exists():
        started = time.monotonic()
        command = [sys.executable, str(ROOT / "cli.py"), "fit", *options, "--name", folder.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (folder / MINUTES).write_text(json.dumps((time.monotonic() - started) / 60))
    return folder


def minutes_of(folder: Path) -> float:
    """The minutes that a run of `fitted_in` took."""
    return float(json.loads((folder / MINUTES).read_text()))


def budget_file(folder: Path, *, kimg: float) -> Path:
    """A fragment that stops a run early; the stop that comes first wins."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"stop_at_{kimg:g}_kimg.yaml"
    stop = "lightning_gan.callbacks.StopAtKimg"
    path.write_text(
        f"# Stops after {kimg:g} thousand images.\n"
        f"trainer: {{callbacks+: [{{class_path: {stop}, init_args: {{total_kimg: {kimg}}}}}]}}\n"
    )
    return path


def row(name: str, folder: Path) -> str:
    """One line of the table."""
    records: list[dict[str, Any]] = json.loads((folder / "metrics.json").read_text())
    # Others may have measured beside `Evaluation`.
    record = [record for record in records if "frechet_distance" in record["metrics"]][-1]
    metrics = record["metrics"]
    asked = metrics.get("asked_class")
    cells = [
        f"`{name}.yaml`",
        f"{record['kimg']:.0f}",
        f"{minutes_of(folder):.1f}",
        f"{metrics['frechet_distance']:.2f}",
        f"{metrics['frechet_to_floor']:.1f}",
        f"{metrics['precision']:.2f}",
        f"{metrics['recall']:.2f}",
        "" if asked is None else f"{100 * asked:.1f} %",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="configurations without .yaml; none means all")
    parser.add_argument("--kimg", type=float, help="stop each after so many thousand images")
    parser.add_argument("--grids", type=Path, help="folder for the last grid of samples of each")
    arguments = parser.parse_args()
    known = configurations()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no configuration of the digits; there are {', '.join(known)}")
    print("| configuration | kimg | minutes | Fréchet distance | times the floor | precision | recall | asked class |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.names or known:
        folder = fitted(name, kimg=arguments.kimg)
        print(row(name, folder), flush=True)
        if arguments.grids is not None:
            arguments.grids.mkdir(parents=True, exist_ok=True)
            shutil.copy(max((folder / "samples").glob("*.png")), arguments.grids / f"{name}_digits.png")


if __name__ == "__main__":
    main()
