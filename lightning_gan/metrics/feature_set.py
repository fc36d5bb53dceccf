"""Features of one set of images, gathered over ranks in a fixed order, for several metrics of one set of features."""

from typing import TypeAlias

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

RealFeatures: TypeAlias = Float[Tensor, "reals features"]
"""One feature vector per real image."""

FakeFeatures: TypeAlias = Float[Tensor, "fakes features"]
"""One feature vector per generated image; there may be more or fewer of them than reals."""

Rows: TypeAlias = Num[Tensor, "_ _"]
"""One row of numbers per image, `images numbers`: features, or bytes such as its pixels."""


class FeatureSet(Metric):
    """All features of a set of images, in the order of the images' positions in the set.

    Because features are sorted by position, the result does not depend on the number of ranks, even for metrics that
    depend on the order (random subsets, random halves). Samples with negative positions are left out: they are padding
    samples, which give all ranks the same number of samples.

    Example:
        >>> features = FeatureSet()
        >>> features.update(torch.tensor([[3.0], [1.0]]), positions=torch.tensor([1, 0]))
        >>> features.update(torch.tensor([[7.0]]), positions=torch.tensor([-1]))
        >>> features.compute()
        tensor([[1.],
                [3.]])
    """

    full_state_update = False
    features: list[Tensor]
    positions: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("features", default=[], dist_reduce_fx="cat")
        self.add_state("positions", default=[], dist_reduce_fx="cat")

    def update(self, features: Rows, positions: Int64[Tensor, " batch"]) -> None:
        """Adds the features of a batch.

        Args:
            features: one row for each image; bytes stay bytes, and everything else becomes float32.
            positions: int64 position of each image in the whole set; negative for padding samples.
        """
        self.features.append(features if features.dtype == torch.uint8 else features.float())
        self.positions.append(positions.to(features.device))

    def compute(self) -> Rows:
        """Returns the features of all ranks, sorted by position."""
        features, positions = dim_zero_cat(self.features), dim_zero_cat(self.positions)
        order = torch.argsort(positions)
        return features[order[positions[order] >= 0]]
