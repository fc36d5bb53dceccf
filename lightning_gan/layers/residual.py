"""The residual blocks of WGAN-GP, SNGAN, SAGAN and BigGAN: two 3x3 convolutions and a shortcut.

WGAN-GP introduced them (Gulrajani et al. 2017, arXiv:1704.00028, appendix F). The other papers change normalizations,
widths and shortcuts. Here convolutions include the resampling, and 1x1 shortcuts run at the lower resolution. The
results are the same.
"""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.attention import SelfAttention
from lightning_gan.layers.resampling_convolutions import (
    DownsampledConv2d,
    DownsampledPointwise,
    UpsampledConv2d,
    UpsampledPointwise,
)

Layer = TypeVar("Layer", bound=nn.Linear | nn.Conv2d | nn.Embedding)


def started_uniformly(layer: Layer, *, gain: float = 1.0) -> Layer:
    """Initialize a layer and return it: the weight uniform in [-b, b], ``b = gain * sqrt(6 / (fan_in + fan_out))``.

    The bias becomes 0. The bound b is that of Glorot and Bengio 2010.

    Args:
        layer: linear, convolution or embedding layer.
        gain: factor on the bound.
    """
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def started_as_in_pytorch(layer: nn.Conv2d) -> nn.Conv2d:
    """Return the layer unchanged, with PyTorch's initialization."""
    return layer


class ResidualBlock(nn.Module):
    """Computes ``shortcut(x) + conv2(relu(norm2(conv1(relu(norm1(x))))))``, then `attention` if a network sets it.

    `up_block` and `down_block` make the blocks of the papers.

    Args:
        conv1: first convolution.
        conv2: second convolution. In a discriminator's block it changes the resolution if the block does.
        shortcut: module that maps the input to the channels and the resolution of the output.
        norms: normalizations of the input and of the features between the convolutions. Each takes features and a
            condition. None omits both.
        rectifies_input: True applies a ReLU before the first convolution. Use False for blocks whose input is images.
    """

    def __init__(
        self,
        *,
        conv1: nn.Conv2d,
        conv2: nn.Conv2d,
        shortcut: nn.Module,
        norms: tuple[nn.Module, nn.Module] | None = None,
        rectifies_input: bool = True,
    ) -> None:
        super().__init__()
        self.norm1: nn.Module | None = None if norms is None else norms[0]
        self.norm2: nn.Module | None = None if norms is None else norms[1]
        self.conv1 = conv1
        self.conv2 = conv2
        self.shortcut = shortcut
        self.rectifies_input = rectifies_input
        self.attention: SelfAttention | None = None

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """The output of the block, `batch channels height width`, with its own channels and resolution.

        Args:
            features: input of the block, `batch channels height width`.
            condition: condition of the normalizations; None if they need none.
        """
        residual = features if self.norm1 is None else self.norm1(features, condition)
        if self.rectifies_input:  # in place where the features are not needed for the shortcut
            residual = relu(residual, inplace=self.norm1 is not None)
        residual = self.conv1(residual)
        residual = residual if self.norm2 is None else self.norm2(residual, condition)
        residual = self.conv2(relu(residual, inplace=True))
        output: Tensor = residual + self.shortcut(features)
        return output if self.attention is None else self.attention(output)


def up_block(
    *,
    norms: tuple[nn.Module, nn.Module],
    in_channels: int,
    out_channels: int,
    first_bias: bool = True,
    start: Callable[[nn.Conv2d], nn.Conv2d] = started_as_in_pytorch,
) -> ResidualBlock:
    """A generator's block, which doubles the resolution, with a 1x1 convolution in its shortcut.

    Args:
        norms: normalizations of the input and of the features between the convolutions.
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        first_bias: True gives the first convolution a bias, although the second normalization removes its effect.
        start: function that initializes each convolution when it is made, and returns it.
    """
    return ResidualBlock(
        norms=norms,
        conv1=start(UpsampledConv2d(in_channels, out_channels, bias=first_bias)),
        conv2=start(nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)),
        shortcut=start(UpsampledPointwise(in_channels, out_channels)),
    )


def down_block(
    *,
    in_channels: int,
    hidden_channels: int,
    out_channels: int,
    norms: tuple[nn.Module, nn.Module] | None = None,
    takes_images: bool = False,
    downsamples: bool = True,
    first_bias: bool = True,
    start: Callable[[nn.Conv2d], nn.Conv2d] = started_as_in_pytorch,
) -> ResidualBlock:
    """A discriminator's block, which halves the resolution or keeps it.

    Its shortcut has a 1x1 convolution if the resolution or the number of channels changes.

    Args:
        in_channels: number of channels of the input.
        hidden_channels: number of channels between the convolutions.
        out_channels: number of channels of the output.
        norms: normalizations of the input and of the features between the convolutions; None omits both.
        takes_images: True if the input is images, to which no ReLU is applied.
        downsamples: True halves the resolution, False keeps it.
        first_bias: True gives the first convolution a bias.
        start: function that initializes each convolution when it is made, and returns it.
    """
    conv1 = start(nn.Conv2d(in_channels, hidden_channels, kernel_size=3, padding=1, bias=first_bias))
    shortcut: nn.Module
    if downsamples:
        conv2 = start(DownsampledConv2d(hidden_channels, out_channels))
        shortcut = start(DownsampledPointwise(in_channels, out_channels))
    else:
        conv2 = start(nn.Conv2d(hidden_channels, out_channels, kernel_size=3, padding=1))
        is_same = in_channels == out_channels
        shortcut = nn.Identity() if is_same else start(nn.Conv2d(in_channels, out_channels, kernel_size=1))
    return ResidualBlock(
        norms=norms,
        conv1=conv1,
        conv2=conv2,
        shortcut=shortcut,
        rectifies_input=not takes_images,
    )


def start_uniformly(network: nn.Module, *, residual_gain: float = 1.0) -> None:
    """Initialize all linear, convolution and embedding layers of a network by `started_uniformly`.

    Call it before spectral normalization.

    Args:
        network: network whose weights are overwritten.
        residual_gain: gain of the 3x3 convolutions of residual blocks. All other layers have gain 1.
    """
    residual: set[nn.Module] = set()
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            residual |= {block.conv1, block.conv2}
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            started_uniformly(layer, gain=residual_gain if layer in residual else 1.0)
