"""LPIPS (Zhang et al. 2018, arXiv:1801.03924): the perceptual distance of the papers' perceptual path length.

It is the sum over five layers of VGG-16 of the weighted squared distance between features that are normalized over the
channels, averaged over the pixels (equation 1). StyleGAN's and StyleGAN2's path length is measured by it.
"""

from pathlib import Path

import torch
from torch import nn
from torch_fidelity import SampleSimilarityLPIPS
from torch_fidelity.sample_similarity_lpips import URL_VGG16_LPIPS

from lightning_gan.metrics.published_weights import PublishedWeights
from lightning_gan.tensors.shapes import Images, PerSample

ASKER = "LpipsDistance"

VGG = PublishedWeights(
    asker=ASKER,
    address="https://download.pytorch.org/models/vgg16-397923af.pth",
    file_name="vgg16-397923af.pth",
    sha256="397923af",
    size="528 MB",
    takes_path=False,
)
"""torchvision's VGG-16, whose features are compared."""

LINEAR = PublishedWeights(
    asker=ASKER,
    address=URL_VGG16_LPIPS,
    file_name=Path(URL_VGG16_LPIPS).name,
    sha256="",  # none is published
    size="7 kB",
    takes_path=False,
)
"""The authors' weights of the five layers."""


class LpipsDistance(nn.Module):
    """LPIPS of pairs of images with VGG-16, through torch-fidelity, for `PerceptualPathLength`.

    Unlike torchmetrics' LPIPS it takes images that lie slightly outside of [-1, 1], as generators make them. Images are
    neither rounded nor resized. We had no published weights of VGG-16 to try it with; with random ones it equals
    torchmetrics' LPIPS.

    Args:
        download: whether to download both files of weights (528 MB) to torch's download folder when they are missing
            there.

    Raises:
        ValueError: if the weights are missing, cannot be downloaded, or have other contents.
    """

    def __init__(self, *, download: bool = False) -> None:
        super().__init__()
        for published in (VGG, LINEAR):
            file = published.find(None, download=download)
            try:
                # torch-fidelity unpickles any object; this line first refuses files that contain anything but tensors.
                torch.load(file.path, weights_only=True, map_location="meta")
            except Exception as error:
                raise published.refusal(file.path) from error
        self.network = SampleSimilarityLPIPS("lpips-vgg16")

    def forward(self, first: Images, second: Images) -> PerSample:
        """Returns one distance per pair of images in about [-1, 1] with 1 or 3 channels.

        Raises:
            ValueError: if the images have another number of channels.
        """
        if first.shape[1] not in (1, 3):
            raise ValueError(
                f"{ASKER} takes 1 or 3 channels, but images have {first.shape[1]}; give grey or RGB images"
            )
        # The network takes values from 0 to 255, and scales them as the authors scale values in [-1, 1].
        levels = (127.5 * (images.expand(-1, 3, -1, -1) + 1) for images in (first, second))
        apart: PerSample = self.network(*levels).flatten()
        return apart
