"""Import of weights from `GAN_stability` (PyTorch, the R1 paper's code).

Its layers are `embedding`, `fc`, `conv_img` and blocks with `conv_0`, `conv_1`, `conv_s`. The blocks of `resnet` are
`resnet.0`, `resnet.2` ... in one sequence with the resampling; those of `resnet2` to `resnet4` are `resnet_0_0`,
`resnet_0_1`, `resnet_1_0` ... The order of the names is the order in the forward pass, as in this package.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lightning_gan.interop.foreign_file import is_state
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.models.r1_resnet import (
    Architecture,
    Discriminator,
    Generator,
    ResidualBlock,
    ResNet,
    ResNet2,
    ResNet3,
    ResNet4,
)

_LAYERS = {"conv_0": "conv0", "conv_1": "conv1", "conv_s": "shortcut"}
_BLOCK = re.compile(r"resnet[._](?P<place>\d+(_\d+)?)\.(?P<layer>conv_\w)\.(?P<kind>\w+)")


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the generator "G" and the discriminator "D", in evaluation mode.

    With one class (`nlabels`), as in all of the authors' unconditional settings, they need no labels.

    Args:
        state: weights by network, `G` and `D`, and by the authors' names, with or without "module." before them.
        config: the authors' keyword arguments: `z_dim`, `nlabels`, `size`, `embed_size` (256), `nfilter` (64) and
            `nfilter_max` (512).

    Raises:
        ValueError: for names that the authors' code does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    imported: dict[str, nn.Module] = {}
    number_of_classes = config["nlabels"] if config["nlabels"] > 1 else 0
    width, width_max = config.get("nfilter", 64), config.get("nfilter_max", 512)
    if "G" in state:
        weights = without_wrapper(state["G"])
        generator = Generator(
            image_size=config["size"],
            image_channels=weights["conv_img.weight"].shape[0],
            number_of_classes=number_of_classes,
            latent_dim=config["z_dim"],
            label_dim=config.get("embed_size", 256),
            width=width,
            width_max=width_max,
            architecture=_architecture(weights),
        )
        load(generator, weights, heads={"embedding": "label_embedding", "fc": "input", "conv_img": "output"})
        imported["G"] = generator.eval()
    if "D" in state:
        weights = without_wrapper(state["D"])
        discriminator = Discriminator(
            image_size=config["size"],
            image_channels=weights["conv_img.weight"].shape[1],
            number_of_classes=number_of_classes,
            width=width,
            width_max=width_max,
            architecture=_architecture(weights),
        )
        load(discriminator, weights, heads={"conv_img": "input", "fc": "output"})
        imported["D"] = discriminator.eval()
    return imported


def without_wrapper(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Removes the prefix "module." from the names, which `DataParallel` adds in the authors' checkpoints."""
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _architecture(weights: dict[str, Tensor]) -> Architecture:
    """Returns the architecture, which is one of the authors' files, by the names of the weights."""
    if any(name.startswith("resnet.") for name in weights):
        return ResNet()
    if any(name.startswith("resnet_0_1.") for name in weights):
        return ResNet2()
    return ResNet4() if any(name.startswith("resnet_6_0.") for name in weights) else ResNet3()


def load(network: nn.Module, weights: dict[str, Tensor], *, heads: dict[str, str]) -> None:
    """Loads the authors' weights; blocks are matched by their order in the forward pass.

    Args:
        network: network to load into.
        weights: the authors' weights.
        heads: our name of each layer outside of the blocks by the authors' name.

    Raises:
        ValueError: if the number of blocks is different, or a variable is unknown.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    matches = {name: _BLOCK.fullmatch(name) for name in weights}
    places = {match["place"] for match in matches.values() if match is not None}
    order = sorted(places, key=lambda place: [int(number) for number in place.split("_")])
    blocks = [name for name, module in network.named_modules() if isinstance(module, ResidualBlock)]
    if len(blocks) != len(order):
        raise ValueError(
            f"the weights have {len(order)} residual blocks, a {type(network).__name__} of this size {len(blocks)}; "
            "give the size that they were trained at"
        )
    ours = dict(zip(order, blocks, strict=True))
    renamed: dict[str, Tensor] = {}
    for name, match in matches.items():
        if match is not None and match["layer"] in _LAYERS:
            renamed[f"{ours[match['place']]}.{_LAYERS[match['layer']]}.{match['kind']}"] = weights[name]
        else:
            layer, _, kind = name.rpartition(".")
            if layer not in heads:
                raise ValueError(f"{name!r} is no variable of a {type(network).__name__} in GAN_stability")
            renamed[f"{heads[layer]}.{kind}"] = weights[name]
    network.load_state_dict(renamed)


# ---------------------------------------------------------------------- the files model.pt

TRAINING_STATE = ("it", "g_optimizer", "d_optimizer")
"""Parts of a checkpoint that are no weights."""


def is_checkpoint(content: Any) -> bool:
    """Whether the content of a file is a checkpoint of this code, or of VGAN's, which is derived from it.

    Args:
        content: content of the file.
    """
    if not isinstance(content, dict):
        return False
    states = [content[name] for name in ("generator", "generator_test") if name in content]
    return bool(states) and all(is_state(one) and "conv_img.weight" in without_wrapper(one) for one in states)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The networks of a checkpoint, under the names of `networks`, and what else it has.

    Attributes:
        state: weights of "G", of "D" and of "G_average", as far as they are there.
        names: their names in the file.
        not_used: names of the parts that are no weights.
    """

    state: dict[str, dict[str, Tensor]]
    names: dict[str, str]
    not_used: list[str]


