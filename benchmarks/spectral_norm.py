"""Whether the power iterations of all layers at once take less time than those of one layer after the other.

    python benchmarks/spectral_norm.py

SNGAN's discriminator of 4, 64 and 128 feature maps, on one thread: microseconds of one iteration for all layers. "In
turn" is what the package does. "In lists" divides all vectors by their norms at once (`torch._foreach`). "Batched"
stacks the weights of equal shape and multiplies them at once, for which they are copied in every use.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.models import SNGAN

EPS = 1e-12
Pairs = list[tuple[Tensor, Tensor]]
"""The weights of all layers as matrices, and their right singular vectors."""


def pairs_of(width: int) -> Pairs:
    """Weights and vectors of SNGAN's discriminator with so many feature maps."""
    torch.manual_seed(0)
    network = SNGAN(generator_widths=[width] * 4, discriminator_widths=[width] * 4).discriminator
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    matrices = [layer.weight.detach().flatten(1) for layer in layers if parametrizations_of(layer)]
    return [(matrix, normalize(torch.randn(matrix.shape[1]), dim=0)) for matrix in matrices]


def in_turn(pairs: Pairs) -> list[Tensor]:
    """The estimates of the largest singular values, one layer after the other."""
    found = []
    for matrix, right in pairs:
        left = torch.mv(matrix, right)
        left /= torch.linalg.vector_norm(left).clamp_min_(EPS)
        right = torch.mv(matrix.T, left)
        right /= torch.linalg.vector_norm(right).clamp_min_(EPS)
        found.append(torch.dot(left, torch.mv(matrix, right)))
    return found


def divide_by_norms(vectors: list[Tensor]) -> None:
    """Divide all vectors by their norms, in place."""
    norms = list(torch._foreach_norm(vectors))
    torch._foreach_clamp_min_(norms, EPS)
    torch._foreach_div_(vectors, norms)


def in_lists(pairs: Pairs) -> list[Tensor]:
    """The same, with one operation for the norms of all layers."""
    lefts = [torch.mv(matrix, right) for matrix, right in pairs]
    divide_by_norms(lefts)
    rights = [torch.mv(matrix.T, left) for (matrix, _), left in zip(pairs, lefts, strict=True)]
    divide_by_norms(rights)
    return [
        torch.dot(left, torch.mv(matrix, right)) for (matrix, _), left, right in zip(pairs, lefts, rights, strict=True)
    ]


def batched(pairs: Pairs) -> list[Tensor]:
    """The same, with one product for all layers of a shape; in the order of the shapes."""
    groups: dict[torch.Size, Pairs] = {}
    for matrix, right in pairs:
        groups.setdefault(matrix.shape, []).append((matrix, right))
    found: list[Tensor] = []
    for group in groups.values():
        matrices, rights = (torch.stack(parts) for parts in zip(*group, strict=True))
        lefts = torch.bmm(matrices, rights[:, :, None])
        lefts /= torch.linalg.vector_norm(lefts, dim=1, keepdim=True).clamp_min_(EPS)
        ups = torch.bmm(matrices.transpose(1, 2), lefts)
        ups /= torch.linalg.vector_norm(ups, dim=1, keepdim=True).clamp_min_(EPS)
        found += list((lefts * torch.bmm(matrices, ups)).sum(dim=(1, 2)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="rounds of all three")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    ways: list[Callable[[Pairs], list[Tensor]]] = [in_turn, in_lists, batched]
    print(f"| feature maps | layers | in turn, us | in lists / in turn | batched / in turn |\n{'|---' * 5}|")
    for width in (4, 64, 128):
        pairs = pairs_of(width)
        expected = sorted(value.item() for value in in_turn(pairs))
        for way in ways:
            torch.testing.assert_close(sorted(value.item() for value in way(pairs)), expected, rtol=1e-4, atol=1e-6)
        seconds: list[list[float]] = [[] for _ in ways]
        for _ in range(rounds):
            for way, found in zip(ways, seconds, strict=True):
                began = time.perf_counter()
                way(pairs)
                found.append(time.perf_counter() - began)
        first, *others = (statistics.median(found) for found in seconds)
        print(f"| {width} | {len(pairs)} | {1e6 * first:.0f} | {others[0] / first:.2f} | {others[1] / first:.2f} |")


if __name__ == "__main__":
    main()
