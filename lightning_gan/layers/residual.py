"""The residual blocks of WGAN-GP, SNGAN, SAGAN and BigGAN: two 3x3 convolutions beside a shortcut.

They are of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, appendix F); the other papers change norms, widths and
shortcuts. Convolutions beside a resampling are fused with it, and the 1x1 shortcuts run at the lower resolution: the
result is the same.
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
    """The same layer, its weights uniform within ``gain * sqrt(6 / (fan_in + fan_out))``, its bias 0.

    The bound is that of Glorot and Bengio 2010.
    """
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def started_as_in_pytorch(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer, which keeps the weights that PyTorch gave it."""
    return layer


class ResidualBlock(nn.Module):
    """``shortcut(x) + conv2(relu(norm2(conv1(relu(norm1(x))))))``, then `attention` if a network gives it one.

    `up_block` and `down_block` make those that the papers have.

    Args:
        conv1: first convolution.
        conv2: second convolution; it changes the resolution, if the block does.
        shortcut: takes what comes in to the channels and the resolution of what goes out.
        norms: normalizations of the features that come in, and of those between the convolutions; each takes features
            and condition. None for no normalization.
        rectifies_input: whether a relu stands before the first convolution; not where images come in.
        shortcut_leads: whether the sum has the memory format of the shortcut, else that of the two convolutions. Its
            values are the same, but the next layers may round otherwise.
    """

    def __init__(
        self,
        *,
        conv1: nn.Conv2d,
        conv2: nn.Conv2d,
        shortcut: nn.Module,
        norms: tuple[nn.Module, nn.Module] | None = None,
        rectifies_input: bool = True,
        shortcut_leads: bool = False,
    ) -> None:
        super().__init__()
        self.norm1: nn.Module | None = None if norms is None else norms[0]
        self.norm2: nn.Module | None = None if norms is None else norms[1]
        self.conv1 = conv1
        self.conv2 = conv2
        self.shortcut = shortcut
        self.rectifies_input = rectifies_input
        self.shortcut_leads = shortcut_leads
        self.attention: SelfAttention | None = None

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """`batch channels height width`, and what the norms take beside it, to the same with other sizes."""
        residual = features if self.norm1 is None else self.norm1(features, condition)
        residual = self.conv1(relu(residual) if self.rectifies_input else residual)
        residual = residual if self.norm2 is None else self.norm2(residual, condition)
        residual = self.conv2(relu(residual))
        shortcut = self.shortcut(features)
        output: Tensor = shortcut + residual if self.shortcut_leads else residual + shortcut
        return output if self.attention is None else self.attention(output)


def up_block(
    *,
    norms: tuple[nn.Module, nn.Module],
    in_channels: int,
    out_channels: int,
    first_bias: bool = True,
    shortcut_leads: bool = False,
    start: Callable[[nn.Conv2d], nn.Conv2d] = started_as_in_pytorch,
) -> ResidualBlock:
    """A generator's block to twice the resolution, with a 1x1 convolution in its shortcut.

    Args:
        norms: normalizations of the features that come in, and of those between the convolutions.
        in_channels: channels of the features that come in.
        out_channels: channels of those that go out.
        first_bias: whether the first convolution has a bias, which the second norm takes away again.
        shortcut_leads: whether the sum has the memory format of the shortcut; see `ResidualBlock`.
        start: gives each convolution its first weights as soon as it is made, and returns it.
    """
    return ResidualBlock(
        norms=norms,
        conv1=start(UpsampledConv2d(in_channels, out_channels, bias=first_bias)),
        conv2=start(nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)),
        shortcut=start(UpsampledPointwise(in_channels, out_channels)),
        shortcut_leads=shortcut_leads,
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
    """A discriminator's block to half the resolution, or to the same; a 1x1 convolution in its shortcut if need be.

    Args:
        in_channels: channels of the features that come in.
        hidden_channels: channels of those between the convolutions.
        out_channels: channels of those that go out.
        norms: normalizations of the features that come in, and of those between the convolutions; None for none.
        takes_images: whether images come in, which are not rectified.
        downsamples: whether half the resolution goes out.
        first_bias: whether the first convolution has a bias.
        start: gives each convolution its first weights as soon as it is made, and returns it.
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
    """All linear, convolution and embedding layers of a network anew, as `started_uniformly` does.

    Call it before spectral normalization.

    Args:
        network: network whose layers start anew.
        residual_gain: factor on the weights of the residual blocks' 3x3 convolutions.
    """
    residual: set[nn.Module] = set()
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            residual |= {block.conv1, block.conv2}
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            started_uniformly(layer, gain=residual_gain if layer in residual else 1.0)
