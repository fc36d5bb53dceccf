"""The counters of a training. They are Python numbers and are copied to a buffer when they are saved.

Reading a Python number does not wait for the device.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

NUMBER_OF_COUNTERS = 5

_FADE_UNIT = 10**9
"""Weights of new blocks are saved as integers, in billionths. All counters are thus in one integer buffer, whose
precision does not change when a module is cast."""


@runtime_checkable
class CountedModule(Protocol):
    """A module with these counters.

    Attributes:
        images_seen: images that the discriminator has seen, over all ranks.
        discriminator_turns_taken: turns of the discriminator since training began.
        averaged: whether a callback updates the averaged generator.
        resolution: the active resolution of networks that grow; None for networks that do not.
        fade_in: weight of the newest blocks of networks that grow, in (0, 1].
    """

    images_seen: int
    discriminator_turns_taken: int
    averaged: bool
    resolution: int | None
    fade_in: float
    _counts: Tensor

    def grow(self, resolution: int, fade_in: float) -> None:
        """Set the active resolution, and the weight of its blocks."""


def counters_to_buffer(module: CountedModule, prefix: str, keep_vars: bool) -> None:
    """Copy the counters to the buffer before a state dict is made: a hook for `register_state_dict_pre_hook`."""
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


def saved_images_seen(checkpoint: Path) -> int | None:
    """The number of images seen in the checkpoint of a `GAN`. The weights are not read.

    Args:
        checkpoint: path of a checkpoint.

    Returns:
        The number; None for sharded checkpoints and for those of other modules.
    """
    if not checkpoint.is_file():
        return None
    counts = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["state_dict"].get("_counts")
    return None if counts is None else int(counts[0])


def counters_from_buffer(module: CountedModule, incompatible_keys: Any) -> None:
    """Set the counters from the buffer after a state dict was loaded, for `register_load_state_dict_post_hook`."""
    module.images_seen, module.discriminator_turns_taken, averaged, resolution, fade_in = (
        int(count) for count in module._counts.tolist()
    )
    module.averaged = bool(averaged)
    if resolution:
        module.grow(resolution, fade_in / _FADE_UNIT)
