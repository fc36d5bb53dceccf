"""Penalties at points of their own, and annealed ones: two gloo ranks end with the weights of one process."""

from pathlib import Path

import pytest
import torch

from tests.callbacks.regularizers.gradient_penalty_worker import CASES, STRATEGIES
from tests.two_ranks import assert_same_weights, largest_difference, run_on_one_and_two


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks under each strategy."""
    return run_on_one_and_two(
        "tests.callbacks.regularizers.gradient_penalty_worker", tmp_path_factory.mktemp("weights")
    )


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, strategy: str, case: str) -> None:
    assert_same_weights(weights / f"auto_{case}.pt", weights / f"{strategy}_{case}.pt", relative=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "plain"])
def test_the_penalties_matter_in_this_comparison(weights: Path, case: str) -> None:
    assert largest_difference(weights / "auto_plain.pt", weights / f"auto_{case}.pt", within="blocks") > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["auto", *STRATEGIES])
def test_a_frozen_layer_stays_bit_for_bit_and_the_others_learn(weights: Path, strategy: str) -> None:
    saved = torch.load(weights / f"{strategy}_frozen_layer.pt", weights_only=True)
    for name in ("blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias"):
        stays = torch.equal(saved[f"discriminator.{name}"], saved[f"untrained.discriminator.{name}"].double())
        assert stays == name.startswith("blocks.0.")
