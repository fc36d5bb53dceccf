"""The authors' StyleGAN2-ADA written out a second time, from the facts of their code: names and functions alone.

It has what ours has not: a weight for every sample (eq. 1 and 3 of the paper), zeros between pixels, a filter apart
from the convolutions, and gains where the authors have them.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu, pad

State = dict[str, dict[str, Tensor]]
Weights = dict[str, Tensor]
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8

DEFAULTS: dict[str, Any] = {
    "resolution": 16,
    "channels": 3,
    "classes": 0,
    "latent": 6,
    "style": 10,
    "layers": 2,
    "label_layers": 2,
    "base": 64,
    "max": 12,
    "generator": "skip",
    "discriminator": "resnet",
    "conv_clamp": None,
    "mbstd_group_size": 4,
    "lr_multiplier": 0.01,
}


def random_state(config: dict[str, Any]) -> State:
    """Every tensor of the authors' networks for these options, drawn at random, also those that begin as zeros."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    top, style, classes = config["resolution"], config["style"], config["classes"]
    sizes = [4 * 2**block for block in range(int(math.log2(top)) - 1)]
    maps = {size: min(config["base"] // size, config["max"]) for size in sizes}

    def mapping(inputs: int, outputs: int, layers: int) -> Weights:
        found = (
            {"mapping.embed.weight": normal(outputs, classes), "mapping.embed.bias": normal(outputs)} if classes else {}
        )
        first = inputs + outputs if classes else inputs
        for layer in range(layers):
            width = first if layer == 0 else outputs
            found[f"mapping.fc{layer}.weight"] = normal(outputs, width) / config["lr_multiplier"]
            found[f"mapping.fc{layer}.bias"] = normal(outputs) / config["lr_multiplier"]
        return found

    def modulated(scope: str, inputs: int, outputs: int, kernel: int) -> Weights:
        return {
            f"{scope}.weight": normal(outputs, inputs, kernel, kernel),
            f"{scope}.bias": normal(outputs),
            f"{scope}.affine.weight": normal(inputs, style),
            f"{scope}.affine.bias": normal(inputs),
        }

    generator = {**mapping(config["latent"], style, config["layers"]), "mapping.w_avg": normal(style)}
    judge: Weights = mapping(0, maps[4], config["label_layers"]) if classes else {}
    for size in sizes:
        scope, width, below = f"synthesis.b{size}", maps[size], maps.get(size // 2, 0)
        generator[f"{scope}.resample_filter"] = torch.outer(TAPS, TAPS)
        if size == 4:
            generator[f"{scope}.const"] = normal(width, 4, 4)
        else:
            generator |= modulated(f"{scope}.conv0", below, width, 3)
            if config["generator"] == "resnet":
                generator[f"{scope}.skip.weight"] = normal(width, below, 1, 1)
        generator |= modulated(f"{scope}.conv1", width, width, 3)
        for layer in ("conv1",) if size == 4 else ("conv0", "conv1"):
            generator[f"{scope}.{layer}.noise_const"] = normal(size, size)
            generator[f"{scope}.{layer}.noise_strength"] = normal()
        if size == top or config["generator"] == "skip":
            generator |= modulated(f"{scope}.torgb", width, config["channels"], 1)
        if size == top or config["discriminator"] == "skip":
            judge[f"b{size}.fromrgb.weight"] = normal(width, config["channels"], 1, 1)
            judge[f"b{size}.fromrgb.bias"] = normal(width)
        if size > 4:
            judge[f"b{size}.conv0.weight"], judge[f"b{size}.conv0.bias"] = normal(width, width, 3, 3), normal(width)
            judge[f"b{size}.conv1.weight"], judge[f"b{size}.conv1.bias"] = normal(below, width, 3, 3), normal(below)
            if config["discriminator"] == "resnet":
                judge[f"b{size}.skip.weight"] = normal(below, width, 1, 1)
        else:
            outputs = width if classes else 1
            judge["b4.conv.weight"], judge["b4.conv.bias"] = normal(width, width + 1, 3, 3), normal(width)
            judge["b4.fc.weight"], judge["b4.fc.bias"] = normal(width, width * 16), normal(width)
            judge["b4.out.weight"], judge["b4.out.bias"] = normal(outputs, width), normal(outputs)
    return {"G": generator, "D": judge}


def normalized(vectors: Tensor) -> Tensor:
    return vectors / (vectors.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def dense(weights: Weights, name: str, inputs: Tensor, *, multiplier: float = 1.0) -> Tensor:
    weight = weights[f"{name}.weight"]
    return inputs @ (weight * multiplier / math.sqrt(weight.shape[1])).T + weights[f"{name}.bias"] * multiplier


def activated(features: Tensor, *, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    features = leaky_relu(features, 0.2) * math.sqrt(2) * gain
    return features if clamp is None else features.clamp(-clamp * gain, clamp * gain)


def filtered(features: Tensor, padding: tuple[int, int], *, gain: float = 1.0) -> Tensor:
    """FIR with `padding` before and after, channel by channel."""
    kernel = (torch.outer(TAPS, TAPS) * gain)[None, None]
    padded = pad(features, (*padding, *padding))
    return torch.cat([conv2d(channel[:, None], kernel) for channel in padded.unbind(1)], dim=1)


def zeros_between(features: Tensor) -> Tensor:
    """A zero after every pixel, in both directions."""
    batch, channels, height, width = features.shape
    spread = features.new_zeros(batch, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = features
    return spread


def mapped(
    weights: Weights, config: dict[str, Any], latents: Tensor | None, labels: Tensor | None, layers: int
) -> Tensor:
    parts = [] if latents is None else [normalized(latents)]
    if labels is not None:
        parts.append(normalized(dense(weights, "mapping.embed", labels)))
    vectors = torch.cat(parts, dim=1)
    for layer in range(layers):
        vectors = activated(dense(weights, f"mapping.fc{layer}", vectors, multiplier=config["lr_multiplier"]))
    return vectors


def modulated_conv(
    weights: Weights,
    name: str,
    features: Tensor,
    style: Tensor,
    *,
    upsamples: bool = False,
    gain: float = 1.0,
    clamp: float | None,
) -> Tensor:
    """One sample after the other, each with a weight of its own."""
    outputs = []
    for one, scales in zip(features, dense(weights, f"{name}.affine", style), strict=True):
        weight = weights[f"{name}.weight"] * scales[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if upsamples:
            # A convolution over zeros between pixels, whose mirrored kernel is that of the transposed convolution.
            spread = conv2d(zeros_between(one[None]), weight.flip(2, 3), padding=2)[:, :, :-1, :-1]
            outputs.append(filtered(spread, (1, 1), gain=4))
        else:
            outputs.append(conv2d(one[None], weight, padding=1))
    noise = weights[f"{name}.noise_const"] * weights[f"{name}.noise_strength"]
    return activated(torch.cat(outputs) + noise + weights[f"{name}.bias"][:, None, None], gain=gain, clamp=clamp)


def to_rgb(weights: Weights, name: str, features: Tensor, style: Tensor, *, clamp: float | None) -> Tensor:
    scales = dense(weights, f"{name}.affine", style) / math.sqrt(features.shape[1])
    images = conv2d(features * scales[:, :, None, None], weights[f"{name}.weight"], weights[f"{name}.bias"])
    return images if clamp is None else images.clamp(-clamp, clamp)


def images(state: State, config: dict[str, Any], styles: Tensor) -> Tensor:
    """Images of styles, `batch layers style`, with the stored noise."""
    weights, top, kind, clamp = state["G"], config["resolution"], config["generator"], config["conv_clamp"]
    features = weights["synthesis.b4.const"].expand(len(styles), -1, -1, -1)
    image: Tensor | None = None
    size, pointer = 4, 0
    while size <= top:
        scope, before = f"synthesis.b{size}", features
        if size > 4:
            features = modulated_conv(
                weights, f"{scope}.conv0", features, styles[:, pointer], upsamples=True, clamp=clamp
            )
            pointer += 1
        gain = math.sqrt(0.5) if kind == "resnet" and size > 4 else 1.0
        features = modulated_conv(weights, f"{scope}.conv1", features, styles[:, pointer], gain=gain, clamp=clamp)
        pointer += 1
        if kind == "resnet" and size > 4:
            skip = conv2d(before, weights[f"{scope}.skip.weight"] / math.sqrt(before.shape[1]))
            features = features + math.sqrt(0.5) * filtered(zeros_between(skip), (2, 1), gain=4)
        if image is not None:
            image = filtered(zeros_between(image), (2, 1), gain=4)
        if kind == "skip" or size == top:
            rgb = to_rgb(weights, f"{scope}.torgb", features, styles[:, pointer], clamp=clamp)
            image = rgb if image is None else image + rgb
        size *= 2
    assert image is not None
    return image


def conv(weights: Weights, name: str, features: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    weight = weights[f"{name}.weight"]
    scaled = weight / math.sqrt(weight[0].numel())
    return conv2d(features, scaled, weights.get(f"{name}.bias"), stride=stride, padding=padding)


def scores(state: State, config: dict[str, Any], image: Tensor, labels: Tensor | None) -> Tensor:
    weights, kind, clamp = state["D"], config["discriminator"], config["conv_clamp"]
    size = config["resolution"]
    features = activated(conv(weights, f"b{size}.fromrgb", image), clamp=clamp)
    while size > 4:
        gain = math.sqrt(0.5) if kind == "resnet" else 1.0
        outputs = activated(conv(weights, f"b{size}.conv0", features, padding=1), clamp=clamp)
        outputs = filtered(outputs, (2, 2))
        outputs = activated(conv(weights, f"b{size}.conv1", outputs, stride=2), gain=gain, clamp=clamp)
        if kind == "resnet":
            outputs = outputs + gain * conv(weights, f"b{size}.skip", filtered(features, (1, 1))[:, :, ::2, ::2])
        features, size = outputs, size // 2
        if kind == "skip":
            image = filtered(image, (1, 1))[:, :, ::2, ::2]
            features = features + activated(conv(weights, f"b{size}.fromrgb", image), clamp=clamp)
    batch = len(features)
    groups = features.reshape(config["mbstd_group_size"], -1, *features.shape[1:])
    deviation = ((groups - groups.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat(config["mbstd_group_size"])[:, None, None, None].expand(batch, 1, 4, 4)
    features = activated(conv(weights, "b4.conv", torch.cat([features, channel], dim=1), padding=1), clamp=clamp)
    outputs = dense(weights, "b4.out", activated(dense(weights, "b4.fc", features.flatten(1))))
    if labels is None:
        return outputs
    vectors = mapped(weights, config, None, labels, config["label_layers"])
    return (outputs * vectors).sum(dim=1, keepdim=True) / math.sqrt(vectors.shape[1])
