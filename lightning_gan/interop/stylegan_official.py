"""The authors' StyleGAN (TensorFlow, `networks_stylegan.py`) to ours.

Their names are `{r}x{r}/Conv0_up/weight` and so on, convolutions are `[kh, kw, in, out]`, dense layers `[in, out]`, and
stored weights are before the equalized learning rate's factor, as ours are.
"""

from typing import Any

from torch import Tensor, nn

from lightning_gan.layers import stage_of
from lightning_gan.models.stylegan import Discriminator, Generator


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """The generator "G" and the discriminator "D", in evaluation mode.

    Args:
        state: weights by network, `G_mapping`, `G_synthesis` and `D`, and by the authors' variable names.
        config: the authors' keyword arguments: `resolution`, `num_channels`, `label_size`, `fmap_base`, `fmap_max`,
            `latent_size`, `dlatent_size`, `mapping_layers`, `mapping_fmaps`, `mapping_lrmul`, `mbstd_group_size`.

    Raises:
        ValueError: for options of the authors' code that ours does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    if config.get("fmap_decay", 1.0) != 1.0 or list(config.get("blur_filter", [1, 2, 1])) != [1, 2, 1]:
        raise ValueError("only fmap_decay=1.0 and blur_filter=[1, 2, 1] can be imported, the authors' own settings")
    generator = Generator(
        image_size=config["resolution"],
        image_channels=config["num_channels"],
        number_of_classes=config.get("label_size", 0),
        latent_dim=config["latent_size"],
        style_dim=config["dlatent_size"],
        mapping_layers=config["mapping_layers"],
        mapping_width=config["mapping_fmaps"],
        mapping_learning_rate_multiplier=config["mapping_lrmul"],
        channel_base=config["fmap_base"],
        channel_max=config["fmap_max"],
    )
    discriminator = Discriminator(
        image_size=config["resolution"],
        image_channels=config["num_channels"],
        number_of_classes=config.get("label_size", 0),
        channel_base=config["fmap_base"],
        channel_max=config["fmap_max"],
        minibatch_stddev_group=config["mbstd_group_size"],
    )
    top = stage_of(config["resolution"])
    generator.mapping.load_state_dict(
        {_mapping_name(name): _layout(name, value) for name, value in state["G_mapping"].items()}
    )
    generator.synthesis.load_state_dict(
        {_synthesis_name(name, top): _layout(name, value) for name, value in state["G_synthesis"].items()}
    )
    discriminator.load_state_dict(
        {_discriminator_name(name, top): _layout(name, value) for name, value in state["D"].items()}
    )
    return {"G": generator.eval(), "D": discriminator.eval()}


def _layout(name: str, value: Tensor) -> Tensor:
    """TensorFlow's order of dimensions to PyTorch's."""
    if not name.endswith("weight") or name.startswith("LabelConcat"):
        return value  # biases, the constant, stored noise; the label embedding is [classes, latent] on both sides
    if value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()  # kh kw in out -> out in kh kw
    return value.t().contiguous() if value.dim() == 2 else value


def _mapping_name(name: str) -> str:
    layer, kind = name.split("/")
    return "label_weight" if layer == "LabelConcat" else f"layers.{layer.removeprefix('Dense')}.0.{kind}"


def _stage_and_rest(name: str) -> tuple[int, str]:
    """`16x16/Conv1/bias` -> (2, "Conv1/bias")."""
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
        return f"{block}.{'conv0_up' if layer == 'Conv0_up' else 'conv1'}.weight"
    epilogue = f"{block}.epilogue{0 if layer in ('Const', 'Conv0_up') else 1}"
    ours = {
        "bias": "bias",
        "Noise/weight": "noise_weight",
        "StyleMod/weight": "style.weight",
        "StyleMod/bias": "style.bias",
    }
    return f"{epilogue}.{ours[kind]}"


def _discriminator_name(name: str, top: int) -> str:
    if name.startswith("FromRGB"):
        head, kind = name.split("/")
        return f"from_rgb.{top - int(head.removeprefix('FromRGB_lod'))}.conv.{kind}"
    stage, rest = _stage_and_rest(name)
    layer, kind = rest.split("/")
    ours = {"Conv": "conv", "Conv0": "conv0", "Conv1_down": "conv1_down", "Dense0": "dense0", "Dense1": "dense1"}
    return f"{'last' if stage == 0 else f'blocks.{stage - 1}'}.{ours[layer]}.{kind}"
