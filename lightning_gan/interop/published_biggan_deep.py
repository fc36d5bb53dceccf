"""The authors' published BigGAN-deep as a model: the generator of `biggan_deep_hf`, and a discriminator to train it on.

The authors have not published their discriminators. Here it is that of `BigGANDeep` (Brock et al. 2019,
arXiv:1809.11096, figure 16c), with new weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from lightning_gan.interop.biggan_deep_hf import PublishedGenerator, networks, published_generator
from lightning_gan.interop.foreign_file import is_state
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Hinge
from lightning_gan.models.biggan import BOTTOM
from lightning_gan.models.biggan_deep import Discriminator
from lightning_gan.tensors.shapes import Images, Labels, Latents


class PublishedBigGANDeep(GAN):
    """BigGAN-deep with the layers and the statistics of the published generators, which `lightning-gan import` makes.

    `sample` uses the published statistics of its truncation until the generator is trained; then those of the training.
    The authors' latents are normals truncated at 2 for every truncation; `sample` truncates for truncations below 1.

    Args:
        layers: Whether each block of the generator doubles the resolution, its input width and its output width; widths
            are factors of `generator_channels`.
        attention_position: Number of blocks before self-attention.
        number_of_classes: Number of classes; 1000 in the published networks.
        latent_dim: Size of the latent z.
        embedding_dim: Size of the class embedding.
        generator_channels: Unit of the generator's widths in channels.
        batch_norm_eps: Number added to the variance in all batch normalizations.
        statistics: Number of truncations from 0 to 1 that have statistics.
        discriminator_channels: Base channels of the discriminator, a multiple of 4.
        discriminator_attention_resolutions: Heights of the discriminator's features that are followed by attention.

    Raises:
        ValueError: for a size of images without a discriminator, and base channels that are not a multiple of 4.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = Hinge

    generator: PublishedGenerator
    discriminator: Discriminator
    generator_ema: PublishedGenerator

    def __init__(
        self,
        *,
        layers: list[tuple[bool, int, int]],
        attention_position: int,
        number_of_classes: int = 1000,
        latent_dim: int = 128,
        embedding_dim: int = 128,
        generator_channels: int = 128,
        batch_norm_eps: float = 1e-4,
        statistics: int = 51,
        discriminator_channels: int = 128,
        discriminator_attention_resolutions: tuple[int, ...] = (64,),
        training: Training = Training(),
    ) -> None:
        generator = published_generator(
            {
                "layers": layers,
                "attention_layer_position": attention_position,
                "channel_width": generator_channels,
                "z_dim": latent_dim,
                "class_embed_dim": embedding_dim,
                "num_classes": number_of_classes,
                "eps": batch_norm_eps,
                "n_stats": statistics,
            }
        )
        spectrally_normalized(generator, excluded=("embedding",))
        super().__init__(
            generator=generator,
            discriminator=Discriminator(
                image_size=image_size_of(layers),
                image_channels=generator.image_channels,
                number_of_classes=number_of_classes,
                base_channels=discriminator_channels,
                attention_resolutions=discriminator_attention_resolutions,
                spectral_norm=True,
                initialization=None,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.image_size = image_size_of(layers)

    def truncated(
        self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float, fresh_noise: bool
    ) -> Images:
        """Images of truncated latents, with the statistics of this truncation.

        Args:
            network: The generator, or the one with average weights.
            latents: Standard normal latents, `batch latent_dim`.
            labels: Class indices or multi-hot rows.
            truncation: Factor psi of the truncated latents, in (0, 1].
            fresh_noise: Not used, because no layer takes noise.
        """
        images: Images = network(truncated_latents(latents, truncation=truncation), labels, truncation=truncation)
        return images


def image_size_of(layers: list[tuple[bool, int, int]]) -> int:
    """The height and width of the images in pixels: 4, doubled by every block that doubles the resolution."""
    size: int = BOTTOM * 2 ** sum(bool(upsamples) for upsamples, _, _ in layers)
    return size


# ---------------------------------------------------------------------- the files ...pytorch_model.bin, ...config.json


def _is_ours(content: Any) -> bool:
    return is_state(content) and {"embeddings.weight", "generator.gen_z.weight_orig"} <= content.keys()


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    beside = _config_beside(files.path)
    shapes = _config_of(files.main)
    config = {**shapes, **dict(options), **({} if beside is None else _settings_in(beside))}
    assumed = [f"the settings of {beside}"] if beside is not None else []
    if beside is None:
        assumed = ["that every second block doubles the resolution, because there is no config.json beside the file"]
    generator = networks({"G": files.main}, config)["G"]
    layers = [[bool(upsamples), before, after] for upsamples, before, after in config["layers"]]
    attended = [tuple(layer) for layer in layers[: config["attention_layer_position"]]]
    return ImportedNetworks(
        class_path=f"{PublishedBigGANDeep.__module__}.{PublishedBigGANDeep.__qualname__}",
        settings={
            "layers": layers,
            "attention_position": config["attention_layer_position"],
            "number_of_classes": config["num_classes"],
            "latent_dim": config["z_dim"],
            "embedding_dim": config["class_embed_dim"],
            "generator_channels": config["channel_width"],
            "batch_norm_eps": config["eps"],
            "statistics": config["n_stats"],
            "discriminator_channels": config["channel_width"],
            "discriminator_attention_resolutions": [image_size_of(attended)],
        },
        networks={"generator": generator},
        sources={"generator": counted("the whole file", files.main)},
        assumed=assumed,
    )


def _config_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings that the shapes tell, under the names of `BigGANConfig`."""
    numbers = {int(name.split(".")[2]) for name in weights if name.startswith("generator.layers.")}
    attention = [number for number in sorted(numbers) if f"generator.layers.{number}.gamma" in weights]
    blocks = [number for number in sorted(numbers) if number not in attention]
    width = len(weights["generator.bn.weight"])
    embedding_dim, classes = weights["embeddings.weight"].shape
    return {
        "layers": [
            [
                position % 2 == 1,
                weights[f"generator.layers.{block}.conv_0.weight_orig"].shape[1] // width,
                len(weights[f"generator.layers.{block}.conv_3.weight_orig"]) // width,
            ]
            for position, block in enumerate(blocks)
        ],
        "attention_layer_position": attention[0] if attention else 0,
        "channel_width": width,
        "z_dim": weights["generator.gen_z.weight_orig"].shape[1] - embedding_dim,
        "class_embed_dim": embedding_dim,
        "num_classes": classes,
        "n_stats": len(weights["generator.bn.running_means"]),
    }


def _config_beside(path: Path) -> Path | None:
    """The file of settings of a file `biggan-deep-128-pytorch_model.bin`, or of `pytorch_model.bin`."""
    names = (path.name.replace("pytorch_model.bin", "config.json"), "config.json")
    return next((path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()), None)


def _settings_in(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no file of settings in JSON; correct it, or move it away") from error
    if not isinstance(settings, dict) or "layers" not in settings:
        raise ValueError(f"{path} has no layers of a BigGAN-deep; give the config.json of the weights, or move it away")
    return settings


FORMAT = ForeignFormat(
    title="pytorch-pretrained-BigGAN, the authors' published BigGAN-deep (pytorch_model.bin, with its config.json)",
    recognises=_is_ours,
    read=_read,
    options={"eps": 1e-4},
)
