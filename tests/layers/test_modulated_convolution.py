"""Modulated convolutions: the paper's weight of every sample, unit variance, noise, and what styles cannot change."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from lightning_gan.layers.modulated_convolution import ModulatedConv2d, ToImage, demodulation


def layer(*, upsamples: bool = False, gain: float = 1.0, clamp: float | None = None) -> ModulatedConv2d:
    torch.manual_seed(0)
    size = (12, 10) if upsamples else (6, 5)
    made = ModulatedConv2d(4, 7, style_dim=3, size=size, upsamples=upsamples, gain=gain, clamp=clamp)
    for parameter in (made.bias, made.noise_strength):
        nn.init.normal_(parameter)
    return made.double()


def inputs() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return (torch.randn(*shape, dtype=torch.float64, generator=draw) for shape in ((5, 4, 6, 5), (5, 3)))  # type: ignore[return-value]


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_scaled_activations_equal_a_weight_for_every_sample(gain: float) -> None:
    """Value, and gradients by features, style and weight: eq. 1 and 3, then noise, bias and sqrt(2) leaky ReLU."""
    made = layer(gain=gain)
    features, style = (one.requires_grad_() for one in inputs())
    scales = made.affine(style)
    weight = made.weight[None] * scales[:, None, :, None, None]
    weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    by_weight = torch.cat([conv2d(f[None], w, padding=1) for f, w in zip(features, weight, strict=True)])
    by_weight = by_weight + made.noise * made.noise_strength + made.bias[:, None, None]
    by_weight = leaky_relu(by_weight, 0.2) * 2**0.5 * gain
    ours = made(features, style, made.noise)
    torch.testing.assert_close(ours, by_weight, rtol=1e-12, atol=1e-12)
    towards = torch.randn_like(ours)
    leaves = [features, style, *made.parameters()]
    for one, two in zip(
        torch.autograd.grad((ours * towards).sum(), leaves),
        torch.autograd.grad((by_weight * towards).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("upsamples", [False, True])
def test_the_strength_of_a_style_or_of_a_weight_changes_nothing(upsamples: bool) -> None:
    """Demodulation divides it out: only the direction of the scales counts."""
    made = layer(upsamples=upsamples)
    features, style = inputs()
    before = made(features, style, made.noise)
    assert before.shape == (5, 7, 12, 10) if upsamples else (5, 7, 6, 5)
    with torch.no_grad():
        made.weight.mul_(30.0)
        made.affine.weight.mul_(7.0)
        assert made.affine.bias is not None
        made.affine.bias.mul_(7.0)
    torch.testing.assert_close(made(features, style, made.noise), before, rtol=1e-6, atol=1e-6)


def test_outputs_have_unit_variance_for_inputs_of_unit_variance() -> None:
    torch.manual_seed(0)
    made = ModulatedConv2d(64, 64, style_dim=3, size=(32, 32))
    outputs = made(torch.randn(8, 64, 32, 32), torch.randn(8, 3), torch.zeros(1, 1, 1, 1))
    # sqrt(2) leaky ReLU of a standard normal number has the mean square 1 + 0.2^2.
    assert outputs[:, :, 1:-1, 1:-1].square().mean().item() == pytest.approx(1.04, rel=0.05)


def test_demodulation_by_hand() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 1.0]]).view(2, 2, 1, 1)
    factors = demodulation(weight, torch.tensor([[1.0, 1.0], [2.0, 0.5]]), eps=0.0)
    torch.testing.assert_close(factors, torch.tensor([[0.2, 1.0], [1 / 40**0.5, 2.0]]))


def test_scales_begin_at_one_in_the_mean_and_noise_at_zero() -> None:
    made = ModulatedConv2d(4, 7, style_dim=3, size=(6, 5))
    assert made.affine(torch.zeros(2, 3)).eq(1).all()
    features, style = torch.randn(2, 4, 6, 5), torch.randn(2, 3)
    assert torch.equal(made(features, style, None), made(features, style, made.noise))


def test_noise_is_drawn_for_every_image_unless_it_is_given() -> None:
    made = layer()
    features, style = inputs()
    same = features[:1].expand(5, -1, -1, -1), style[:1].expand(5, -1)
    drawn = made(*same, None)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(made(*same, made.noise)[0], made(*same, made.noise)[1])


def test_a_clamp_limits_outputs_times_the_gain() -> None:
    features, style = inputs()
    free, limited = layer(gain=0.5), layer(gain=0.5, clamp=1.0)
    expected = free(features, style, free.noise).clamp(-0.5, 0.5)
    assert expected.abs().max() == 0.5
    torch.testing.assert_close(limited(features, style, limited.noise), expected)


def test_to_images_is_a_modulated_convolution_without_demodulation() -> None:
    torch.manual_seed(0)
    made = ToImage(4, 3, style_dim=5).double()
    nn.init.normal_(made.bias)
    features, style = torch.randn(2, 4, 6, 6).double(), torch.randn(2, 5).double()
    weight = made.weight[None, :, :, 0, 0] * made.affine(style)[:, None] / 2  # 2 = sqrt(4 channels)
    expected = torch.einsum("boi,bihw->bohw", weight, features) + made.bias[:, None, None]
    torch.testing.assert_close(made(features, style), expected)
    assert ToImage(4, 3, style_dim=5, clamp=0.25)(features.float(), style.float()).abs().max() == 0.25


def test_styles_and_demodulation_are_in_fp32_under_autocast() -> None:
    torch.manual_seed(0)
    made = ModulatedConv2d(4, 7, style_dim=3, size=(6, 6))
    features, style = torch.randn(2, 4, 6, 6), torch.randn(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scales = made.affine(style)
        outputs = made(features, style, None)
        images = ToImage(7, 3, style_dim=3)(outputs, style)
    assert torch.equal(scales, made.affine(style)) and scales.dtype == torch.float32
    assert outputs.dtype == torch.bfloat16 and images.dtype == torch.float32
    torch.testing.assert_close(outputs.float(), made(features, style, None), rtol=0.05, atol=0.05)
