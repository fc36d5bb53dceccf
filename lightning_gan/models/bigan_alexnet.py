"""BiGAN's convolutional networks for ImageNet at 64x64 (Donahue et al. 2017, arXiv:1605.09782).

All layers and initial weights are those of the authors' code, `net.py`, as `train_imagenet.sh` sets it: the generator
is `deconvnet_64`, the encoder `alexnet_group_padpool`, the discriminator `convnet_64`.

- The generator has a linear layer to 4x4, whose values are each normalized on their own, and then 5x5 transposed
  convolutions.
- The encoder has AlexNet's five convolutions (Krizhevsky et al. 2012) with their groups, two in the second, fourth and
  fifth, and batch normalization and leaky ReLU instead of local response normalization. Max pooling of 3x3 and stride 2
  is behind the first two convolutions, and not behind the fifth. It is padded, as the first convolution is, so that 64
  pixels become 16, 8 and 4.
- The discriminator has 5x5 convolutions of stride 2.
- z is added to every hidden layer of the generator except the first, and the code to every hidden layer of the
  discriminator except the first.
- The first layers of encoder and discriminator have no normalization and no bias.

Different from the authors' code: their encoder can also get images of 112x112 while the generator makes images of
64x64; here the encoder and the discriminator get the same images.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from lightning_gan.layers.growing import doublings
from lightning_gan.models.adversarial_inference import Encoder, Noise
from lightning_gan.models.bigan import LEAK, Architecture, Layer, Output, centred_sigmoid, norm
from lightning_gan.tensors.shapes import Images, Latents, Logits

WIDTHS = (96, 256, 384, 384, 256)
"""Numbers of feature maps after AlexNet's five convolutions."""
STRIDE = 16
"""Size of an image divided by the size of the last features of the encoder and of the discriminator.

The encoder divides it by 4 in the first layer and by 2 in each of the two poolings, the discriminator by 2 in each of
four layers.
"""
START_SIZE = 4
"""Height and width of the generator's first features in pixels."""


class DeconvolutionalGenerator(nn.Module):
    """Maps latents to images: a linear layer to 4x4, then 5x5 transposed convolutions that double the resolution.

    The arguments are described in `BiGAN` and, as `generator_width`, in `AlexNet`.

    Raises:
        ValueError: for an image size that is not a power of two from 8.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        # Normalized before it becomes an image: mean, variance, gain and bias are those of a feature at a position.
        features = widths[0] * START_SIZE**2
        self.first = Layer(nn.Linear(latent_dim, features, bias=False), norm=norm(features, affine=True), slope=0.0)
        self.hidden = nn.ModuleList(
            [
                Layer(doubling(before, after), norm=norm(after, affine=True), slope=0.0, code_dim=latent_dim)
                for before, after in pairwise(widths)
            ]
        )
        self.to_image = doubling(widths[-1], image_channels)
        nn.init.normal_(self.to_image.weight, std=0.02)

    def forward(self, latents: Latents) -> Images:
        """`batch latent_dim` to images in (-1, 1)."""
        features = rearrange(
            self.first(latents), "batch (c h w) -> batch c h w", h=START_SIZE, w=START_SIZE
        )  # batch widths[0] 4 4
        for layer in self.hidden:
            features = layer(features, latents)
        return centred_sigmoid(self.to_image(features))


def doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A 5x5 transposed convolution that doubles the resolution, without bias."""
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size=5, stride=2, padding=2, output_padding=1, bias=False
    )


