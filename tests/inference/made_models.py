"""Small models as checkpoints hold them: their settings are plain data."""

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_gan.inference.load import LoadedModel
from lightning_gan.loop.gan import GAN
from tests.models.test_every_model import small, small_settings


def plain(value: Any) -> Any:
    """A setting as the command line writes it."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": asdict(value)}
    return list(value) if isinstance(value, tuple) else value


def made(kind: type[GAN], **settings: Any) -> LoadedModel:
    """A small model with random weights, whose average differs from its weights."""
    torch.manual_seed(3)
    if settings:
        model = kind(**settings)
    else:
        model = small(kind)
        settings = {**small_settings(kind), "image_size": model.hparams["image_size"]}
    with torch.no_grad():
        for parameter in model.generator_ema.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.averaged = True
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        class_path=f"{kind.__module__}.{kind.__qualname__}",
        settings={name: plain(value) for name, value in settings.items()},
        file=Path("made"),
    )


def save(made: LoadedModel, path: Path) -> Path:
    """Write a model as a checkpoint of the command line, without the state of a training."""
    content = {
        "state_dict": made.model.state_dict(),
        "hyper_parameters": {"_class_path": made.class_path, **made.settings},
        "pytorch-lightning_version": "2.6.0",
    }
    torch.save(content, path)
    return path
