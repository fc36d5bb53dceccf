"""Penalties on tokens, audio, volumes and video."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.foreign.games import (
    NAMES,
    PENALTIES,
    ByHand,
    Game,
    check_equal,
    randoms,
)


@pytest.mark.parametrize(
    "shape", [(7,), (2, 5), (1, 3, 4, 5), (2, 1, 3, 4, 2)], ids=["tokens", "audio", "volume", "video"]
)
@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_samples_of_any_shape_can_be_penalized(penalty: Any, by_hand: ByHand, shape: tuple[int, ...]) -> None:
    size = int(torch.tensor(shape).prod())

    class Shaped(Game):
        def make_generator(self) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(size, size), nn.Tanh(), nn.Unflatten(1, shape))

        def make_critic(self) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(size, 4), nn.Tanh(), nn.Linear(4, 1))

    check_equal(Shaped, randoms(*shape), penalty(**NAMES), by_hand)
