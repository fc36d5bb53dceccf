"""Inception's 2,048 pooled features, from which published FID and KID are computed (Heusel et al. 2017,
arXiv:1706.08500).

The network is torch-fidelity's port of the original TensorFlow graph, including its resizing, which does not smooth
images that are made smaller. (torchmetrics' FID has the same weights, but by default it resizes with anti-aliasing,
which changes the numbers.) clean-fid (Parmar et al. 2022, arXiv:2104.11222) resizes by Pillow's bicubic filter instead.
"""

from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, BasicConv2d

from lightning_gan.metrics.clean_resizing import resized_like_pillow
from lightning_gan.metrics.extractors import ClassifyingFeatures, three_channels
from lightning_gan.metrics.published_weights import PublishedWeights, WeightsFile
from lightning_gan.tensors.shapes import Features, ImageBytes, Logits

NETWORK = "inception-v3-compat"
"""torch-fidelity's name of the network."""


def inception_network(
    *, asker: str, weights: str | None, download: bool
) -> tuple[FeatureExtractorInceptionV3, WeightsFile]:
    """Returns torch-fidelity's network with weights from a file, and the file.

    Args:
        asker: name of the class that needs the weights, for error messages.
        weights: path of the weights file; None is the file in torch's download folder.
        download: whether to download the weights when they are missing there.

    Raises:
        ValueError: if the weights are missing, cannot be downloaded, or the file has other contents.
    """
    published = PublishedWeights(
        asker=asker,
        address=URL_INCEPTION_V3,
        file_name="weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
        size="95 MB",
    )
    file = published.find(weights, download=download)
    try:
        # torch-fidelity unpickles any object; this line first refuses files that contain anything but tensors.
        torch.load(file.path, weights_only=True, map_location="meta")
        return FeatureExtractorInceptionV3(NETWORK, ["2048"], str(file.path)), file
    except Exception as error:
        raise published.refusal(file.path) from error


class InceptionFeatures(ClassifyingFeatures):
    """Inception's 2,048 features per image, with weights from a file.

    Its 1,008 logits without their bias give the Inception Score, as in the code of its authors.

    Args:
        weights: path of the weights file; None is the file in torch's download folder, where torch-fidelity and
            torchmetrics also keep it. A record of the numbers names the contents by their SHA-256.
        download: whether to download the weights (95 MB) to torch's download folder when they are missing there.
        resize: how images are resized to the network's 299 x 299 pixels: tensorflow as in the original FID and nearly
            all published numbers, clean as in clean-fid. Numbers of both kinds are not comparable.

    Raises:
        ValueError: if the weights are missing, cannot be downloaded, or the file has other contents.
    """

    score_name: ClassVar[str] = "inception_score"

    def __init__(
        self,
        *,
        weights: str | None = None,
        download: bool = False,
        resize: Literal["tensorflow", "clean"] = "tensorflow",
    ) -> None:
        super().__init__()
        if resize not in ("tensorflow", "clean"):
            raise ValueError(f"InceptionFeatures: resize={resize!r} must be 'tensorflow' or 'clean'")
        self.resize = resize
        network, self.file = inception_network(asker=type(self).__name__, weights=weights, download=download)
        self.network = _without_batch_norm(network).to(memory_format=torch.channels_last)

    @property
    def facts(self) -> dict[str, str]:
        """The remark, the resizing, and the first digits of the SHA-256 of the weights."""
        return {**super().facts, "resize": self.resize, **self.file.facts}

    def forward(self, images: ImageBytes) -> Features:
        """Returns features, `[batch, 2048]`, of uint8 images with 1 or 3 channels and any size.

        Raises:
            ValueError: if the images have another number of channels.
        """
        images = three_channels(images, asker="InceptionFeatures")
        if self.resize == "tensorflow":
            features: Features = self.network(images)[0]
            return features
        # torch-fidelity's network takes bytes and resizes them itself, so that its layers are called here one by one.
        *layers, _ = self.network.children()
        resized = resized_like_pillow(images, size=self.network.INPUT_IMAGE_SIZE)
        pooled: Features = nn.Sequential(*layers, nn.Flatten())((resized - 128) / 128)
        return pooled

    def classify_features(self, features: Features) -> Logits:
        """Returns the logits of Inception's 1,008 classes, `[batch, 1008]`, without their bias."""
        logits: Logits = features @ self.network.fc.weight.T
        return logits


def _without_batch_norm(network: FeatureExtractorInceptionV3) -> FeatureExtractorInceptionV3:
    """Puts the constant scales and shifts of batch normalization into the convolutions before; equal up to rounding."""
    for block in network.eval().modules():
        if isinstance(block, BasicConv2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    return network
