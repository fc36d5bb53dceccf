"""`lightning-gan dynamics`: which training methods converge, on games small enough to see it."""

import argparse
from pathlib import Path

from lightning_gan.dynamics.figure import convergence_figure, mixtures_figure, require_matplotlib, save
from lightning_gan.dynamics.methods import BILINEAR_METHODS, DIRAC_METHODS, study
from lightning_gan.dynamics.methods import table as convergence_table
from lightning_gan.dynamics.mixtures import MIXTURES, compare
from lightning_gan.dynamics.mixtures import table as mixtures_table


def main(arguments: list[str]) -> None:
    """Print the tables, and write them with the figures into a folder.

    Args:
        arguments: of the command line, after the name of the command.

    Raises:
        ValueError: for settings out of range, or without matplotlib.
    """
    options = _parser().parse_args(arguments)
    if options.steps < 1 or options.step_size <= 0:
        raise ValueError(f"--steps {options.steps} must be at least 1 and --step_size {options.step_size:g} positive")
    if not options.tables_only:
        require_matplotlib()  # before anything is computed
    outcomes = [
        study(method, start=(1.0, 1.0), step_size=options.step_size, steps=options.steps)
        for method in (*DIRAC_METHODS, *BILINEAR_METHODS)
    ]
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    texts = [convergence_table(outcomes)]
    print(texts[0], flush=True)
    written: list[Path] = []
    if not options.tables_only:
        written += save(convergence_figure(outcomes, step_size=options.step_size), folder, "convergence")
    if not options.without_mixtures:
        print(f"\ntraining on {len(MIXTURES)} mixtures, about a minute ...", flush=True)
        trained = compare(MIXTURES, seed=options.seed)
        texts.append(mixtures_table(trained))
        print(f"\n{texts[1]}", flush=True)
        if not options.tables_only:
            written += save(mixtures_figure(trained), folder, "mixtures")
    tables = folder / "tables.md"
    tables.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    print("\nwritten: " + ", ".join(str(path) for path in [tables, *written]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lightning-gan dynamics",
        description="Which training methods converge: the Dirac-GAN and the bilinear game under every method, and "
        "small GANs on mixtures of Gaussians. Tables, and figures as PNG and SVG.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/dynamics"), help="folder to write to (%(default)s)")
    parser.add_argument("--steps", type=int, default=500, help="length of the trajectories (%(default)s)")
    parser.add_argument("--step_size", type=float, default=0.2, help="learning rate on the small games (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the GANs on mixtures (%(default)s)")
    parser.add_argument("--without_mixtures", action="store_true", help="leave out the GANs on mixtures: seconds")
    parser.add_argument("--tables_only", action="store_true", help="draw no figures, which need matplotlib")
    return parser
