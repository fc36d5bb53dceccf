"""Two gloo ranks: a penalty dropped in is the penalty written by hand, under DDP and FSDP2."""

import json

import pytest

from tests.foreign.comparison import MODULES, PENALTIES
from tests.two_ranks import run


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What the two ranks measured."""
    file = tmp_path_factory.mktemp("foreign") / "found.json"
    run("tests.foreign.worker", file, ranks=2)
    measured: dict[str, dict[str, float]] = json.loads(file.read_text())
    return measured


@pytest.mark.slow
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("case", [*(f"ddp {name}" for name in MODULES), "fsdp2 detaching"])
def test_two_ranks_end_with_the_weights_of_a_penalty_by_hand(
    found: dict[str, dict[str, float]], case: str, penalty: str
) -> None:
    measured = found[f"{case} {penalty}"]
    assert measured["error"] < 1e-6
    assert measured["effect"] > 1e-2
    assert measured["spread"] == 0
