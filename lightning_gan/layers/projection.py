"""Class embeddings, and the projection discriminator's last layer (Miyato and Koyama 2018, arXiv:1802.05637)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from lightning_gan.layers.batch_norm import rows_of
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Labels, Logits


class ClassEmbedding(nn.Embedding):
    """An embedding with one vector per class. The vectors of the classes of a multi-hot label are added."""

    def forward(self, labels: Labels) -> Tensor:
        """The vectors of labels, `batch embedding_dim`."""
        return rows_of(self.weight, labels)


class ProjectionHead(nn.Module):
    """Maps features to one logit, ``w' h + b + v_y' h``. h is the sum over positions of the rectified features.

    Args:
        channels: number of channels of the features, which are `batch channels height width`.
        number_of_classes: number of classes, and of vectors v_y. 0 omits the term with v_y.
        bias: True adds the bias b.
    """

    def __init__(self, channels: int, *, number_of_classes: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1, bias=bias)
        self.embedding = ClassEmbedding(number_of_classes, channels) if number_of_classes else None

    def forward(self, features: Tensor, labels: Labels | None) -> Logits:
        """Logits, `batch 1`. The labels are needed if there are classes."""
        pooled = full_precision(relu(features)).sum(dim=(2, 3))  # b c; fp32, because many numbers are added
        logits: Tensor = self.linear(pooled)
        if self.embedding is None:
            return logits
        assert labels is not None
        projected: Tensor = (self.embedding(labels) * pooled).sum(dim=1, keepdim=True)
        return logits + projected
