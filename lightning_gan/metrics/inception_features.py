"""Inception's 2,048 pooled features, from which published FID and KID are computed (Heusel et al. 2017,
arXiv:1706.08500).

The network is torch-fidelity's port of the original TensorFlow graph, including its resizing. (torchmetrics' FID has
the same weights, but by default it resizes with anti-aliasing, unlike the original, which changes the numbers.)
"""

from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import torch
from einops import repeat
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from lightning_gan.metrics.extractors import ClassifyingFeatures
from lightning_gan.tensors.shapes import Features, ImageBytes, Logits


class InceptionFeatures(ClassifyingFeatures):
    """Inception's 2,048 features per image, with weights from a file.

    Its 1,008 logits without their bias give the Inception Score, as in the code of its authors.

    Args:
        weights: path of the weights file; None is the file in torch's download folder, where torch-fidelity and
            torchmetrics also keep it.
        download: whether to download the weights (95 MB) to torch's download folder when they are missing there.

    Raises:
        ValueError: if the weights are missing, cannot be downloaded, or the file has other contents.
    """

    score_name: ClassVar[str] = "inception_score"

    def __init__(self, *, weights: str | None = None, download: bool = False) -> None:
        super().__init__()
        downloads = Path(torch.hub.get_dir()) / "checkpoints"
        path = Path(weights) if weights is not None else downloads / Path(URL_INCEPTION_V3).name
        if not path.is_file() and download and weights is None:
            _download(path)
        if not path.is_file():
            raise ValueError(
                f"InceptionFeatures: there are no weights at {path}. Download {URL_INCEPTION_V3} (95 MB) and set "
                "weights to the file's path, or set download: true (without weights)"
            )
        try:
            # torch-fidelity unpickles any object; this line first refuses files that contain anything but tensors.
            torch.load(path, weights_only=True, map_location="meta")
            self.network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
        except Exception as error:
            raise ValueError(f"InceptionFeatures: {path} does not hold the weights of {URL_INCEPTION_V3}") from error

    def forward(self, images: ImageBytes) -> Features:
        """Returns features, `[batch, 2048]`, of uint8 images with 1 or 3 channels and any size.

        Raises:
            ValueError: if the images have another number of channels.
        """
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"InceptionFeatures takes 1 or 3 channels, but images have {images.shape[1]}; give grey or RGB images"
            )
        if images.shape[1] == 1:
            images = repeat(images, "batch 1 height width -> batch 3 height width")
        features: Features = self.network(images)[0]
        return features

    def classify_features(self, features: Features) -> Logits:
        """Returns the logits of Inception's 1,008 classes, `[batch, 1008]`, without their bias."""
        logits: Logits = features @ self.network.fc.weight.T
        return logits


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix="6726825d")
    except (URLError, OSError, RuntimeError) as error:
        raise ValueError(
            f"InceptionFeatures: {URL_INCEPTION_V3} could not be downloaded ({error}); fetch it elsewhere and set "
            "weights to the file's path"
        ) from error
