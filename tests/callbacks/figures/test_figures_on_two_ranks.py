"""Two gloo ranks draw the figures of one process, also of networks that are sharded."""

from pathlib import Path

import numpy as np
import pytest

from tests.callbacks.figures.figures_worker import STRATEGIES
from tests.callbacks.figures.test_sample_sheets import files, pixels
from tests.two_ranks import run_on_one_and_two


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's figures: one process, and two ranks under each strategy."""
    return run_on_one_and_two("tests.callbacks.figures.figures_worker", tmp_path_factory.mktemp("figures"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_draw_the_figures_of_one_process(folder: Path, strategy: str) -> None:
    drawn = files(folder / "auto")
    assert len(drawn) == 3 + 2 * 3 + 2 + 1 + 1 and files(folder / strategy) == drawn
    for file in drawn:
        assert np.array_equal(pixels(folder / strategy / file), pixels(folder / "auto" / file)), file
