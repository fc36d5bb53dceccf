"""Initializations of weights: the options of the BigGAN paper and of its public code."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_gan.layers.batch_norm import ClassAffine


class Initialization(ABC):
    """A method to initialize a weight."""

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Overwrite a weight in place.

        Args:
            weight: tensor with two or more dimensions, of which the first is the output channels.
        """


@dataclass(frozen=True)
class Orthogonal(Initialization):
    """Initializes weights with orthogonal rows or columns (Saxe et al. 2014, arXiv:1312.6120), as in BigGAN."""

    def fill(self, weight: Tensor) -> None:
        nn.init.orthogonal_(weight)


@dataclass(frozen=True)
class Normal(Initialization):
    """Initializes weights with independent normal numbers, as in DCGAN and in BigGAN's public code on CIFAR.

    Args:
        standard_deviation: standard deviation of the numbers, whose mean is 0.
    """

    standard_deviation: float = 0.02

    def fill(self, weight: Tensor) -> None:
        nn.init.normal_(weight, std=self.standard_deviation)


@dataclass(frozen=True)
class XavierUniform(Initialization):
    """Initializes weights uniformly in [-b, b], ``b = sqrt(6 / (fan_in + fan_out))``, as in SAGAN.

    The method is that of Glorot and Bengio 2010.
    """

    def fill(self, weight: Tensor) -> None:
        nn.init.xavier_uniform_(weight)


def initialize(network: nn.Module, initialization: Initialization) -> None:
    """Initialize all linear, convolution and embedding layers, and the tables of class-conditional batch normalization.

    Biases keep PyTorch's uniform initialization, as in BigGAN's public code. Call it before spectral normalization.

    Args:
        network: network whose weights are overwritten.
        initialization: method that is applied to each weight.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            initialization.fill(module.weight)
        elif isinstance(module, ClassAffine):
            initialization.fill(module.gain)
            initialization.fill(module.bias)
