"""Whether a tensor was computed from given parameters, by its graph."""

from collections.abc import Set

from torch import Tensor


def depends_on(tensor: Tensor, parameters: Set[int]) -> bool:
    """Whether backward from a tensor reaches one of the parameters.

    Args:
        tensor: any tensor.
        parameters: identities (`id`) of parameters.

    Example:
        >>> from torch import nn
        >>> import torch
        >>> layer, other = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> output = other(layer(torch.zeros(1))).clamp(0, 1)
        >>> depends_on(output, {id(layer.weight)}), depends_on(other.weight, {id(layer.weight)})
        (True, False)
    """
    if id(tensor) in parameters:
        return True
    waiting, visited = [tensor.grad_fn], {tensor.grad_fn}
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if node.name() == "torch::autograd::AccumulateGrad" and id(node.variable) in parameters:  # type: ignore[attr-defined]
            return True
        for following, _ in node.next_functions:
            if following is not None and following not in visited:
                visited.add(following)
                waiting.append(following)
    return False
