"""Finds networks in `setup`, where callbacks change their layers, also if the module makes them in `configure_model`.

Lightning calls the callbacks' `setup` before the module's `configure_model`. Layers must be changed before optimizers
are made and checkpoints are loaded, which is right after `configure_model`, and no hook of callbacks lies between.
"""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import nn
from torch.distributed.tensor import DTensor

from lightning_gan.foreign.host import host_of


def network_in_setup(trainer: Trainer, pl_module: LightningModule, path: str, *, setting: str) -> nn.Module:
    """Returns a network that a callback needs in `setup`.

    If it does not exist yet, and the module has `configure_model`, this is called as Lightning will call it again soon.
    Lightning requires that the second call does nothing, and that is checked here.

    Args:
        trainer: trainer, which has set up the environment of its strategy.
        pl_module: module that the network is in.
        path: attribute path of the network.
        setting: name of the callback and its argument, for error messages.

    Raises:
        ValueError: for a network that does not exist after `configure_model`, or that each call of `configure_model`
            makes anew.
    """
    host = host_of(pl_module)
    if not _exists(pl_module, path) and is_overridden("configure_model", pl_module):
        _configure_model(trainer, pl_module, setting=setting)
        if _exists(pl_module, path):
            network = host.network(path, setting=setting)
            _configure_model(trainer, pl_module, setting=setting)
            if host.network(path, setting=setting) is not network:
                raise ValueError(
                    f"{setting}: configure_model of {type(pl_module).__name__} makes the network {path!r} anew in each "
                    "call, and Lightning calls it again; let it return at once if the network exists"
                )
    try:
        return host.network(path, setting=setting)
    except ValueError as error:
        if not is_overridden("setup", pl_module):
            raise
        raise ValueError(
            f"{error}; networks that its setup makes come too late, make them in __init__ or in configure_model"
        ) from None


def check_not_sharded(network: nn.Module, path: str, *, setting: str) -> None:
    """Checks that the layers of a network can be changed.

    Args:
        network: network whose layers a callback is about to change.
        path: attribute path of the network.
        setting: name of the callback and its argument, for the error message.

    Raises:
        ValueError: if the weights are already sharded over ranks.
    """
    if any(isinstance(parameter, DTensor) for parameter in network.parameters()):
        raise ValueError(
            f"{setting}: the weights of the network {path!r} are already sharded over ranks, so that its layers cannot "
            "be changed; make the network in __init__, and shard it in configure_model"
        )


def _exists(pl_module: LightningModule, path: str) -> bool:
    try:
        pl_module.get_submodule(path)
    except AttributeError:
        return False
    return True


def _configure_model(trainer: Trainer, pl_module: LightningModule, *, setting: str) -> None:
    """Calls the module's `configure_model` in the same contexts as Lightning, in which weights get device and dtype."""
    try:
        with (
            trainer.strategy.tensor_init_context(),
            trainer.strategy.model_sharded_context(),
            trainer.precision_plugin.module_init_context(),
        ):
            pl_module.configure_model()
    except AttributeError as error:
        if not is_overridden("setup", pl_module):
            raise
        raise ValueError(
            f"{setting}: configure_model of {type(pl_module).__name__} must run before its setup, and failed there: "
            f"{error}; make what it needs in __init__"
        ) from error
