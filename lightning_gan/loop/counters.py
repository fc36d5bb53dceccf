"""The counters of a training, which are numbers in Python and pass through a buffer when they are saved.

In Python reading them does not wait for the device.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

NUMBER_OF_COUNTERS = 5

_FADE_UNIT = 10**9
"""Weights of new blocks are saved in billionths: one integer buffer holds all counters, whatever precision a module is
cast to."""


@runtime_checkable
class CountedModule(Protocol):
    """A module with these counters.

    Attributes:
        images_seen: images that the discriminator has seen, over all ranks.
        discriminator_turns_taken: turns of the discriminator since training began.
        averaged: whether a callback moves the averaged generator.
        resolution: the active resolution of networks that grow, None for all others.
        fade_in: weight of their newest blocks.
    """

    images_seen: int
    discriminator_turns_taken: int
    averaged: bool
    resolution: int | None
    fade_in: float
    _counts: Tensor

    def grow(self, resolution: int, fade_in: float) -> None:
        """Set the active resolution."""


def counters_to_buffer(module: CountedModule, prefix: str, keep_vars: bool) -> None:
    """Before a state dict is made; a hook of `register_state_dict_pre_hook`."""
    module._counts.copy_(
        torch.tensor(
            [
                module.images_seen,
                module.discriminator_turns_taken,
                int(module.averaged),
                module.resolution or 0,
                round(module.fade_in * _FADE_UNIT),
            ]
        )
    )


def counters_from_buffer(module: CountedModule, incompatible_keys: Any) -> None:
    """After a state dict was loaded; a hook of `register_load_state_dict_post_hook`."""
    module.images_seen, module.discriminator_turns_taken, averaged, resolution, fade_in = (
        int(count) for count in module._counts.tolist()
    )
    module.averaged = bool(averaged)
    if resolution:
        module.grow(resolution, fade_in / _FADE_UNIT)
