"""Import of weights from the authors' StyleGAN2-ADA (PyTorch, `stylegan2-ada-pytorch`).

Weights are stored before the factor of the equalized learning rate, as here. The transposed convolution of their
upsampling has the kernel as it is stored, as here. Sizes and connections follow from the shapes and names of the
weights.

Their pickles have the source text of the networks, which is not looked at, their tensors, and the arguments that they
were built with. They contain the networks `G`, `D` and `G_ema`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.interop.foreign_file import (
    attributes_of,
    is_persistent,
    persistent_arguments,
    persistent_layers,
    weights_of_module,
)
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.interop.restricted_pickle import Recorded
from lightning_gan.layers.image_sizes import ImageSizes
from lightning_gan.layers.mapping import StyleGAN2Mapping
from lightning_gan.models.style_based_gan import StyleBasedGenerator
from lightning_gan.models.stylegan2_networks import Connections, Discriminator, SynthesisNetwork

_DEFAULTS: dict[str, Any] = {"conv_clamp": None, "mbstd_group_size": 4, "lr_multiplier": 0.01}
"""The authors' settings that no shape tells and that change what the networks compute, with their defaults."""

_OF_LAYERS = {"conv_clamp": "conv_clamp", "lr_multiplier": "lr_multiplier", "group_size": "mbstd_group_size"}
"""The same settings, by the names that they have among the arguments of single layers."""

_FIXED: dict[str, tuple[Any, ...]] = {"activation": ("lrelu",), "mbstd_num_channels": (1,), "use_noise": (True,)}
"""Settings for which this package has one value."""

