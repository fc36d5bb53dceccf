"""Import of weights from the authors' PGGAN (TensorFlow, `networks.py`: `G_paper` and `D_paper`).

Its variables are named `{r}x{r}/Conv0_up/weight` and so on. Convolutions are `[kh, kw, in, out]` and dense layers
`[in, out]`. As in this package, weights are stored before the factor of the equalized learning rate. With `fused_scale`
the generator's upsampling convolutions are transposed ones, `[kh, kw, out, in]`, whose kernels are mirrored; without it
the discriminator halves the resolution after the activation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.interop.tensorflow_networks import (
    TensorFlowNetwork,
    growth_of,
    ignored_settings,
    networks_in,
    sizes_of,
)
from lightning_gan.layers import EqualizedConv2d, EqualizedLinear, stage_of
from lightning_gan.models.pggan import Discriminator, Generator

_REFUSED_UNLESS = {"fmap_decay": 1.0, "use_leakyrelu": True}
"""Options of the authors' networks that this package does not have, with the only value that can be imported."""


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the generator "G" and the discriminator "D" from the authors' weights, in evaluation mode.

    "D" returns the logit first and then the class logits.

    Args:
        state: weights of the networks `G` and `D` by the authors' variable names. `lod` is ignored: the networks have
            all blocks, and `grow` sets their level.
        config: the authors' keyword arguments: `resolution`, `num_channels`, `label_size`, `fmap_base`, `fmap_max`,
            `latent_size`, `normalize_latents`, `use_wscale`, `use_pixelnorm`, `pixelnorm_epsilon`, `fused_scale`,
            `mbstd_group_size`; missing ones have the authors' default.

    Raises:
        ValueError: for options of the authors' code that this package does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    for option, value in _REFUSED_UNLESS.items():
        if config.get(option, value) != value:
            raise ValueError(f"only {option}={value} can be imported, the authors' own setting, not {config[option]}")
    group = config.get("mbstd_group_size", 4)
    if group < 2:
        raise ValueError(
            f"mbstd_group_size={group} cannot be imported, because this package's discriminator always has a minibatch "
            "standard deviation; give 2 or more"
        )
    shared = {
        "image_size": config.get("resolution", 32),
        "image_channels": config.get("num_channels", 1),
        "number_of_classes": config.get("label_size", 0),
        "channel_base": config.get("fmap_base", 8192),
        "channel_max": config.get("fmap_max", 512),
    }
    fused = config.get("fused_scale", True)
    latent_dim = config.get("latent_size")
    generator = Generator(
        **shared,
        latent_dim=latent_dim if latent_dim is not None else min(shared["channel_base"], shared["channel_max"]),
        normalizes_latents=config.get("normalize_latents", True),
        normalizes_features=config.get("use_pixelnorm", True),
        pixel_norm_eps=config.get("pixelnorm_epsilon", 1e-8),
    )
    discriminator = Discriminator(**shared, minibatch_stddev_group=group, activation_before_downsampling=not fused)
    top = stage_of(shared["image_size"])
    generator.load_state_dict(
        {_generator_name(name, top): _layout(name, value, fused=fused) for name, value in _weights(state["G"])}
    )
    discriminator.load_state_dict(
        {_discriminator_name(name, top): _layout(name, value, fused=fused) for name, value in _weights(state["D"])}
    )
    if not config.get("use_wscale", True):
        for network in (generator, discriminator):
            _undo_scales(network)
    return {"G": generator.eval(), "D": discriminator.eval()}


def _weights(state: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in state.items() if name != "lod"]


@torch.no_grad()
def _undo_scales(network: nn.Module) -> None:
    """Divides the weights by the factor of the equalized learning rate, because they were stored without one."""
    for layer in network.modules():
        if isinstance(layer, EqualizedLinear | EqualizedConv2d):
            layer.weight.div_(layer.weight_scale)


def _layout(name: str, value: Tensor, *, fused: bool) -> Tensor:
    """Converts TensorFlow's order of dimensions to PyTorch's."""
    if value.dim() == 4 and "/Conv0_up/" in name and fused:
        return value.permute(2, 3, 0, 1).flip(2, 3).contiguous()  # kh kw out in, mirrored -> out in kh kw
    if value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()  # kh kw in out -> out in kh kw
    return value.t().contiguous() if value.dim() == 2 else value


