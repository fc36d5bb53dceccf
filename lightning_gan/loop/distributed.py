"""Training on several devices: strategies for two players, sharding, and double backward under FSDP2.

Plain DDP raises an error if one player's parameters are unused in the other's backward. With `find_unused_parameters`
it sends the gradients of both players in every turn and every slice. FSDP1 cannot differentiate twice. FSDP2 can, if
the discriminator keeps its gathered weights while a penalty is differentiated. All of this was measured.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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
"""The largest number of elements that are reduced at once (64 MiB in fp32). It limits the memory of their copy."""


class AveragesGradients:
    """Base class of modules that call `average_gradients` before every step, as `GANDDPStrategy` requires."""


class GANDDPStrategy(DDPStrategy):
    """Strategy with a copy of the networks on every rank. The loop averages a turn's gradients once, before the step.

    It does not use PyTorch's wrapper. Only gradients that exist are sent: those of the player whose turn it is, of the
    blocks that are active, after the last slice.
    """

    def configure_ddp(self) -> None:
        """Copy the first rank's networks to every rank.

        Raises:
            ValueError: for a module that does not average gradients itself (`AveragesGradients`).
        """
        if not isinstance(self.lightning_module, AveragesGradients):
            raise ValueError(
                f"strategy='gan_ddp' is for lightning_gan's own GAN; for {type(self.lightning_module).__name__} use "
                "strategy='ddp_find_unused_parameters_true'"
            )
        assert self.model is not None
        send_weights_from_first_rank(self.model)


def average_gradients(strategy: Strategy, network: nn.Module) -> None:
    """Average a network's gradients over all ranks, in place, if the strategy is a `GANDDPStrategy`.

    Other strategies average gradients themselves. Every rank must have gradients for the same parameters.
    """
    if isinstance(strategy, GANDDPStrategy):
        _replace_by_means([p.grad for p in network.parameters() if p.grad is not None])


def average_running_statistics(strategy: Strategy, *networks: nn.Module) -> None:
    """Average the running statistics of batch normalizations over all ranks, if the strategy is a `GANDDPStrategy`.

    All ranks then make the same samples.
    """
    if isinstance(strategy, GANDDPStrategy):
        norms = [m for net in networks for m in net.modules() if isinstance(m, BatchNorm) or is_torch_batch_norm(m)]
        _replace_by_means(
            [buffer for norm in norms for buffer in norm.buffers(recurse=False) if buffer.is_floating_point()]
        )


def _replace_by_means(tensors: list[Tensor]) -> None:
    """Replace every tensor by its mean over all ranks."""
    for bucket, means in means_over_ranks(tensors, reduce=_mean_over_ranks):
        copy_all(bucket, means)


def _mean_over_ranks(flat: Tensor) -> Tensor:
    # This avoids the barrier that Lightning's strategies have before each reduction.
    torch.distributed.all_reduce(flat)
    return flat.div_(torch.distributed.get_world_size())


def means_over_ranks(
    tensors: Sequence[Tensor], *, reduce: Callable[[Tensor], Tensor]
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Compute the means of tensors over all ranks, without gradient, with one reduction for many tensors.

    Args:
        tensors: tensors of any shapes and dtypes, which must be the same on every rank.
        reduce: function that returns the mean of a flat tensor over all ranks, such as `Strategy.reduce` with
            `reduce_op="mean"`.

    Yields:
        A list of some of the tensors, in order, and a list of their means, which have the same shapes.
    """
    for bucket in _buckets(tensors):
        with torch.no_grad():
            # `reshape` orders the elements by their indices, because memory formats may differ between ranks.
            flat = reduce(torch.cat([tensor.reshape(-1) for tensor in bucket]))
            pieces = torch.split(flat, [tensor.numel() for tensor in bucket])
            means = [piece.view(tensor.shape) for piece, tensor in zip(pieces, bucket, strict=True)]
        yield bucket, means


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Consecutive tensors of one dtype with at most `BUCKET_NUMBERS` elements in total, or one larger tensor."""
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
    """FSDP2 over all ranks of all nodes. By default, `ModelParallelStrategy` shards only within each node.

    Args:
        save_distributed_checkpoint: True writes each checkpoint as a folder with one file per rank. False writes one
            file.
        process_group_backend: name of the communication backend, such as `nccl` or `gloo`; None takes the default one
            of the device.
    """

    def __init__(self, *, save_distributed_checkpoint: bool = False, process_group_backend: str | None = None) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_distributed_checkpoint,
            process_group_backend=process_group_backend,
        )

    def setup_environment(self) -> None:
        # The number of processes is not known before this method is called.
        shard_over(self, ranks=self.num_processes * self.num_nodes)
        super().setup_environment()


def register_strategies() -> None:
    """Register the strategies `gan_ddp` and `gan_fsdp` for `Trainer(strategy=...)`. A second call does nothing."""
    if "gan_ddp" in StrategyRegistry:
        return
    StrategyRegistry.register(
        "gan_ddp", GANDDPStrategy, description="DDP for two players, which sends only one player's gradients per turn"
    )
    StrategyRegistry.register(
        "gan_fsdp", GANModelParallelStrategy, description="FSDP2, which shards the networks' blocks over all ranks"
    )


def fit_to_two_players(strategy: Strategy) -> None:
    """Make a DDP strategy accept that one player's turn does not use the parameters of the other.

    Raises:
        ValueError: for FSDP1, which does not support two players or the double backward of gradient penalties.
    """
    if isinstance(strategy, FSDPStrategy):
        raise ValueError("strategy='fsdp' (FSDP1) cannot train a GAN: use strategy='gan_fsdp' (FSDP2), or 'gan_ddp'")
    if isinstance(strategy, DDPStrategy):
        # The strategy wraps the module after `setup`, so the wrapper's arguments can still be changed here.
        tolerate_unused_parameters(strategy)


def shard(network: nn.Module, *, mesh: DeviceMesh) -> None:
    """Shard the blocks of a network with FSDP2, and then its remaining parameters.

    The blocks are the children of the network; of a child that is a `ModuleList`, its entries. Each block is sharded as
    a unit. The network may therefore call its blocks, but may not use their parameters directly.

    Args:
        network: network that is sharded in place.
        mesh: ranks over which it is sharded.
    """
    # FSDP2 does not accept convolution weights in channels_last. The layers still compute in channels_last if their
    # images have this format.
    network.to(memory_format=torch.contiguous_format)
    for child in network.children():
        blocks = list(child) if isinstance(child, nn.ModuleList) else [child]
        for block in blocks:
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def shards_of(network: nn.Module) -> list[FSDPModule]:
    """The FSDP2 units of a network, or an empty list if it is not sharded."""
    return [module for module in network.modules() if isinstance(module, FSDPModule)]


@contextmanager
def kept_gathered(shards: Sequence[FSDPModule]) -> Iterator[None]:
    """Context manager inside of which sharded networks keep their gathered weights after a backward.

    Gradient penalties need this to differentiate twice. After the block, the backward of the cost reshards the networks
    again. Otherwise the optimizer's step would not change the gathered copy, and training would continue with outdated
    weights, without an error.

    Args:
        shards: the networks' units, as `shards_of` returns them.
    """
    for unit in shards:
        unit.set_reshard_after_backward(False, recurse=False)
    try:
        yield
    finally:
        for unit in shards:
            unit.set_reshard_after_backward(True, recurse=False)


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Context manager inside of which parameters do not require grad.

    Args:
        parameters: parameters, of which those that do not require grad stay as they are.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class NetworkParts:
    """What every turn needs of the networks. It is collected once, because walking through modules takes host time.

    Attributes:
        discriminator: the discriminator's parameters that can be frozen: all, or none if it is sharded, because FSDP2
            does not support it.
        generator: those of the generator.
        shards: the FSDP2 units of both networks.
    """

    discriminator: list[nn.Parameter]
    generator: list[nn.Parameter]
    shards: list[FSDPModule]


def parts_of(discriminator: nn.Module, generator: nn.Module) -> NetworkParts:
    """The parts of two networks, which must not get other parameters afterwards."""
    of_discriminator, of_generator = shards_of(discriminator), shards_of(generator)
    return NetworkParts(
        discriminator=[] if of_discriminator else list(discriminator.parameters()),
        generator=[] if of_generator else list(generator.parameters()),
        shards=[*of_discriminator, *of_generator],
    )
