"""Processor time of whole runs side by side: what a configuration costs beside another, such as its earlier self.

    git show adba55d:configs/stylegan.yaml > before.yaml
    python benchmarks/main_job.py before.yaml stylegan.yaml

Each is fitted as a user would (`python cli.py fit --config NAME.yaml`), in a process of its own with one thread, to
its end. The processes take turns of a few seconds, in which the others are stopped, so that all of them meet the same
machine. Processor time is that of the process and its children in user and system mode, with start, evaluations, grids
and checkpoints. Each is divided by that of the first
configuration.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Fit:
    """One `fit` in a process that is stopped until its turn.

    Args:
        config: name or path of a configuration.
        name: name of the run.
        seed: seed of the run.
    """

    def __init__(self, config: str, *, name: str, seed: int) -> None:
        self.config = config
        self.folder = Path("runs") / name
        command = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", config, "--name", name]
        self.process = subprocess.Popen(
            [*command, "--seed_everything", str(seed)],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.process.send_signal(signal.SIGSTOP)
        self.seconds: float | None = None
        """Processor time of the whole run; None before its end."""

    def go_on(self, *, for_seconds: float) -> None:
        """Let the process run for so long by the clock, or to its end."""
        ends = time.monotonic() + for_seconds
        self.process.send_signal(signal.SIGCONT)
        while time.monotonic() < ends:
            ended, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if ended:
                if status:
                    raise SystemExit(f"{self.config}: the run failed; look into {self.folder}")
                self.seconds = usage.ru_utime + usage.ru_stime
                return
            time.sleep(0.05)
        self.process.send_signal(signal.SIGSTOP)

    def row(self, *, first: float) -> str:
        """One line of the table; `first` is the processor time of the first configuration in seconds."""
        assert self.seconds is not None
        records = json.loads((self.folder / "metrics.json").read_text())
        record = [record for record in records if "frechet_distance" in record["metrics"]][-1]
        cells = [
            f"`{self.config}`",
            f"{record['kimg']:.0f}",
            f"{self.seconds / 60:.1f}",
            f"{self.seconds / first:.2f}",
            f"{record['metrics']['frechet_distance']:.2f}",
            f"{record['metrics']['frechet_to_floor']:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("configs", nargs="+", help="configurations; others are compared with the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turn-seconds", type=float, default=5.0, help="length of a turn of each process")
    arguments = parser.parse_args()
    fits = [
        Fit(config, name=f"main_job_{place}_{Path(config).stem}", seed=arguments.seed)
        for place, config in enumerate(arguments.configs)
    ]
    try:
        while running := [fit for fit in fits if fit.seconds is None]:
            for fit in running:
                fit.go_on(for_seconds=arguments.turn_seconds)
    finally:
        for fit in fits:
            if fit.seconds is None:
                fit.process.kill()
    print("| configuration | kimg | processor minutes | / the first | Fréchet distance | times the floor |")
    print("|---|---|---|---|---|---|")
    for fit in fits:
        assert fits[0].seconds is not None
        print(fit.row(first=fits[0].seconds))


if __name__ == "__main__":
    main()
