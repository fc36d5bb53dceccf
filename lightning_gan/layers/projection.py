"""Class embeddings, and the projection discriminator's last layer (Miyato and Koyama 2018, arXiv:1802.05637)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.batch_norm import rows_of
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Labels, Logits


class ClassEmbedding(nn.Embedding):
    """A vector per class; those of a multi-hot row add up."""

    def forward(self, labels: Labels) -> Tensor:
        return rows_of(self.weight, labels)


class ProjectionHead(nn.Module):
    """Features to one logit: ``w' h + b + v_y' h``, where h is the sum over positions of the rectified features.

    Args:
        channels: of the features, `batch channels height width`.
        number_of_classes: 0 for no classes, and no projection.
        bias: whether there is a b.
    """

    def __init__(self, channels: int, *, number_of_classes: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1, bias=bias)
        self.embedding = ClassEmbedding(number_of_classes, channels) if number_of_classes else None

    def forward(self, features: Tensor, labels: Labels | None) -> Logits:
        """Logits, `batch 1`."""
        pooled = full_precision(relu(features)).sum(dim=(2, 3))  # fp32: a sum of many; b c
        logits: Tensor = self.linear(pooled)
        if self.embedding is None:
            return logits
        assert labels is not None
        projected: Tensor = (self.embedding(labels) * pooled).sum(dim=1, keepdim=True)
        return logits + projected
