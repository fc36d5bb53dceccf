"""The study's figures, as PNG and SVG. matplotlib is needed only here, and is imported when a figure is drawn.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish; each panel also has its result as
text.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lightning_gan.dynamics.methods import Outcome
from lightning_gan.dynamics.mixtures import MixtureOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

BLUE, VERMILION, GREY, BLACK = "#0072B2", "#D55E00", "#B8B8B8", "#202020"
COLUMNS = 6
LIMIT = 2.1
"""Both axes of a panel go from `-LIMIT` to `LIMIT`."""


def require_matplotlib() -> None:
    """Checks that matplotlib is installed, before anything is computed.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ValueError(
            "the figures need matplotlib: pip install 'lightning-gan[figures]', or draw no figures with --tables_only"
        )


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Writes `name.png` and `name.svg` into a folder, which is made if it does not exist, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def convergence_figure(outcomes: Sequence[Outcome], *, step_size: float) -> "Figure":
    """Draws a panel for each method, with the field's directions and the trajectory from the open circle to the filled.

    Args:
        outcomes: results of the methods.
        step_size: learning rate of both players, for the title.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = -(-len(outcomes) // COLUMNS)
    figure = Figure(figsize=(2.65 * COLUMNS, 2.95 * rows + 1.15), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True)
    for axes, outcome in zip(panels.flat, outcomes, strict=False):
        _draw_outcome(axes, outcome)
    for axes in list(panels.flat)[len(outcomes) :]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel("discriminator ψ")
    for axes in panels[-1]:
        axes.set_xlabel("generator θ")
    steps = len(outcomes[0].path) - 1
    figure.suptitle(
        f"{steps} steps of size {step_size:g} on the Dirac-GAN and, in the last row, on the bilinear game.\n"
        "|λ|: by how much a step multiplies the distance from the equilibrium (+), once it is small",
        fontsize=13,
    )
    figure.legend(
        handles=[
            Line2D([], [], color=BLUE, linewidth=1.6, label="converges"),
            Line2D([], [], color=VERMILION, linewidth=1.6, label="does not converge"),
            _marker("o", filled=False, label="start"),
            _marker("o", filled=True, label="last step"),
            _marker("s", filled=True, label="leaves the panel here"),
            Line2D(
                [], [], color=GREY, marker=r"$\rightarrow$", markersize=12, linestyle="", label="direction of field"
            ),
        ],
        loc="outside lower center",
        ncols=6,
        frameon=False,
        fontsize=11,
    )
    return figure


def _marker(shape: str, *, filled: bool, label: str) -> "Line2D":
    from matplotlib.lines import Line2D

    face = BLACK if filled else "white"
    return Line2D([], [], color=BLACK, marker=shape, markersize=6, linestyle="", markerfacecolor=face, label=label)


def _draw_outcome(axes: "Axes", outcome: Outcome) -> None:
    method = outcome.method
    ticks = torch.linspace(-LIMIT * 0.9, LIMIT * 0.9, 11, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)
    directions = torch.nn.functional.normalize(method.field(grid), dim=-1)
    axes.quiver(
        grid[:, 0].numpy(),
        grid[:, 1].numpy(),
        directions[:, 0].numpy(),
        directions[:, 1].numpy(),
        color=GREY,
        pivot="mid",
        scale=17,
        width=0.0055,
        headwidth=4.5,
    )
    if method.clip is not None:
        for border in (-method.clip, method.clip):
            axes.axhline(border, color=BLACK, linewidth=0.8, linestyle=":")
    outside = (outcome.path.abs() > LIMIT).any(dim=1).nonzero()
    end = int(outside[0]) if len(outside) else len(outcome.path) - 1
    path = outcome.path[: end + 1].numpy()
    color = BLUE if outcome.converges else VERMILION
    axes.plot(path[:, 0], path[:, 1], color=color, linewidth=1.1, zorder=3)
    axes.plot(0, 0, marker="+", color=BLACK, markersize=9, markeredgewidth=1.2, zorder=4)
    axes.plot(*path[0], marker="o", color=BLACK, markerfacecolor="white", markersize=6, zorder=5)
    last = path[-1].clip(-LIMIT, LIMIT)
    axes.plot(*last, marker="s" if len(outside) else "o", color=BLACK, markersize=5, zorder=5, clip_on=False)
    radius = "no |λ| (jump)" if outcome.radius is None else f"|λ| = {outcome.radius:.4f}"
    verdict = "converges" if outcome.converges else "does not converge"
    axes.set_title(method.name, fontsize=10, fontweight="bold", pad=17)
    axes.text(
        0.5, 1.02, f"{radius}, {verdict}", transform=axes.transAxes, ha="center", va="bottom", fontsize=8.5, color=color
    )
    axes.set(
        xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2]
    )


def mixtures_figure(outcomes: Sequence[MixtureOutcome]) -> "Figure":
    """Draws a row for each mixture, and in it a panel for each training with samples and the mixture's centres.

    Args:
        outcomes: results of the trainings, by mixture.
    """
    from matplotlib.figure import Figure

    mixtures = list(dict.fromkeys(outcome.mixture.name for outcome in outcomes))
    columns = len(outcomes) // len(mixtures)
    figure = Figure(figsize=(2.65 * columns, 2.95 * len(mixtures) + 0.8), layout="constrained")
    panels = figure.subplots(len(mixtures), columns, squeeze=False)
    for axes, outcome in zip(panels.flat, outcomes, strict=True):
        points, centres = outcome.samples.numpy(), torch.tensor(outcome.mixture.centres).numpy()
        axes.scatter(
            centres[:, 0], centres[:, 1], s=55, facecolors="none", edgecolors=VERMILION, linewidths=1.0, zorder=2
        )
        # As pixels within the SVG, because thousands of points as shapes would make a file of megabytes.
        axes.scatter(points[:, 0], points[:, 1], s=2, color=BLUE, alpha=0.5, linewidths=0, rasterized=True, zorder=3)
        axes.set_title(outcome.regularizer, fontsize=10.5, fontweight="bold", pad=17)
        found = f"{outcome.modes_found} of {len(centres)} modes, {100 * outcome.high_quality:.0f} % of high quality"
        axes.text(0.5, 1.02, found, transform=axes.transAxes, ha="center", va="bottom", fontsize=8.5)
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    figure.suptitle("Samples (dots) of small GANs trained on mixtures of Gaussians (circles)", fontsize=13)
    return figure
