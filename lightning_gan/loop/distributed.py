"""Several devices: strategies that fit an alternating game, sharding, and the guard that penalties need under FSDP2.

Measured facts behind this file: plain DDP raises as soon as one player's parameters are unused in the other's backward,
and told to search for unused ones it still sends every parameter of both players, in every turn and every slice; FSDP1
cannot differentiate twice; FSDP2 can, if the critic keeps its gathered weights while a penalty differentiates.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed
from lightning.pytorch.strategies import (
    DDPStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
    StrategyRegistry,
)
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from lightning_gan.compat import (
    copy_all,
    is_torch_batch_norm,
    send_weights_from_first_rank,
    shard_over,
    tolerate_unused_parameters,
)
from lightning_gan.layers.batch_norm import BatchNorm

BUCKET_NUMBERS = 2**24
"""Gradients are sent in pieces of at most so many numbers (64 MiB in fp32), which bounds the memory of their copy."""


class AveragesGradients:
    """Marks modules that call `average_gradients` before every step, as `GANDDPStrategy` needs."""


class GANDDPStrategy(DDPStrategy):
    """A copy of the networks on every rank. The loop averages what a turn has found, once, before its step.

    PyTorch's wrapper is not used: here only gradients that exist travel, those of the player whose turn it is, at the
    levels that are active, after the last slice.
    """

    def configure_ddp(self) -> None:
        """Give every rank the first one's networks.

        Raises:
            ValueError: for a module that does not average gradients by itself.
        """
        if not isinstance(self.lightning_module, AveragesGradients):
            raise ValueError(
                f"strategy='gan_ddp' is for lightning_gan's own GAN; for {type(self.lightning_module).__name__} use "
                "strategy='ddp_find_unused_parameters_true'"
            )
        assert self.model is not None
        send_weights_from_first_rank(self.model)


def average_gradients(strategy: Strategy, network: nn.Module) -> None:
    """Average a network's gradients over all ranks, where the strategy leaves that to the loop.

    Every rank must have gradients for the same parameters.
    """
    if isinstance(strategy, GANDDPStrategy):
        _replace_by_means([p.grad for p in network.parameters() if p.grad is not None])


def average_running_statistics(strategy: Strategy, *networks: nn.Module) -> None:
    """Average what batch normalization has gathered on every rank, so that all ranks sample alike."""
    if isinstance(strategy, GANDDPStrategy):
        norms = [m for net in networks for m in net.modules() if isinstance(m, BatchNorm) or is_torch_batch_norm(m)]
        _replace_by_means(
            [buffer for norm in norms for buffer in norm.buffers(recurse=False) if buffer.is_floating_point()]
        )


def _replace_by_means(tensors: list[Tensor]) -> None:
    """Every tensor becomes its mean over all ranks."""
    for bucket, means in means_over_ranks(tensors, reduce=_mean_over_ranks):
        copy_all(bucket, means)


def _mean_over_ranks(flat: Tensor) -> Tensor:
    # Without the barrier that Lightning's strategies set before each reduction.
    torch.distributed.all_reduce(flat)
    return flat.div_(torch.distributed.get_world_size())


def means_over_ranks(
    tensors: Sequence[Tensor], *, reduce: Callable[[Tensor], Tensor]
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Pairs of tensors and of their means over all ranks, without gradient, by one reduction for each pair.

    Args:
        tensors: of any shapes and types; the same ones on every rank.
        reduce: gives a flat tensor's mean over all ranks, such as `Strategy.reduce` with `reduce_op="mean"`.

    Yields:
        Some of the tensors, in their order, and their means, of the same shapes.
    """
    for bucket in _buckets(tensors):
        with torch.no_grad():
            # In the order of the indices: memory formats may differ from rank to rank.
            flat = reduce(torch.cat([tensor.reshape(-1) for tensor in bucket]))
            pieces = torch.split(flat, [tensor.numel() for tensor in bucket])
            means = [piece.view(tensor.shape) for piece, tensor in zip(pieces, bucket, strict=True)]
        yield bucket, means


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one type with at most `BUCKET_NUMBERS` numbers, or one larger tensor."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(one.numel() for one in bucket) + tensor.numel() > BUCKET_NUMBERS
        if bucket and (full or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


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
        shard_over(self, ranks=self.num_processes * self.num_nodes)
        super().setup_environment()


def register_strategies() -> None:
    """Make `Trainer(strategy="gan_ddp")` and `Trainer(strategy="gan_fsdp")` work."""
    if "gan_ddp" in StrategyRegistry:
        return
    StrategyRegistry.register(
        "gan_ddp", GANDDPStrategy, description="DDP for two players: only gradients that exist travel, once per turn"
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
        tolerate_unused_parameters(strategy)


def shard(network: nn.Module, *, mesh: DeviceMesh) -> None:
    """Shard a network's blocks, then what is left of it: its children, and the entries of its lists, are its blocks.

    A block is sharded as a unit, so a network calls its blocks and does not reach into their parameters.
    """
    # FSDP2 refuses the channels_last weights of convolutions; images in that format keep their layers in it.
    network.to(memory_format=torch.contiguous_format)
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
