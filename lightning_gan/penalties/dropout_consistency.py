"""The consistency term of CT-GAN (Wei et al. 2018, arXiv:1803.01541) for one image with two dropout masks."""

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
    """Returns ``max(0, d(D(x'), D(x'')) + w d(D_(x'), D_(x'')) - M')`` of every sample, with squared distances d.

    D_ is the output of the second-to-last layer; its squared differences are averaged over features, as in the authors'
    code. As in the paper, M' is subtracted before the multiplication by lambda_2. The authors' code subtracts it after,
    but all of its scripts have M' = 0.

    Args:
        first: logits of the images with one dropout mask, D(x').
        second: logits of the same images with another mask, D(x'').
        first_features: output of the second-to-last layer with the first mask, D_(x'); None leaves this term out.
        second_features: output of the second-to-last layer with the second mask, D_(x''); None like `first_features`.
        feature_weight: weight w of the features' distance, 0.1 in the paper.
        margin: margin M'; the cost of smaller distances is 0.
    """
    distance = _mean_squared_difference(first, second)
    if first_features is not None:
        assert second_features is not None
        distance = distance + feature_weight * _mean_squared_difference(first_features, second_features)
    return relu(distance - margin)


def _mean_squared_difference(first: Tensor, second: Tensor) -> PerSample:
    squares = (full_precision(first) - full_precision(second)).square()
    return reduce(squares, "batch ... -> batch", "mean")
