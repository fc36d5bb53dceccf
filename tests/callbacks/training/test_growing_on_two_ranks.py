"""Two gloo ranks that grow through every stage are told the same as one process and end with its weights."""

import json
from pathlib import Path

import pytest

from tests.callbacks.training.growing_worker import CASES, STRATEGIES
from tests.two_ranks import assert_same_weights, largest_difference, run_on_one_and_two


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights and diary: one process, and two ranks under each strategy."""
    return run_on_one_and_two("tests.callbacks.training.growing_worker", tmp_path_factory.mktemp("growing"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(folder: Path, strategy: str, case: str) -> None:
    """Networks, EMA, mean style and counters, after two fades with other batches, rates and resets."""
    two = sorted(folder.glob(f"{strategy}_{case}_*.pt"))
    assert two
    for file in two:
        assert_same_weights(folder / f"auto_{case}_0.pt", file, relative=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_every_rank_is_in_the_same_phase_with_the_same_batch_and_rate(folder: Path, strategy: str, case: str) -> None:
    one = (folder / f"auto_{case}_0.json").read_text()
    assert {(folder / f"{strategy}_{case}_{rank}.json").read_text() for rank in range(2)} == {one}
    phases = [(resolution, size, rates) for resolution, _, size, rates, _ in json.loads(one)]
    assert phases == ([(4, 8, [0.02, 0.02])] * 2 + [(8, 4, [0.01, 0.01])] * 8 + [(16, 2, [0.005, 0.005])] * 24)
    forgot = [i for i, (*_, remembers) in enumerate(json.loads(one)) if not any(remembers)]
    assert forgot == ([0, 2, 6, 10, 18] if case == "resets" else [0])


@pytest.mark.slow
def test_the_resets_matter_in_this_comparison(folder: Path) -> None:
    files = [folder / f"auto_{case}_0.pt" for case in CASES]
    assert largest_difference(*files, within="blocks") > 1e-3
