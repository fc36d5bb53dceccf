"""What the players of IntroVAE and Soft-IntroVAE want: numbers by hand, gradients, invariances."""

import math

import pytest
import torch
from torch import Tensor

from lightning_gan.penalties.reconstruction import exponential_evidence, margin_shortfall, reconstruction_error


def full(value: float) -> Tensor:
    """Two samples with this mean."""
    return torch.tensor([value - 5, value + 5], requires_grad=True)


def shortfall(energies: Tensor, *, margin: float) -> Tensor:
    return margin_shortfall(energies, margin=margin, batch_mean=energies.detach().mean())


def test_the_encoders_divergences_cost_what_the_authors_pay() -> None:
    """KL 100 of real images, 150 of reconstructions, 90 of fakes; m 120, w_kl 1, w_neg 1/2: 100 + 30 / 4."""
    hinges = shortfall(full(150.0), margin=120.0) + shortfall(full(90.0), margin=120.0)
    assert (full(100.0).mean() + 0.5 / 2 * hinges).item() == 107.5


def test_the_hinge_is_of_the_batchs_mean_and_not_of_its_samples() -> None:
    """One sample is far beyond the margin, and counts all the same."""
    energies = torch.tensor([0.0, 20.0, 1.0], requires_grad=True)
    value = shortfall(energies, margin=10.0)
    value.backward()
    assert value.item() == 3.0
    assert torch.equal(energies.grad, torch.full((3,), -1 / 3))


@pytest.mark.parametrize("margin", [0.0, 6.999, 7.0])
def test_a_mean_at_or_beyond_the_margin_costs_nothing(margin: float) -> None:
    energies = torch.tensor([0.0, 14.0], requires_grad=True)
    value = shortfall(energies, margin=margin)
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(energies.grad, torch.zeros(2))


def test_the_shares_of_ranks_average_to_the_hinge_of_the_whole_batch() -> None:
    """One rank's own mean is beyond the margin, the mean of all is not; values and gradients."""
    energies = torch.tensor([1.0, 3.0, 10.0, 14.0], requires_grad=True)
    whole = shortfall(energies, margin=9.0)
    shares = [margin_shortfall(part, margin=9.0, batch_mean=energies.detach().mean()) for part in energies.chunk(2)]
    averaged = torch.stack(shares).mean()
    assert whole.item() == averaged.item() == 2.0
    (by_whole,) = torch.autograd.grad(whole, energies)
    (by_shares,) = torch.autograd.grad(averaged, energies)
    assert torch.equal(by_whole, by_shares)
    assert shares[1].item() < 0  # and its own hinge would be 0


def evidence(errors: Tensor, energies: Tensor, *, scale: float = 1 / 3072) -> Tensor:
    return exponential_evidence(errors, energies, scale=scale, error_weight=1.0, energy_weight=256.0)


def test_what_cannot_be_told_from_real_images_costs_the_encoder_a_half() -> None:
    nothing = torch.zeros(3)
    assert ((evidence(nothing, nothing) + evidence(nothing, nothing)) / 4).item() == 0.5


def test_the_exponential_is_the_authors() -> None:
    """Error 100, KL 10, beta_neg 256, 32x32x3: exp(-2 / 3072 * 2660)."""
    value = evidence(torch.tensor([100.0]), torch.tensor([10.0]))
    assert value.item() == pytest.approx(0.17697075, abs=1e-7)
    assert value.item() == pytest.approx(math.exp(-2 * 2660 / 3072), rel=1e-6)


def test_the_exponential_is_of_every_sample() -> None:
    """Its mean is not the exponential of the mean, and a sample's gradient fades with its own exponent."""
    energies = torch.tensor([0.0, 10.0], requires_grad=True)
    value = evidence(torch.zeros(2), energies, scale=1 / 512)
    value.backward()
    assert value.item() == pytest.approx((1 + math.exp(-10)) / 2, rel=1e-6)
    torch.testing.assert_close(energies.grad, torch.tensor([-0.5, -0.5 * math.exp(-10)]))


def test_the_error_is_of_images_in_0_to_1_and_summed_over_pixels() -> None:
    images, others = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    expected = torch.stack([((a - b) ** 2).sum() for a, b in zip(images, others, strict=True)])
    torch.testing.assert_close(reconstruction_error(2 * images - 1, 2 * others - 1), expected)
