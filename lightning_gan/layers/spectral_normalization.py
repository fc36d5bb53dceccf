"""Spectral normalization: weights are divided by their largest singular value (Miyato et al. 2018, arXiv:1802.05957).

As in the paper, a kernel is taken as the matrix `output channels x rest`. Its norm is up to sqrt(kernel area) times
smaller than that of the convolution. Unlike in PyTorch's `parametrizations.spectral_norm`, the power iteration runs in
fp32 under autocast, and the scale of equalized layers is taken into account.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.tensors.precision import full_precision, without_autocast

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EQUALIZED = (EqualizedLinear, EqualizedConv2d)
NORMALIZED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, *TRANSPOSED, *EQUALIZED)


class SpectralNormalization(nn.Module):
    """The parametrization ``W -> W / sigma(W)``. Power iteration estimates sigma (algorithm 1).

    In training mode every use of the weight advances the iteration; in evaluation mode nothing changes. The singular
    vectors are constants for the gradient, so that ``dsigma/dW = u v'``.

    Args:
        weight: weight that is normalized, from which the first singular vectors are estimated.
        output_axis: dimension of the output channels in the weight.
        power_iterations: number of iterations for each use of the weight; 1 in the paper.
        used_scale: factor that the layer multiplies its weight by in every forward pass. The result is divided by it,
            so that the product has norm 1.
        eps: smallest norm that vectors are divided by.
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
            if not matrix.is_meta:  # without numbers it would only take time
                self._iterate(matrix, times=15)  # so that the estimate is accurate from the first step

    def forward(self, weight: Tensor) -> Tensor:
        """The normalized weight, of the same shape as `weight`."""
        with without_autocast(weight.device):
            return weight / (self.sigma(weight) * self.used_scale).to(weight.dtype)

    def sigma(self, weight: Tensor) -> Tensor:
        """The estimate of the largest singular value, a scalar. In training mode it first advances the iteration."""
        matrix = self._matrix(weight)
        if not self.training:
            # The backward needs the present vectors, and a later use changes the buffers in place. These are copies.
            return torch.dot(self.left.clone(), torch.mv(matrix, self.right.clone()))
        with torch.no_grad():
            left, right = self._iterate(matrix, times=self.power_iterations)
        return torch.dot(left, torch.mv(matrix, right))

    def _matrix(self, weight: Tensor) -> Tensor:
        rows = weight.transpose(0, self.output_axis) if self.output_axis else weight
        return full_precision(rows.flatten(1))

    def _iterate(self, matrix: Tensor, *, times: int) -> tuple[Tensor, Tensor]:
        """The singular vectors after some iterations, which are also stored. No later use changes the result."""
        left, right = self.left, self.right
        for _ in range(times):
            left = torch.mv(matrix, right)
            left /= torch.linalg.vector_norm(left).clamp_min_(self.eps)
            right = torch.mv(matrix.T, left)
            right /= torch.linalg.vector_norm(right).clamp_min_(self.eps)
        self.left.copy_(left)
        self.right.copy_(right)
        return left, right


def spectrally_normalized(
    network: nn.Module, *, power_iterations: int = 1, excluded: tuple[str, ...] = ()
) -> list[nn.Module]:
    """Normalize the weight of every linear, convolution and embedding layer of a network, in place.

    Layers that this function has normalized are not changed, so that a second call does nothing. A layer whose weight
    has another normalization, or no shape yet, is refused before any layer is changed.

    Args:
        network: a layer, or a module with layers. Its parameters remain the same objects.
        power_iterations: number of power iterations for each use of a weight.
        excluded: names of layers, or of modules that contain layers, which are not normalized.

    Returns:
        All layers of the network that are normalized, except the excluded ones.

    Raises:
        ValueError: if an excluded name does not exist, there is no layer to normalize, or a layer's weight is computed
            by PyTorch's weight_norm or spectral_norm, as a hook or as a parametrization, or by another hook.
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
    for name, layer in layers.items():
        found = _obstacle(layer)
        if found is not None:
            what, remedy = found
            raise ValueError(
                f"spectral normalization: layer={name!r} of {type(network).__name__} has {what}; {remedy}, or leave "
                f"the layer out: excluded=({name!r},)"
            )
    for layer in layers.values():
        if not parametrizations_of(layer):
            _normalize(layer, power_iterations=power_iterations)
    return list(layers.values())


def parametrizations_of(layer: nn.Module) -> list[SpectralNormalization]:
    """The spectral normalizations of a layer's weight: a list with one element, or an empty list."""
    if not is_parametrized(layer, "weight"):
        return []
    return [step for step in layer.parametrizations["weight"] if isinstance(step, SpectralNormalization)]  # type: ignore[index]


def _obstacle(layer: nn.Module) -> tuple[str, str] | None:
    """What keeps a layer's weight from being normalized, and the remedy; None if nothing does."""
    if is_parametrized(layer, "weight"):
        # The classes of PyTorch's own parametrizations are private.
        kinds = [type(step).__name__ for step in layer.parametrizations["weight"] if not _is_ours(step)]  # type: ignore[index]
        for kind, what in (("WeightNorm", "weight_norm"), ("SpectralNorm", "spectral_norm")):
            if any(kind in name for name in kinds):
                remedy = "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
                return f"torch.nn.utils.parametrizations.{what} already", f"remove it with {remedy}"
        return None
    own = dict(layer.named_parameters(recurse=False))
    if "weight_g" in own:
        return "torch.nn.utils.weight_norm already", "remove it with torch.nn.utils.remove_weight_norm(layer)"
    if "weight_orig" in own and "weight_u" in dict(layer.named_buffers(recurse=False)):
        return "torch.nn.utils.spectral_norm already", "remove it with torch.nn.utils.remove_spectral_norm(layer)"
    if "weight" not in own:
        return "no parameter 'weight', because a hook computes it", "remove the hook"
    if is_lazy(own["weight"]):
        return "a weight without a shape", "use a layer that is not lazy, or run it once when it is made"
    return None


def _is_ours(step: nn.Module) -> bool:
    return isinstance(step, SpectralNormalization)


def _normalize(layer: nn.Module, *, power_iterations: int) -> None:
    assert isinstance(layer.weight, Tensor)
    normalization = SpectralNormalization(
        layer.weight,
        output_axis=1 if isinstance(layer, TRANSPOSED) else 0,
        power_iterations=power_iterations,
        used_scale=layer.weight_scale if isinstance(layer, EQUALIZED) else 1.0,
    )
    # `unsafe` turns off a check that would use the weight once and advance the iteration.
    register_parametrization(layer, "weight", normalization.train(layer.training), unsafe=True)
