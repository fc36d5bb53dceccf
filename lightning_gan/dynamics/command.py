"""The command `lightning-gan dynamics`: it shows on small games which training methods converge."""

import argparse
from pathlib import Path

from lightning_gan.dynamics.methods import BILINEAR_METHODS, DIRAC_METHODS, study
from lightning_gan.dynamics.methods import table as convergence_table
from lightning_gan.dynamics.mixtures import MIXTURES, compare
from lightning_gan.dynamics.mixtures import table as mixtures_table
from lightning_gan.dynamics.plots import convergence_figure, mixtures_figure, require_matplotlib, save


def main(arguments: list[str]) -> None:
    """Prints the tables, and writes them and the figures into a folder.

    Args:
        arguments: arguments of the command line after the name of the command.

    Raises:
        ValueError: for settings out of range, or if figures are to be drawn and matplotlib is not installed.
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
        description="Shows which training methods converge: it tries every method on the Dirac-GAN or the bilinear "
        "game, and trains small GANs on mixtures of Gaussians. It writes tables, and figures as PNG and SVG.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/dynamics"), help="folder for the results (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=500, help="number of steps of a trajectory (default: %(default)s)")
    parser.add_argument(
        "--step_size", type=float, default=0.2, help="learning rate on the two small games (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the GANs on mixtures (default: %(default)s)")
    parser.add_argument(
        "--without_mixtures", action="store_true", help="do not train GANs on mixtures; the command then takes seconds"
    )
    parser.add_argument("--tables_only", action="store_true", help="do not draw figures; matplotlib is not needed then")
    return parser
