"""A Gaussian code, as in variational autoencoders and the variational discriminator bottleneck (arXiv:1810.00821)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear

LINEAR = (nn.Linear, nn.Conv2d, EqualizedLinear, EqualizedConv2d)
"""Layers that a bottleneck can be put in front of."""


def reparametrized(
    mean: Float[Tensor, "batch code *positions"],
    log_variance: Float[Tensor, "batch code *positions"],
    noise: Float[Tensor, "batch code *positions"] | None = None,
) -> Float[Tensor, "batch code *positions"]:
    """A sample of ``N(mean, variance)`` that both parameters get gradients from (Kingma and Welling 2014).

    Args:
        mean: of the code.
        log_variance: the logarithm of its variance.
        noise: standard normal; None draws it.
    """
    if noise is None:
        noise = torch.randn_like(mean)
    return mean + (0.5 * log_variance).exp() * noise


class GaussianCode(nn.Module):
    """Features to the mean and the logarithm of the variance of a code with independent dimensions.

    Maps of features have a code at every position.

    Args:
        in_features: size of the features.
        code_features: dimensions of the code.
    """

    def __init__(self, in_features: int, code_features: int) -> None:
        super().__init__()
        self.parameters_of_code = nn.Linear(in_features, 2 * code_features)

    def forward(
        self, features: Float[Tensor, "batch features *positions"]
    ) -> tuple[Float[Tensor, "batch code *positions"], Float[Tensor, "batch code *positions"]]:
        # In memory the channels of our maps are last already.
        mean, log_variance = self.parameters_of_code(features.movedim(1, -1)).movedim(-1, 1).chunk(2, dim=1)
        return mean, log_variance


def inputs_of(layer: nn.Module) -> int | None:
    """How many features a layer takes, or a module that begins with one; None if there is no linear layer in it."""
    for module in layer.modules():
        if isinstance(module, (nn.Linear, EqualizedLinear)):
            return module.weight.shape[1]
        if isinstance(module, nn.Conv2d):
            return module.in_channels
        if isinstance(module, EqualizedConv2d):
            return module.weight.shape[1]
    return None


class Bottlenecked(nn.Module):
    """A layer that gets a Gaussian code of its features: a sample in training mode, the mean in evaluation mode.

    In front of a critic's last layer this makes the critic VDB's. What the layer computes, and what it takes beside its
    features, stays as it is.

    Args:
        layer: a linear layer, a convolution, or a module that begins with one.
        code_features: dimensions of the code; None is as many as the layer takes. A smaller code is brought back to
            that size by a matrix.

    Raises:
        ValueError: for a layer that is none of these.

    Example:
        >>> head = Bottlenecked(nn.Linear(6, 1), code_features=2)
        >>> head.eval()(torch.zeros(4, 6)).shape
        torch.Size([4, 1])
    """

    def __init__(self, layer: nn.Module, *, code_features: int | None = None) -> None:
        super().__init__()
        features = inputs_of(layer)
        if features is None:
            raise ValueError(
                f"a bottleneck goes in front of a linear layer or a convolution, and {type(layer).__name__} has none"
            )
        size = features if code_features is None else code_features
        self.code = GaussianCode(features, size)
        # The variance begins at 1 whatever the features' scale, whose exponential might be infinite.
        for parameter in self.code.parameters():
            nn.init.zeros_(parameter.detach()[size:])
        self.expand = nn.Identity() if size == features else nn.Linear(size, features, bias=False)
        self.layer = layer

    def forward(self, features: Tensor, *others: Tensor | None) -> Tensor:
        mean, log_variance = self.code(features)
        code = reparametrized(mean, log_variance) if self.training else mean
        output: Tensor = self.layer(self.expand(code.movedim(1, -1)).movedim(-1, 1), *others)
        return output
