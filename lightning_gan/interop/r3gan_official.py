"""Import of weights from the authors' R3GAN (PyTorch, `R3GAN/Networks.py`).

Its layers are named `MainLayers.{stage}.Layers.{place}` with stages in the order of the forward pass, as in this
package. A network in a training snapshot is wrapped, so that "Model." stands in front of every name. Biases are in the
activations (`NonLinearity1.Bias`), and the filter of the resampling is saved as `Resampler.Kernel`.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.interop.foreign_file import is_state, weights_of_module
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.interop.restricted_pickle import Recorded
from lightning_gan.layers.binomial_filter import BinomialUpsampling
from lightning_gan.models.r3gan_networks import EXPANSION, Discriminator, Generator

_LAYERS = {
    "LinearLayer1.Layer.weight": "conv1.weight",
    "LinearLayer2.Layer.weight": "conv2.weight",
    "LinearLayer3.Layer.weight": "conv3.weight",
    "NonLinearity1.Bias": "conv1.bias",
    "NonLinearity2.Bias": "conv2.bias",
    "LinearLayer.Layer.weight": "conv.weight",
    "LinearLayer.weight": "linear.weight",
    "Basis": "basis",
    "Basis.weight": "basis",
}
"""Our names of the variables within a stage, by the authors'."""

_OUTSIDE = {
    "AggregationLayer.Layer.weight": "output.weight",
    "ExtractionLayer.Layer.weight": "input.weight",
    "EmbeddingLayer.weight": "label_embedding.weight",
}
"""The same for those outside of the stages."""

_WITHIN_STAGE = re.compile(r"MainLayers\.(?P<stage>\d+)\.Layers\.(?P<place>\d+)\.(?P<variable>.+)")
_KERNEL = "Resampler.Kernel"


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the generator "G" and the discriminator "D", in evaluation mode.

    They compute in fp32, while the authors' compute most stages in bf16.

    Args:
        state: weights by network, `G` and `D`, and by the authors' names, without "Model." before them.
        config: `widths` and `blocks` from 4x4 on, the `cardinality` of every stage, `noise_dim`, and `n_classes`, which
            is None without classes.

    Raises:
        ValueError: for names and filters that the authors' code does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    widths, blocks = config["widths"], config["blocks"]
    group_widths = _group_widths(config)
    classes = config["n_classes"] or 0
    imported: dict[str, nn.Module] = {}
    if "G" in state:
        embedding = state["G"].get("EmbeddingLayer.weight")
        imported["G"] = Generator(
            image_channels=len(state["G"]["AggregationLayer.Layer.weight"]),
            number_of_classes=classes,
            latent_dim=config["noise_dim"],
            label_dim=0 if embedding is None else len(embedding),
            widths=widths,
            blocks=blocks,
            group_widths=group_widths,
            bf16_stages=0,
        )
    if "D" in state:
        imported["D"] = Discriminator(
            image_channels=state["D"]["ExtractionLayer.Layer.weight"].shape[1],
            number_of_classes=classes,
            widths=widths,
            blocks=blocks,
            group_widths=group_widths,
            bf16_stages=0,
        )
    for name, network in imported.items():
        network.load_state_dict(_renamed(state[name], network=name))
        network.eval()
    return imported


