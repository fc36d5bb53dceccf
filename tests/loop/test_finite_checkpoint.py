"""The first tensor of a checkpoint that is not finite."""

from typing import Any

import pytest
import torch

from lightning_gan.loop.finite_checkpoint import first_non_finite

NAN, INFINITY = torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("inf")])


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ({"state_dict": {"a": torch.ones(2), "b": NAN, "c": NAN}}, "b"),
        ({"state_dict": {"a": INFINITY}}, "a"),
        ({"state_dict": {"mask": INFINITY}}, None),
        ({"state_dict": {"mask": NAN}}, "mask"),
        ({"state_dict": {"count": torch.tensor(2**62), "nothing": torch.zeros(0)}}, None),
        ({"optimizer_states": [{}, {"state": {3: {"exp_avg": INFINITY}}}]}, "optimizer_states.1.state.3.exp_avg"),
        ({"callbacks": {"EMA": {"weights": {"a": NAN}}}}, "callbacks.EMA.weights.a"),
        ({"callbacks": {"EarlyStopping": {"best_score": torch.tensor(float("inf"))}}}, None),
        ({}, None),
    ],
)
def test_weights_optimizers_and_averages_are_looked_at(checkpoint: dict[str, Any], name: str | None) -> None:
    assert first_non_finite(checkpoint, buffers={"mask"}) == name
