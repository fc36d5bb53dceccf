"""How weights start: what BigGAN's authors and its public code choose between."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_gan.layers.batch_norm import ClassAffine


class Initialization(ABC):
    """Gives one weight its first values."""

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Overwrite a weight of two or more dimensions, output channels first."""


@dataclass(frozen=True)
class Orthogonal(Initialization):
    """Orthogonal rows or columns (Saxe et al. 2014, arXiv:1312.6120): BigGAN's choice."""

    def fill(self, weight: Tensor) -> None:
        nn.init.orthogonal_(weight)


@dataclass(frozen=True)
class Normal(Initialization):
    """Independent normals: DCGAN's choice, and that of BigGAN's public code on CIFAR.

    Args:
        standard_deviation: of every weight.
    """

    standard_deviation: float = 0.02

    def fill(self, weight: Tensor) -> None:
        nn.init.normal_(weight, std=self.standard_deviation)


@dataclass(frozen=True)
class XavierUniform(Initialization):
    """Uniform within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010): SAGAN's choice."""

    def fill(self, weight: Tensor) -> None:
        nn.init.xavier_uniform_(weight)


def initialize(network: nn.Module, initialization: Initialization) -> None:
    """Start every linear, convolution and embedding layer, and the tables of batch normalization by class.

    Biases keep PyTorch's uniform start, as in BigGAN's public code. Call it before spectral normalization.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            initialization.fill(module.weight)
        elif isinstance(module, ClassAffine):
            initialization.fill(module.gain)
            initialization.fill(module.bias)
