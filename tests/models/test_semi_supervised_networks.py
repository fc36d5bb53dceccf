"""The networks of CT-GAN for few labels: sizes, order of layers and initial weights of the authors' script."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, linear

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.models.semi_supervised_ct_gan import SemiSupervisedCTGAN
from lightning_gan.models.semi_supervised_networks import Discriminator, Generator


def test_widths_are_the_authors() -> None:
    """CT_CIFAR.py of biuyq/CT-GAN: a latent of 50, 4x4x512 to 32x32, and nine convolutions, the last two 1x1."""
    with torch.device("meta"):
        module = SemiSupervisedCTGAN(number_of_classes=10)
    assert module.latent_dim == 50
    convolutions = [layer for layer in module.discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [128, 128, 128, 256, 256, 256, 512, 256, 128]
    assert [layer.kernel_size[0] for layer in convolutions] == [3] * 7 + [1] * 2
    assert [layer.stride[0] for layer in convolutions] == [1, 1, 2, 1, 1, 2, 1, 1, 1]
    assert [layer.padding[0] for layer in convolutions] == [1] * 6 + [0] * 3
    assert [layer.p for layer in module.discriminator.modules() if isinstance(layer, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert module.discriminator.to_classes.in_features == 128
    generator = module.generator
    assert generator.input.out_features == 512 * 16
    made = [layer.out_channels for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert made == [256, 128, 3]


def test_the_trained_numbers_are_those_of_the_authors_layers() -> None:
    """Counted by hand from CT_CIFAR.py and nn.py.

    Batch norm replaces a layer's bias by its own and has no gain (`g=None`); weight norm has a bias, and a trained gain
    in the two output layers alone (`train_g=True`).
    """
    generator = 50 * 8192 + 8192 + 512 * 256 * 25 + 256 + 256 * 128 * 25 + 128 + 128 * 3 * 25 + 3 + 3
    widths = [3, 128, 128, 128, 256, 256, 256, 512, 256, 128]
    taps = [9] * 7 + [1] * 2
    discriminator = sum(a * b * t + b for a, b, t in zip(widths, widths[1:], taps, strict=False)) + 128 * 10 + 10 + 10
    with torch.device("meta"):
        module = SemiSupervisedCTGAN(number_of_classes=10)
    counts = [
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        for network in (module.generator, module.discriminator)
    ]
    assert counts == [generator, discriminator]


def test_all_weights_start_from_a_normal_distribution_with_a_deviation_of_a_twentieth() -> None:
    """`W=Normal(0.05)` of every layer of CT_CIFAR.py, and biases of 0."""
    torch.manual_seed(0)
    generator = Generator(image_size=16, image_channels=3, latent_dim=20, width=32)
    discriminator = Discriminator(image_channels=3, number_of_classes=10, width=16)
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any(), name
            elif not name.endswith("original0") and parameter.numel() > 1000:
                assert parameter.std().item() == pytest.approx(0.05, rel=0.1), name
                assert abs(parameter.mean().item()) < 0.005, name
    assert {type(layer.affine).__name__ for layer in generator.modules() if isinstance(layer, BatchNorm)} == {
        "BiasAlone"
    }


def test_batch_norm_comes_before_the_activation_and_gains_are_one_for_each_output() -> None:
    """The generator written again: layer, batch norm, ReLU; weights of an output divided by their norm.

    `nn.py` of the authors sums the squares of a transposed convolution over all axes but that of the outputs.
    """
    torch.manual_seed(0)
    generator = Generator(image_size=16, image_channels=3, latent_dim=5, width=2).double()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(torch.randn_like(parameter))
    weights, latents = dict(generator.named_parameters()), torch.randn(6, 5).double()

    def normalized(features: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        axes = [axis for axis in range(features.dim()) if axis != 1]
        variance, mean = torch.var_mean(features, dim=axes, correction=0, keepdim=True)
        return (features - mean) / (variance + 1e-6).sqrt() + bias.reshape(-1, *[1] * (features.dim() - 2))

    features = normalized(linear(latents, weights["input.weight"]), weights["input_norm.affine.bias"]).relu()
    features = conv_transpose2d(
        features.unflatten(1, (-1, 4, 4)), weights["blocks.0.0.weight"], stride=2, padding=2, output_padding=1
    )
    features = normalized(features, weights["blocks.0.1.affine.bias"]).relu()
    direction = weights["output.parametrizations.weight.original1"]
    gains = weights["output.parametrizations.weight.original0"].flatten()
    kernel = direction * (gains / direction.square().sum(dim=(0, 2, 3)).sqrt())[None, :, None, None]
    expected = conv_transpose2d(features, kernel, weights["output.bias"], stride=2, padding=2, output_padding=1).tanh()
    torch.testing.assert_close(generator(latents), expected)


def test_hidden_gains_keep_the_size_of_values() -> None:
    """The mean square of the values after a leaky ReLU stays near that of the values before the layer."""
    torch.manual_seed(0)
    discriminator = Discriminator(image_channels=32, number_of_classes=10, width=32).eval()
    values = torch.randn(4, 32, 16, 16)
    for layer in list(discriminator.features)[1:-2]:
        values = layer(values)
    assert 0.3 < values.square().mean() < 3
