"""A Gaussian code, as in variational autoencoders and the variational discriminator bottleneck (arXiv:1810.00821)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def reparametrized(mean: Float[Tensor, "batch code"], log_variance: Float[Tensor, "batch code"]) -> Tensor:
    """A sample of ``N(mean, variance)`` that both parameters get gradients from (Kingma and Welling 2014)."""
    return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


class GaussianCode(nn.Module):
    """Features to the mean and the logarithm of the variance of a code with independent dimensions.

    Args:
        in_features: size of the features.
        code_features: dimensions of the code.
    """

    def __init__(self, in_features: int, code_features: int) -> None:
        super().__init__()
        self.parameters_of_code = nn.Linear(in_features, 2 * code_features)

    def forward(
        self, features: Float[Tensor, "batch features"]
    ) -> tuple[Float[Tensor, "batch code"], Float[Tensor, "batch code"]]:
        mean, log_variance = self.parameters_of_code(features).chunk(2, dim=1)
        return mean, log_variance
