"""Spectral normalization: every layer divided by its largest singular value (Miyato et al. 2018, arXiv:1802.05957).

As in the paper a kernel counts as the matrix `output channels x rest`, whose norm is not that of the convolution: it is
up to sqrt(kernel area) times smaller. PyTorch's `parametrizations.spectral_norm` does the same in the precision of the
layer; here the power iteration stays in fp32 under autocast, and equalized layers are normalized as they are used.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.tensors.precision import full_precision

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EQUALIZED = (EqualizedLinear, EqualizedConv2d)
NORMALIZED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, *TRANSPOSED, *EQUALIZED)


class SpectralNormalization(nn.Module):
    """The parametrization ``W -> W / sigma(W)``, sigma estimated by power iteration (algorithm 1).

    Every use in training mode advances the iteration; in evaluation mode nothing moves. The singular vectors are
    constants for the gradient, which makes ``dsigma/dW = u v'``.

    Args:
        weight: what will be normalized; the singular vectors are estimated from it.
        output_axis: dimension of the output channels.
        power_iterations: per use, 1 in the paper.
        used_scale: what the layer multiplies its weight by whenever it is used; divided out.
        eps: least norm that vectors are divided by.
    """

    left: Tensor
    right: Tensor

    def __init__(
        self,
        weight: Tensor,
        *,
        output_axis: int = 0,
        power_iterations: int = 1,
        used_scale: float = 1.0,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.output_axis = output_axis
        self.power_iterations = power_iterations
        self.used_scale = used_scale
        self.eps = eps
        with torch.no_grad():
            matrix = self._matrix(weight)
            rows, columns = matrix.shape
            self.register_buffer("left", normalize(matrix.new_empty(rows).normal_(), dim=0, eps=eps))
            self.register_buffer("right", normalize(matrix.new_empty(columns).normal_(), dim=0, eps=eps))
            self._iterate(matrix, times=15)  # so that the first steps already see nearly the norm

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight / (self.sigma(weight) * self.used_scale).to(weight.dtype)

    def sigma(self, weight: Tensor) -> Tensor:
        """The largest singular value as estimated now, after the iteration of this use."""
        matrix = self._matrix(weight)
        if self.training:
            with torch.no_grad():
                self._iterate(matrix, times=self.power_iterations)
        # Copies: the buffers move in place at the next use, and the backward of this one needs today's values.
        return torch.dot(self.left.clone(), torch.mv(matrix, self.right.clone()))

    def _matrix(self, weight: Tensor) -> Tensor:
        return full_precision(weight.transpose(0, self.output_axis).flatten(1))

    def _iterate(self, matrix: Tensor, *, times: int) -> None:
        for _ in range(times):
            self.left.copy_(normalize(torch.mv(matrix, self.right), dim=0, eps=self.eps))
            self.right.copy_(normalize(torch.mv(matrix.T, self.left), dim=0, eps=self.eps))


def spectrally_normalized(
    network: nn.Module, *, power_iterations: int = 1, excluded: tuple[str, ...] = ()
) -> list[nn.Module]:
    """Normalize the weight of every linear, convolution and embedding layer of a network, in place.

    Layers that are normalized already are left as they are, so that a second call does nothing.

    Args:
        network: a layer, or a module with layers; parameters keep their identity.
        power_iterations: per use of a layer.
        excluded: names of layers, or of modules of layers, that are left alone.

    Returns:
        All layers that are normalized now.

    Raises:
        ValueError: if an excluded name does not exist, or there is nothing to normalize.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, NORMALIZED)}
    for name in excluded:
        matching = [layer for layer in layers if f"{layer}.".startswith(f"{name}.")]
        if not matching:
            raise ValueError(
                f"spectral normalization: excluded={name!r} is no linear, convolution or embedding layer of "
                f"{type(network).__name__}; its layers are {', '.join(layers)}"
            )
        for layer in matching:
            del layers[layer]
    if not layers:
        raise ValueError(
            f"spectral normalization: {type(network).__name__} has no linear, convolution or embedding layer"
        )
    for layer in layers.values():
        if not _is_normalized(layer):
            _normalize(layer, power_iterations=power_iterations)
    return list(layers.values())


def parametrizations_of(layer: nn.Module) -> list[SpectralNormalization]:
    """The spectral normalization of a layer's weight, as a list of one or none."""
    if not is_parametrized(layer, "weight"):
        return []
    return [step for step in layer.parametrizations["weight"] if isinstance(step, SpectralNormalization)]  # type: ignore[index]


def _is_normalized(layer: nn.Module) -> bool:
    # PyTorch's own spectral norm counts as well; its class is private.
    return is_parametrized(layer, "weight") and any(
        "SpectralNorm" in type(step).__name__
        for step in layer.parametrizations["weight"]  # type: ignore[index]
    )


def _normalize(layer: nn.Module, *, power_iterations: int) -> None:
    assert isinstance(layer.weight, Tensor)
    normalization = SpectralNormalization(
        layer.weight,
        output_axis=1 if isinstance(layer, TRANSPOSED) else 0,
        power_iterations=power_iterations,
        used_scale=layer.weight_scale if isinstance(layer, EQUALIZED) else 1.0,
    )
    # Unchecked: the check would use the layer once, and advance the iteration.
    register_parametrization(layer, "weight", normalization.train(layer.training), unsafe=True)
