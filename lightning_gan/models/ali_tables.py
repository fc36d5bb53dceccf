"""The tables of ALI's networks for each data set (Dumoulin et al. 2017, arXiv:1606.00704, appendix), and small ones.

Where the paper's tables and the authors' code (github.com/IshmaelBelghazi/ALI) differ, we follow the code;
`CIFAR10Tables` and `CelebATables` say where, and the one exception.
"""

from abc import ABC
from dataclasses import dataclass
from math import gcd
from typing import ClassVar, NamedTuple, final


class Row(NamedTuple):
    """One row of the paper's tables: a convolution with a square kernel, without padding.

    Attributes:
        kernel: Height and width of the kernel in pixels.
        stride: Stride in pixels.
        channels: Number of feature maps.
    """

    kernel: int
    stride: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """The tables of the three networks for one data set.

    Args:
        divisor: All numbers of feature maps are divided by this, for smaller networks than the paper's (1).

    Attributes:
        image_size: Height and width of the images in pixels.
        latent_dim: Size of z.
        encoder_rows: Convolutions of the encoder, without the last, which has 2 x latent_dim channels.
        generator_rows: Transposed convolutions of the generator, without the last, which is a 1x1 convolution.
        leak: Slope of the leaky ReLU for negative values.
        image_rows: Convolutions of D(x), the discriminator's layers on the image. Numbers of feature maps of the
            discriminator are those of its convolutions, of which maxout keeps one half.
        code_channels: Feature maps of the two 1x1 convolutions of D(z), the discriminator's layers on the code.
        joint_channels: Feature maps of the two hidden 1x1 convolutions of D(x, z), the layers on both.
        maxout: Whether the discriminator has maxout instead of leaky ReLU, and no batch normalization. Without it D(x)
            has batch normalization behind every convolution except the first.
        image_dropouts: Probabilities of dropout before the first layer of D(x), and before its other layers.
        code_dropouts: Probabilities of dropout before the first layer of D(z), and before its other layers.
        joint_dropout: Probability of dropout before each layer of D(x, z).
        weight_deviation: Standard deviation of the initial weights of all convolutions.
    """

    image_size: ClassVar[int]
    latent_dim: ClassVar[int]
    encoder_rows: ClassVar[tuple[Row, ...]]
    generator_rows: ClassVar[tuple[Row, ...]]
    leak: ClassVar[float]
    image_rows: ClassVar[tuple[Row, ...]]
    code_channels: ClassVar[int]
    joint_channels: ClassVar[int]
    maxout: ClassVar[bool] = False
    image_dropouts: ClassVar[tuple[float, float]]
    code_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)
    joint_dropout: ClassVar[float] = 0.2
    weight_deviation: ClassVar[float] = 0.01

    divisor: int = 1

    def narrowed(self, rows: tuple[Row, ...], *, pieces: int = 1) -> list[Row]:
        """The rows with their numbers of feature maps divided by `divisor`.

        Args:
            rows: Rows of a table.
            pieces: Number of feature maps from which an activation takes the maximum; 1 without maxout.

        Raises:
            ValueError: if `divisor` is below 1, does not divide all numbers of feature maps, or leaves a number that
                `pieces` does not divide.
        """
        channels = [row.channels for row in rows]
        common = gcd(*channels) // pieces
        if self.divisor < 1 or common % self.divisor:
            pairs = " and leave pairs for maxout" if pieces > 1 else ""
            raise ValueError(
                f"divisor={self.divisor} must divide the feature maps {channels}{pairs}; take a number that divides "
                f"{common}"
            )
        return [row._replace(channels=row.channels // self.divisor) for row in rows]


ENCODER_32 = (Row(5, 1, 32), Row(4, 2, 64), Row(4, 1, 128), Row(4, 2, 256), Row(4, 1, 512), Row(1, 1, 512))
GENERATOR_32 = (Row(4, 1, 256), Row(4, 2, 128), Row(4, 1, 64), Row(4, 2, 32), Row(5, 1, 32), Row(1, 1, 32))


@final
@dataclass(frozen=True, kw_only=True)
class CIFAR10Tables(Architecture):
    """The tables for CIFAR-10; the discriminator has maxout layers with dropout.

    As in the authors' code, the feature maps of the table are those of the convolutions; each maxout layer gives half
    of them. The convolutions of D(x) and of D(x, z) have biases, those of D(z) have none.

    Different from the authors' code: dropout is in front of every convolution, as in the table. Their script takes
    every third layer of D(x), which has two layers for each convolution: it drops features in front of the first,
    second and fifth convolution and of the third maxout.
    """

    image_size: ClassVar[int] = 32
    latent_dim: ClassVar[int] = 64
    encoder_rows: ClassVar[tuple[Row, ...]] = ENCODER_32
    generator_rows: ClassVar[tuple[Row, ...]] = GENERATOR_32
    leak: ClassVar[float] = 0.1
    image_rows: ClassVar[tuple[Row, ...]] = ENCODER_32[:5]
    code_channels: ClassVar[int] = 512
    joint_channels: ClassVar[int] = 1024
    maxout: ClassVar[bool] = True
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.5)
    code_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.5)
    joint_dropout: ClassVar[float] = 0.5


