"""The command: tables on the screen and in a file, figures as PNG and SVG."""

from pathlib import Path
from typing import Any

import pytest
import torch

import lightning_gan.dynamics.plots
from lightning_gan.dynamics.command import main
from lightning_gan.dynamics.mixtures import GRID, RING, MixtureOutcome
from lightning_gan.dynamics.plots import mixtures_figure, require_matplotlib, save


def test_it_prints_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path / "new"), "--steps", "2", "--without_mixtures", "--tables_only"])
    printed = capsys.readouterr().out
    text = (tmp_path / "new" / "tables.md").read_text(encoding="utf-8")
    assert text.strip() in printed
    assert "| Dirac-GAN | R1, γ = 1 (critical) | -0.5000, -0.5000 | -0.5000, -0.5000 | 0.927016 |" in text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tables.md"]


@pytest.mark.slow
def test_it_draws_the_figure_as_pixels_and_as_shapes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    main(["--out", str(tmp_path), "--steps", "20", "--without_mixtures"])
    assert (tmp_path / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "convergence.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_samples_are_drawn_beside_their_mixture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outcomes = [
        MixtureOutcome(
            mixture=mixture, regularizer="R1", samples=torch.tensor(mixture.centres), modes_found=8, high_quality=1.0
        )
        for mixture in (RING, GRID)
    ]
    figure = mixtures_figure(outcomes)
    assert [axes.get_title() for axes in figure.axes] == ["R1", "R1"]
    assert [path.suffix for path in save(figure, tmp_path, "mixtures")] == [".png", ".svg"]


def test_without_matplotlib_the_remedy_is_named_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing_found(name: str) -> Any:
        return None

    monkeypatch.setattr(lightning_gan.dynamics.plots, "find_spec", nothing_found)
    with pytest.raises(ValueError, match=r"pip install 'lightning-gan\[figures\]'"):
        main(["--out", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="--tables_only"):
        require_matplotlib()


@pytest.mark.parametrize(("arguments", "message"), [("--steps 0", "--steps 0"), ("--step_size -1", "--step_size -1")])
def test_settings_out_of_range_are_refused(arguments: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        main(arguments.split())