def checkpoint_of(content: Mapping[str, Any]) -> Checkpoint:
    """The networks of a checkpoint. One that has only the averaged generator has it as the generator, too.

    Args:
        content: content of the file.

    Raises:
        ValueError: for parts that the authors' code does not write.
    """
    theirs = {"generator": "G", "discriminator": "D", "generator_test": "G_average"}
    unknown = sorted(set(content) - set(theirs) - set(TRAINING_STATE))
    if unknown:
        raise ValueError(
            f"the file has the parts {', '.join(unknown)}, which GAN_stability does not write; remove them"
        )
    names = {ours: name for name, ours in theirs.items() if name in content}
    if "G" not in names:
        names["G"] = names["G_average"]
    return Checkpoint(
        state={ours: without_wrapper(content[name]) for ours, name in names.items()},
        names=names,
        not_used=[name for name in TRAINING_STATE if name in content],
    )


def config_of(state: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """The authors' keyword arguments that the shapes of the generator's weights tell.

    Args:
        state: weights by network and by the authors' names, without "module." before them.
    """
    weights = dict(state["G"])
    classes, label_dim = weights["embedding.weight"].shape
    inputs, first = weights["fc.weight"].shape[1], len(weights["fc.weight"])
    features = [value.shape[0] for name, value in weights.items() if name.endswith("conv_1.weight")]
    width, architecture = weights["conv_img.weight"].shape[1], _architecture(weights)
    if isinstance(architecture, ResNet):
        size = 4 * 2 ** (len(features) - 1)  # one block for each resolution from 4x4
    else:
        # The blocks do not depend on the lowest resolution, which the number of the first layer's outputs tells.
        smallest = 2 ** (architecture.stages - 1)
        channels = architecture.blocks(image_size=smallest, width=width, width_max=width).first
        size = math.isqrt(first // channels) * smallest
    return {
        "z_dim": inputs - label_dim,
        "nlabels": classes,
        "size": size,
        "embed_size": label_dim,
        "nfilter": width,
        "nfilter_max": max(width, *features),
    }


def settings_of(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of a model with this generator, as plain data.

    Args:
        config: the authors' keyword arguments.
        weights: the generator's weights by the authors' names.
    """
    return {
        "image_size": config["size"],
        "image_channels": len(weights["conv_img.weight"]),
        "number_of_classes": config["nlabels"] if config["nlabels"] > 1 else 0,
        "latent_dim": config["z_dim"],
        "label_dim": config["embed_size"],
        "width": config["nfilter"],
        "width_max": config["nfilter_max"],
    }


def networks_of_model(
    checkpoint: Checkpoint, imported: Mapping[str, nn.Module]
) -> tuple[dict[str, nn.Module], dict[str, tuple[str, int]]]:
    """Imported networks by their paths in a model, and what they were made of, as in `ImportedNetworks`.

    Args:
        checkpoint: the checkpoint.
        imported: the networks "G", "D" and "G_average", as far as they are there.
    """
    paths = {"G": "generator", "D": "discriminator", "G_average": "generator_ema"}
    return (
        {paths[name]: network for name, network in imported.items()},
        {paths[name]: counted(checkpoint.names[name], checkpoint.state[name]) for name in imported},
    )


def _is_ours(content: Any) -> bool:
    has_code = is_checkpoint(content) and "logstd_fn.weight" in without_wrapper(content.get("discriminator", {}))
    return is_checkpoint(content) and not has_code


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    checkpoint = checkpoint_of(files.main)
    config = config_of(checkpoint.state)
    imported = networks({name: weights for name, weights in checkpoint.state.items() if name != "G_average"}, config)
    if "G_average" in checkpoint.state:
        imported["G_average"] = networks({"G": checkpoint.state["G_average"]}, config)["G"]
    architecture = type(_architecture(checkpoint.state["G"]))
    ours, sources = networks_of_model(checkpoint, imported)
    return ImportedNetworks(
        class_path="lightning_gan.models.r1_resnet.R1ResNet",
        settings={
            **settings_of(config, checkpoint.state["G"]),
            "architecture": {"class_path": f"{architecture.__module__}.{architecture.__qualname__}"},
        },
        networks=ours,
        sources=sources,
        not_used=checkpoint.not_used,
    )


FORMAT = ForeignFormat(title="GAN_stability, the R1 paper's code (model.pt)", recognises=_is_ours, read=_read)
