"""Import of weights from BigGAN-PyTorch, the authors' public code (`BigGAN.py`, `layers.py`).

Its variables are named `blocks.{i}.0.conv1.weight`, `.u0` and so on; `blocks.{i}.1` is self-attention. Weights are
stored before spectral normalization. Its code does one power iteration from the stored `u0` in every forward pass, also
in evaluation mode, and keeps the result in training mode only. The import does this step once and keeps the vectors.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from lightning_gan.interop.foreign_file import is_state
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.models.biggan import (
    DISCRIMINATOR_WIDTHS,
    GENERATOR_WIDTHS,
    Discriminator,
    Generator,
    keeps_resolution,
)

OWN_SETTINGS: dict[str, Any] = {
    "D_wide": True,
    "G_kernel_size": 3,
    "D_kernel_size": 3,
    "bottom_width": 4,
    "G_activation": "relu",
    "D_activation": "relu",
    "G_nl": "relu",
    "D_nl": "relu",
    "norm_style": "bn",
    "num_G_SVs": 1,
    "num_D_SVs": 1,
    "num_G_SV_itrs": 1,
    "num_D_SV_itrs": 1,
    "output_dim": 1,
}
"""Settings of that code for which only one value can be imported. (`inplace_relu` counts as relu.)"""


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the generator "G" and the discriminator "D", in evaluation mode.

    Args:
        state: weights by network, `G` and `D`, and by the authors' variable names, as in their `G_ema.pth` and `D.pth`.
        config: the authors' keyword arguments: `resolution`, `n_classes`, `dim_z`, `G_ch`, `D_ch`, `G_attn`, `D_attn`,
            `G_shared`, `shared_dim`, `hier`, `BN_eps`, `G_param` and `D_param`; missing ones have the default of the
            authors' code.

    Raises:
        ValueError: for options of the authors' code that this package does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    for setting, own in OWN_SETTINGS.items():
        given = config.get(setting, own)
        if given not in (own, f"inplace_{own}"):
            raise ValueError(f"only {setting}={own!r} can be imported, and not {given!r}")
    for setting in ("G_param", "D_param"):
        if config.get(setting, "SN") not in ("SN", ""):
            raise ValueError(f"only {setting}='SN' or '' can be imported, and not {config[setting]!r}")
    imported: dict[str, nn.Module] = {}
    if "G" in state:
        imported["G"] = _generator(state["G"], config)
    if "D" in state:
        imported["D"] = _discriminator(state["D"], config)
    return {name: network.eval() for name, network in imported.items()}


def _generator(state: dict[str, Tensor], config: dict[str, Any]) -> Generator:
    size, hierarchical = config["resolution"], config.get("hier", False)
    slots = len(GENERATOR_WIDTHS.get(size, ())) if hierarchical else 1
    latent_dim = config.get("dim_z", 128)
    generator = Generator(
        image_size=size,
        image_channels=len(state["output_layer.2.weight"]),
        number_of_classes=config.get("n_classes", 1000),
        latent_dim=latent_dim // max(slots, 1) * slots,  # the authors' code does not use the remainder either
        base_channels=config.get("G_ch", 64),
        attention_resolutions=tuple(size_ for size_ in _sizes(config.get("G_attn", "64")) if 4 < size_ < size),
        shared_embedding=config.get("G_shared", "shared.weight" in state),
        embedding_dim=config.get("shared_dim") or latent_dim,
        hierarchical_latents=hierarchical,
        spectral_norm=config.get("G_param", "SN") == "SN",
        initialization=None,
        batch_norm_eps=config.get("BN_eps", 1e-5),
        batch_norm_across_ranks=True,
    )
    named = {_generator_name(name, generator): value for name, value in state.items()}
    _load(generator, named)
    return generator


def _discriminator(state: dict[str, Tensor], config: dict[str, Any]) -> Discriminator:
    size = config["resolution"]
    discriminator = Discriminator(
        image_size=size,
        image_channels=state["blocks.0.0.conv1.weight"].shape[1],
        number_of_classes=config.get("n_classes", 1000),
        base_channels=config.get("D_ch", 64),
        attention_resolutions=tuple(_discriminator_attention(size, _sizes(config.get("D_attn", "64")))),
        spectral_norm=config.get("D_param", "SN") == "SN",
        initialization=None,
    )
    _load(discriminator, {_discriminator_name(name): value for name, value in state.items()})
    return discriminator


def _sizes(listed: str) -> set[int]:
    """Returns {32, 64} for `"32_64"`, and an empty set for `"0"`."""
    return {int(size) for size in str(listed).split("_")} - {0}


def _discriminator_attention(image_size: int, listed: set[int]) -> Iterator[int]:
    """Yields the resolutions with self-attention.

    For 32x32 the authors' table names every resolution after the first block "16", although the second block halves it.
    """
    resolution = image_size
    for block in range(len(DISCRIMINATOR_WIDTHS.get(image_size, ())) - 1):
        if not keeps_resolution(image_size, block=block):
            resolution //= 2
            if (16 if image_size == 32 else resolution) in listed:
                yield resolution


def _load(network: nn.Module, named: dict[str, Tensor]) -> None:
    """Loads weights by our names; `X.u0` and `X.sv0` are the buffers of the spectral normalization of X."""
    own = network.state_dict()
    complete = {name: value for name, value in own.items() if ".standing_" in f".{name}"}
    for name, value in named.items():
        if name.endswith((".sv0", ".accumulation_counter")):
            continue  # a logged singular value, and a counter, which are not needed
        layer, _, kind = name.rpartition(".")
        stored = f"{layer}.parametrizations.weight"
        if kind == "u0":
            matrix = named[f"{layer}.weight"].flatten(1)
            right = normalize(matrix.T @ value.flatten(), dim=0)
            complete |= {f"{stored}.0.right": right, f"{stored}.0.left": normalize(matrix @ right, dim=0)}
        else:
            is_normalized = kind == "weight" and f"{stored}.original" in own
            complete[f"{stored}.original" if is_normalized else name] = value
    network.load_state_dict(complete)


def _generator_name(name: str, generator: Generator) -> str:
    name = name.replace(".bn.stored_", ".stored_").replace(".bn.running_", ".stored_")
    name = name.replace("stored_mean", "running_mean").replace("stored_var", "running_variance")
    if name.startswith("shared."):
        return name.replace("shared", "embedding")
    if name.startswith("output_layer."):
        name = name.replace("output_layer.0", "norm").replace("output_layer.2", "to_rgb")
        return name.replace("norm.gain", "norm.affine.gain").replace("norm.bias", "norm.affine.bias")
    if not name.startswith("blocks."):
        return name
    _, block, part, layer, *rest = name.split(".")
    if part == "1":
        return ".".join(["blocks", block, "attention", layer, *rest])
    if layer.startswith("bn"):
        is_statistic = rest[0].startswith("running_")
        # Without a shared embedding, the gains' and biases' tables are parameters and not layers.
        if not is_statistic and generator.embedding is None:
            rest = rest[:1]
        return ".".join(["blocks", block, f"norm{layer[2:]}", *([] if is_statistic else ["affine"]), *rest])
    return ".".join(["blocks", block, "shortcut" if layer == "conv_sc" else layer, *rest])


def _discriminator_name(name: str) -> str:
    if not name.startswith("blocks."):
        return f"head.{name.replace('embed.', 'embedding.')}"
    _, block, part, layer, *rest = name.split(".")
    if part == "1":
        return ".".join(["blocks", block, "attention", layer, *rest])
    return ".".join(["blocks", block, "shortcut" if layer == "conv_sc" else layer, *rest])


# ---------------------------------------------------------------------- the files G.pth, G_ema.pth and D.pth


def _is_generator(content: Any) -> bool:
    needed = {"linear.weight", "blocks.0.0.conv1.weight", "output_layer.2.weight"}
    return is_state(content) and needed <= content.keys()


def _is_discriminator(content: Any) -> bool:
    needed = {"linear.weight", "blocks.0.0.conv1.weight", "embed.weight"}
    return is_state(content) and needed <= content.keys() and "output_layer.2.weight" not in content


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    for content, right, name in (
        (files.main, _is_generator, "the first file"),
        (files.averaged, _is_generator, "--averaged"),
        (files.discriminator, _is_discriminator, "--discriminator"),
    ):
        if content is not None and not right(content):
            wanted = "D.pth" if right is _is_discriminator else "G.pth or G_ema.pth"
            raise ValueError(f"{name} is no file like {wanted} of BigGAN-PyTorch; give that one")
    state = {"G": files.main}
    if files.discriminator is not None:
        state["D"] = files.discriminator
    config = {**_config_of_generator(files.main), **_config_of_discriminator(state), **options}
    imported = networks(state, config)
    ours = {"generator": imported["G"]}
    sources = {"generator": counted("the first file", files.main)}
    if "D" in imported:
        ours["discriminator"] = imported["D"]
        sources["discriminator"] = counted("--discriminator", files.discriminator)
    if files.averaged is not None:
        ours["generator_ema"] = networks({"G": files.averaged}, config)["G"]
        sources["generator_ema"] = counted("--averaged", files.averaged)
    slots = len(GENERATOR_WIDTHS[config["resolution"]]) if config["hier"] else 1
    generator_attention = sorted(_sizes(config["G_attn"]))
    attention = sorted(_discriminator_attention(config["resolution"], _sizes(config["D_attn"])))
    return ImportedNetworks(
        class_path="lightning_gan.models.biggan.BigGAN",
        settings={
            "image_size": config["resolution"],
            "image_channels": len(files.main["output_layer.2.weight"]),
            "number_of_classes": config["n_classes"],
            "latent_dim": config["dim_z"] // slots * slots,
            "generator_channels": config["G_ch"],
            "discriminator_channels": config["D_ch"],
            "attention_resolutions": generator_attention,
            "discriminator_attention_resolutions": attention if "D" in state else generator_attention,
            "shared_embedding": config["G_shared"],
            "embedding_dim": config.get("shared_dim") or config["dim_z"],
            "hierarchical_latents": config["hier"],
            "generator_spectral_norm": config["G_param"] == "SN",
            "discriminator_spectral_norm": config.get("D_param", "SN") == "SN",
            "batch_norm_eps": config["BN_eps"],
        },
        networks=ours,
        sources=sources,
    )


def _config_of_generator(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The authors' keyword arguments that the shapes of a generator's weights tell."""
    if "blocks.0.0.conv4.weight" in weights:
        raise ValueError(
            "this is a BigGAN-deep of BigGAN-PyTorch, which cannot be imported; give a BigGAN, or a BigGAN-deep of "
            "pytorch-pretrained-BigGAN"
        )
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    sizes = {len(widths) - 1: size for size, widths in GENERATOR_WIDTHS.items()}
    if blocks not in sizes:
        raise ValueError(f"the generator has {blocks} blocks, and BigGAN has tables for {list(sizes)}; give another")
    size = sizes[blocks]
    shared = weights.get("shared.weight")
    chunk, condition = weights["linear.weight"].shape[1], weights["blocks.0.0.bn1.gain.weight"]
    hierarchical = shared is not None and condition.shape[1] > shared.shape[1]
    return {
        "resolution": size,
        "G_ch": weights["output_layer.2.weight"].shape[1] // GENERATOR_WIDTHS[size][-1],
        "D_ch": weights["output_layer.2.weight"].shape[1] // GENERATOR_WIDTHS[size][-1],
        "dim_z": chunk * (blocks + 1) if hierarchical else chunk,
        "n_classes": len(condition if shared is None else shared),
        "G_shared": shared is not None,
        "shared_dim": 0 if shared is None else shared.shape[1],
        "hier": hierarchical,
        "G_attn": _listed(8 * 2**block for block in range(blocks) if f"blocks.{block}.1.theta.weight" in weights),
        "D_attn": "0",
        "G_param": "SN" if "linear.u0" in weights else "",
    }


def _config_of_discriminator(state: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """The authors' keyword arguments that the shapes of a discriminator's weights tell; none without one."""
    if "D" not in state:
        return {}
    weights = state["D"]
    size = _config_of_generator(state["G"])["resolution"]
    attended = [
        block for block in range(len(DISCRIMINATOR_WIDTHS[size])) if f"blocks.{block}.1.theta.weight" in weights
    ]
    halvings = [size // 2 ** (block + 1) for block in attended]
    return {
        "D_ch": len(weights["blocks.0.0.conv1.weight"]) // DISCRIMINATOR_WIDTHS[size][0],
        # The authors' table for 32x32 names every resolution 16.
        "D_attn": ("16" if attended else "0") if size == 32 else _listed(halvings),
        "D_param": "SN" if "linear.u0" in weights else "",
    }


def _listed(sizes: Iterable[int]) -> str:
    return "_".join(map(str, sizes)) or "0"


FORMAT = ForeignFormat(
    title="BigGAN-PyTorch, the authors' public code (G.pth or G_ema.pth, and D.pth)",
    recognises=lambda content: _is_generator(content) or _is_discriminator(content),
    read=_read,
    options={"BN_eps": 1e-5},
    separate_files=True,
)
