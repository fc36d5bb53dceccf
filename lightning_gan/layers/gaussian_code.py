"""A Gaussian code, as in variational autoencoders and the variational discriminator bottleneck (arXiv:1810.00821)."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.tensors.draws_by_position import normal_like

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LINEAR = (nn.Linear, *CONVOLUTIONS, EqualizedLinear, EqualizedConv2d)
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
        noise = normal_like(mean)
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


def first_linear_of(layer: nn.Module) -> nn.Module | None:
    """The first linear layer or convolution in a module, which may be the module itself; None if there is none."""
    return next((module for module in layer.modules() if isinstance(module, LINEAR)), None)


def inputs_of(linear: nn.Module) -> int:
    """The number of input features of a linear layer, or of input channels of a convolution."""
    if isinstance(linear, CONVOLUTIONS):
        return linear.in_channels
    assert isinstance(linear.weight, Tensor)
    return linear.weight.shape[1]


class Bottlenecked(nn.Module):
    """A layer whose input features are replaced by a Gaussian code of them.

    The code is a sample in training mode and the mean in evaluation mode. Before the last layer of a discriminator this
    is the variational discriminator bottleneck (VDB, arXiv:1810.00821). The layer itself, and its further arguments,
    are unchanged.

    In front of a linear layer the features are the last dimension of its input: `batch *positions features`. In front
    of a convolution, and of a module that begins with one or with a linear layer, they are the channels: `batch
    channels *positions`, with any number of dimensions of positions.

    Args:
        layer: a linear layer, a convolution, or a module whose first layer is one of these.
        code_features: number of dimensions of the code; None takes the number of the layer's input features. For any
            other number, a linear map without bias converts the code to that size.

    Raises:
        ValueError: if the layer is not and does not contain a linear layer or a convolution.

    Example:
        >>> import torch
        >>> head = Bottlenecked(nn.Linear(6, 1), code_features=2)
        >>> head.eval()(torch.zeros(4, 6)).shape
        torch.Size([4, 1])
    """

    def __init__(self, layer: nn.Module, *, code_features: int | None = None) -> None:
        super().__init__()
        first = first_linear_of(layer)
        if first is None:
            raise ValueError(
                f"a bottleneck goes in front of a linear layer or a convolution, and {type(layer).__name__} has none"
            )
        features = inputs_of(first)
        size = features if code_features is None else code_features
        self.code = GaussianCode(features, size)
        # The variance starts at 1 for features of any scale; otherwise its exponential could overflow.
        for parameter in self.code.parameters():
            nn.init.zeros_(parameter.detach()[size:])
        self.expand = nn.Identity() if size == features else nn.Linear(size, features, bias=False)
        self.layer = layer
        self.features = features
        self.axis = -1 if isinstance(layer, (nn.Linear, EqualizedLinear)) else 1

    def forward(self, features: Tensor, *others: Tensor | None) -> Tensor:
        """The output of the layer for a code of `features`, and for its further arguments.

        Raises:
            ValueError: if the features are not as many as the layer takes.
        """
        if features.shape[self.axis] != self.features:
            raise ValueError(
                f"Bottlenecked: layer={type(self.layer).__name__} gets an input of shape {tuple(features.shape)}, but "
                f"its first linear layer or convolution takes {self.features} features in dimension {self.axis}; put "
                "the bottleneck in front of that layer itself"
            )
        mean, log_variance = self.code(features.movedim(self.axis, 1))
        code = reparametrized(mean, log_variance) if self.training else mean
        output: Tensor = self.layer(self.expand(code.movedim(1, -1)).movedim(-1, self.axis), *others)
        return output
