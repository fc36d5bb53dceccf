"""Normalizes one batch on all ranks together; `test_batch_norm.py` compares with one process.

Run as `python -m torch.distributed.run --nproc_per_node=2 tests/layers/batch_norm_worker.py FOLDER`.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_gan.layers.batch_norm import BatchNorm, VectorAffine

CHANNELS, CONDITION = 3, 2


class Network(nn.Module):
    """Both kinds, and something that is not linear between and behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = BatchNorm(CHANNELS, momentum=0.3, across_ranks=True)
        affine = VectorAffine(CHANNELS, condition_dim=CONDITION)
        self.conditional = BatchNorm(CHANNELS, affine=affine, across_ranks=True)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        logits: Tensor = self.conditional(self.plain(features).tanh(), condition).tanh().square().sum(dim=(1, 2, 3))
        return logits


def inputs() -> tuple[Tensor, Tensor]:
    """A batch whose halves have very different statistics."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(6, CHANNELS, 2, 2, dtype=torch.float64, generator=random)
    features[3:] = 5 + 3 * features[3:]
    return features, torch.randn(6, CONDITION, dtype=torch.float64, generator=random)


def differentiate(features: Tensor, condition: Tensor) -> tuple[Network, dict[str, Tensor]]:
    """Logits, and gradients of their mean plus a gradient penalty, on this rank's part of the batch."""
    torch.manual_seed(0)
    network = Network().double()
    features = features.clone().requires_grad_()
    logits = network(features, condition)
    (gradient,) = torch.autograd.grad(logits.sum(), features, create_graph=True)
    (logits + gradient.square().sum(dim=(1, 2, 3))).mean().backward()
    assert features.grad is not None
    return network, {"logits": logits.detach(), "image_gradient": gradient.detach(), "input_gradient": features.grad}


def main(folder: Path) -> None:
    torch.distributed.init_process_group("gloo")
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    features, condition = (tensor.chunk(ranks)[rank] for tensor in inputs())
    network, results = differentiate(features, condition)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.distributed.all_reduce(parameter.grad)  # as DDP does: the mean over ranks
        results[f"gradient of {name}"] = parameter.grad / ranks
    torch.save(results | network.state_dict(), folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
