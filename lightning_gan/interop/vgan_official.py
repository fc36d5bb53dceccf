"""Import of weights from `akanazawa/vgan` (PyTorch, the VDB paper's code).

The generator and the layers before the bottleneck are those of `GAN_stability`, with the same names. The discriminator
also has the 1x1 convolutions `mean_fn` and `logstd_fn`.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_gan.interop import gan_stability
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks
from lightning_gan.models.vgan import Discriminator


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the generator "G" and the discriminator "D", in evaluation mode.

    With one class (`nlabels`), as in all of the authors' settings, they need no labels. In evaluation mode this
    package's discriminator uses the mean of the code if it gets no noise, while the authors' draws a sample.

    Args:
        state: weights by network, `G` and `D`, and by the authors' names, with or without "module." before them.
        config: the authors' keyword arguments: `z_dim`, `nlabels`, `size`, `embed_size` (256), `nfilter` (64) and
            `nfilter_max` (512).

    Raises:
        ValueError: for names that the authors' code does not have, and a discriminator without a bottleneck.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    imported: dict[str, nn.Module] = {}
    if "G" in state:
        imported |= gan_stability.networks({"G": state["G"]}, config)
    if "D" in state:
        weights = gan_stability.without_wrapper(state["D"])
        if "logstd_fn.weight" not in weights:
            raise ValueError(
                "these weights of a discriminator have no logstd_fn, so that it has no bottleneck; import them with "
                "lightning_gan.interop.gan_stability"
            )
        discriminator = Discriminator(
            image_size=config["size"],
            image_channels=weights["conv_img.weight"].shape[1],
            number_of_classes=config["nlabels"] if config["nlabels"] > 1 else 0,
            code_features=weights["mean_fn.weight"].shape[0],
            width=config.get("nfilter", 64),
            width_max=config.get("nfilter_max", 512),
        )
        heads = {
            "conv_img": "input",
            "mean_fn": "bottleneck.mean",
            "logstd_fn": "bottleneck.log_deviation",
            "fc": "output",
        }
        gan_stability.load(discriminator, weights, heads=heads)
        imported["D"] = discriminator.eval()
    return imported


# ---------------------------------------------------------------------- the files model.pt


def _is_ours(content: Any) -> bool:
    discriminator = content.get("discriminator", {}) if gan_stability.is_checkpoint(content) else {}
    return "logstd_fn.weight" in gan_stability.without_wrapper(discriminator)


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    checkpoint = gan_stability.checkpoint_of(files.main)
    config = gan_stability.config_of(checkpoint.state)
    imported = networks({name: weights for name, weights in checkpoint.state.items() if name != "G_average"}, config)
    if "G_average" in checkpoint.state:
        imported["G_average"] = networks({"G": checkpoint.state["G_average"]}, config)["G"]
    ours, sources = gan_stability.networks_of_model(checkpoint, imported)
    return ImportedNetworks(
        class_path="lightning_gan.models.vgan.VGAN",
        settings={
            **gan_stability.settings_of(config, checkpoint.state["G"]),
            "code_features": len(checkpoint.state["D"]["mean_fn.weight"]),
        },
        networks=ours,
        sources=sources,
        not_used=checkpoint.not_used,
    )


FORMAT = ForeignFormat(title="VGAN, the VDB paper's code (model.pt)", recognises=_is_ours, read=_read)