def _place(name: str, top: int) -> tuple[int, str, str]:
    """Returns stage, layer and kind: (2, "Conv1", "bias") for `16x16/Conv1/bias`.

    For a network of 16x16 pixels, `ToRGB_lod0/bias` gives (2, "ToRGB", "bias").
    """
    *place, layer, kind = name.split("/")
    if not place:
        layer, level = layer.split("_lod")
        return top - int(level), layer, kind
    return stage_of(int(place[0].split("x")[0])), layer, kind


def _generator_name(name: str, top: int) -> str:
    stage, layer, kind = _place(name, top)
    if layer == "ToRGB":
        return f"to_rgb.{stage}.{kind}"
    if stage == 0:
        ours = {"Dense/weight": "dense.weight", "Dense/bias": "bias", "Conv/weight": "conv.weight"}
        return f"first.{ours.get(f'{layer}/{kind}', f'conv.{kind}')}"
    # Without fused_scale the first convolution is named Conv0.
    return f"blocks.{stage - 1}.{'conv1' if layer == 'Conv1' else 'conv0_up'}.{kind}"


def _discriminator_name(name: str, top: int) -> str:
    stage, layer, kind = _place(name, top)
    if layer == "FromRGB":
        return f"from_rgb.{stage}.conv.{kind}"
    if stage == 0:
        return f"last.{layer.lower()}.{kind}"  # Conv, Dense0, Dense1
    # Without fused_scale the second convolution is named Conv1.
    return f"blocks.{stage - 1}.{'conv0' if layer == 'Conv0' else 'conv1_down'}.{kind}"


# ---------------------------------------------------------------------- the pickles that the authors publish

_WITHOUT_A_SETTING = {"normalize_latents": True, "use_pixelnorm": True, "pixelnorm_epsilon": 1e-8}
"""Options that `networks` imports and the model `PGGAN` has no settings for, with the values that it has."""

_READ = {
    *_REFUSED_UNLESS,
    *_WITHOUT_A_SETTING,
    "resolution",
    "num_channels",
    "label_size",
    "fmap_base",
    "fmap_max",
    "latent_size",
    "use_wscale",
    "fused_scale",
    "mbstd_group_size",
}


def _is_pggan(content: Any) -> bool:
    found = networks_in(content)
    return found is not None and not found[0].components and "4x4/Dense/weight" in found[0].variables


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    found = networks_in(files.main)
    assert found is not None
    generator, discriminator, average = found
    config = _config(generator, discriminator)
    for option, value in _WITHOUT_A_SETTING.items():
        if config.get(option, value) != value:
            raise ValueError(
                f"the file has {option}={config[option]}, for which PGGAN has no setting; "
                "lightning_gan.interop.pggan_official.networks builds its networks in Python"
            )
    imported = networks({"G": generator.variables, "D": discriminator.variables}, config)
    averaged = networks({"G": average.variables, "D": discriminator.variables}, config)["G"]
    return ImportedNetworks(
        class_path="lightning_gan.models.pggan.PGGAN",
        settings={
            "image_size": config["resolution"],
            "image_channels": config["num_channels"],
            "number_of_classes": config["label_size"],
            "latent_dim": config["latent_size"],
            "channel_base": config["fmap_base"],
            "channel_max": config["fmap_max"],
            "minibatch_stddev_group": config.get("mbstd_group_size", 4),
            "activation_before_downsampling": not config.get("fused_scale", True),
        },
        networks={"generator": imported["G"], "discriminator": imported["D"], "generator_ema": averaged},
        sources={
            "generator": counted("G", dict(_weights(generator.variables))),
            "discriminator": counted("D", dict(_weights(discriminator.variables))),
            "generator_ema": counted("Gs", dict(_weights(average.variables))),
        },
        growth=growth_of(float(generator.variables.get("lod", 0.0)), resolution=config["resolution"]),
        not_used=ignored_settings(found, known=_READ),
    )


def _config(generator: TensorFlowNetwork, discriminator: TensorFlowNetwork) -> dict[str, Any]:
    """The authors' keyword arguments: what the shapes tell, and what the file says."""
    classes = len(discriminator.variables["4x4/Dense1/bias"]) - 1
    sizes = {
        **sizes_of(generator.variables, discriminator.variables),
        "label_size": classes,
        "latent_size": len(generator.variables["4x4/Dense/weight"]) - classes,
    }
    said = {**discriminator.settings, **generator.settings}
    return {**{name: value for name, value in said.items() if name in _READ}, **sizes}


FORMAT = ForeignFormat(
    title="PGGAN of its authors (TensorFlow, a pickle of three networks)", recognises=_is_pggan, read=_read
)
