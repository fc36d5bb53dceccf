"""Several devices: strategies that fit an alternating game, sharding, and the guard that penalties need under FSDP2.

Measured facts behind this file: plain DDP raises as soon as one player's parameters are unused in the other's backward;
FSDP1 cannot differentiate twice; FSDP2 can, if the critic keeps its gathered weights while a penalty differentiates.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.strategies import (
    DDPStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
    StrategyRegistry,
)
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard


class GANModelParallelStrategy(ModelParallelStrategy):
    """FSDP2 over all ranks: `ModelParallelStrategy` whose mesh is the whole world (its own default shards per node).

    Args:
        save_distributed_checkpoint: write a folder with one file per rank instead of one file.
        process_group_backend: `nccl`, `gloo` ...; None takes the device's usual one.
    """

    def __init__(self, *, save_distributed_checkpoint: bool = False, process_group_backend: str | None = None) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_distributed_checkpoint,
            process_group_backend=process_group_backend,
        )

    def setup_environment(self) -> None:
        # The size of the world is known only now.
        self._data_parallel_size = self.num_processes * self.num_nodes
        super().setup_environment()


def register_strategies() -> None:
    """Make `Trainer(strategy="gan_ddp")` and `Trainer(strategy="gan_fsdp")` work."""
    if "gan_ddp" in StrategyRegistry:
        return
    StrategyRegistry.register(
        "gan_ddp",
        DDPStrategy,
        description="DDP for two players: each one's backward leaves the other's parameters unused",
        find_unused_parameters=True,
        gradient_as_bucket_view=True,
    )
    StrategyRegistry.register(
        "gan_fsdp", GANModelParallelStrategy, description="FSDP2: every network's blocks sharded over all ranks"
    )


def fit_to_two_players(strategy: Strategy) -> None:
    """Make any DDP strategy tolerate the opponent's unused parameters; refuse FSDP1.

    Raises:
        ValueError: for FSDP1, which does not support the double backward of gradient penalties or two players.
    """
    if isinstance(strategy, FSDPStrategy):
        raise ValueError("strategy='fsdp' (FSDP1) cannot train a GAN: use strategy='gan_fsdp' (FSDP2), or 'gan_ddp'")
    if isinstance(strategy, DDPStrategy):
        # The strategy wraps the module after `setup`, so the arguments of the wrapper can still be completed here.
        strategy._ddp_kwargs["find_unused_parameters"] = True


def shard(network: nn.Module, *, mesh: DeviceMesh) -> None:
    """Shard a network's blocks, then what is left of it: its children, and the entries of its lists, are its blocks.

    A block is sharded as a unit, so a network calls its blocks and does not reach into their parameters.
    """
    for child in network.children():
        blocks = list(child) if isinstance(child, nn.ModuleList) else [child]
        for block in blocks:
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def shards_of(network: nn.Module) -> list[FSDPModule]:
    """The FSDP2 units of a network; empty unless it is sharded."""
    return [module for module in network.modules() if isinstance(module, FSDPModule)]


@contextmanager
def kept_gathered(*networks: nn.Module) -> Iterator[None]:
    """Inside, sharded networks keep their gathered weights after a backward, so that penalties can differentiate twice.

    On leaving, the real backward reshards them again. Without that, the optimizer's step would not reach the gathered
    copy, and training would go on with stale weights without any error.
    """
    shards = [unit for network in networks for unit in shards_of(network)]
    for unit in shards:
        unit.set_reshard_after_backward(False, recurse=False)
    try:
        yield
    finally:
        for unit in shards:
            unit.set_reshard_after_backward(True, recurse=False)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, the network's parameters take no gradient; sharded networks are left alone, which FSDP2 needs."""
    parameters = [] if shards_of(network) else [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
