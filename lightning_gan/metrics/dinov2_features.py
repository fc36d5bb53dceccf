"""Features of DINOv2 (Oquab et al. 2023, arXiv:2304.07193), with which the Fréchet distance is FD-DINOv2.

Stein et al. 2023 (arXiv:2306.04675) find that it follows the judgement of people better than FID; they and EDM2 (Karras
et al. 2024, arXiv:2312.02696) compare by the class token of ViT-L/14. Images are resized to 224 pixels by an
anti-aliased bicubic filter and normalized as ImageNet.

The network is built by the authors' own code, of which the user gives a folder: torch-fidelity fetches this code from
the internet each time.
"""

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_gan.metrics.clean_resizing import resized_like_pillow
from lightning_gan.metrics.extractors import FeatureExtractor, three_channels
from lightning_gan.metrics.published_weights import PublishedWeights
from lightning_gan.tensors.shapes import Features, ImageBytes

CODE = "https://github.com/facebookresearch/dinov2"
SIZE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, for values in [0, 1]."""


class DinoV2Features(FeatureExtractor):
    """DINOv2's class token of an image: 384 features with ViT-S/14, 768 with B, 1,024 with L, 1,536 with g.

    We had no published weights to try it with: we tried the authors' code with random weights.

    Args:
        code: path of a clone of github.com/facebookresearch/dinov2, whose code is run.
        network: the network; FD-DINOv2 in papers is that of dinov2_vitl14.
        weights: path of the weights file, as the authors publish it; None is the file in torch's download folder.
        download: whether to download the weights (0.1 to 4.5 GB) to torch's download folder when they are missing
            there.

    Raises:
        ValueError: if the folder does not hold the code, or the weights are missing, cannot be downloaded, or are of
            another network.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        code: str,
        network: Literal["dinov2_vits14", "dinov2_vitb14", "dinov2_vitl14", "dinov2_vitg14"] = "dinov2_vitl14",
        weights: str | None = None,
        download: bool = False,
    ) -> None:
        super().__init__()
        folder = Path(code).expanduser()
        if not (folder / "hubconf.py").is_file():
            raise ValueError(
                f"DinoV2Features: code={code} does not hold the authors' code, whose file is hubconf.py; get it with: "
                f"git clone {CODE}"
            )
        published = PublishedWeights(
            asker="DinoV2Features",
            address=f"https://dl.fbaipublicfiles.com/dinov2/{network}/{network}_pretrain.pth",
            file_name=f"{network}_pretrain.pth",
            sha256="",  # none is published
            size="0.1 to 4.5 GB",
        )
        self.name = network
        self.file = published.find(weights, download=download)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "xFormers is not available")  # the code does without it
            self.network: nn.Module = torch.hub.load(  # type: ignore[no-untyped-call]
                str(folder), network, source="local", pretrained=False
            )
        try:
            self.network.load_state_dict(torch.load(self.file.path, weights_only=True, map_location="cpu"))
        except Exception as error:
            raise published.refusal(self.file.path) from error
        self.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    @property
    def facts(self) -> dict[str, str]:
        """The name of the network, the resizing, and the first digits of the SHA-256 of the weights."""
        return {**super().facts, "network": self.name, "resize": "clean", **self.file.facts}

    def forward(self, images: ImageBytes) -> Features:
        """Returns features, `[batch, features]`, of uint8 images with 1 or 3 channels and any size.

        Raises:
            ValueError: if the images have another number of channels.
        """
        resized = resized_like_pillow(three_channels(images, asker="DinoV2Features"), size=SIZE) / 255
        features: Features = self.network((resized - self.mean) / self.deviation)
        return features
