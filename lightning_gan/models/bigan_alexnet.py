"""BiGAN's convolutional networks for ImageNet at 64x64 (Donahue et al. 2017, arXiv:1605.09782).

The generator is a stack of 5x5 transposed convolutions. The encoder has AlexNet's five convolutions (Krizhevsky et al.
2012), with batch normalization and leaky ReLU instead of local response normalization. As in the authors' code, z is
added to every hidden layer of the generator except the first, and the code to every hidden layer of the discriminator
except the first. The initial weights, and gain, bias and epsilon of the normalization, are the authors'.

The discriminator has the encoder's layers. Convolutions have AlexNet's groups, two in the second, fourth and fifth, and
its max pooling of 3x3 and stride 2 after the first, second and fifth, padded so that 64 pixels become 16, 8, 4, 2. The
first layers of encoder and discriminator are not normalized, as in the networks for MNIST; they have a bias instead.
The generator's first layer is normalized per feature map.

Different from the authors' code: their discriminator has four 5x5 convolutions of stride 2, with 64, 128, 256 and 512
feature maps; their encoder has no pooling after the fifth convolution, and no bias in the first; the first layer of
their generator is normalized per feature. Their encoder can also get images of 112x112 while the generator makes images
of 64x64; here the encoder and the discriminator get the same images.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from lightning_gan.layers.growing import doublings
from lightning_gan.models.adversarial_inference import Encoder, Noise
from lightning_gan.models.bigan import LEAK, Architecture, Layer, Output, centred_sigmoid, norm
from lightning_gan.tensors.shapes import Images, Latents, Logits

WIDTHS = (96, 256, 384, 384, 256)
"""Numbers of feature maps after AlexNet's five convolutions."""
STRIDE = 32
"""Size of an image divided by the size of AlexNet's last features: 4 by the first layer, 2 by each of the poolings."""


class DeconvolutionalGenerator(nn.Module):
    """Maps latents to images: a linear layer to 4x4, then 5x5 transposed convolutions that double the resolution.

    The arguments are described in `BiGAN` and, as `generator_width`, in `AlexNet`.

    Raises:
        ValueError: for an image size that is not a power of two from 8.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        # The linear layer to 4x4, written as a transposed convolution.
        self.first = Layer(
            nn.ConvTranspose2d(latent_dim, widths[0], kernel_size=4, bias=False),
            norm=norm(widths[0], affine=True),
            slope=0.0,
        )
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
        features = self.first(latents[:, :, None, None])
        for layer in self.hidden:
            features = layer(features, latents)
        return centred_sigmoid(self.to_image(features))


def doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A 5x5 transposed convolution that doubles the resolution, without bias."""
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size=5, stride=2, padding=2, output_padding=1, bias=False
    )


