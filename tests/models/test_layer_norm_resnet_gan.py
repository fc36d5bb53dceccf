"""WGAN-GP's residual networks with layer norm; `test_resnet_gan` has what they share with the others of that paper."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, layer_norm, linear, relu

from lightning_gan.models.layer_norm_resnet_gan import layer_norm_critic
from tests.models.test_resnet_gan import randomized


@torch.no_grad()
def test_the_critic_with_layer_norm_computes_what_the_authors_layers_say() -> None:
    critic = layer_norm_critic(widths=[2, 3], image_channels=1, number_of_classes=0)
    weights, images = randomized(critic), torch.randn(3, 1, 8, 8)

    def normalized(features: Tensor, name: str) -> Tensor:
        scale, shift = weights[f"features.1.{name}.weight"], weights[f"features.1.{name}.bias"]
        return layer_norm(features, features.shape[1:]) * scale[:, None, None] + shift[:, None, None]

    features = conv2d(images, weights["features.0.weight"], weights["features.0.bias"], padding=1)
    branch = conv2d(relu(normalized(features, "norm1")), weights["features.1.conv1.weight"], padding=1)
    assert "features.1.conv1.bias" not in weights
    branch = relu(normalized(branch, "norm2"))
    branch = conv2d(branch, weights["features.1.conv2.weight"], weights["features.1.conv2.bias"], padding=1)
    shortcut = conv2d(
        avg_pool2d(features, 2), weights["features.1.shortcut.weight"], weights["features.1.shortcut.bias"]
    )
    flat = (avg_pool2d(branch, 2) + shortcut).flatten(1)
    expected = linear(flat, weights["to_score.weight"], weights["to_score.bias"])
    torch.testing.assert_close(critic(images), expected, rtol=1e-4, atol=1e-5)
