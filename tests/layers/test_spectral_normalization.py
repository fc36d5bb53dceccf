"""Spectral normalization against singular values, closed forms and PyTorch's own."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.utils.prune
from torch import Tensor, nn

from lightning_gan.layers.equalized import EqualizedConv2d, EqualizedLinear
from lightning_gan.layers.spectral_normalization import (
    SpectralNormalization,
    parametrizations_of,
    spectrally_normalized,
)


def norm_of(weight: Tensor) -> float:
    """The largest singular value of the matrix `output channels x rest`."""
    return torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2).item()


def converged(layer: nn.Module, *, uses: int = 200) -> nn.Module:
    assert isinstance(layer.weight, Tensor)
    for _ in range(uses):
        _ = layer.weight
    return layer.eval()


def test_the_estimate_of_a_diagonal_matrix_follows_the_closed_form() -> None:
    """diag(3, 1) from v = (1, 1) / sqrt(2): after n iterations sqrt((3^4n + 1) / (3^(4n - 2) + 1))."""
    weight = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    normalization = SpectralNormalization(weight)
    normalization.right.fill_(0.5**0.5)
    sigmas = [normalization.sigma(weight).item() for _ in range(4)]
    assert sigmas == pytest.approx([((3 ** (4 * n) + 1) / (3 ** (4 * n - 2) + 1)) ** 0.5 for n in range(1, 5)])
    assert sigmas == pytest.approx([2.86356421, 2.99817296, 2.99997742, 2.99999972], abs=1e-8)


def test_it_equals_pytorchs_own_with_the_same_vectors() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)
    theirs.load_state_dict(ours.state_dict())
    spectrally_normalized(ours)
    nn.utils.parametrizations.spectral_norm(theirs)
    (own,) = parametrizations_of(ours)
    other = theirs.parametrizations["weight"][0]  # type: ignore[index]
    own.left.copy_(other._u)  # type: ignore[arg-type]
    own.right.copy_(other._v)  # type: ignore[arg-type]
    for _ in range(3):
        assert torch.equal(ours.weight, theirs.weight)


EVERY_LAYER: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(7, 4),
    "Conv1d": lambda: nn.Conv1d(2, 3, 3),
    "Conv2d": lambda: nn.Conv2d(2, 3, 3),
    "Embedding": lambda: nn.Embedding(6, 4),
    "EqualizedLinear": lambda: EqualizedLinear(7, 4, gain=3.0, learning_rate_multiplier=0.01),
    "EqualizedConv2d": lambda: EqualizedConv2d(2, 3, kernel_size=3),
}


@pytest.mark.parametrize("layer_of", EVERY_LAYER.values(), ids=EVERY_LAYER)
def test_every_layer_is_used_with_norm_one(layer_of: Callable[[], nn.Module]) -> None:
    """Equalized layers too, which multiply their weight by a constant when it is used."""
    layer = layer_of()
    (normalized,) = spectrally_normalized(layer)
    weight = converged(normalized).weight
    assert isinstance(weight, Tensor)
    scale = layer.weight_scale if isinstance(layer, EqualizedLinear | EqualizedConv2d) else 1.0
    assert norm_of(weight) * scale == pytest.approx(1.0, rel=1e-4)


def test_a_transposed_convolution_has_its_output_channels_in_the_second_dimension() -> None:
    layer = nn.ConvTranspose2d(2, 3, 4)
    spectrally_normalized(layer)
    assert norm_of(converged(layer).weight.transpose(0, 1)) == pytest.approx(1.0, rel=1e-4)


def test_the_norm_is_the_papers_matrix_norm_and_not_that_of_the_convolution() -> None:
    """A 3x3 kernel of ones: 3 as a matrix, but 9 as a circular convolution, whose norms are the kernel's Fourier
    coefficients."""
    kernel = torch.ones(1, 1, 3, 3)
    assert SpectralNormalization(kernel).sigma(kernel).item() == pytest.approx(3.0)
    assert torch.fft.fft2(kernel, s=(8, 8)).abs().max().item() == pytest.approx(9.0)


def test_the_norms_gradient_is_the_outer_product_of_the_singular_vectors() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    normalization = SpectralNormalization(weight)
    for _ in range(300):
        normalization.sigma(weight)
    (gradient,) = torch.autograd.grad(normalization.sigma(weight), weight)
    left, _, right = torch.linalg.svd(weight.detach())
    torch.testing.assert_close(gradient, torch.outer(left[:, 0], right[0]))


def test_a_linear_network_has_a_slope_of_at_most_one() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 1))
    spectrally_normalized(network)
    for _ in range(100):
        network(torch.zeros(1, 6))
    images = torch.randn(3, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    assert gradient.norm(dim=1).max() <= 1 + 1e-4


def test_every_use_in_training_iterates_and_none_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(20, 20)
    (own,) = parametrizations_of(*spectrally_normalized(layer))
    before = own.right.clone()
    layer.eval()
    layer(torch.zeros(1, 20))
    assert torch.equal(own.right, before)
    layer.train()
    layer(torch.zeros(1, 20))
    assert not torch.equal(own.right, before)


def test_two_looks_and_a_gradient_penalty_share_one_backward() -> None:
    """The singular vectors move in place between the looks."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    spectrally_normalized(network)
    images = torch.randn(3, 4, requires_grad=True)
    logits = network(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    (gradient.square().sum() + network(images).sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters() if p.dim() > 1)


def test_autocast_leaves_the_iteration_in_full_precision() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 32)
    twin = deepcopy(layer)
    for network in (layer, twin):
        torch.manual_seed(1)
        spectrally_normalized(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer.weight
    assert torch.equal(inside, twin.weight)


def test_a_copy_shares_nothing_and_a_second_call_changes_nothing() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
    parameters = list(network.parameters())
    spectrally_normalized(network)
    names = list(network.state_dict())
    spectrally_normalized(network)
    assert list(network.state_dict()) == names
    assert {id(p) for p in network.parameters()} == {id(p) for p in parameters}
    copy = deepcopy(network)
    network(torch.zeros(1, 20))
    mine, others = network.state_dict(), copy.state_dict()
    assert not torch.equal(mine["0.parametrizations.weight.0.right"], others["0.parametrizations.weight.0.right"])
    assert all(mine[name].data_ptr() != others[name].data_ptr() for name in mine)


def hooked_weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer)