class AlexNetFeatures(nn.Module):
    """AlexNet's convolutions, for images of any multiple of 32 pixels. The last features have a 32nd of this size.

    The other arguments are described in `BiGAN`.

    Args:
        code_dim: Size of the codes that are added to every layer except the first; 0 for none.

    Attributes:
        size: Number of features that are computed for each image.

    Raises:
        ValueError: for an image size that is not a multiple of 32.
    """

    def __init__(self, *, image_size: int, image_channels: int, code_dim: int) -> None:
        super().__init__()
        if image_size % STRIDE or image_size < STRIDE:
            raise ValueError(
                f"image_size={image_size} must be a multiple of {STRIDE}, because AlexNet divides it by {STRIDE}; "
                "use the architecture Perceptrons for other sizes"
            )
        self.size = WIDTHS[-1] * (image_size // STRIDE) ** 2
        first = nn.Conv2d(image_channels, WIDTHS[0], kernel_size=11, stride=4, padding=5)
        assert first.bias is not None
        nn.init.zeros_(first.bias)
        self.conv1 = Layer(first, norm=nn.Identity(), slope=LEAK)
        self.conv2 = convolution(WIDTHS[0], WIDTHS[1], kernel_size=5, groups=2, code_dim=code_dim)
        self.conv3 = convolution(WIDTHS[1], WIDTHS[2], kernel_size=3, groups=1, code_dim=code_dim)
        self.conv4 = convolution(WIDTHS[2], WIDTHS[3], kernel_size=3, groups=2, code_dim=code_dim)
        self.conv5 = convolution(WIDTHS[3], WIDTHS[4], kernel_size=3, groups=2, code_dim=code_dim)

    def forward(self, images: Images, codes: Latents | None = None) -> Tensor:
        """Images in [-1, 1], and codes `batch code_dim` unless it is 0, to features `batch size`."""
        features = halved(self.conv1(images))
        features = halved(self.conv2(features, codes))
        features = self.conv4(self.conv3(features, codes), codes)
        return halved(self.conv5(features, codes)).flatten(1)


def convolution(in_channels: int, out_channels: int, *, kernel_size: int, groups: int, code_dim: int) -> Layer:
    """A convolution that keeps the resolution, with batch normalization and leaky ReLU.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        kernel_size: Height and width of the kernel in pixels.
        groups: Number of groups of channels that are convolved separately.
        code_dim: Size of the codes that are added before the normalization; 0 for none.
    """
    layer = nn.Conv2d(
        in_channels, out_channels, kernel_size=kernel_size, padding=kernel_size // 2, groups=groups, bias=False
    )
    return Layer(layer, norm=norm(out_channels, affine=True), slope=LEAK, code_dim=code_dim)


def halved(features: Tensor) -> Tensor:
    """3x3 max pooling with stride 2, which halves the resolution."""
    return max_pool2d(features, kernel_size=3, stride=2, padding=1)


class AlexNetEncoder(Encoder):
    """Maps images, whose size is a multiple of 32, to codes in (-1, 1). The arguments are described in `BiGAN`."""

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.features = AlexNetFeatures(image_size=image_size, image_channels=image_channels, code_dim=0)
        self.to_code = Output(self.features.size, latent_dim)

    def forward(self, images: Images, noise: Noise | None = None) -> Latents:
        """Images in [-1, 1] to codes `batch latent_dim` in (-1, 1); the noise is not used."""
        codes: Tensor = self.to_code(self.features(images))
        return centred_sigmoid(codes)


class AlexNetDiscriminator(nn.Module):
    """Maps images, whose size is a multiple of 32, and codes to one logit, which is 0 before training.

    The arguments are described in `BiGAN`.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.features = AlexNetFeatures(image_size=image_size, image_channels=image_channels, code_dim=latent_dim)
        self.to_logit = Output(self.features.size, 1, deviation=0.0)

    def forward(self, images: Images, codes: Latents) -> Logits:
        """Images in [-1, 1] and codes `batch latent_dim` to logits `batch 1`."""
        logits: Tensor = self.to_logit(self.features(images, codes))
        return logits


@final
@dataclass(frozen=True, kw_only=True)
class AlexNet(Architecture):
    """The paper's networks for ImageNet. The image size is a power of two from 32; 64 in the paper.

    Args:
        generator_width: Number of feature maps before the generator's last layer; 64 in the paper. It doubles with
            every halving of the resolution.
    """

    generator_width: int = 64

    def generator(self, *, image_size: int, image_channels: int, latent_dim: int) -> DeconvolutionalGenerator:
        """A network of transposed convolutions that maps latents in (-1, 1) to images."""
        return DeconvolutionalGenerator(
            image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=self.generator_width
        )

    def encoder(self, *, image_size: int, image_channels: int, latent_dim: int) -> AlexNetEncoder:
        """A convolutional network that maps images to codes in (-1, 1)."""
        return AlexNetEncoder(image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)

    def discriminator(self, *, image_size: int, image_channels: int, latent_dim: int) -> AlexNetDiscriminator:
        """A convolutional network that maps images and codes to logits."""
        return AlexNetDiscriminator(image_size=image_size, image_channels=image_channels, latent_dim=latent_dim)
