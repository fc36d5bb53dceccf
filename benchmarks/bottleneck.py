"""Whether a bottleneck holds what its critic may know: one command, one table of KL, I_c and beta while it trains.

    python benchmarks/bottleneck.py                      # fits vgan.yaml in runs/bottleneck_vgan, or reads it there
    python benchmarks/bottleneck.py runs/vgan            # reads a run that is there, also while it trains
    python benchmarks/bottleneck.py --every-kimg 5 --warm-up-kimg 10

The KL of a row is averaged over what was logged since the row before. The last line says which share of the rows
behind the warm-up is within 20 % of I_c, and the average KL there.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("kimg", *(f"discriminator/bottleneck_{name}" for name in ("kl", "constraint", "beta")))


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was logged at one moment.

    Attributes:
        kimg: thousands of images seen.
        kl: KL divergence in nats, averaged over the turns since the moment before.
        constraint: I_c.
        beta: the price of a nat.
    """

    kimg: float
    kl: float
    constraint: float
    beta: float


def points_of(run: Path) -> list[Point]:
    """What a run has logged, for TensorBoard or as a table."""
    rows = [*_from_events(run), *_from_tables(run)]
    return sorted((Point(kimg=row[0], kl=row[1], constraint=row[2], beta=row[3]) for row in rows), key=lambda p: p.kimg)


def _from_events(run: Path) -> Iterator[tuple[float, ...]]:
    files = sorted(run.glob("events.out.tfevents.*"))
    if not files:
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        if set(NAMES) <= set(events.Tags()["scalars"]):
            # All are logged at once (the last ones may be on their way); TensorBoard's own step is a whole number.
            yield from zip(*([event.value for event in events.Scalars(name)] for name in NAMES), strict=False)


def _from_tables(run: Path) -> Iterator[tuple[float, ...]]:
    for file in sorted(run.glob("csv/**/metrics.csv")):
        with file.open() as table:
            for row in csv.DictReader(table):
                if all(row.get(name) for name in NAMES):
                    yield tuple(float(row[name]) for name in NAMES)


def averaged(points: list[Point], *, every_kimg: float) -> list[Point]:
    """A point for every so many thousand images: the mean KL, and the last beta."""
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(int((point.kimg - 1e-6) // every_kimg), []).append(point)
    return [
        Point(
            kimg=group[-1].kimg,
            kl=sum(point.kl for point in group) / len(group),
            constraint=group[-1].constraint,
            beta=group[-1].beta,
        )
        for group in groups.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", nargs="?", type=Path, help="folder of a run; without, vgan.yaml is fitted")
    parser.add_argument("--every-kimg", type=float, default=4.0, help="thousands of images between rows")
    parser.add_argument("--warm-up-kimg", type=float, default=10.0, help="rows before do not count in the last line")
    arguments = parser.parse_args()
    run: Path = arguments.run or Path("runs/bottleneck_vgan")
    if arguments.run is None and not run.exists():
        command = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", "vgan.yaml", "--name", run.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    points = averaged(points_of(run), every_kimg=arguments.every_kimg)
    if not points:
        parser.error(f"{run} has no logs of a bottleneck")
    print("| kimg | KL | I_c | KL / I_c | beta |\n|---|---|---|---|---|")
    for point in points:
        print(
            f"| {point.kimg:.1f} | {point.kl:.4f} | {point.constraint:g} | {point.kl / point.constraint:.2f} "
            f"| {point.beta:.3f} |"
        )
    counted = [point for point in points if point.kimg > arguments.warm_up_kimg]
    if counted:
        within = sum(abs(point.kl / point.constraint - 1) <= 0.2 for point in counted)
        mean = sum(point.kl / point.constraint for point in counted) / len(counted)
        print(f"behind {arguments.warm_up_kimg:g} kimg: {within} of {len(counted)} rows within 20 % of I_c,", end=" ")
        print(f"KL on average {mean:.2f} I_c")


if __name__ == "__main__":
    main()
