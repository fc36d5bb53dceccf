"""Import of weights from the authors' IntroVAE (PyTorch, `hhb072/IntroVAE`).

The encoder has `main.0`, `main.1` (convolution and norm), `main.res_in_128`, `main.res_in_64` ..., named by the height
of a block's input, and `fc`; the decoder has `fc.0`, `main.res_in_4`, `main.res_in_8` ... and `main.predict`. Networks
built with the channels of the command line have 1x1 convolutions (`conv_expand`) between equal widths above 256; the
import recognizes them by the weights. The authors' images are in [0, 1], and those of this package in [-1, 1].
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_gan.interop.foreign_file import is_state, weights_of_module
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.interop.restricted_pickle import Recorded
from lightning_gan.models.introspective_networks import (
    AsIntroVAEWasRun,
    Decoder,
    Encoder,
    LearnedShortcuts,
    NormalizedSum,
    WhereWidthsChange,
)

_BLOCK = re.compile(r"main\.res_in_(?P<size>\d+)\.(?P<layer>\w+)\.(?P<variable>\w+)")
_IN_BLOCK = {"conv_expand": "shortcut", "conv1": "conv1", "bn1": "norm1", "conv2": "conv2", "bn2": "norm2"}
_ENCODER = {"main.0": "input", "main.1": "norm", "fc": "code.parameters_of_code"}
_DECODER = {"fc.0": "input", "main.predict": "output"}
_OF_NORM = {
    "weight": "affine.gain",
    "bias": "affine.bias",
    "running_mean": "running_mean",
    "running_var": "running_variance",
}


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the encoder "E" and the decoder "G", in evaluation mode.

    Args:
        state: weights by network, `E` and `G`, and by the authors' names, with or without "module." before them.
        config: the authors' keyword arguments: `image_size`, `cdim`, `hdim` and `channels`.

    Raises:
        ValueError: for names that the authors' code does not have, and a number of blocks that does not fit the size.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    imported: dict[str, nn.Module] = {}
    for name, build, heads in (("E", Encoder, _ENCODER), ("G", Decoder, _DECODER)):
        if name in state:
            weights = {variable.removeprefix("module."): value for variable, value in state[name].items()}
            network = build(
                image_size=config["image_size"],
                image_channels=config["cdim"],
                latent_dim=config["hdim"],
                channels=config["channels"],
                residual_sum=NormalizedSum(),
                learned_shortcuts=_shortcuts(weights),
                batch_norm_across_ranks=True,
            )
            _load(network, weights, heads=heads, ascending=name == "G")
            imported[name] = network.eval()
    return imported


def _shortcuts(weights: dict[str, Tensor]) -> LearnedShortcuts:
    """Returns which blocks have a learned shortcut; the authors' code compares widths by `!=` or by `is not`."""
    convolutions = [value for name, value in weights.items() if ".conv_expand." in name]
    same = any(value.shape[0] == value.shape[1] for value in convolutions)
    return AsIntroVAEWasRun() if same else WhereWidthsChange()


def _load(network: Encoder | Decoder, weights: dict[str, Tensor], *, heads: dict[str, str], ascending: bool) -> None:
    """Loads the authors' weights; blocks are matched by their order in the forward pass."""
    matches = {name: _BLOCK.fullmatch(name) for name in weights}
    sizes = sorted({int(match["size"]) for match in matches.values() if match is not None}, reverse=not ascending)
    if len(sizes) != len(network.blocks):
        raise ValueError(
            f"the weights have {len(sizes)} residual blocks, {type(network).__name__} with these channels "
            f"{len(network.blocks)}; give the channels that they were trained with"
        )
    renamed: dict[str, Tensor] = {}
    for name, match in matches.items():
        if name.endswith(".num_batches_tracked"):
            continue
        if match is not None and match["layer"] in _IN_BLOCK:
            layer, variable = f"blocks.{sizes.index(int(match['size']))}.{_IN_BLOCK[match['layer']]}", match["variable"]
        else:
            theirs, _, variable = name.rpartition(".")
            if theirs not in heads:
                raise ValueError(f"{name!r} is no variable of the {type(network).__name__} in IntroVAE's code")
            layer = heads[theirs]
        is_norm = "norm" in layer.rpartition(".")[2]
        renamed[f"{layer}.{_OF_NORM.get(variable, variable) if is_norm else variable}"] = weights[name]
    # Statistics that this package can collect for sampling; the authors' code has none.
    standing = {name: value for name, value in network.state_dict().items() if ".standing_" in name}
    network.load_state_dict({**standing, **renamed})


# ---------------------------------------------------------------------- the files model_epoch_..._iter_....pth


def _state_of(content: Any) -> dict[str, dict[str, Tensor]] | None:
    """Weights by network: of a file with the pickled model, as the authors write it, or with its state dict."""
    model = content.get("model") if isinstance(content, dict) else None
    if isinstance(model, Recorded) and isinstance(model.state, dict) and "_modules" in model.state:
        found = weights_of_module(model)
    elif is_state(model) or is_state(content):
        found = dict(content if model is None else model)
    else:
        return None
    weights = {name.removeprefix("module."): value for name, value in found.items()}
    prefixes = {"E": "encoder.", "G": "decoder."}
    if any(not name.startswith(tuple(prefixes.values())) for name in weights):
        return None
    return {
        network: {
            name.removeprefix(prefix).removeprefix("module."): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
        for network, prefix in prefixes.items()
    }


def _is_ours(content: Any) -> bool:
    state = _state_of(content)
    return state is not None and "main.predict.weight" in state["G"] and "main.0.weight" in state["E"]


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    state = _state_of(files.main)
    assert state is not None
    blocks = {
        int(match["size"]): len(value)
        for name, value in state["E"].items()
        if (match := _BLOCK.fullmatch(name)) is not None and match["layer"] == "conv1"
    }
    config = {
        "image_size": 2 * max(blocks),
        "cdim": state["E"]["main.0.weight"].shape[1],
        "hdim": len(state["E"]["fc.weight"]) // 2,
        # The last block, at the lowest resolution, keeps the number of feature maps.
        "channels": [len(state["E"]["main.0.weight"]), *(blocks[size] for size in sorted(blocks, reverse=True)[:-1])],
    }
    imported = networks(state, config)
    of_networks = [_shortcuts(weights) for weights in state.values()]
    shortcuts = AsIntroVAEWasRun if AsIntroVAEWasRun() in of_networks else WhereWidthsChange
    return ImportedNetworks(
        class_path="lightning_gan.models.introvae.IntroVAE",
        settings={
            "image_size": config["image_size"],
            "image_channels": config["cdim"],
            "latent_dim": config["hdim"],
            "channels": config["channels"],
            "learned_shortcuts": {"class_path": f"{shortcuts.__module__}.{shortcuts.__qualname__}"},
        },
        networks={"generator": imported["G"], "discriminator": imported["E"]},
        sources={"generator": counted("decoder", state["G"]), "discriminator": counted("encoder", state["E"])},
        not_used=[name for name in files.main if name != "model"] if "model" in files.main else [],
        assumed=["the margin and the weights of the costs, which are those of the authors' script for 256x256"],
    )


FORMAT = ForeignFormat(title="IntroVAE of its authors (model_epoch_..._iter_....pth)", recognises=_is_ours, read=_read)
