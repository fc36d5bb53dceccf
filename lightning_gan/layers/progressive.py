"""Common parts of the growing networks of PGGAN and StyleGAN (Karras et al. 2018, arXiv:1710.10196, table 2)."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.growing import Growing, stage_of
from lightning_gan.layers.normalization import ClassStddev, MinibatchStddev
from lightning_gan.layers.resampling import box_downsample, nearest_upsample
from lightning_gan.tensors.shapes import Images, Labels


def channels_of_stages(image_size: int, *, channel_base: int, channel_max: int) -> list[int]:
    """The numbers of feature maps at 4x4, 8x8, ..., `image_size`: ``min(2 * channel_base / resolution, channel_max)``.

    Args:
        image_size: full resolution in pixels, a power of two.
        channel_base: numerator of the number of feature maps, ``2 * channel_base / resolution``.
        channel_max: largest number of feature maps.

    Example:
        >>> channels_of_stages(128, channel_base=8192, channel_max=512)
        [512, 512, 512, 512, 256, 128]
    """
    return [min(channel_base // 2**stage, channel_max) for stage in range(1, stage_of(image_size) + 2)]


@dataclass(frozen=True, kw_only=True)
class GrowingSizes:
    """The sizes of the images and of the feature maps of a growing network.

    Args:
        image_size: full resolution in pixels, a power of two that is at least 4.
        image_channels: number of channels of the images.
        channel_base: numerator of the number of feature maps, which is ``2 * channel_base / resolution``.
        channel_max: largest number of feature maps.

    Raises:
        ValueError: if the image size is not such a power of two.
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
        """The numbers of feature maps at 4x4, 8x8, ..., `image_size`."""
        return channels_of_stages(self.image_size, channel_base=self.channel_base, channel_max=self.channel_max)

    @property
    def dense_width(self) -> int:
        """The width of the discriminator's fully connected layer: the number of feature maps for a resolution of 2x2.

        Example:
            >>> GrowingSizes(image_size=8, image_channels=3, channel_base=64, channel_max=512).dense_width
            64
        """
        return min(self.channel_base, self.channel_max)


class GrowingGenerator(Growing):
    """Base class of growing generators: a first module, blocks that double the resolution, and projections to images.

    Every resolution has its own projection to RGB, a 1x1 convolution.

    Args:
        sizes: sizes of the images and of the feature maps.
        first: module that makes the features at 4x4.
        blocks: modules for the features at 8x8, 16x16, ..., `image_size`. Each doubles the resolution.
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
        """Images of the active resolution, `batch image_channels height width`.

        Args:
            features: features of the active resolution.
            before: features before the last block, at half the resolution. They are used while it fades in.
        """
        stage = stage_of(self.resolution)
        images: Images = self.to_rgb[stage](features)
        if self.is_fading:
            coarse = nearest_upsample(self.to_rgb[stage - 1](before), factor=2)
            images = coarse.lerp(images, self.fade_in.to(images.dtype))
        return images


class FromRGB(nn.Module):
    """Maps images to features at one resolution, by a 1x1 convolution and a leaky ReLU.

    Args:
        image_channels: number of channels of the images.
        channels: number of feature maps.
    """

    def __init__(self, *, image_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(image_channels, channels, kernel_size=1)

    def forward(self, images: Images) -> Tensor:
        """Features, `batch channels height width`."""
        return leaky_relu(self.conv(images), 0.2, inplace=True)


class LastBlock(nn.Module):
    """The discriminator's block at 4x4: minibatch standard deviation, one convolution, two fully connected layers.

    Args:
        channels: number of feature maps.
        dense_width: number of outputs of the first fully connected layer.
        outputs: number of outputs per image.
        minibatch_stddev: layer that appends a standard deviation over samples.
    """

    def __init__(
        self, *, channels: int, dense_width: int, outputs: int, minibatch_stddev: MinibatchStddev | ClassStddev
    ) -> None:
        super().__init__()
        self.minibatch_stddev = minibatch_stddev
        self.conv = EqualizedConv2d(channels + 1, channels, kernel_size=3)
        self.dense0 = EqualizedLinear(channels * 16, dense_width)
        self.dense1 = EqualizedLinear(dense_width, outputs, gain=1.0)

    def forward(self, features: Tensor, labels: Labels | None = None) -> Tensor:
        """`batch channels 4 4`, and labels if there are classes, `-> batch outputs`."""
        features = leaky_relu(self.conv(self.minibatch_stddev(features, labels)), 0.2, inplace=True)
        # The order is channels, height, width for every memory format, which the authors' weights require.
        features = leaky_relu(self.dense0(features.flatten(1)), 0.2, inplace=True)
        outputs: Tensor = self.dense1(features)
        return outputs


class GrowingDiscriminator(Growing):
    """Base class of growing discriminators: projections from images, blocks that halve the resolution, a last block.

    Args:
        sizes: sizes of the images and of the feature maps.
        blocks: modules for the features at 8x8, 16x16, ..., `image_size`. Each halves the resolution.
        outputs: number of outputs per image.
        minibatch_stddev: layer of the last block that appends a standard deviation over samples.
    """

    def __init__(
        self,
        *,
        sizes: GrowingSizes,
        blocks: list[nn.Module],
        outputs: int,
        minibatch_stddev: MinibatchStddev | ClassStddev,
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
            minibatch_stddev=minibatch_stddev,
        )

    def judge(self, images: Images, labels: Labels | None = None) -> Tensor:
        """The outputs for images of the active resolution, `batch outputs`.

        Args:
            images: images, `batch channels height width`.
            labels: their classes, which a standard deviation within classes needs.
        """
        stage = stage_of(self.resolution)
        features = self.from_rgb[stage](images)
        for index in reversed(range(stage)):
            features = self.blocks[index](features)
            if self.is_fading and index == stage - 1:
                coarse = self.from_rgb[index](box_downsample(images, factor=2))
                features = coarse.lerp(features, self.fade_in.to(features.dtype))
        outputs: Tensor = self.last(features, labels)
        return outputs
