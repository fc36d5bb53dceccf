"""What the progressive networks of PGGAN and StyleGAN share (Karras et al. 2018, arXiv:1710.10196, table 2)."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.growing import Growing, stage_of
from lightning_gan.layers.normalization import MinibatchStddev
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.tensors.shapes import Images


def channels_of_stages(image_size: int, *, channel_base: int, channel_max: int) -> list[int]:
    """Feature maps at 4x4, 8x8 ... `image_size`: half as many for every doubling, `channel_max` at most.

    Example:
        >>> channels_of_stages(128, channel_base=8192, channel_max=512)
        [512, 512, 512, 512, 256, 128]
    """
    return [min(channel_base // 2**stage, channel_max) for stage in range(1, stage_of(image_size) + 2)]


@dataclass(frozen=True, kw_only=True)
class GrowingSizes:
    """Images and feature maps of a growing network.

    Args:
        image_size: full resolution, a power of two from 4 to 1024.
        image_channels: channels of the images.
        channel_base: feature maps are `channel_base / resolution * 2`,
        channel_max: but no more than this.

    Raises:
        ValueError: if the size is too small or no power of two.
    """

    image_size: int
    image_channels: int
    channel_base: int
    channel_max: int

    def __post_init__(self) -> None:
        if self.image_size < 4 or self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size={self.image_size} must be a power of two, and 4 at least")

    @property
    def channels(self) -> list[int]:
        """Feature maps at 4x4, 8x8 ... `image_size`."""
        return channels_of_stages(self.image_size, channel_base=self.channel_base, channel_max=self.channel_max)

    @property
    def dense_width(self) -> int:
        """Of the discriminator's fully connected layer: what the formula has for 2x2, below the last resolution.

        Example:
            >>> GrowingSizes(image_size=8, image_channels=3, channel_base=64, channel_max=512).dense_width
            64
        """
        return min(self.channel_base, self.channel_max)


class GrowingGenerator(Growing):
    """From the features that `first` makes, through blocks that double the resolution, to images.

    Every resolution has its own projection to RGB.

    Args:
        sizes: of images and features.
        first: what makes features of 4x4.
        blocks: from 4x4, 8x8 ... to twice of it, and to the channels there.
    """

    def __init__(self, *, sizes: GrowingSizes, first: nn.Module, blocks: list[nn.Module]) -> None:
        super().__init__(image_size=sizes.image_size)
        assert len(blocks) == len(sizes.channels) - 1
        self.first = first
        self.blocks = nn.ModuleList(blocks)
        self.to_rgb = nn.ModuleList(
            EqualizedConv2d(channels, sizes.image_channels, kernel_size=1, gain=1.0) for channels in sizes.channels
        )

    def project(self, features: Tensor, *, before: Tensor) -> Images:
        """Images of the active resolution from its features and, while it fades in, from those before its block."""
        stage = stage_of(self.resolution)
        images: Images = self.to_rgb[stage](features)
        if self.is_fading:
            coarse = nearest_upsample(self.to_rgb[stage - 1](before), factor=2)
            images = coarse.lerp(images, self.fade_in.to(images.dtype))
        return images


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
        dense_width: outputs of the first fully connected layer.
        outputs: numbers per image.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
    """

    def __init__(self, *, channels: int, dense_width: int, outputs: int, minibatch_stddev_group: int) -> None:
        super().__init__()
        self.minibatch_stddev = MinibatchStddev(group_size=minibatch_stddev_group)
        self.conv = EqualizedConv2d(channels + 1, channels, kernel_size=3)
        self.dense0 = EqualizedLinear(channels * 16, dense_width)
        self.dense1 = EqualizedLinear(dense_width, outputs, gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        features = leaky_relu(self.conv(self.minibatch_stddev(features)), 0.2)
        # Flattened in the order channels, height, width whatever the memory format, as the authors' weights expect.
        features = leaky_relu(self.dense0(features.flatten(1)), 0.2)
        outputs: Tensor = self.dense1(features)
        return outputs


class GrowingDiscriminator(Growing):
    """From images of the active resolution, through blocks that halve it, to `outputs` numbers each.

    Args:
        sizes: of images and features.
        blocks: from 8x8, 16x16 ... `image_size` to half of it, and to the channels there.
        outputs: numbers per image.
        minibatch_stddev_group: samples per group of the minibatch standard deviation.
    """

    def __init__(
        self, *, sizes: GrowingSizes, blocks: list[nn.Module], outputs: int, minibatch_stddev_group: int
    ) -> None:
        super().__init__(image_size=sizes.image_size)
        assert len(blocks) == len(sizes.channels) - 1
        self.from_rgb = nn.ModuleList(
            FromRGB(image_channels=sizes.image_channels, channels=channels) for channels in sizes.channels
        )
        self.blocks = nn.ModuleList(blocks)
        self.last = LastBlock(
            channels=sizes.channels[0],
            dense_width=sizes.dense_width,
            outputs=outputs,
            minibatch_stddev_group=minibatch_stddev_group,
        )

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
