"""Import of weights from `GAN_stability` (PyTorch, the R1 paper's code).

Its layers are `embedding`, `fc`, `conv_img` and blocks with `conv_0`, `conv_1`, `conv_s`. The blocks of `resnet` are
`resnet.0`, `resnet.2` ... in one sequence with the resampling; those of `resnet2` to `resnet4` are `resnet_0_0`,
`resnet_0_1`, `resnet_1_0` ... The order of the names is the order in the forward pass, as in this package.
"""

import re
from typing import Any

from torch import Tensor, nn

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
