"""Features of CLIP's image encoder (Radford et al. 2021, arXiv:2103.00020), for distances that see other things than
Inception: Kynkäänniemi et al. 2023 (arXiv:2203.06026) show that FID rewards the classes of ImageNet.

The network, its resizing and its normalization are torch-fidelity's, so that distances are those of its command line
with `--feature-extractor clip-vit-b-32`. The CLIP-FID of clean-fid resizes in another way.
"""

import warnings

from torch_fidelity import FeatureExtractorCLIP
from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS

from lightning_gan.metrics.extractors import FeatureExtractor, three_channels
from lightning_gan.metrics.published_weights import PublishedWeights
from lightning_gan.tensors.shapes import Features, ImageBytes


class ClipFeatures(FeatureExtractor):
    """CLIP's embedding of an image: 512 features with ViT-B, 768 with ViT-L.

    We had no published weights to try it with: the tests make files of random weights in their format.

    Args:
        network: torch-fidelity's name of the network: clip-vit-b-32, clip-vit-b-16, clip-vit-l-14,
            clip-vit-l-14-336px, clip-rn50, clip-rn101, clip-rn50x4, clip-rn50x16 or clip-rn50x64.
        weights: path of the weights file, as OpenAI publishes it; None is the file in torch's download folder, under
            the name that torch-fidelity gives it.
        download: whether to download the weights (0.2 to 1.3 GB) to torch's download folder when they are missing
            there.

    Raises:
        ValueError: if there is no such network, the weights are missing, cannot be downloaded, or the file has other
            contents.
    """

    def __init__(self, *, network: str = "clip-vit-b-32", weights: str | None = None, download: bool = False) -> None:
        super().__init__()
        if network not in MODEL_METADATA:
            raise ValueError(f"ClipFeatures: network={network!r} is none of {', '.join(MODEL_METADATA)}")
        digest = MODEL_METADATA[network]["hash"]
        published = PublishedWeights(
            asker="ClipFeatures",
            address=MODEL_URLS[network],
            file_name=f"{network}-{digest}.pt",
            sha256=digest,
            size="0.2 to 1.3 GB",
        )
        self.name = network
        self.file = published.find(weights, download=download)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the files are of TorchScript, which torch deprecates
                self.network = FeatureExtractorCLIP(network, ["clip"], str(self.file.path))
        except Exception as error:
            raise published.refusal(self.file.path) from error

    @property
    def facts(self) -> dict[str, str]:
        """The name of the network, the resizing, and the first digits of the SHA-256 of the weights."""
        return {**super().facts, "network": self.name, "resize": "tensorflow", **self.file.facts}

    def forward(self, images: ImageBytes) -> Features:
        """Returns features, `[batch, features]`, of uint8 images with 1 or 3 channels and any size.

        Raises:
            ValueError: if the images have another number of channels.
        """
        features: Features = self.network(three_channels(images, asker="ClipFeatures"))[0]
        return features