NORMALIZED_BY_PYTORCH: dict[str, tuple[Callable[[Any], nn.Module], str, Callable[[Any], Any]]] = {
    "weight_norm hook": (hooked_weight_norm, r"torch\.nn\.utils\.weight_norm", nn.utils.remove_weight_norm),
    "spectral_norm hook": (nn.utils.spectral_norm, r"torch\.nn\.utils\.spectral_norm", nn.utils.remove_spectral_norm),
    "weight_norm": (
        nn.utils.parametrizations.weight_norm,
        r"torch\.nn\.utils\.parametrizations\.weight_norm",
        lambda layer: nn.utils.parametrize.remove_parametrizations(layer, "weight"),
    ),
    "spectral_norm": (
        nn.utils.parametrizations.spectral_norm,
        r"torch\.nn\.utils\.parametrizations\.spectral_norm",
        lambda layer: nn.utils.parametrize.remove_parametrizations(layer, "weight"),
    ),
}


@pytest.mark.parametrize(("normalize", "name", "remove"), NORMALIZED_BY_PYTORCH.values(), ids=NORMALIZED_BY_PYTORCH)
def test_layers_with_another_normalization_are_refused_and_both_remedies_work(
    normalize: Callable[[Any], nn.Module], name: str, remove: Callable[[Any], Any]
) -> None:
    network = nn.ModuleDict({"first": nn.Conv1d(2, 3, 3), "second": nn.Conv1d(3, 1, 3)})
    normalize(network["second"])
    message = rf"^spectral normalization: layer='second' of ModuleDict has {name} already; remove it with .*\)$"
    with pytest.raises(ValueError, match=message):
        spectrally_normalized(network)
    assert not parametrizations_of(network["first"])  # nothing was changed
    assert spectrally_normalized(network, excluded=("second",)) == [network["first"]]
    remove(network["second"])
    assert spectrally_normalized(network) == [network["first"], network["second"]]
    assert norm_of(converged(network["second"]).weight) == pytest.approx(1.0, rel=1e-4)  # type: ignore[arg-type]


def test_weights_of_other_hooks_and_weights_without_a_shape_are_refused() -> None:
    pruned = nn.Sequential(nn.utils.prune.random_unstructured(nn.Linear(4, 2), "weight", amount=0.5))
    with pytest.raises(ValueError, match="layer='0' of Sequential has no parameter 'weight', because a hook"):
        spectrally_normalized(pruned)
    with pytest.raises(ValueError, match="layer='0' of Sequential has a weight without a shape; use a layer"):
        spectrally_normalized(nn.Sequential(nn.LazyConv2d(3, 3)))


def test_other_parametrizations_are_normalized_with_the_weight() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    layer = nn.Linear(3, 3)
    nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())
    spectrally_normalized(layer)
    assert norm_of(converged(layer).weight) == pytest.approx(1.0, rel=1e-4)


CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "Conv1d": (lambda: nn.Conv1d(4, 6, 5), 0),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2)), 0),
    "Conv3d": (lambda: nn.Conv3d(4, 6, 3), 0),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 5), 1),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, (3, 2)), 1),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(4, 6, 3), 1),
    "grouped": (lambda: nn.Conv1d(4, 6, 5, groups=2), 0),
    "Linear": (lambda: nn.Linear(4, 6), 0),
    "Embedding": (lambda: nn.Embedding(7, 6), 0),
}


@pytest.mark.parametrize(("layer_of", "output_axis"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_the_norm_in_every_dimension_is_the_exact_largest_singular_value(
    layer_of: Callable[[], nn.Module], output_axis: int
) -> None:
    torch.manual_seed(0)
    layer = layer_of()
    assert isinstance(layer.weight, Tensor)
    weight = layer.weight.detach().clone()
    rows = weight.movedim(output_axis, 0)
    exact = torch.linalg.svdvals(rows.reshape(len(rows), -1))[0]
    spectrally_normalized(layer)
    torch.testing.assert_close(converged(layer, uses=400).weight, weight / exact, rtol=1e-4, atol=1e-6)


def test_excluded_layers_stay_and_unknown_ones_are_refused() -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 1))
    assert spectrally_normalized(network, excluded=("0",)) == [network[1]]
    assert not parametrizations_of(network[0][0])  # type: ignore[index]
    with pytest.raises(ValueError, match=r"excluded='2' is no .* layer of Sequential; its layers are 0\.0, 0\.1, 1"):
        spectrally_normalized(network, excluded=("2",))
    with pytest.raises(ValueError, match="ReLU has no linear, convolution or embedding layer"):
        spectrally_normalized(nn.ReLU())
