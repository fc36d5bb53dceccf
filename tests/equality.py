"""Whether two trainings that differ by rounding alone ended alike: the difference is measured by how far they came.

An absolute tolerance would depend on the machine. A bias in front of batch normalization has no gradient but rounding,
which Adam enlarges to steps of about 1e-10: then two ranks and one process differ by as much as it moved.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_START = "untrained."


def start_of(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's tensors before it is trained, to be saved beside those after it."""
    return {_START + name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def errors(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> dict[str, float]:
    """For each network, which is what names begin with, how far the second is from the first: 1 is as far as it moved.

    Both are norms over all its tensors of real numbers. What has no start, such as images, is measured by its own norm.
    Integers, and starts, have to be the same.
    """
    assert one.keys() == two.keys()
    squares: dict[str, tuple[float, float]] = {}
    for name, tensor in one.items():
        if name.startswith(_START) or not tensor.is_floating_point():
            assert torch.equal(two[name], tensor), name
            continue
        assert two[name].shape == tensor.shape, name
        start = one.get(_START + name, torch.zeros_like(tensor))
        difference = (two[name].double() - tensor.double()).square().sum().item()
        movement = (tensor.double() - start.double()).square().sum().item()
        network = name.split(".")[0]
        before = squares.get(network, (0.0, 0.0))
        squares[network] = before[0] + difference, before[1] + movement
    return {
        network: (difference / movement) ** 0.5 if movement else (0.0 if difference == 0 else float("inf"))
        for network, (difference, movement) in squares.items()
    }
