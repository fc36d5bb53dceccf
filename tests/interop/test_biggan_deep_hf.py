"""The authors' published BigGAN-deep generators, by the code that holds them."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d, normalize

from lightning_gan.interop.biggan_deep_hf import (
    BatchNormByTruncation,
    PublishedGenerator,
    networks,
    published_generator,
)
from lightning_gan.layers.batch_norm import NoAffine
from tests.interop.goldens import Golden

WIDTHS = {128: [16, 16, 8, 4, 2, 1], 256: [16, 16, 8, 8, 4, 2, 1], 512: [16, 16, 8, 8, 4, 2, 1, 1]}


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("biggan_deep_hf")


def imported(golden: Golden) -> PublishedGenerator:
    generator = networks(golden.state, golden.config)["G"]
    assert isinstance(generator, PublishedGenerator)
    return generator


class Published:
    """Their generator as it is described: `4 4 c` first, conditions [z, embedding], swapped weights of statistics."""

    def __init__(self, state: dict[str, Tensor], config: dict[str, Any], *, truncation: float) -> None:
        self.state, self.config, self.truncation = state, config, truncation

    def weight(self, layer: str) -> Tensor:
        weight, u, v = (self.state[f"generator.{layer}.weight_{kind}"] for kind in ("orig", "u", "v"))
        return weight / (u @ weight.flatten(1) @ v)

    def conv(self, layer: str, features: Tensor) -> Tensor:
        weight = self.weight(layer)
        return conv2d(features, weight, self.state.get(f"generator.{layer}.bias"), padding=weight.shape[-1] // 2)

    def norm(self, layer: str, features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        position = self.truncation * (self.config["n_stats"] - 1)
        step, fraction = int(position), position - int(position)
        mean, variance = (
            stats[step] if fraction == 0 else stats[step] * fraction + stats[step + 1] * (1 - fraction)
            for stats in (self.state[f"generator.{layer}.running_{kind}"] for kind in ("means", "vars"))
        )
        normalized = (features - mean[:, None, None]) / (variance[:, None, None] + self.config["eps"]).sqrt()
        return (normalized * gain[:, :, None, None] + bias[:, :, None, None]).relu()

    def block(self, layer: str, features: Tensor, condition: Tensor, *, upsamples: bool, kept: int) -> Tensor:
        residual = features
        for index in range(4):
            norm = f"{layer}.bn_{index}"
            gain, bias = (condition @ self.weight(f"{norm}.{kind}").T for kind in ("scale", "offset"))
            residual = self.norm(norm, residual, 1 + gain, bias)
            if index == 1 and upsamples:
                residual = interpolate(residual, scale_factor=2)
            residual = self.conv(f"{layer}.conv_{index}", residual)
        features = features[:, :kept]
        return residual + (interpolate(features, scale_factor=2) if upsamples else features)

    def attention(self, layer: str, features: Tensor) -> Tensor:
        queries = self.conv(f"{layer}.snconv1x1_theta", features).flatten(2)
        keys = max_pool2d(self.conv(f"{layer}.snconv1x1_phi", features), 2).flatten(2)
        values = max_pool2d(self.conv(f"{layer}.snconv1x1_g", features), 2).flatten(2)
        weights = torch.einsum("bcq,bck->bqk", queries, keys).softmax(dim=-1)
        seen = torch.einsum("bqk,bck->bcq", weights, values).unflatten(2, features.shape[2:])
        return features + self.state[f"generator.{layer}.gamma"] * self.conv(f"{layer}.snconv1x1_o_conv", seen)

    def __call__(self, latents: Tensor, one_hot: Tensor) -> Tensor:
        condition = torch.cat([latents, one_hot @ self.state["embeddings.weight"].T], dim=1)
        first = condition @ self.weight("gen_z").T + self.state["generator.gen_z.bias"]
        features = first.view(len(latents), 4, 4, -1).permute(0, 3, 1, 2)
        index = 0
        for upsamples, _, width in self.config["layers"]:
            if index == self.config["attention_layer_position"]:
                features = self.attention(f"layers.{index}", features)
                index += 1
            kept = width * self.config["channel_width"]
            features = self.block(f"layers.{index}", features, condition, upsamples=upsamples, kept=kept)
            index += 1
        gain, bias = (self.state[f"generator.bn.{kind}"].expand(len(latents), -1) for kind in ("weight", "bias"))
        return self.conv("conv_to_rgb", self.norm("bn", features, gain, bias))[:, :3].tanh()


def tame_state(golden: Golden) -> dict[str, Tensor]:
    """The golden's weights with the statistics and the singular vectors that a trained network would have.

    Its own vectors are random, and the last bias is 3e19, so that almost every value of its images overflows.
    """
    random = torch.Generator().manual_seed(0)
    state = {name: value.double() for name, value in golden.state["M"].items()}
    for name, value in state.items():
        if name.endswith("weight_orig"):
            v = torch.randn(value[0].numel(), generator=random, dtype=torch.float64)
            for _ in range(3):
                u = normalize(value.flatten(1) @ v, dim=0)
                v = normalize(value.flatten(1).T @ u, dim=0)
            layer = name.removesuffix("_orig")
            state[f"{layer}_u"], state[f"{layer}_v"] = u, v
        elif name.endswith("running_means"):
            state[name] = torch.randn(value.shape, generator=random, dtype=torch.float64) * 0.3
        elif name.endswith("running_vars"):
            state[name] = 0.5 + torch.rand(value.shape, generator=random, dtype=torch.float64)
    for kind in ("weight", "bias"):
        state[f"generator.bn.{kind}"] = 0.5 * torch.rand(8, generator=random, dtype=torch.float64)
    return state


@pytest.mark.parametrize("truncation", [0.4, 0.43, 1.0])
@torch.no_grad()
def test_images_equal_those_of_the_description(golden: Golden, truncation: float) -> None:
    state = tame_state(golden)
    latents, labels = golden["input/z"].double(), golden["input/y"].double()
    expected = Published(state, golden.config, truncation=truncation)(latents, labels)
    assert 0.1 < expected.std() < 0.9  # neither blank nor saturated
    generator = networks({"M": state}, golden.config)["G"].double()
    images = generator(latents, labels, truncation=truncation)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
    indices = generator(latents, labels.argmax(dim=1), truncation=truncation)
    torch.testing.assert_close(indices, images)


@pytest.mark.parametrize("truncation", [0.4, 1.0])
@torch.no_grad()
def test_images_equal_the_authors_where_theirs_are_numbers(golden: Golden, truncation: float) -> None:
    """The golden's activations grow to 1e38: its images are +1, -1 and NaN; so are ours, in the same places."""
    images = imported(golden)(golden["input/z"], golden["input/y"], truncation=truncation)
    expected = golden[f"output/image_truncation{truncation}"]
    assert expected.isfinite().sum() > 1000
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5, equal_nan=True)


