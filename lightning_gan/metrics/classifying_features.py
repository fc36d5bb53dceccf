"""Feature extractors whose features tell the class of an image, so that the Inception Score follows from them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from lightning_gan.tensors.shapes import Features, Logits


class ClassifyingFeatures(nn.Module, ABC):
    """Base class of feature extractors that also classify."""

    score_name: ClassVar[str]
    """Name under which `inception_score` of its logits is logged: only Inception's may be called Inception Score."""

    @abstractmethod
    def classify_features(self, features: Features) -> Logits:
        """Returns the logits of the classes, `[batch, classes]`, from features that `forward` returned."""
