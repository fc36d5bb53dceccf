"""The layers of a generator that take latents or styles, found by watching a forward pass, and their matrices.

Which layers these are is certain, not guessed: a layer takes the latents if the numbers of its input are the latents'
numbers, in any order and beside constants such as an embedded label, or all of them divided by one number per sample
(the pixel norm of PGGAN). Random latents make a coincidence impossible.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.loop.style_based import StyleBased

LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, EqualizedLinear, EqualizedConv2d)
"""The layers that compute a linear function of their input, plus a bias."""

ROWS = 4
"""Number of random latents of the forward pass."""

TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class LatentLayer:
    """A layer that takes latents or styles.

    Attributes:
        name: attribute path in the network.
        style: index of the style that it takes; None if it takes latents.
        matrix: its linear function of the latents, A in ``y = A z + b``, `outputs latent`. Columns of latents that it
            does not take are 0.
    """

    name: str
    style: int | None
    matrix: Float[Tensor, "outputs latent"]


@torch.no_grad()
def layers_of_latents(
    network: nn.Module, latents: Float[Tensor, "rows latent"], forward: Callable[[Tensor], Any]
) -> list[LatentLayer]:
    """The layers of a network that take latents, in the order of the forward pass.

    Args:
        network: the generator.
        latents: random latents, at least 3.
        forward: runs the network on latents. Everything else, such as labels and noise, must be the same in each row.

    Raises:
        ValueError: if the first layer whose input depends on the latents takes something else than latents.
    """
    found: list[LatentLayer] = []
    for name, layer, given in _inputs_of(network, lambda: forward(latents)):
        if len(given) != len(latents) or _is_constant(given):
            continue
        columns = columns_in(given.flatten(1), latents)
        if columns is not None:
            found.append(LatentLayer(name=name, style=None, matrix=matrix_of(layer, given, columns, latents.shape[1])))
        elif not found:
            raise ValueError(
                f"{type(network).__name__}: its first layer {name} takes a function of the latents and not the latents "
                "themselves, so that it has no directions in closed form"
            )
    return found


@torch.no_grad()
def layers_of_styles(network: nn.Module, model: StyleBased, *, style_dim: int, ema: bool) -> list[LatentLayer]:
    """The layers of a network that take styles, in the order of the forward pass.

    Args:
        network: the generator.
        model: the model that the network is of.
        style_dim: size of a style.
        ema: whether the network has averaged weights.
    """
    reference = next(network.parameters())
    random = torch.Generator().manual_seed(0)
    styles = torch.randn(ROWS, len(model.style_resolutions), style_dim, generator=random).to(reference)
    found: list[LatentLayer] = []
    for name, layer, given in _inputs_of(network, lambda: model.synthesize(styles, ema=ema)):
        for index, style in enumerate(styles.unbind(1)):
            if given.shape == style.shape and torch.equal(given, style):
                every = {column: column for column in range(style_dim)}
                found.append(LatentLayer(name=name, style=index, matrix=matrix_of(layer, given, every, style_dim)))
    return found


def columns_in(given: Float[Tensor, "rows inputs"], latents: Float[Tensor, "rows latent"]) -> dict[int, int] | None:
    """Which number of the latents each number of a layer's input is.

    Args:
        given: the layer's input for random latents.
        latents: the latents.

    Returns:
        Positions in the latents by positions in the input, without those of constants; None if the input is something
        else than latents and constants, or all of these divided by one number per row.

    Example:
        >>> latents = torch.tensor([[0.3, -1.2], [0.8, 0.1], [-0.4, 1.5]])
        >>> columns_in(torch.cat([torch.ones(3, 1), latents], dim=1), latents)
        {1: 0, 2: 1}
        >>> columns_in(latents.exp(), latents) is None
        True
    """
    same = (given[:, :, None] == latents[:, None, :]).all(dim=0)  # inputs latent
    if same.any():
        columns = {int(column): int(place) for column, place in same.nonzero()}
        others = [column for column in range(given.shape[1]) if column not in columns]
        return columns if _is_constant(given[:, others]) else None
    size = latents.shape[1]
    for start in range(given.shape[1] - size + 1):
        block = given[:, start : start + size]
        factors = (block * latents).sum(dim=1, keepdim=True) / latents.square().sum(dim=1, keepdim=True)  # rows 1
        if (factors <= 0).any() or not torch.allclose(block / factors, latents, rtol=TOLERANCE, atol=TOLERANCE):
            continue
        rest = torch.cat([given[:, :start], given[:, start + size :]], dim=1) / factors
        if torch.allclose(rest, rest[:1].expand_as(rest), rtol=1e-4, atol=TOLERANCE):
            return {start + place: place for place in range(size)}
    return None


def matrix_of(
    layer: nn.Module, given: Tensor, columns: dict[int, int], latent_dim: int
) -> Float[Tensor, "outputs latent"]:
    """The linear function of the latents that a layer computes: its outputs for unit vectors, without its bias.

    This is the matrix with which the layer really multiplies, whatever its weight is scaled or normalized by.

    Args:
        layer: the layer.
        given: an input, `rows ...`.
        columns: positions in the latents by positions in the flat input.
        latent_dim: size of the latents.
    """
    units = given.new_zeros(len(columns) + 1, given[0].numel())
    for row, column in enumerate(columns):
        units[row, column] = 1
    outputs: Tensor = layer(units.reshape(len(units), *given.shape[1:]))
    answers = rearrange((outputs[:-1] - outputs[-1:]).flatten(1), "columns outputs -> outputs columns")
    matrix = answers.new_zeros(len(answers), latent_dim)
    matrix[:, list(columns.values())] = answers
    return matrix


def _inputs_of(network: nn.Module, run: Callable[[], Any]) -> list[tuple[str, nn.Module, Tensor]]:
    """The linear layers of a network with their inputs, in the order in which they are called."""
    seen: list[tuple[str, nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda module, inputs, name=name: seen.append((name, module, inputs[0].detach().clone()))
        )
        for name, layer in network.named_modules()
        if isinstance(layer, LINEAR)
    ]
    try:
        with evaluation_mode(network):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _is_constant(rows: Tensor) -> bool:
    """Whether all rows are equal."""
    return bool((rows == rows[:1]).all())