def _group_widths(config: Mapping[str, Any]) -> list[int]:
    """Numbers of channels of a group, of all stages: the inside of a block by the authors' number of groups in it."""
    stages = zip(config["widths"], config["cardinality"], strict=True)
    return [EXPANSION * width // groups for width, groups in stages]


def _renamed(weights: Mapping[str, Tensor], *, network: str) -> dict[str, Tensor]:
    """The weights of a network by our names, and in our layout."""
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name in _OUTSIDE:
            renamed[_OUTSIDE[name]] = value
            continue
        match = _WITHIN_STAGE.fullmatch(name)
        if match is not None and match["variable"] == _KERNEL:
            _check_filter(value, name=name)
        elif match is not None and match["variable"] in _LAYERS:
            # The discriminator's patterns are a convolution's weight, `channels 1 4 4`.
            value = value.squeeze(1) if match["variable"] == "Basis.weight" else value
            renamed[f"stages.{match['stage']}.{match['place']}.{_LAYERS[match['variable']]}"] = value
        else:
            raise ValueError(f"{name!r} of {network} is no variable of R3GAN's authors; import a file of their code")
    return renamed


def _check_filter(value: Tensor, *, name: str) -> None:
    ours = BinomialUpsampling().kernel[0, 0] / 4
    if value.shape != ours.shape or not torch.allclose(value.float(), ours, atol=1e-6):
        raise ValueError(
            f"{name!r} is another filter than [1, 3, 3, 1], the only one that can be imported; retrain with that filter"
        )


# ---------------------------------------------------------------------- the pickles network-snapshot-...pkl


def _state_of(content: Any) -> dict[str, dict[str, Tensor]]:
    """Weights by network and by the authors' names; nothing if the content is no file of theirs."""
    if not isinstance(content, dict):
        return {}
    state: dict[str, dict[str, Tensor]] = {}
    for network in ("G", "D", "G_ema"):
        value = content.get(network)
        weights = weights_of_module(value) if isinstance(value, Recorded) else value
        if isinstance(weights, dict) and is_state(weights):
            state[network] = {name.removeprefix("Model."): tensor for name, tensor in weights.items()}
    return state


def _is_ours(content: Any) -> bool:
    try:
        state = _state_of(content)
    except ValueError:  # an object that is no network
        return False
    return any("AggregationLayer.Layer.weight" in state.get(network, {}) for network in ("G", "G_ema"))


def config_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the shapes of a generator's weights tell: the arguments of `networks`.

    Args:
        weights: weights by the authors' names, without "Model." before them.
    """
    inside = [
        (int(match["stage"]), value)
        for name, value in weights.items()
        if (match := _WITHIN_STAGE.fullmatch(name)) is not None and match["variable"] == "LinearLayer2.Layer.weight"
    ]
    stages = range(1 + max(stage for stage, _ in inside))
    of_stages = [[value for at, value in inside if at == stage] for stage in stages]
    label_dim, classes = weights.get("EmbeddingLayer.weight", torch.empty(0, 0)).shape
    return {
        "widths": [len(kernels[0]) // 2 for kernels in of_stages],
        "blocks": [len(kernels) for kernels in of_stages],
        "cardinality": [len(kernels[0]) // kernels[0].shape[1] for kernels in of_stages],
        "noise_dim": weights["MainLayers.0.Layers.0.LinearLayer.weight"].shape[1] - label_dim,
        "label_dim": label_dim,
        "n_classes": classes or None,
    }


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    state = _state_of(files.main)
    state.setdefault("G", state.get("G_ema", {}))
    config = config_of(state["G"])
    imported = networks(state, config)
    if "G_ema" in state:
        imported["G_ema"] = networks({"G": state["G_ema"]}, config)["G"]
    paths = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}
    group_widths = _group_widths(config)
    return ImportedNetworks(
        class_path="lightning_gan.models.r3gan.R3GAN",
        settings={
            "image_size": 4 * 2 ** (len(config["widths"]) - 1),
            "image_channels": len(state["G"]["AggregationLayer.Layer.weight"]),
            "number_of_classes": config["n_classes"] or 0,
            "latent_dim": config["noise_dim"],
            "label_dim": config["label_dim"] or 64,
            "widths": config["widths"],
            "blocks_per_stage": config["blocks"],
            "group_width": group_widths[0] if len(set(group_widths)) == 1 else group_widths,
        },
        networks={paths[name]: network for name, network in imported.items()},
        sources={paths[name]: counted(name, state[name]) for name in imported},
        not_used=sorted(str(name) for name in files.main if name not in paths),
        assumed=["fp32 in all stages (the authors compute most of them in bf16)"],
    )


FORMAT = ForeignFormat(title="R3GAN of its authors (network-snapshot-....pkl)", recognises=_is_ours, read=_read)
"""The authors' pickles, as the command `import` reads them."""
