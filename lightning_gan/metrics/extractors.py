"""Base classes of feature extractors: what their numbers may be used for, and whether they classify."""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import UInt8
from torch import Tensor, nn

from lightning_gan.tensors.shapes import Features, ImageBytes, Logits


def three_channels(images: ImageBytes, *, asker: str) -> UInt8[Tensor, "batch 3 height width"]:
    """Returns colour images as they are, and grey images with three equal channels.

    Args:
        images: uint8 images, `batch channels height width`.
        asker: name of the class that takes the images, for the error message.

    Raises:
        ValueError: if the images have neither 1 nor 3 channels.
    """
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"{asker} takes 1 or 3 channels, but images have {images.shape[1]}; give grey or RGB images, or compare "
            "runs by RandomFeatures, which takes any number"
        )
    return images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1).contiguous()


class FeatureExtractor(nn.Module):
    """Base class of networks that return features `[batch, features]` of uint8 images.

    `Evaluation` takes any other network, too, of which it then knows nothing.
    """

    remark: ClassVar[str] = ""
    """What numbers from these features are good for, which is written and printed beside them; empty for nothing."""

    @property
    def facts(self) -> dict[str, str]:
        """What a record states of the extractor beside the name of its class, such as its weights and its resizing."""
        return {"remark": self.remark} if self.remark else {}


class ClassifyingFeatures(FeatureExtractor, ABC):
    """Base class of feature extractors whose features tell the class of an image, as for the Inception Score."""

    score_name: ClassVar[str]
    """Name under which `inception_score` of its logits is logged: only Inception's may be called Inception Score."""

    @abstractmethod
    def classify_features(self, features: Features) -> Logits:
        """Returns the logits of the classes, `[batch, classes]`, from features that `forward` returned."""
