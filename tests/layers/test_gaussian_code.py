"""A Gaussian code has the mean and the variance it says, gives gradients to both, and goes in front of any layer."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.gaussian_code import Bottlenecked, GaussianCode, reparametrized
from lightning_gan.layers.projection import ProjectionHead
from lightning_gan.layers.spectral_normalization import spectrally_normalized


def test_samples_have_the_mean_and_the_variance_they_are_made_for() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.full((50_000, 1), 2.0), torch.full((50_000, 1), -1.0)
    samples = reparametrized(mean, log_variance)
    torch.testing.assert_close(samples.mean(), torch.tensor(2.0), rtol=0, atol=0.01)
    torch.testing.assert_close(samples.var().log(), torch.tensor(-1.0), rtol=0, atol=0.03)


def test_gradients_reach_the_mean_as_they_are_and_the_variance_through_the_noise() -> None:
    mean, log_variance = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    samples = reparametrized(mean, log_variance)
    by_mean, by_variance = torch.autograd.grad(samples.sum(), [mean, log_variance])
    assert torch.equal(by_mean, torch.ones(3, 2))
    torch.testing.assert_close(by_variance, samples.detach() / 2)  # at deviation 1 the sample is the noise


def test_a_code_is_a_mean_and_a_log_variance_of_its_size() -> None:
    mean, log_variance = GaussianCode(5, 3)(torch.zeros(2, 5))
    assert mean.shape == log_variance.shape == (2, 3)


def test_a_map_has_at_every_position_the_code_of_its_features() -> None:
    code, features = GaussianCode(5, 3), torch.randn(2, 5, 4, 6)
    mean, log_variance = code(features)
    assert mean.shape == log_variance.shape == (2, 3, 4, 6)
    at_one, variance_at_one = code(features[:, :, 1, 2])
    torch.testing.assert_close(mean[:, :, 1, 2], at_one)
    torch.testing.assert_close(log_variance[:, :, 1, 2], variance_at_one)


def test_noise_that_is_given_is_what_the_sample_is_made_of() -> None:
    mean, log_variance, noise = torch.randn(3, 2, 4)
    torch.testing.assert_close(reparametrized(mean, log_variance, noise), mean + (log_variance / 2).exp() * noise)


# Each test makes its layer anew: a spectrally normalized one changes in training mode.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(6, 2), (3, 6)),
    "EqualizedLinear": (lambda: EqualizedLinear(6, 2), (3, 6)),
    "Linear on a sequence": (lambda: nn.Linear(6, 2), (3, 5, 6)),
    "Conv1d": (lambda: nn.Conv1d(6, 2, 3), (3, 6, 5)),
    "Conv2d": (lambda: nn.Conv2d(6, 2, 4), (3, 6, 4, 4)),
    "Conv3d": (lambda: nn.Conv3d(6, 2, 2), (3, 6, 3, 4, 5)),
    "grouped Conv1d": (lambda: nn.Conv1d(6, 2, 3, groups=2), (3, 6, 5)),
    "EqualizedConv2d": (lambda: EqualizedConv2d(6, 2, kernel_size=3), (3, 6, 4, 4)),
    "Sequential": (lambda: nn.Sequential(nn.LeakyReLU(), nn.Linear(6, 4), nn.Linear(4, 2)), (3, 6)),
    "ParametrizedLinear": (lambda: spectrally_normalized(nn.Linear(6, 2))[0], (3, 6)),
}


@pytest.mark.parametrize(("layer_of", "shape"), LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("code_features", [None, 2])
@torch.no_grad()
def test_a_layer_gets_samples_around_the_mean_that_it_gets_in_evaluation(
    layer_of: Callable[[], nn.Module], shape: tuple[int, ...], code_features: int | None
) -> None:
    torch.manual_seed(0)
    layer = layer_of()
    head, features = Bottlenecked(layer, code_features=code_features), torch.randn(shape)
    mean, log_variance = head.code(features.movedim(head.axis, 1))
    assert torch.equal(log_variance, torch.zeros_like(mean))  # it begins with a variance of 1
    assert mean.shape[1] == (code_features or 6)
    expected = layer.eval()(head.expand(mean.movedim(1, -1)).movedim(-1, head.axis))
    torch.testing.assert_close(head.eval()(features), expected)
    head.train()
    assert not torch.equal(head(features), head(features))
    # Without variance a sample is the mean.
    half = mean.shape[1]
    head.code.parameters_of_code.bias[half:] = -100
    layer.eval()
    # A spectral norm was estimated anew in training mode.
    expected = layer(head.expand(mean.movedim(1, -1)).movedim(-1, head.axis))
    torch.testing.assert_close(head(features), expected)


def test_labels_pass_by_the_code() -> None:
    head = Bottlenecked(ProjectionHead(6, number_of_classes=3))
    features, labels = torch.randn(1, 6, 4, 4).expand(2, -1, -1, -1), torch.tensor([0, 1])
    logits: Tensor = head.eval()(features, labels)
    assert logits.shape == (2, 1)
    assert logits[0] != logits[1]


def test_gradients_reach_the_code_the_layer_and_the_features() -> None:
    head, features = Bottlenecked(nn.Linear(6, 1), code_features=2), torch.randn(3, 6, requires_grad=True)
    head(features).sum().backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in head.parameters())


def test_a_layer_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="goes in front of a linear layer or a convolution, and ReLU has none"):
        Bottlenecked(nn.ReLU())


@pytest.mark.parametrize(("layer_of", "shape"), LAYERS.values(), ids=LAYERS)
@torch.no_grad()
def test_a_code_that_is_its_features_changes_no_layer(
    layer_of: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    layer = layer_of().eval()
    head, features = Bottlenecked(layer).eval(), torch.randn(shape)
    head.code.parameters_of_code.weight[:6] = torch.eye(6)
    head.code.parameters_of_code.bias[:6] = 0
    torch.testing.assert_close(head(features), layer(features))


def test_inputs_that_are_not_the_layers_features_are_refused_in_words() -> None:
    message = (
        r"^Bottlenecked: layer=Sequential gets an input of shape \(2, 3, 4, 4\), but its first linear layer or "
        r"convolution takes 48 features in dimension 1; put the bottleneck in front of that layer itself$"
    )
    with pytest.raises(ValueError, match=message):
        Bottlenecked(nn.Sequential(nn.Flatten(), nn.Linear(48, 1)))(torch.randn(2, 3, 4, 4))
    with pytest.raises(ValueError, match="takes 4 features in dimension -1"):
        Bottlenecked(nn.Linear(4, 1))(torch.randn(2, 4, 5))
