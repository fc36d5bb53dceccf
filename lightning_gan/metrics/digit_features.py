"""Features of handwritten digits: an offline replacement of Inception, for images of the ten digits only.

It is a convolutional network of 57,000 parameters, trained by `scripts/train_digit_features.py` to classify the 5,000
embedded digits. Trained on 4,000 of them it classifies 99.2 % of the other 1,000 correctly; the shipped weights are
trained on all. Distances between its features can only be compared with each other, not with numbers from Inception.

Each feature is a linear unit with mean 0 and variance 1 over the real digits, before the non-linearity. So no feature
is always 0, and the distribution is closer to the Gaussian that the Fréchet distance assumes than that of rectified
units. The training also reconstructs the digit from the features, so that they depend on the style of writing, too.
"""

from importlib.resources import files
from typing import ClassVar

import torch
from einops import reduce
from torch import nn
from torch.nn.functional import interpolate

from lightning_gan.metrics.extractors import ClassifyingFeatures
from lightning_gan.tensors.shapes import Features, ImageBytes, Logits

IMAGE_SIZE = 32
NUMBER_OF_FEATURES = 64
NUMBER_OF_CLASSES = 10
WEIGHTS = files("lightning_gan.metrics") / "digit_features.pt"


def _block(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Returns a convolution, a normalization and a non-linearity."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


class DigitFeatures(ClassifyingFeatures):
    """A network that returns 64 features per digit image, and classifies the digit.

    With the shipped weights the network is in evaluation mode, and its weights are not trained.

    Args:
        pretrained: whether to load the shipped weights; if false, the weights are random and can be trained.

    Example:
        >>> DigitFeatures()(torch.zeros(2, 1, 32, 32, dtype=torch.uint8)).shape
        torch.Size([2, 64])
    """

    remark: ClassVar[str] = "for the ten digits of the package, not for quoting"
    score_name: ClassVar[str] = "digit_score"

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(1, 16, stride=1),
            _block(16, 32, stride=2),
            _block(32, 32, stride=2),
            _block(32, 32, stride=2),
            nn.Flatten(),
            nn.Linear(32 * (IMAGE_SIZE // 8) ** 2, NUMBER_OF_FEATURES, bias=False),
            nn.BatchNorm1d(NUMBER_OF_FEATURES, affine=False),
        )
        self.head = nn.Sequential(nn.GELU(), nn.Dropout(0.2), nn.Linear(NUMBER_OF_FEATURES, NUMBER_OF_CLASSES))
        if pretrained:
            with WEIGHTS.open("rb") as stream:
                # The file has half precision; load_state_dict converts it to single precision.
                self.load_state_dict(torch.load(stream, weights_only=True))
            self.requires_grad_(False).eval()

    def forward(self, images: ImageBytes) -> Features:
        """Returns features of uint8 images with 1 or 3 channels, which are averaged and resized to 32 x 32 pixels.

        Raises:
            ValueError: if the images are not uint8 or have another number of channels.
        """
        if images.dtype != torch.uint8:
            raise ValueError(
                f"DigitFeatures takes uint8 images, but got {images.dtype} of shape {tuple(images.shape)}; convert "
                "images in [-1, 1] with lightning_gan.tensors.image_bytes.to_bytes"
            )
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"DigitFeatures takes 1 or 3 channels, but the images have {images.shape[1]}; give grey or RGB "
                "images, or compare runs by RandomFeatures, which takes any number"
            )
        grey = reduce(images.float() / 127.5 - 1.0, "batch channels height width -> batch 1 height width", "mean")
        if grey.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
            grey = interpolate(grey, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
        features: Features = self.body(grey)
        return features

    def classify_features(self, features: Features) -> Logits:
        """Returns the logits of the ten digits, `[batch, 10]`, from features that `forward` returned."""
        logits: Logits = self.head(features)
        return logits

    def classify(self, images: ImageBytes) -> Logits:
        """Returns the logits of the ten digits, `[batch, 10]`, for uint8 images."""
        return self.classify_features(self(images))