def features_per_channel(image_size: int) -> int:
    """Number of positions of the last features of the encoder and of the discriminator, a 16th of the image per side.

    Raises:
        ValueError: for an image size that is not a multiple of 16.
    """
    if image_size % STRIDE or image_size < STRIDE:
        raise ValueError(
            f"image_size={image_size} must be a multiple of {STRIDE}, because AlexNet divides it by {STRIDE}; "
            "use the architecture Perceptrons for other sizes"
        )
    return (image_size // STRIDE) ** 2


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    normalized: bool = True,
    code_dim: int = 0,
) -> Layer:
    """A convolution without bias, batch normalization and leaky ReLU. It divides the resolution by the stride.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        kernel_size: Height and width of the kernel in pixels, odd.
        stride: Stride in pixels.
        groups: Number of groups of channels that are convolved separately.
        normalized: Whether there is batch normalization.
        code_dim: Size of the codes that are added before the normalization; 0 for none.
    """
    return Layer(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False),
        norm=norm(out_channels, affine=True) if normalized else nn.Identity(),
        slope=LEAK,
        code_dim=code_dim,
    )


def halved(features: Tensor) -> Tensor:
    """3x3 max pooling with stride 2, which halves the resolution."""
    return max_pool2d(features, kernel_size=3, stride=2, padding=1)


class AlexNetEncoder(Encoder):
    """Maps images, whose size is a multiple of 16, to codes in (-1, 1). The arguments are described in `BiGAN`.

    Raises:
        ValueError: for an image size that is not a multiple of 16.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.conv1 = convolution(image_channels, WIDTHS[0], kernel_size=11, stride=4, normalized=False)
        self.conv2 = convolution(WIDTHS[0], WIDTHS[1], kernel_size=5, groups=2)
        self.conv3 = convolution(WIDTHS[1], WIDTHS[2], kernel_size=3)
        self.conv4 = convolution(WIDTHS[2], WIDTHS[3], kernel_size=3, groups=2)
        self.conv5 = convolution(WIDTHS[3], WIDTHS[4], kernel_size=3, groups=2)
        self.to_code = Output(WIDTHS[4] * features_per_channel(image_size), latent_dim)

    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Images in [-1, 1] to codes `batch latent_dim` in (-1, 1); the noise is not used."""
        features = halved(self.conv2(halved(self.conv1(images))))
        features = self.conv5(self.conv4(self.conv3(features)))
        codes: Tensor = self.to_code(features.flatten(1))
        return centred_sigmoid(codes)


class ConvolutionalDiscriminator(nn.Module):
    """Maps images, whose size is a multiple of 16, and codes to one logit, which is 0 before training.

    The arguments are described in `BiGAN` and, as `discriminator_width`, in `AlexNet`.

    Raises:
        ValueError: for an image size that is not a multiple of 16.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.first = convolution(image_channels, width, kernel_size=5, stride=2, normalized=False)
        self.hidden = nn.ModuleList(
            [
                convolution(before, after, kernel_size=5, stride=2, code_dim=latent_dim)
                for before, after in pairwise(widths)
            ]
        )
        self.to_logit = Output(widths[-1] * features_per_channel(image_size), 1, deviation=0.0)

    def forward(self, images: Images, codes: Latents) -> Logits:
        """Images in [-1, 1] and codes `batch latent_dim` to logits `batch 1`."""
        features = self.first(images)
        for layer in self.hidden:
            features = layer(features, codes)
        logits: Tensor = self.to_logit(features.flatten(1))
        return logits


@final
@dataclass(frozen=True, kw_only=True)
class AlexNet(Architecture):
    """The paper's networks for ImageNet. The image size is a power of two from 16; 64 in the paper.

    Args:
        generator_width: Number of feature maps before the generator's last layer; 64 in the paper. It doubles with
            every halving of the resolution.
        discriminator_width: Number of feature maps behind the discriminator's first layer; 64 in the paper. It doubles
            with every further layer.
    """

    generator_width: int = 64
    discriminator_width: int = 64

    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> DeconvolutionalGenerator:
        """A network of transposed convolutions that maps latents in (-1, 1) to images."""
        return DeconvolutionalGenerator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.generator_width
        )

    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> AlexNetEncoder:
        """A convolutional network that maps images to codes in (-1, 1)."""
        return AlexNetEncoder(image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)

    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> ConvolutionalDiscriminator:
        """A convolutional network that maps images and codes to logits."""
        return ConvolutionalDiscriminator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.discriminator_width
        )
