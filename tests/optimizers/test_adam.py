"""A step of Adam is one kernel for all weights."""

from collections import Counter

import torch
from torch import nn

from lightning_gan.optimizers import GANAdam
from tests.operators import Operators


def operators_of_a_step(count: int) -> Counter[str]:
    weights = [nn.Parameter(torch.ones(3)) for _ in range(count)]
    for weight in weights:
        weight.grad = torch.ones(3)
    optimizer = GANAdam(weights)
    optimizer.step()  # makes the state
    with Operators() as operators:
        optimizer.step()
    return operators.calls


def test_a_step_has_as_many_operators_for_one_weight_as_for_fifty() -> None:
    assert operators_of_a_step(50) == operators_of_a_step(1)
    assert operators_of_a_step(50)["aten._fused_adam_.default"] == 1
