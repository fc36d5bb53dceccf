"""Checkpoints of small models, written in the form of a training without training them."""

from pathlib import Path
from typing import Any

import torch

from lightning_gan.inference.trained_model import TrainedModel, own_statistics
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.other_networks import CLASS_PATH
from lightning_gan.models import (
    DCGAN,
    PGGAN,
    R3GAN,
    SNGAN,
    BiGAN,
    BigGAN,
    IntroVAE,
    R1ResNet,
    ResNetGAN,
    StyleGAN,
    StyleGAN2,
)

SMALL: dict[type[GAN], dict[str, Any]] = {
    BigGAN: {
        "image_size": 32,
        "number_of_classes": 3,
        "latent_dim": 20,
        "generator_channels": 4,
        "discriminator_channels": 4,
        "attention_resolutions": (),
        "embedding_dim": 4,
    },
    BiGAN: {"image_size": 8, "latent_dim": 6},
    DCGAN: {"image_size": 16, "generator_width": 4, "discriminator_width": 4, "number_of_classes": 3},
    IntroVAE: {"image_size": 16, "image_channels": 1, "channels": [4, 8], "latent_dim": 6},
    PGGAN: {"image_size": 16, "channel_base": 32, "channel_max": 8, "number_of_classes": 3, "latent_dim": 8},
    R1ResNet: {"image_size": 16, "width": 4, "width_max": 8, "number_of_classes": 3, "latent_dim": 8, "label_dim": 4},
    R3GAN: {"image_size": 16, "widths": [8, 8, 4], "group_width": 4, "number_of_classes": 3, "latent_dim": 8},
    ResNetGAN: {"image_size": 8, "generator_widths": [4, 4], "discriminator_widths": [4, 4, 4], "latent_dim": 8},
    SNGAN: {
        "image_size": 32,
        "generator_widths": [4] * 4,
        "discriminator_widths": [4] * 4,
        "number_of_classes": 3,
        "latent_dim": 8,
    },
    StyleGAN: {
        "image_size": 16,
        "channel_base": 64,
        "channel_max": 8,
        "mapping_layers": 2,
        "latent_dim": 8,
        "style_dim": 8,
        "number_of_classes": 3,
    },
    StyleGAN2: {
        "image_size": 16,
        "channel_base": 64,
        "channel_max": 8,
        "mapping_layers": 2,
        "discriminator_mapping_layers": 0,
        "latent_dim": 8,
        "style_dim": 8,
        "number_of_classes": 3,
    },
}
"""Settings of one model of each kind that differs in what it is sampled from."""


def small(kind: type[GAN], *, seed: int = 0, **settings: Any) -> GAN:
    """A small model with random weights whose average differs from them, and with moving averages of few batches."""
    torch.manual_seed(seed)
    model = kind(**{**SMALL[kind], **settings})
    for network in (model.generator, model.generator_ema):
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                if "running" in name or name.endswith("w_avg"):
                    buffer.add_(torch.rand_like(buffer) / 4)
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) / 8)
    model.averaged = True
    model.images_seen = 12_000
    return model.eval()


def saved(model: GAN, path: Path, *, classes: list[str] | None = None) -> Path:
    """Write the checkpoint of a model as a training does, and return its path.

    Args:
        model: the model.
        path: path of the file.
        classes: names of the classes, as a data module saves them.
    """
    kind = type(model)
    checkpoint: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        CLASS_PATH: f"{kind.__module__}.{kind.__qualname__}",
    }
    if classes is not None:
        checkpoint["Digits"] = {"classes": classes, "fingerprints": {}, "length": 4}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


def saved_run(kind: type[GAN], run: Path, *, classes: list[str] | None = None, **settings: Any) -> Path:
    """Write the folder of a run with one checkpoint of a small model, and return the folder."""
    saved(small(kind, **settings), run / "checkpoints" / "last.ckpt", classes=classes)
    return run


def in_memory(model: GAN, *, class_names: tuple[str, ...] = (), ema: bool = True) -> TrainedModel:
    """A model as commands use it, without a file: reading one takes longer than most tests."""
    model.requires_grad_(False)
    own_statistics(model, model.sampling_generator if ema else model.generator)
    return TrainedModel(model=model, file=Path("lone.ckpt"), folder=None, ema=ema, class_names=class_names)
