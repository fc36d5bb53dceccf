"""The residual blocks of SNGAN and SAGAN: ReLU networks whose discriminator is spectrally normalized.

They are those of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, appendix F) with other shortcuts. Convolutions
beside a resampling are fused with it, and the 1x1 shortcuts run at the lower resolution: the result is the same.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.batch_norm import BatchNorm, ClassConditionalBatchNorm
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.layers.resampling_convolutions import DownsampledConv2d, UpsampledConv2d
from lightning_gan.tensors.shapes import Labels


class LabelledBatchNorm(nn.Module):
    """Batch normalization whose gain and bias are the class's, or plain ones where there are no classes.

    Args:
        channels: of the features.
        number_of_classes: 0 for no classes.
        eps: is added to the variance.
        momentum: weight of a new batch in the running averages.
        across_ranks: take the statistics of all ranks' batches as one.
    """

    def __init__(
        self, channels: int, *, number_of_classes: int, eps: float, momentum: float, across_ranks: bool
    ) -> None:
        super().__init__()
        self.layer: BatchNorm | ClassConditionalBatchNorm
        if number_of_classes:
            self.layer = ClassConditionalBatchNorm(
                channels, number_of_classes=number_of_classes, eps=eps, momentum=momentum, across_ranks=across_ranks
            )
        else:
            self.layer = BatchNorm(channels, eps=eps, momentum=momentum, across_ranks=across_ranks)

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        if isinstance(self.layer, BatchNorm):
            plain: Tensor = self.layer(features)
            return plain
        assert labels is not None
        by_class: Tensor = self.layer(features, labels)
        return by_class


class ResidualUpBlock(nn.Module):
    """Twice the resolution: (norm, relu, 3x3 convolution) twice, beside a 1x1 convolution.

    Args:
        norms: of the features that come in, and of those between the convolutions.
        in_channels: of the features that come in.
        out_channels: of those that go out.
    """

    def __init__(
        self, *, norms: tuple[LabelledBatchNorm, LabelledBatchNorm], in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = norms
        self.conv1 = UpsampledConv2d(in_channels, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, features: Tensor, labels: Labels | None) -> Tensor:
        residual = self.conv1(relu(self.norm1(features, labels)))
        residual = self.conv2(relu(self.norm2(residual, labels)))
        output: Tensor = residual + nearest_upsample(self.shortcut(features), factor=2)
        return output


class ResidualDownBlock(nn.Module):
    """(relu, 3x3 convolution) twice, then averaging 2x2 boxes or not, beside a 1x1 convolution where it is needed.

    Args:
        in_channels: of the features that come in.
        hidden_channels: of those between the convolutions.
        out_channels: of those that go out.
        is_first: whether images come in, which must not be rectified.
        downsamples: whether half the resolution goes out.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        is_first: bool = False,
        downsamples: bool = True,
    ) -> None:
        super().__init__()
        self.is_first = is_first
        self.downsamples = downsamples
        self.conv1 = nn.Conv2d(in_channels, hidden_channels, kernel_size=3, padding=1)
        self.conv2 = (
            DownsampledConv2d(hidden_channels, out_channels)
            if downsamples
            else nn.Conv2d(hidden_channels, out_channels, kernel_size=3, padding=1)
        )
        has_shortcut = downsamples or in_channels != out_channels
        self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1) if has_shortcut else None

    def forward(self, features: Tensor) -> Tensor:
        residual = self.conv2(relu(self.conv1(features if self.is_first else relu(features))))
        if self.downsamples:
            features = box_downsample(features, factor=2)
        if self.shortcut is not None:
            features = self.shortcut(features)
        output: Tensor = residual + features
        return output


def start_uniformly(network: nn.Module, *, residual_gain: float = 1.0) -> None:
    """Weights uniform within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), biases 0.

    Call it before spectral normalization.

    Args:
        network: whose linear, convolution and embedding layers start anew.
        residual_gain: factor on the weights of the residual blocks' 3x3 convolutions.
    """
    residual: set[nn.Module] = set()
    for block in network.modules():
        if isinstance(block, ResidualUpBlock | ResidualDownBlock):
            residual |= {block.conv1, block.conv2}
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.xavier_uniform_(layer.weight, gain=residual_gain if layer in residual else 1.0)
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