@final
@dataclass(frozen=True, kw_only=True)
class SVHNTables(Architecture):
    """The tables for SVHN. All convolutions are those for CIFAR-10, but the discriminator has leaky ReLU.

    As in the authors' code, the first convolution of D(x) and those of D(x, z) have biases, the others have none.
    """

    image_size: ClassVar[int] = 32
    latent_dim: ClassVar[int] = 256
    encoder_rows: ClassVar[tuple[Row, ...]] = ENCODER_32
    generator_rows: ClassVar[tuple[Row, ...]] = GENERATOR_32
    leak: ClassVar[float] = 0.01
    image_rows: ClassVar[tuple[Row, ...]] = ENCODER_32[:5]
    code_channels: ClassVar[int] = 512
    joint_channels: ClassVar[int] = 1024
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)


@final
@dataclass(frozen=True, kw_only=True)
class CelebATables(Architecture):
    """The tables for CelebA at 64x64.

    As in the authors' code, the first convolution of D(x) has a bias and no batch normalization, and dropout of 0.2 is
    in front of every convolution of D(x). In the paper's table that convolution has batch normalization, and D(x) has
    no dropout. Biases are those of `SVHNTables`. The last row of the encoder's table is the layer that gives the code.
    """

    image_size: ClassVar[int] = 64
    latent_dim: ClassVar[int] = 256
    encoder_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(2, 1, 64), Row(7, 2, 128), Row(5, 2, 256), Row(7, 2, 256), Row(4, 1, 512)),
    )
    generator_rows: ClassVar[tuple[Row, ...]] = (
        *(Row(4, 1, 512), Row(7, 2, 256), Row(5, 2, 256), Row(7, 2, 128), Row(2, 1, 64)),
    )
    leak: ClassVar[float] = 0.02
    image_rows: ClassVar[tuple[Row, ...]] = encoder_rows
    code_channels: ClassVar[int] = 1024
    joint_channels: ClassVar[int] = 2048
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)


@final
@dataclass(frozen=True, kw_only=True)
class DigitsTables(Architecture):
    """Small tables for grey digits of 28x28, which are not from the paper.

    Layers are placed as for SVHN and CelebA. Initial weights are larger than the paper's, because each layer adds up
    fewer of them.
    """

    image_size: ClassVar[int] = 28
    latent_dim: ClassVar[int] = 16
    encoder_rows: ClassVar[tuple[Row, ...]] = (Row(4, 2, 16), Row(3, 2, 32), Row(4, 2, 64), Row(2, 1, 64))
    generator_rows: ClassVar[tuple[Row, ...]] = (Row(2, 1, 64), Row(4, 2, 64), Row(3, 2, 32), Row(4, 2, 16))
    leak: ClassVar[float] = 0.1
    image_rows: ClassVar[tuple[Row, ...]] = (Row(4, 2, 16), Row(3, 2, 32), Row(4, 2, 64), Row(2, 1, 128))
    code_channels: ClassVar[int] = 128
    joint_channels: ClassVar[int] = 256
    image_dropouts: ClassVar[tuple[float, float]] = (0.2, 0.2)
    weight_deviation: ClassVar[float] = 0.05
