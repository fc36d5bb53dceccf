"""The averaged weights of `EMA` out of a checkpoint, for modules that are loaded without a trainer."""

from itertools import combinations
from os import PathLike
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.compat import settings_of_state_key
from lightning_gan.foreign.average import copy_tensors, loaded_shadow, overlap, tensors_of_network
from lightning_gan.foreign.host import host_of


def load_averaged_weights(
    module: LightningModule, checkpoint_path: str | PathLike[str], *, generator: str | list[str] | None = None
) -> None:
    """Copies the averaged weights that `EMA` has saved in a checkpoint into the module's networks.

    After `module = TheirModule.load_from_checkpoint(path)` the networks have the weights of training, because the
    average of a module that is no `GAN` is part of the callback's state. This function replaces them.

    Args:
        module: module with the networks whose weights were averaged.
        checkpoint_path: path of a checkpoint that a trainer with an `EMA` callback has saved.
        generator: argument `generator` of the `EMA` callback whose average is loaded; None loads those of all `EMA`
            callbacks.

    Raises:
        ValueError: for a `GAN`, whose average is part of its own state dict, for a checkpoint without an average or
            with several averages of the same network, and if networks and average do not fit.
    """
    asker, kind = "load_averaged_weights", type(module).__name__
    if host_of(module).keeps_average:
        raise ValueError(
            f"{asker}: {kind} is a lightning_gan.GAN, whose checkpoint already contains the averaged weights in its "
            "network generator_ema; leave this call out, and sample with module.sample(latents) or module.generator_ema"
        )
    checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
    saved = _saved_averages(checkpoint.get("callbacks", {}))
    if generator is not None:
        saved = [(own, tensors) for own, tensors in saved if own == generator]
    if not saved:
        wanted = "average" if generator is None else f"average of generator={generator!r}"
        raise ValueError(
            f"{asker}: checkpoint_path='{checkpoint_path}' contains no {wanted}; load a checkpoint of a run with the "
            "callback EMA"
        )
    averages = [
        (own, path, tensors) for own, flat in saved for path, tensors in loaded_shadow(flat, own).items() if tensors
    ]
    for (first, path, _), (second, other, _) in combinations(averages, 2):
        if overlap(path, other):
            raise ValueError(
                f"{asker}: checkpoint_path='{checkpoint_path}' contains several averages of {path!r}; choose one by "
                f"generator={first!r} or generator={second!r}"
            )
    host = host_of(module)
    live = {path: tensors_of_network(host.network(path, setting=asker)) for _, path, _ in averages}
    for _, path, tensors in averages:  # all are checked before any is copied
        _check_fit(asker, path, live[path], tensors)
    for _, path, tensors in averages:
        copy_tensors([live[path][name] for name in tensors], list(tensors.values()))


def _saved_averages(callbacks: dict[str, dict[str, Any]]) -> list[tuple[str | list[str], dict[str, Tensor]]]:
    """The argument `generator` and the averaged tensors of every `EMA` callback in a checkpoint."""
    return [
        (settings_of_state_key(key)["generator"], state["shadow"])
        for key, state in callbacks.items()
        if "shadow" in state and "generator" in settings_of_state_key(key)
    ]


def _check_fit(asker: str, path: str, live: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    for name in sorted(live.keys() ^ saved.keys()):
        raise ValueError(
            f"{asker}: only one of the saved average and {path!r} has a tensor {name!r}; make the module with the "
            "settings of the run"
        )
    for name, tensor in saved.items():
        if tensor.shape != live[name].shape:
            raise ValueError(
                f"{asker}: {name!r} of {path!r} has the shape {list(live[name].shape)}, in the saved average "
                f"{list(tensor.shape)}; make the module with the settings of the run"
            )
