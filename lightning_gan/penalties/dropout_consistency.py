"""The consistency term of CT-GAN (Wei et al. 2018, arXiv:1803.01541): one image under two dropout masks."""

from einops import reduce
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu

from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Logits, PerSample


def consistency(
    first: Logits,
    second: Logits,
    first_features: Float[Tensor, "batch ..."] | None,
    second_features: Float[Tensor, "batch ..."] | None,
    *,
    feature_weight: float,
    margin: float,
) -> PerSample:
    """``max(0, d(D(x'), D(x'')) + w d(D_(x'), D_(x'')) - M')`` of every sample, with squared distances d.

    D_ is the second-to-last layer; its squared differences are averaged over features, as in the authors' code. The
    paper subtracts M' before multiplying by lambda_2, which we follow, the code after; all of its scripts have M' = 0.

    Args:
        first: scores of the images under one mask, x'.
        second: scores of the same images under another, x''.
        first_features: the second-to-last layer under the first mask; None leaves it out.
        second_features: likewise under the second.
        feature_weight: w, 0.1 in the paper.
        margin: M', what costs nothing.
    """
    distance = _mean_squared_difference(first, second)
    if first_features is not None:
        assert second_features is not None
        distance = distance + feature_weight * _mean_squared_difference(first_features, second_features)
    return relu(distance - margin)


def _mean_squared_difference(first: Tensor, second: Tensor) -> PerSample:
    squares = (full_precision(first) - full_precision(second)).square()
    return reduce(squares, "batch ... -> batch", "mean")
