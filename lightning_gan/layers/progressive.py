"""What the progressive networks of PGGAN and StyleGAN share (Karras et al. 2018, arXiv:1710.10196, table 2)."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.growing import Growing, stage_of
from lightning_gan.layers.normalization import MinibatchStddev
from lightning_gan.layers.resampling import box_downsample
from lightning_gan.shapes import Images


def channels_at(resolution: int, *, channel_base: int, channel_max: int) -> int:
    """Feature maps of the blocks at a resolution: half as many for every doubling, `channel_max` at most.

    Example:
        >>> [channels_at(size, channel_base=8192, channel_max=512) for size in (4, 32, 64, 1024)]
        [512, 512, 256, 16]
    """
    channels: int = channel_base // 2 ** (stage_of(resolution) + 1)
    return min(channels, channel_max)


def channels_of_stages(image_size: int, *, channel_base: int, channel_max: int) -> list[int]:
    """Feature maps at 4x4, 8x8 ... `image_size`."""
    stages = range(stage_of(image_size) + 1)
    return [channels_at(4 * 2**stage, channel_base=channel_base, channel_max=channel_max) for stage in stages]


class FromRGB(nn.Module):
    """Images to features at one resolution.

    Args:
        image_channels: channels of the images.
        channels: feature maps.
    """

    def __init__(self, *, image_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(image_channels, channels, kernel_size=1)

    def forward(self, images: Images) -> Tensor:
        return leaky_relu(self.conv(images), 0.2)


class LastBlock(nn.Module):
    """4x4: the batch's variety beside the features, one convolution, two fully connected layers.

    Args:
        channels: feature maps.
        outputs: numbers per image.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
    """

    def __init__(self, *, channels: int, outputs: int, minibatch_stddev_group: int) -> None:
        super().__init__()
        self.minibatch_stddev = MinibatchStddev(group_size=minibatch_stddev_group)
        self.conv = EqualizedConv2d(channels + 1, channels, kernel_size=3)
        self.dense0 = EqualizedLinear(channels * 16, channels)
        self.dense1 = EqualizedLinear(channels, outputs, gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        features = leaky_relu(self.conv(self.minibatch_stddev(features)), 0.2)
        # Flattened in the order channels, height, width whatever the memory format, as the authors' weights expect.
        features = leaky_relu(self.dense0(features.flatten(1)), 0.2)
        outputs: Tensor = self.dense1(features)
        return outputs


class GrowingDiscriminator(Growing):
    """From images of the active resolution, through blocks that halve it, to `outputs` numbers each.

    Args:
        image_size: full resolution, a power of two from 4 to 1024.
        image_channels: channels of the images.
        channels: feature maps at 4x4, 8x8 ... `image_size`.
        blocks: from 8x8, 16x16 ... `image_size` to half of it, and to the channels there.
        outputs: numbers per image.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        channels: list[int],
        blocks: list[nn.Module],
        outputs: int,
        minibatch_stddev_group: int,
    ) -> None:
        super().__init__(image_size=image_size)
        assert len(blocks) == len(list(pairwise(channels)))
        self.from_rgb = nn.ModuleList(FromRGB(image_channels=image_channels, channels=c) for c in channels)
        self.blocks = nn.ModuleList(blocks)
        self.last = LastBlock(channels=channels[0], outputs=outputs, minibatch_stddev_group=minibatch_stddev_group)

    def judge(self, images: Images) -> Tensor:
        """`batch outputs`."""
        stage = stage_of(self.resolution)
        features = self.from_rgb[stage](images)
        for index in reversed(range(stage)):
            features = self.blocks[index](features)
            if self.is_fading and index == stage - 1:
                coarse = self.from_rgb[index](box_downsample(images, factor=2))
                features = coarse.lerp(features, self.fade_in.to(features.dtype))
        outputs: Tensor = self.last(features)
        return outputs
