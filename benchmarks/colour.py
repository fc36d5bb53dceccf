"""StyleGAN2, with and without ADA, and R3GAN on a folder of small coloured images, for one number of images seen.

    python benchmarks/make_emoji.py emoji64
    python benchmarks/colour.py emoji64 --kimg 150 --grids pictures
    python benchmarks/colour.py emoji64 --kimg 150 stylegan2_ada

Each is fitted at 32x32 as a user would (`python cli.py fit --config NAME.yaml --images FOLDER --image_size 32`), with
networks for a CPU, mirrored images and no labels, in `runs/colour_NAME/`; a run that has finished there is read instead
of repeated. The table has the minutes, and the first, the best and the last Fréchet distance of 2,500 samples to all
images, by a network with random weights; `--grids` gets the last samples of each, and the distances over images seen.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from digits import fitted_in, minutes_of

STYLEGAN2 = (
    *("--config", "stylegan2.yaml", "--model.channel_base", "512", "--model.channel_max", "128"),
    *("--model.latent_dim", "64", "--model.style_dim", "64"),
)
ADA = ("--config", "addons/ada.yaml", "--AdaptiveAugmentation.adaptation_kimg", "50")
R3GAN = ("--config", "r3gan.yaml", "--model.widths", "[128, 64, 32, 16]", "--model.blocks_per_stage", "1")
OPTIONS = {"stylegan2": STYLEGAN2, "stylegan2_ada": (*STYLEGAN2, *ADA), "r3gan": R3GAN}


def fitted(name: str, *, images: Path, kimg: float) -> Path:
    """The folder of a finished run; it is trained now if there is none."""
    options = [*OPTIONS[name], "--images", str(images), "--image_size", "32", "--data.mirror", "true"]
    options += ["--config", "addons/random_features.yaml", "--StopAtKimg.total_kimg", str(kimg)]
    return fitted_in(Path("runs") / f"colour_{name}", options)


def distances(folder: Path) -> list[tuple[float, float]]:
    """Thousands of images seen and the distance, of every measurement."""
    records: list[dict[str, Any]] = json.loads((folder / "metrics.json").read_text())
    return [(r["kimg"], r["metrics"]["frechet_distance"]) for r in records if "frechet_distance" in r["metrics"]]


def row(name: str, folder: Path) -> str:
    """One line of the table."""
    measured = distances(folder)
    best = min(measured, key=lambda pair: pair[1])
    cells = [
        name,
        f"{minutes_of(folder):.1f}",
        f"{measured[0][1]:.3g} at {measured[0][0]:.0f}",
        f"{best[1]:.3g} at {best[0]:.0f}",
        f"{measured[-1][1]:.3g} at {measured[-1][0]:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def draw(folders: dict[str, Path], out: Path) -> None:
    """Draws the distances of all runs over images seen."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for name, folder in folders.items():
        axes.plot(*zip(*distances(folder), strict=True), marker="o", markersize=3, label=name)
    axes.set(xlabel="thousand images", ylabel="Fréchet distance (random features)", yscale="log")
    axes.legend()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder or zip of images")
    parser.add_argument("names", nargs="*", help=f"{', '.join(OPTIONS)}; none means all")
    parser.add_argument("--kimg", type=float, default=150.0, help="thousands of images that each is trained on")
    parser.add_argument("--grids", type=Path, help="folder for the last samples of each and the curves")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(OPTIONS):
        parser.error(f"{', '.join(sorted(unknown))}: give {', '.join(OPTIONS)}")
    print("| model | minutes | first distance, at kimg | best | last |")
    print("|---|---|---|---|---|")
    folders = {}
    for name in arguments.names or OPTIONS:
        folders[name] = fitted(name, images=arguments.images, kimg=arguments.kimg)
        print(row(name, folders[name]), flush=True)
        if arguments.grids is not None:
            arguments.grids.mkdir(parents=True, exist_ok=True)
            shutil.copy(max((folders[name] / "samples").glob("*.png")), arguments.grids / f"{name}_colour.png")
    if arguments.grids is not None:
        draw(folders, arguments.grids / "colour.png")


if __name__ == "__main__":
    main()
