"""A Gaussian code, as in variational autoencoders and the variational discriminator bottleneck (arXiv:1810.00821)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear

LINEAR = (nn.Linear, nn.Conv2d, EqualizedLinear, EqualizedConv2d)
"""Layers that can be the first layer after a bottleneck."""


def reparametrized(
    mean: Float[Tensor, "batch code *positions"],
    log_variance: Float[Tensor, "batch code *positions"],
    noise: Float[Tensor, "batch code *positions"] | None = None,
) -> Float[Tensor, "batch code *positions"]:
    """A sample of ``N(mean, variance)`` with gradients to the mean and the variance (Kingma and Welling 2014).

    Args:
        mean: mean of the code.
        log_variance: logarithm of the variance of the code, of the same shape.
        noise: standard normal noise of the same shape; None draws it.
    """
    if noise is None:
        noise = torch.randn_like(mean)
    return mean + (0.5 * log_variance).exp() * noise


class GaussianCode(nn.Module):
    """Maps features to the mean and the log-variance of a Gaussian code with independent dimensions.

    Feature maps have one code at every position.

    Args:
        in_features: number of features (channels).
        code_features: number of dimensions of the code.
    """

    def __init__(self, in_features: int, code_features: int) -> None:
        super().__init__()
        self.parameters_of_code = nn.Linear(in_features, 2 * code_features)

    def forward(
        self, features: Float[Tensor, "batch features *positions"]
    ) -> tuple[Float[Tensor, "batch code *positions"], Float[Tensor, "batch code *positions"]]:
        """The mean and the logarithm of the variance of the code, `batch code *positions` each."""
        # Moving the channels to the end copies nothing if the feature maps are in channels_last.
        mean, log_variance = self.parameters_of_code(features.movedim(1, -1)).movedim(-1, 1).chunk(2, dim=1)
        return mean, log_variance


def inputs_of(layer: nn.Module) -> int | None:
    """The number of input features of the first linear layer or convolution in a module; None if there is none."""
    for module in layer.modules():
        if isinstance(module, (nn.Linear, EqualizedLinear)):
            return module.weight.shape[1]
        if isinstance(module, nn.Conv2d):
            return module.in_channels
        if isinstance(module, EqualizedConv2d):
            return module.weight.shape[1]
    return None


class Bottlenecked(nn.Module):
    """A layer whose input features are replaced by a Gaussian code of them.

    The code is a sample in training mode and the mean in evaluation mode. Before the last layer of a discriminator this
    is the variational discriminator bottleneck (VDB, arXiv:1810.00821). The layer itself, and its further arguments,
    are unchanged.

    Args:
        layer: a linear layer, a convolution, or a module whose first layer is one of these.
        code_features: number of dimensions of the code; None takes the number of the layer's input features. For any
            other number, a linear map without bias converts the code to that size.

    Raises:
        ValueError: if the layer is not and does not contain a linear layer or a convolution.

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
        # The variance starts at 1 for features of any scale; otherwise its exponential could overflow.
        for parameter in self.code.parameters():
            nn.init.zeros_(parameter.detach()[size:])
        self.expand = nn.Identity() if size == features else nn.Linear(size, features, bias=False)
        self.layer = layer

    def forward(self, features: Tensor, *others: Tensor | None) -> Tensor:
        """The output of the layer for a code of `features`, `batch features *positions`, and its further arguments."""
        mean, log_variance = self.code(features)
        code = reparametrized(mean, log_variance) if self.training else mean
        output: Tensor = self.layer(self.expand(code.movedim(1, -1)).movedim(-1, 1), *others)
        return output
