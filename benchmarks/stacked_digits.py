"""Modes of stacked digits that configurations find under one budget: one command, one table.

    python benchmarks/stacked_digits.py                  # all configurations below, one after another
    python benchmarks/stacked_digits.py r1 pggan --kimg 100

Each configuration is fitted as a user would on `configs/data/stacked_digits.yaml`, without labels, for `--kimg`
thousand images, in a process of its own, in `runs/stacked_NAME_KIMGkimg/`; a run that has finished there is read
instead of repeated. Learning rates that fall do so over the second half of the budget. Everything else is the
configuration's own. The table has the modes among 26,000 generated images and the reverse Kullback-Leibler divergence
of `modes.json`, and the minutes of the processor.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from digits import ROOT

NAMES = ("dcgan", "sngan", "wgan_gp", "r1", "roth", "ct_gan", "pggan", "stylegan", "vgan")
KIMG = 50.0
REALS = 26_000
MINUTES = "processor_minutes.json"


def options(name: str, *, kimg: float) -> list[str]:
    """The options that give a configuration the budget."""
    text = (ROOT / "configs" / f"{name}.yaml").read_text()
    batch_size = int(text.partition("batch_size: ")[2].split()[0])
    decay = {
        "class_path": "lightning_gan.schedules.LinearDecay",
        "init_args": {"start_kimg": kimg / 2, "end_kimg": kimg},
    }
    given = {
        "StopAtKimg.total_kimg": f"{kimg:g}",
        "Evaluation.every_kimg": "null",
        "SampleGrid.every_kimg": f"{kimg / 2:g}",
    }
    given |= {"KimgCheckpoint.every_kimg": f"{kimg:g}", "trainer.limit_val_batches": str(REALS // batch_size)}
    if "callbacks.LearningRate" in text:
        given["LearningRate.schedules"] = json.dumps([decay])
    if "annealing_kimg" in text:
        given["Roth.annealing_kimg"] = f"{kimg:g}"
    return [part for option, value in given.items() for part in (f"--{option}", value)]


def fitted(name: str, *, kimg: float) -> Path:
    """The folder of a finished run; it is trained now if there is none."""
    folder = Path("runs") / f"stacked_{name}_{kimg:g}kimg"
    if (folder / MINUTES).exists():
        return folder
    command = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", f"{name}.yaml"]
    command += ["--config", "data/stacked_digits.yaml", "--name", folder.name, *options(name, kimg=kimg)]
    began = _processor_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder / MINUTES).write_text(json.dumps((_processor_seconds() - began) / 60))
    return folder


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(name: str, folder: Path) -> str:
    """One line of the table."""
    record: dict[str, Any] = json.loads((folder / "modes.json").read_text())[-1]
    metrics, minutes = record["metrics"], json.loads((folder / MINUTES).read_text())
    cells = [f"`{name}.yaml`", f"{metrics['modes']:.0f}", f"{metrics['reverse_kl']:.2f}"]
    cells += [f"{record['kimg']:.0f}", f"{minutes:.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="configurations without .yaml; none means all")
    parser.add_argument("--kimg", type=float, default=KIMG, help="length of each training in thousands of images")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if not (ROOT / "configs" / f"{name}.yaml").is_file()]
    if unknown:
        parser.error(f"{', '.join(unknown)}: there is no such configuration; some are {', '.join(NAMES)}")
    print("| configuration | modes of 1,000 | reverse KL in nats | kimg | minutes of the processor |")
    print("|---|---|---|---|---|")
    for name in arguments.names or NAMES:
        print(row(name, fitted(name, kimg=arguments.kimg)), flush=True)


if __name__ == "__main__":
    main()
