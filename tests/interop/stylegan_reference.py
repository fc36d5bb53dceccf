"""The authors' StyleGAN written out a second time, from the facts of their TensorFlow code: names and functions alone.

It keeps their conventions, which ours does not: TensorFlow's layouts, images of the full size, levels of detail that
fade all resolutions into each other ("linear" structure), box averages apart from convolutions, and upsampling as a
transposed convolution where they fuse it and apart from the convolution where they do not.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate, leaky_relu, pad

State = dict[str, dict[str, Tensor]]
SQRT2 = math.sqrt(2.0)

DEFAULTS: dict[str, Any] = {
    "resolution": 16,
    "num_channels": 3,
    "label_size": 0,
    "fmap_base": 64,
    "fmap_max": 12,
    "latent_size": 6,
    "dlatent_size": 10,
    "mapping_fmaps": 8,
    "mapping_layers": 2,
    "mapping_lrmul": 0.01,
    "mbstd_group_size": 4,
}


def random_state(config: dict[str, Any]) -> State:
    """Every variable of the authors' networks for these options, drawn at random, also those that begin as zeros."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    option = config.get
    log2 = int(math.log2(config["resolution"]))
    width, colours, classes = config["dlatent_size"], config["num_channels"], config["label_size"]

    def maps(stage: int) -> int:
        return min(int(config["fmap_base"] / 2**stage), int(config["fmap_max"]))

    mapping: dict[str, Tensor] = {}
    inputs = config["latent_size"]
    if classes:
        mapping["LabelConcat/weight"] = normal(classes, inputs)
        inputs *= 2
    for layer in range(config["mapping_layers"]):
        outputs = width if layer == config["mapping_layers"] - 1 else config["mapping_fmaps"]
        mapping[f"Dense{layer}/weight"] = normal(inputs, outputs) / config["mapping_lrmul"]
        mapping[f"Dense{layer}/bias"] = normal(outputs) / config["mapping_lrmul"]
        inputs = outputs

    synthesis: dict[str, Tensor] = {}

    def epilogue(scope: str, channels: int) -> None:
        synthesis[f"{scope}/bias"] = normal(channels)
        if option("use_noise", True):
            synthesis[f"{scope}/Noise/weight"] = normal(channels)
        if option("use_styles", True):
            synthesis[f"{scope}/StyleMod/weight"] = normal(width, 2 * channels)
            synthesis[f"{scope}/StyleMod/bias"] = normal(2 * channels)

    if option("const_input_layer", True):
        synthesis["4x4/Const/const"] = normal(1, maps(1), 4, 4)
        epilogue("4x4/Const", maps(1))
    else:
        synthesis["4x4/Dense/weight"] = normal(width, maps(1) * 16)
        epilogue("4x4/Dense", maps(1))
    synthesis["4x4/Conv/weight"] = normal(3, 3, maps(1), maps(1))
    epilogue("4x4/Conv", maps(1))
    judge: dict[str, Tensor] = {}
    for stage in range(2, log2 + 1):
        size, lod = 2**stage, log2 - stage
        if stage > 2:
            before, after = maps(stage - 2), maps(stage - 1)
            synthesis[f"{size}x{size}/Conv0_up/weight"] = normal(3, 3, before, after)
            epilogue(f"{size}x{size}/Conv0_up", after)
            synthesis[f"{size}x{size}/Conv1/weight"] = normal(3, 3, after, after)
            epilogue(f"{size}x{size}/Conv1", after)
            judge[f"{size}x{size}/Conv0/weight"], judge[f"{size}x{size}/Conv0/bias"] = (
                normal(3, 3, after, after),
                normal(after),
            )
            judge[f"{size}x{size}/Conv1_down/weight"] = normal(3, 3, after, before)
            judge[f"{size}x{size}/Conv1_down/bias"] = normal(before)
        if lod == 0 or option("structure", "auto") != "fixed":
            synthesis[f"ToRGB_lod{lod}/weight"] = normal(1, 1, maps(stage - 1), colours)
            synthesis[f"ToRGB_lod{lod}/bias"] = normal(colours)
            judge[f"FromRGB_lod{lod}/weight"] = normal(1, 1, colours, maps(stage - 1))
            judge[f"FromRGB_lod{lod}/bias"] = normal(maps(stage - 1))
    if option("use_noise", True):
        for layer in range(2 * log2 - 2):
            size = 2 ** (layer // 2 + 2)
            synthesis[f"noise{layer}"] = normal(1, 1, size, size)
    judge["4x4/Conv/weight"], judge["4x4/Conv/bias"] = normal(3, 3, maps(1) + 1, maps(1)), normal(maps(1))
    judge["4x4/Dense0/weight"], judge["4x4/Dense0/bias"] = normal(16 * maps(1), maps(0)), normal(maps(0))
    judge["4x4/Dense1/weight"], judge["4x4/Dense1/bias"] = normal(maps(0), max(classes, 1)), normal(max(classes, 1))
    return {**({"G_mapping": mapping} if mapping else {}), "G_synthesis": synthesis, "D": judge}


def dense(inputs: Tensor, weight: Tensor, *, gain: float, multiplier: float = 1.0) -> Tensor:
    return inputs @ weight * (gain / math.sqrt(weight.shape[0]) * multiplier)


def convolution(inputs: Tensor, weight: Tensor, *, gain: float = SQRT2) -> Tensor:
    kernel, _, channels, _ = weight.shape
    scaled = weight * (gain / math.sqrt(kernel * kernel * channels))
    return conv2d(inputs, scaled.permute(3, 2, 0, 1), padding=kernel // 2)


def channel_bias(features: Tensor, bias: Tensor) -> Tensor:
    return features + bias.reshape(1, -1, 1, 1)


def pixel_norm(features: Tensor) -> Tensor:
    return features / torch.sqrt((features**2).mean(dim=1, keepdim=True) + 1e-8)


def instance_norm(features: Tensor) -> Tensor:
    centered = features - features.mean(dim=(2, 3), keepdim=True)
    return centered / torch.sqrt((centered**2).mean(dim=(2, 3), keepdim=True) + 1e-8)


def blur(features: Tensor, taps: list[int] | None) -> Tensor:
    if not taps:
        return features
    before, (height, width) = (len(taps) - 1) // 2, features.shape[2:]
    padded = pad(features, (before, len(taps) - 1 - before) * 2)
    shifted = [
        a * b * padded[:, :, i : i + height, j : j + width] for i, a in enumerate(taps) for j, b in enumerate(taps)
    ]
    return torch.stack(shifted).sum(dim=0) / sum(taps) ** 2


def up(images: Tensor) -> Tensor:
    return interpolate(images, scale_factor=2, mode="nearest")


def up_convolution(inputs: Tensor, weight: Tensor, *, fused: bool | str) -> Tensor:
    """`upscale2d_conv2d`: tf.nn.conv2d_transpose is the gradient of a convolution, which PyTorch's is too."""
    if fused == "auto":
        fused = 2 * min(inputs.shape[2:]) >= 128
    if not fused:
        return convolution(up(inputs), weight)
    scaled = weight * (SQRT2 / math.sqrt(9 * weight.shape[2]))
    padded = pad(scaled.permute(2, 3, 0, 1), (1, 1, 1, 1))  # in out 5 5
    summed = padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]
    # The convolution that it is the gradient of has stride 2 and 4x4 taps: "SAME" pads it by 1 on every side.
    return conv_transpose2d(inputs, summed, stride=2, padding=1)


def faded(new: Tensor, old: Tensor, share_of_old: float) -> Tensor:
    share = min(max(share_of_old, 0.0), 1.0)
    return new * (1 - share) + old * share


def styles(state: State, config: dict[str, Any], latents: Tensor, labels: Tensor | None) -> Tensor:
    x, variables = latents, state.get("G_mapping", {})
    if config["label_size"]:
        assert labels is not None
        x = torch.cat([x, labels @ variables["LabelConcat/weight"]], dim=1)
    if config.get("normalize_latents", True):
        x = pixel_norm(x)
    slope = 0.0 if config.get("mapping_nonlinearity") == "relu" else 0.2
    for layer in range(config["mapping_layers"]):
        multiplier = config["mapping_lrmul"]
        x = dense(x, variables[f"Dense{layer}/weight"], gain=SQRT2, multiplier=multiplier)
        x = leaky_relu(x + variables[f"Dense{layer}/bias"] * multiplier, slope)
    return x


def images(state: State, config: dict[str, Any], w: Tensor, *, lod: float) -> Tensor:
    """Images of the full size, with the stored noise."""
    option, v = config.get, state["G_synthesis"]
    log2, taps = int(math.log2(config["resolution"])), option("blur_filter", [1, 2, 1])

    def epilogue(x: Tensor, scope: str, layer: int) -> Tensor:
        if option("use_noise", True):
            x = x + v[f"noise{layer}"] * v[f"{scope}/Noise/weight"].reshape(1, -1, 1, 1)
        x = leaky_relu(channel_bias(x, v[f"{scope}/bias"]), 0.2)
        if option("use_pixel_norm", False):
            x = pixel_norm(x)
        if option("use_instance_norm", True):
            x = instance_norm(x)
        if option("use_styles", True):
            style = dense(w, v[f"{scope}/StyleMod/weight"], gain=1.0) + v[f"{scope}/StyleMod/bias"]
            style = style.reshape(len(w), 2, -1, 1, 1)
            x = x * (style[:, 0] + 1) + style[:, 1]
        return x

    def to_rgb(x: Tensor, at: int) -> Tensor:
        head = f"ToRGB_lod{log2 - at}"
        return channel_bias(convolution(x, v[f"{head}/weight"], gain=1.0), v[f"{head}/bias"])

    if option("const_input_layer", True):
        x = epilogue(v["4x4/Const/const"].repeat(len(w), 1, 1, 1), "4x4/Const", 0)
    else:
        x = epilogue(dense(w, v["4x4/Dense/weight"], gain=SQRT2 / 4).reshape(len(w), -1, 4, 4), "4x4/Dense", 0)
    x = epilogue(convolution(x, v["4x4/Conv/weight"]), "4x4/Conv", 1)
    fixed = option("structure", "auto") == "fixed"
    output = None if fixed else to_rgb(x, 2)
    for stage in range(3, log2 + 1):
        scope = f"{2**stage}x{2**stage}"
        x = up_convolution(x, v[f"{scope}/Conv0_up/weight"], fused=option("fused_scale", "auto"))
        x = epilogue(blur(x, taps), f"{scope}/Conv0_up", 2 * stage - 4)
        x = epilogue(convolution(x, v[f"{scope}/Conv1/weight"]), f"{scope}/Conv1", 2 * stage - 3)
        if output is not None:
            output = faded(to_rgb(x, stage), up(output), lod - (log2 - stage))
    return to_rgb(x, log2) if output is None else output


def scores(state: State, config: dict[str, Any], pictures: Tensor, labels: Tensor | None, *, lod: float) -> Tensor:
    """Scores of images of the full size."""
    v, taps = state["D"], config.get("blur_filter", [1, 2, 1])
    log2, fixed = int(math.log2(config["resolution"])), config.get("structure", "auto") == "fixed"

    def layer(x: Tensor, scope: str) -> Tensor:
        return leaky_relu(channel_bias(convolution(x, v[f"{scope}/weight"]), v[f"{scope}/bias"]), 0.2)

    x = layer(pictures, "FromRGB_lod0")
    for stage in range(log2, 2, -1):
        scope = f"{2**stage}x{2**stage}"
        x = blur(layer(x, f"{scope}/Conv0"), taps)
        x = avg_pool2d(convolution(x, v[f"{scope}/Conv1_down/weight"]), 2)
        x = leaky_relu(channel_bias(x, v[f"{scope}/Conv1_down/bias"]), 0.2)
        if not fixed:
            pictures = avg_pool2d(pictures, 2)
            x = faded(x, layer(pictures, f"FromRGB_lod{log2 - stage + 1}"), lod - (log2 - stage))
    group = min(config["mbstd_group_size"], len(x))
    parts = x.reshape(group, -1, *x.shape[1:])
    spread = (((parts - parts.mean(dim=0)) ** 2).mean(dim=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    x = torch.cat([x, spread.repeat(group).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)], dim=1)
    x = layer(x, "4x4/Conv").flatten(1)
    x = leaky_relu(dense(x, v["4x4/Dense0/weight"], gain=SQRT2) + v["4x4/Dense0/bias"], 0.2)
    x = dense(x, v["4x4/Dense1/weight"], gain=1.0) + v["4x4/Dense1/bias"]
    return x if labels is None or not config["label_size"] else (x * labels).sum(dim=1, keepdim=True)