def test_between_two_steps_their_weights_are_swapped() -> None:
    norm = BatchNormByTruncation(1, affine=NoAffine(), eps=1e-4, steps=5)
    norm.running_means.copy_(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]))
    means = []
    for truncation in (0.25, 0.3125, 1.0):
        norm.truncation = truncation
        means.append(norm.evaluation_statistics()[0].item())
    assert means == [1.0, 1.75, 4.0]  # a quarter of the way from 1 to 2 should be 1.25


@pytest.mark.parametrize(("size", "parameters"), [(128, 50_388_609), (256, 55_880_833), (512, 56_163_905)])
def test_parameter_counts_are_the_published_ones(size: int, parameters: int) -> None:
    stages = list(zip(WIDTHS[size], WIDTHS[size][1:], strict=False))
    layers = [layer for before, after in stages for layer in ((False, before, before), (True, before, after))]
    config = {"layers": layers, "attention_layer_position": 8, "channel_width": 128, "z_dim": 128, "num_classes": 1000}
    with torch.device("meta"):
        generator = published_generator(config)
    assert sum(parameter.numel() for parameter in generator.parameters()) == parameters


def test_truncations_out_of_range_and_missing_labels_are_refused(golden: Golden) -> None:
    generator = imported(golden)
    with pytest.raises(ValueError, match=r"truncation=1\.5"):
        generator(golden["input/z"], golden["input/y"], truncation=1.5)
    with pytest.raises(ValueError, match="labels"):
        generator(golden["input/z"])
