"""Import of weights from the authors' StyleGAN (TensorFlow, `networks_stylegan.py`).

Its variables are named `{r}x{r}/Conv0_up/weight` and so on. Convolutions are `[kh, kw, in, out]` and dense layers
`[in, out]`. As in this package, weights are stored before the factor of the equalized learning rate. If the authors
fuse upsampling and convolution (`fused_scale`; "auto" does so from 128x128 on), they use a transposed convolution
without mirroring the kernel, so that `Conv0_up/weight` is mirrored here. Their fused downsampling is a convolution,
whose kernel is not mirrored.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.interop.tensorflow_networks import (
    TensorFlowNetwork,
    growth_of,
    ignored_settings,
    networks_in,
    sizes_of,
)
from lightning_gan.layers import Growing, stage_of
from lightning_gan.layers.blur import Blur
from lightning_gan.layers.mapping import MappingNetwork
from lightning_gan.layers.progressive import GrowingSizes
from lightning_gan.models.stylegan import Discriminator, Generator, SynthesisNetwork, SynthesisParts

# The values of some options that can be imported. (`structure` does not change a result.)
SUPPORTED: dict[str, tuple[Any, ...]] = {
    "fmap_decay": (1.0,),
    "use_wscale": (True,),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu", "relu"),
    "mbstd_num_features": (1,),
    "fused_scale": ("auto", True, False),
    "structure": ("auto", "fixed", "linear", "recursive"),
}


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the generator "G" and the discriminator "D" from the authors' weights, in evaluation mode.

    The authors set `truncation_psi`, `truncation_cutoff` and `randomize_noise` when they build a sampler. Here they are
    arguments of each call: `generator(latents, labels, truncation=, truncation_layers=, random_noise=)`.

    Args:
        state: weights by network, `G_mapping`, `G_synthesis` and `D`, and by the authors' variable names; `dlatent_avg`
            of a network `G` is the mean style, and a variable `lod` is the level to which the network has grown.
        config: the authors' keyword arguments of all networks together; missing ones have the authors' default.

    Raises:
        ValueError: for options of the authors' code that this package does not have, and for settings that contradict
            each other.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    _check(config)
    generator = _generator(config)
    discriminator = Discriminator(
        sizes=_sizes(config),
        number_of_classes=config.get("label_size", 0),
        minibatch_stddev_group=config.get("mbstd_group_size", 4),
        minibatch_stddev_within_classes=False,
    )
    for network in (generator.synthesis, discriminator):
        _set_blur(network, config.get("blur_filter", [1, 2, 1]))
    top = stage_of(config["resolution"])
    mapping = {_mapping_name(name): _layout(name, value) for name, value in state.get("G_mapping", {}).items()}
    synthesis = {
        _synthesis_name(name, top): _unmirrored(name, _layout(name, value), fused=config.get("fused_scale", "auto"))
        for name, value in _weights(state["G_synthesis"])
    }
    judging = {_discriminator_name(name, top): _layout(name, value) for name, value in _weights(state["D"])}
    if config.get("structure", "auto") == "fixed":
        # A network that does not grow has only the RGB layer of the full resolution; the others keep initial weights.
        synthesis = {**_unused_heads(generator.synthesis, "to_rgb", top), **synthesis}
        judging = {**_unused_heads(discriminator, "from_rgb", top), **judging}
    generator.mapping.load_state_dict(mapping)
    generator.synthesis.load_state_dict(synthesis)
    discriminator.load_state_dict(judging)
    if "dlatent_avg" in state.get("G", {}):
        generator.w_avg.copy_(state["G"]["dlatent_avg"])
    for scope, network in (("G_synthesis", generator.synthesis), ("D", discriminator)):
        if "lod" in state[scope] and config.get("structure", "auto") != "fixed":
            _grow(network, lod=float(state[scope]["lod"]))
    return {"G": generator.eval(), "D": discriminator.eval()}


def _check(config: dict[str, Any]) -> None:
    for option, supported in SUPPORTED.items():
        if option in config and config[option] not in supported:
            raise ValueError(f"{option}={config[option]!r} cannot be imported, only {supported}")
    if config.get("mbstd_group_size", 4) < 2:
        raise ValueError(
            f"mbstd_group_size={config['mbstd_group_size']} cannot be imported, because this package's discriminator "
            "always has a minibatch standard deviation; give 2 or more"
        )


def _sizes(config: dict[str, Any]) -> GrowingSizes:
    return GrowingSizes(
        image_size=config["resolution"],
        image_channels=config.get("num_channels", 3),
        channel_base=config.get("fmap_base", 8192),
        channel_max=config.get("fmap_max", 512),
    )


def _generator(config: dict[str, Any]) -> Generator:
    """Returns a generator with initial weights."""
    has_styles = bool(config.get("use_styles", True))
    style_dim = config.get("dlatent_size", 512)
    mapping = MappingNetwork(
        latent_dim=config.get("latent_size", 512),
        style_dim=style_dim,
        layers=config.get("mapping_layers", 8),
        width=config.get("mapping_fmaps", 512),
        learning_rate_multiplier=config.get("mapping_lrmul", 0.01),
        number_of_classes=config.get("label_size", 0),
    )
    parts = SynthesisParts(
        constant_input=bool(config.get("const_input_layer", True)),
        style_modulation=has_styles,
        noise_inputs=bool(config.get("use_noise", True)),
        pixel_norm=bool(config.get("use_pixel_norm", False)),
        instance_norm=bool(config.get("use_instance_norm", True)),
    )
    generator = Generator(
        mapping=mapping,
        synthesis=SynthesisNetwork(sizes=_sizes(config), style_dim=style_dim, parts=parts),
        style_mixing=(config.get("style_mixing_prob", 0.9) or 0.0) if has_styles else 0.0,
    )
    if not config.get("normalize_latents", True):
        generator.mapping.normalization = nn.Identity()
    if config.get("mapping_nonlinearity", "lrelu") == "relu":
        for layer in generator.mapping.layers:
            assert isinstance(layer, nn.Sequential)
            layer[1] = nn.ReLU()
    return generator


def _set_blur(network: nn.Module, taps: Sequence[int | float] | None) -> None:
    """Replaces the blur filter in every block; without taps, the blur is removed."""
    for block in list(network.modules()):
        for name, child in block.named_children():
            if isinstance(child, Blur):
                setattr(block, name, Blur(tuple(float(tap) for tap in taps)) if taps else nn.Identity())


def _grow(network: Growing, *, lod: float) -> None:
    """Grows a network to the authors' level of detail, which is 0 at the full resolution and grows with each halving.

    The fractional part of `lod` is 1 minus the weight of the newest block.
    """
    network.grow(network.image_size // 2 ** math.floor(lod), 1 - (lod - math.floor(lod)))


def _weights(variables: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in variables.items() if name != "lod"]


def _unused_heads(network: nn.Module, heads: str, top: int) -> dict[str, Tensor]:
    """Returns the initial weights of every RGB layer below the full resolution."""
    return {
        name: value
        for name, value in network.state_dict().items()
        if name.startswith(f"{heads}.") and int(name.split(".")[1]) != top
    }


def _layout(name: str, value: Tensor) -> Tensor:
    """Converts TensorFlow's order of dimensions to PyTorch's."""
    if not name.endswith("weight") or name.startswith("LabelConcat"):
        return value  # biases, the constant, stored noise; the label embedding is [classes, latent] on both sides
    if value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()  # kh kw in out -> out in kh kw
    return value.t().contiguous() if value.dim() == 2 else value


def _unmirrored(name: str, value: Tensor, *, fused: bool | str) -> Tensor:
    """Mirrors the kernels of fused upsampling convolutions, and returns all other variables unchanged."""
    if not name.endswith("Conv0_up/weight"):
        return value
    size = int(name.split("x")[0])
    return value.flip(2, 3) if (size >= 128 if fused == "auto" else fused) else value


def _mapping_name(name: str) -> str:
    layer, kind = name.split("/")
    return "label_weight" if layer == "LabelConcat" else f"layers.{layer.removeprefix('Dense')}.0.{kind}"


def _stage_and_rest(name: str) -> tuple[int, str]:
    """Returns (2, "Conv1/bias") for `16x16/Conv1/bias`."""
    size, rest = name.split("/", 1)
    return stage_of(int(size.split("x")[0])), rest


def _synthesis_name(name: str, top: int) -> str:
    if name.startswith("noise"):
        return name
    if name.startswith("ToRGB"):
        head, kind = name.split("/")
        return f"to_rgb.{top - int(head.removeprefix('ToRGB_lod'))}.{kind}"
    stage, rest = _stage_and_rest(name)
    block = "first" if stage == 0 else f"blocks.{stage - 1}"
    layer, kind = rest.split("/", 1)
    if kind == "const":
        return f"{block}.constant"
    if kind == "weight":
        ours = {"Dense": "dense", "Conv": "conv1", "Conv0_up": "conv0_up", "Conv1": "conv1"}
        return f"{block}.{ours[layer]}.weight"
    epilogue = f"{block}.epilogue{0 if layer in ('Const', 'Dense', 'Conv0_up') else 1}"
    parts = {
        "bias": "bias",
        "Noise/weight": "noise_weight",
        "StyleMod/weight": "style.weight",
        "StyleMod/bias": "style.bias",
    }
    return f"{epilogue}.{parts[kind]}"


def _discriminator_name(name: str, top: int) -> str:
    if name.startswith("FromRGB"):
        head, kind = name.split("/")
        return f"from_rgb.{top - int(head.removeprefix('FromRGB_lod'))}.conv.{kind}"
    stage, rest = _stage_and_rest(name)
    layer, kind = rest.split("/")
    ours = {"Conv": "conv", "Conv0": "conv0", "Conv1_down": "conv1_down", "Dense0": "dense0", "Dense1": "dense1"}
    return f"{'last' if stage == 0 else f'blocks.{stage - 1}'}.{ours[layer]}.{kind}"


# ---------------------------------------------------------------------- the pickles that the authors publish

_WITHOUT_A_SETTING: dict[str, tuple[Any, ...]] = {
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "blur_filter": ([1, 2, 1],),
}
"""Options that `networks` imports and the model `StyleGAN` has no settings for, with the values that it has."""

_READ = {
    *SUPPORTED,
    *_WITHOUT_A_SETTING,
    "resolution",
    "num_channels",
    "label_size",
    "fmap_base",
    "fmap_max",
    "latent_size",
    "dlatent_size",
    "mapping_layers",
    "mapping_fmaps",
    "mapping_lrmul",
    "use_styles",
    "use_noise",
    "use_pixel_norm",
    "use_instance_norm",
    "const_input_layer",
    "style_mixing_prob",
    "truncation_cutoff",
    "mbstd_group_size",
}


def _is_stylegan(content: Any) -> bool:
    found = networks_in(content)
    return found is not None and {"mapping", "synthesis"} <= found[0].components.keys()


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    found = networks_in(files.main)
    assert found is not None
    generator, discriminator, average = found
    config = _config(generator, discriminator)
    for option, values in _WITHOUT_A_SETTING.items():
        given = config.get(option, values[0])
        if (list(given) if isinstance(given, tuple | list) else given) not in values:
            raise ValueError(
                f"the file has {option}={given}, for which StyleGAN has no setting; "
                "lightning_gan.interop.stylegan_official.networks builds its networks in Python"
            )
    imported = networks(_state(generator, discriminator), config)
    averaged = networks(_state(average, discriminator), config)["G"]
    lod = float(generator.components["synthesis"].variables.get("lod", 0.0))
    has_styles, cutoff = bool(config.get("use_styles", True)), config.get("truncation_cutoff", 8)
    return ImportedNetworks(
        class_path="lightning_gan.models.stylegan.StyleGAN",
        settings={
            "image_size": config["resolution"],
            "image_channels": config["num_channels"],
            "number_of_classes": config["label_size"],
            "latent_dim": config["latent_size"],
            "style_dim": config["dlatent_size"],
            "mapping_layers": config["mapping_layers"],
            "mapping_width": config["mapping_fmaps"],
            "mapping_learning_rate_multiplier": config.get("mapping_lrmul", 0.01),
            "channel_base": config["fmap_base"],
            "channel_max": config["fmap_max"],
            "parts": {
                "constant_input": bool(config.get("const_input_layer", True)),
                "style_modulation": has_styles,
                "noise_inputs": bool(config.get("use_noise", True)),
                "pixel_norm": bool(config.get("use_pixel_norm", False)),
                "instance_norm": bool(config.get("use_instance_norm", True)),
            },
            "style_mixing": (config.get("style_mixing_prob", 0.9) or 0.0) if has_styles else 0.0,
            "truncation_layers": 2 * stage_of(config["resolution"]) + 2 if cutoff is None else cutoff,
            "minibatch_stddev_group": config.get("mbstd_group_size", 4),
        },
        networks={"generator": imported["G"], "discriminator": imported["D"], "generator_ema": averaged},
        sources={
            "generator": ("G", _number_of_variables(generator)),
            "discriminator": counted("D", dict(_weights(discriminator.variables))),
            "generator_ema": ("Gs", _number_of_variables(average)),
        },
        growth=(
            (config["resolution"], 1.0)
            if config.get("structure", "auto") == "fixed"
            else growth_of(lod, resolution=config["resolution"])
        ),
        not_used=ignored_settings(found, known=_READ),
    )


def _state(generator: TensorFlowNetwork, discriminator: TensorFlowNetwork) -> dict[str, dict[str, Tensor]]:
    return {
        "G": generator.variables,
        "G_mapping": generator.components["mapping"].variables,
        "G_synthesis": generator.components["synthesis"].variables,
        "D": discriminator.variables,
    }


def _number_of_variables(generator: TensorFlowNetwork) -> int:
    parts = [generator, *generator.components.values()]
    return sum(len(_weights(part.variables)) for part in parts)


def _config(generator: TensorFlowNetwork, discriminator: TensorFlowNetwork) -> dict[str, Any]:
    """The authors' keyword arguments: what the shapes tell, and what the file says."""
    mapping, synthesis = (generator.components[name].variables for name in ("mapping", "synthesis"))
    classes, layers = len(mapping.get("LabelConcat/weight", ())), sum(name.endswith("/bias") for name in mapping)
    sizes: dict[str, Any] = {
        **sizes_of(synthesis, discriminator.variables),
        "label_size": classes,
        "mapping_layers": layers,
    }
    if layers:
        inputs = len(mapping["Dense0/weight"])
        sizes["latent_size"] = mapping["LabelConcat/weight"].shape[1] if classes else inputs
        sizes["mapping_fmaps"] = len(mapping["Dense0/bias"])
        sizes["dlatent_size"] = len(mapping[f"Dense{layers - 1}/bias"])
    said = {**discriminator.settings, **generator.settings}
    defaults = {"latent_size": 512, "dlatent_size": 512, "mapping_fmaps": 512}
    return {**defaults, **{key: value for key, value in said.items() if key in _READ}, **sizes}


FORMAT = ForeignFormat(
    title="StyleGAN of its authors (TensorFlow, a pickle of three networks)", recognises=_is_stylegan, read=_read
)