_TOLD_BY_SHAPES = {
    *("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "num_layers", "channel_base", "channel_max"),
    *("architecture", "cmap_dim", "resample_filter", "embed_features", "layer_features"),
}
_NO_EFFECT = {"num_fp16_res", "use_fp16", "fp16_channels_last", "fused_modconv_default", "w_avg_beta", "freeze_layers"}
"""Settings of precision, speed and training."""

_BLOCK = re.compile(r"b(?P<resolution>\d+)\.(?P<rest>.+)")
_GENERATOR_LAYERS = {"conv0": "conv0", "conv1": "conv1", "skip": "skip.0"}
_DISCRIMINATOR_LAYERS = {"conv0": "conv0", "conv1": "conv1", "skip": "skip.conv"}
_LAST_LAYERS = {"conv": "conv", "fc": "dense0", "out": "dense1"}


def networks(state: Mapping[str, Mapping[str, Tensor]], config: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Builds the generator "G" and the discriminator "D" from the authors' weights, in evaluation mode.

    Args:
        state: weights by network, "G" and "D", and by the authors' names. One of both may be missing.
        config: the authors' `conv_clamp`, `mbstd_group_size` and `lr_multiplier`, as far as they are not the default.
            All others are told by the shapes of the weights.

    Raises:
        ValueError: for another filter than [1, 3, 3, 1], and for numbers of feature maps that no `channel_base` gives.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    settings = {**_DEFAULTS, **config}
    for name in ("conv_clamp", "lr_multiplier"):  # whole numbers are integers in the authors' files
        settings[name] = None if settings[name] is None else float(settings[name])
    built: dict[str, nn.Module] = {}
    if "G" in state:
        built["G"] = _generator(state["G"], settings)
    if "D" in state:
        built["D"] = _discriminator(state["D"], settings)
    return built


def _generator(theirs: Mapping[str, Tensor], settings: Mapping[str, Any]) -> StyleBasedGenerator:
    facts = _generator_facts(theirs)
    sizes = _sizes(facts)
    generator = StyleBasedGenerator(
        mapping=StyleGAN2Mapping(
            latent_dim=facts["latent_dim"],
            style_dim=facts["style_dim"],
            layers=facts["mapping_layers"],
            learning_rate_multiplier=settings["lr_multiplier"],
            number_of_classes=facts["number_of_classes"],
        ),
        synthesis=SynthesisNetwork(
            sizes=sizes,
            style_dim=facts["style_dim"],
            connections=Connections(**facts["generator_connections"]),
            clamp=settings["conv_clamp"],
        ),
        style_mixing=0.9,
    )
    generator.load_state_dict(
        {
            _generator_name(name, top=sizes.doublings, theirs=theirs): _layout(name, value)
            for name, value in _weights(theirs)
        }
    )
    return generator.eval()


def _discriminator(theirs: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Discriminator:
    facts = _discriminator_facts(theirs)
    sizes = _sizes(facts)
    discriminator = Discriminator(
        sizes=sizes,
        number_of_classes=facts["number_of_classes"],
        connections=Connections(**facts["discriminator_connections"]),
        label_mapping_layers=facts["discriminator_mapping_layers"],
        learning_rate_multiplier=settings["lr_multiplier"],
        minibatch_stddev_group=settings["mbstd_group_size"],
        minibatch_stddev_within_classes=False,
        clamp=settings["conv_clamp"],
    )
    discriminator.load_state_dict({_discriminator_name(name, theirs=theirs): value for name, value in _weights(theirs)})
    return discriminator.eval()


# ---------------------------------------------------------------------- what the shapes tell


def _generator_facts(theirs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of `StyleGAN2` that the generator's weights tell, as plain data."""
    layers = _count(theirs, r"mapping\.fc\d+\.weight")
    style_dim = len(theirs[f"mapping.fc{layers - 1}.weight"])
    embedding = theirs.get("mapping.embed.weight")
    inputs = theirs["mapping.fc0.weight"].shape[1]
    heads = _count(theirs, r"synthesis\.b\d+\.torgb\.weight")
    blocks = {
        int(name.split(".")[1][1:]): len(value) for name, value in theirs.items() if name.endswith("conv1.weight")
    }
    last = theirs[f"synthesis.b{max(blocks)}.torgb.weight"]
    return {
        **_channels(blocks),
        "image_channels": len(last),
        "number_of_classes": 0 if embedding is None else embedding.shape[1],
        "latent_dim": inputs if embedding is None else inputs - len(embedding),
        "style_dim": style_dim,
        "mapping_layers": layers,
        "generator_connections": {"image_skips": heads > 1, "residual": _count(theirs, r".*\.skip\.weight") > 0},
    }


def _discriminator_facts(theirs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of `StyleGAN2` that the discriminator's weights tell, as plain data."""
    embedding = theirs.get("mapping.embed.weight")
    heads = _count(theirs, r"b\d+\.fromrgb\.weight")
    blocks = {
        int(name.split(".")[0][1:]): len(value) for name, value in theirs.items() if name.endswith("conv0.weight")
    }
    blocks[4] = len(theirs["b4.conv.weight"])
    return {
        **_channels(blocks),
        "image_channels": theirs[f"b{max(blocks)}.fromrgb.weight"].shape[1],
        "number_of_classes": 0 if embedding is None else embedding.shape[1],
        "discriminator_mapping_layers": _count(theirs, r"mapping\.fc\d+\.weight"),
        "discriminator_connections": {"image_skips": heads > 1, "residual": _count(theirs, r".*\.skip\.weight") > 0},
    }


def _channels(blocks: Mapping[int, int]) -> dict[str, int]:
    """The image size and the widths, of the numbers of feature maps by resolution."""
    largest, top = blocks.get(4, 0), max(blocks)
    # channel_base is between width * resolution and (width + 1) * resolution wherever the width is not the largest.
    base = max((width * size for size, width in blocks.items() if width < largest), default=largest * top)
    facts = {"image_size": top, "channel_base": base, "channel_max": largest}
    if [blocks.get(4 << block) for block in range(len(blocks))] != _sizes({**facts, "image_channels": 1}).channels:
        raise ValueError(f"the numbers of feature maps {blocks} are those of no channel_base; give another file")
    return facts


def _sizes(facts: Mapping[str, Any]) -> ImageSizes:
    return ImageSizes(
        image_height=facts["image_size"],
        image_width=facts["image_size"],
        image_channels=facts["image_channels"],
        channel_base=facts["channel_base"],
        channel_max=facts["channel_max"],
    )


def _count(theirs: Mapping[str, Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in theirs)


# ---------------------------------------------------------------------- names


def _weights(theirs: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The weights without the filters, which are all [1, 3, 3, 1] x [1, 3, 3, 1] / 64."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name, value in theirs.items():
        if name.endswith("resample_filter") and not (
            value.shape == (4, 4) and torch.allclose(value.float(), torch.outer(taps, taps), atol=1e-6)
        ):
            raise ValueError(
                f"{name} is another filter than [1, 3, 3, 1], which the networks here have; give another file"
            )
    return [(name, value) for name, value in theirs.items() if not name.endswith("resample_filter")]


def _layout(name: str, value: Tensor) -> Tensor:
    """The learned constant and the strength of noise have one more dimension here, and stored noise two."""
    if name.endswith((".const", "noise_strength")):
        return value[None]
    return value[None, None] if name.endswith("noise_const") else value


def _mapping_name(name: str, *, embedding: str, layers: str) -> str:
    layer, _, kind = name.partition(".")
    return f"{embedding}.linear.{kind}" if layer == "embed" else f"{layers}.{layer.removeprefix('fc')}.0.{kind}"


def _generator_name(name: str, *, top: int, theirs: Mapping[str, Tensor]) -> str:
    network, rest = name.split(".", 1)
    if network == "mapping":
        if rest == "w_avg":
            return "w_avg"
        return _mapping_name(rest, embedding="mapping.label_embedding", layers="mapping.layers")
    block, rest = _block_of(rest)
    layer, _, kind = rest.partition(".")
    if layer == "const":
        return "synthesis.first.constant"
    if layer != "torgb" and layer not in _GENERATOR_LAYERS:
        raise ValueError(f"{name} is no weight of StyleGAN2; give another file")
    if layer == "torgb":
        return f"synthesis.to_images.{block if 'synthesis.b4.torgb.weight' in theirs else 0}.{kind}"
    kind = "noise" if kind == "noise_const" else kind
    return f"synthesis.{'first' if block == 0 else f'blocks.{block - 1}'}.{_GENERATOR_LAYERS[layer]}.{kind}"


def _discriminator_name(name: str, *, theirs: Mapping[str, Tensor]) -> str:
    if name.startswith("mapping."):
        rest = name.removeprefix("mapping.")
        return _mapping_name(rest, embedding="label_mapping.embedding", layers="label_mapping.layers")
    block, rest = _block_of(name)
    layer, _, kind = rest.partition(".")
    if layer == "fromrgb":
        return f"from_images.{block if 'b4.fromrgb.weight' in theirs else 0}.{kind}"
    if layer not in (_LAST_LAYERS if block == 0 else _DISCRIMINATOR_LAYERS):
        raise ValueError(f"{name} is no weight of StyleGAN2; give another file")
    return (
        f"last.{_LAST_LAYERS[layer]}.{kind}"
        if block == 0
        else f"blocks.{block - 1}.{_DISCRIMINATOR_LAYERS[layer]}.{kind}"
    )


def _block_of(name: str) -> tuple[int, str]:
    """Returns (2, "conv1.bias") for `b16.conv1.bias`."""
    match = _BLOCK.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is no weight of StyleGAN2; give another file")
    return round(math.log2(int(match["resolution"]))) - 2, match["rest"]


# ---------------------------------------------------------------------- the pickles that the authors publish

_NETWORKS = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}
"""Our paths of the networks in a pickle, by their names."""


def _is_pickle(content: Any) -> bool:
    return isinstance(content, dict) and any(_synthesizes(content.get(name)) for name in ("G", "G_ema"))


def _synthesizes(value: Any) -> bool:
    """Whether a value is a network with a synthesis network in it, as those from StyleGAN2 on have one."""
    attributes = attributes_of(value) if is_persistent(value) else None
    return isinstance(attributes, dict) and "synthesis" in attributes.get("_modules", {})


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    found = {name: files.main[name] for name in _NETWORKS if is_persistent(files.main.get(name))}
    weights = {name: weights_of_module(network) for name, network in found.items()}
    for name, theirs in weights.items():
        if ("b4.conv.weight" if name == "D" else "synthesis.b4.const") not in theirs:
            raise ValueError(
                f"{name} of the file is no network of StyleGAN2 but, for example, of StyleGAN3, which this package "
                "does not have; give a file of stylegan2-ada-pytorch"
            )
    if "G" not in weights:
        found["G"], weights["G"] = found["G_ema"], weights["G_ema"]
    said = {name: _arguments_of(network, name=name) for name, network in found.items()}
    facts = _generator_facts(weights["G"])
    of_discriminator = _discriminator_facts(weights["D"]) if "D" in weights else {}
    config = _config(said, maps_labels=of_discriminator.get("discriminator_mapping_layers", 0) > 0)
    built = {"G": networks({"G": weights["G"]}, config)["G"]}
    if "D" in weights:
        for name, value in of_discriminator.items():
            if facts.get(name, value) != value:
                raise ValueError(
                    f"the generator has {name}={facts[name]} and the discriminator {value}, but StyleGAN2 has one "
                    "value for both; give another file"
                )
        facts |= of_discriminator
        built["D"] = networks({"D": weights["D"]}, config)["D"]
    if "G_ema" in weights:
        built["G_ema"] = networks({"G": weights["G_ema"]}, config)["G"]
    return ImportedNetworks(
        class_path="lightning_gan.models.stylegan2.StyleGAN2",
        settings={
            **facts,
            "mapping_learning_rate_multiplier": config["lr_multiplier"],
            "minibatch_stddev_group": config["mbstd_group_size"],
            "clamp": config["conv_clamp"],
        },
        networks={_NETWORKS[name]: network for name, network in built.items()},
        sources={_NETWORKS[name]: counted(name, dict(_weights(weights[name]))) for name in built},
        not_used=[name for name in files.main if name not in _NETWORKS],
    )


def _arguments_of(network: Recorded, *, name: str) -> dict[str, Any]:
    """The arguments by name that a network was built with, those of its parts among them.

    Layers tell what they were given, where the network took a default of its code, which is not read.
    """
    flat: dict[str, Any] = {}
    for argument, value in persistent_arguments(network).items():
        flat |= dict(value) if isinstance(value, dict) else {argument: value}
    given = [persistent_arguments(layer) for layer in persistent_layers(network)]
    for argument, setting in _OF_LAYERS.items():
        values = {layer[argument] for layer in given if argument in layer}
        if len(values | ({flat[setting]} if setting in flat else set())) > 1:
            raise ValueError(
                f"{name} of the file has layers with different values of {setting}, "
                f"{', '.join(sorted(map(str, values)))}, and StyleGAN2 has one for all; give another file"
            )
        if values:
            (flat[setting],) = values
    return flat


def _config(said: Mapping[str, Mapping[str, Any]], *, maps_labels: bool) -> dict[str, Any]:
    """The authors' settings that no shape tells.

    Args:
        said: the arguments of every network.
        maps_labels: whether the discriminator has fully connected layers behind its embedding of labels. Without them
            it has no use for their rate, which is another one in networks that were trained with TensorFlow.

    Raises:
        ValueError: for settings that the model does not have, or has one value of for both networks.
    """
    known = {*_FIXED, *_DEFAULTS, *_TOLD_BY_SHAPES, *_NO_EFFECT}
    for network, arguments in said.items():
        for name, value in arguments.items():
            wrong = name not in known or (name in _FIXED and value not in _FIXED[name])
            if wrong or (name == "mbstd_group_size" and not isinstance(value, int | None)):
                raise ValueError(
                    f"{network} of the file has {name}={value}, for which StyleGAN2 has no setting; give another file"
                )
    without = {"conv_clamp": (), "mbstd_group_size": ("G", "G_ema"), "lr_multiplier": () if maps_labels else ("D",)}
    config: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        values = {key: args.get(name, default) for key, args in said.items() if key not in without[name]}
        if len(set(values.values())) > 1:
            raise ValueError(
                f"the networks of the file have different values of {name}, {values}, and StyleGAN2 has one for all; "
                "give another file"
            )
        config[name] = next(iter(values.values()), default)
    return config


FORMAT = ForeignFormat(
    title="StyleGAN2-ADA of its authors (PyTorch, a pickle of G, D and G_ema)", recognises=_is_pickle, read=_read
)
