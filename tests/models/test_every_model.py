"""Every model, found by walking the folders, made small: it trains, twice alike, and is loaded as it was saved."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan import imitation, models
from lightning_gan.imitation.imitation_gan import ImitationGAN
from lightning_gan.loop.gan import GAN
from lightning_gan.models.ali_tables import CIFAR10Tables
from lightning_gan.models.bigan import Perceptrons
from tests.imitation.imitation_rows import loader, transitions
from tests.models.training import parameters_of, random_loader
from tests.parts import classes_of
from tests.toys import toy_trainer

IMAGE_SIZES = (8, 16, 32, 64, 28)
"""A model is tried at the first of these that it has networks for."""

SMALL: Mapping[str, Any] = {
    "action_size": 2,
    "attention_resolution": None,
    "attention_resolutions": (),
    "channel_base": 32,
    "channel_max": 4,
    "channels": [4, 8],
    "code_features": 4,
    "code_size": 2,
    "critic_width": 4,
    "discrete_actions": False,
    "discriminator_channels": 4,
    "discriminator_width": 4,
    "embedding_dim": 4,
    "generator_channels": 4,
    "generator_width": 4,
    "image_channels": 1,
    "label_dim": 4,
    "latent_dim": 12,
    "mapping_layers": 2,
    "mapping_width": 4,
    "observation_size": 3,
    "policy_width": 4,
    "style_dim": 4,
    "width": 4,
    "width_max": 8,
}
"""What makes models small, by the names of their arguments; what a model has of other names keeps its default."""

SMALL_OF: Mapping[type, dict[str, Any]] = {
    models.ALI: {"architecture": CIFAR10Tables(divisor=16)},
    models.BiGAN: {"architecture": Perceptrons(width=8)},
    models.LayerNormResNetGAN: {"widths": [4, 4]},
    models.R3GAN: {"widths": [8, 4], "group_width": 4},
    models.ResNetGAN: {"generator_widths": [4, 4], "discriminator_widths": [4, 4, 4]},
    models.SemiSupervisedCTGAN: {"number_of_classes": 2},
    models.SNGAN: {"generator_widths": [4] * 4, "discriminator_widths": [4] * 4},
}
"""The same for single models, whose arguments of these names others have in other sizes or not at all."""

LARGEST = 500_000
"""Parameters, the average's among them, that a model may have here, so that two batches take about a second."""


def small_settings(kind: type) -> dict[str, Any]:
    """Small values for those of a model's arguments that are known here."""
    names = inspect.signature(kind).parameters
    settings = {name: value for name, value in SMALL.items() if name in names} | SMALL_OF.get(kind, {})
    unknown = [name for name, p in names.items() if p.default is p.empty and name not in {*settings, "image_size"}]
    assert not unknown, f"{kind.__name__} needs {', '.join(unknown)}: add values to SMALL in {Path(__file__).name}"
    return settings


def small(kind: type[GAN]) -> Any:
    """A small model with fixed initial weights, which has seen its data if it has to."""
    settings = small_settings(kind)
    makes_images = "image_size" in inspect.signature(kind).parameters
    refusals: list[str] = []
    for size in IMAGE_SIZES if makes_images else [None]:
        torch.manual_seed(3)
        try:
            model: Any = kind(**settings, **({} if size is None else {"image_size": size}))
        except ValueError as error:
            refusals.append(str(error))
            continue
        if isinstance(model, ImitationGAN):
            model.study(transitions(20, seed=9))
        return model
    raise AssertionError(f"{kind.__name__} refuses {settings}: {refusals}; give others in SMALL_OF of this file")


def data_of(model: Any) -> Any:
    """Two batches."""
    if isinstance(model, ImitationGAN):
        return loader(2)
    settings = model.hparams
    return random_loader(
        size=settings["image_size"], channels=settings["image_channels"], classes=model.number_of_classes, count=8
    )


def fitted(kind: type[GAN]) -> tuple[GAN, dict[str, Tensor], Callable[[Path], None]]:
    """A model after two batches, its state before them, and what saves it."""
    model = small(kind)
    count = parameters_of(model)
    assert count <= LARGEST, f"{kind.__name__} has {count} parameters here: make it smaller by a line in SMALL_OF"
    untrained = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = toy_trainer(limit_val_batches=0)
    trainer.fit(model, data_of(model))
    assert trainer.global_step == 2
    return model, untrained, trainer.save_checkpoint


def loaded(kind: type[GAN], path: Path) -> GAN:
    """A model from a checkpoint, which is told what checkpoints leave out: settings that are objects."""
    saved = torch.load(path, weights_only=True)["hyper_parameters"]
    left_out = {name: value for name, value in small_settings(kind).items() if name not in saved}
    return kind.load_from_checkpoint(path, weights_only=True, map_location="cpu", **left_out)


MODELS = [kind for room in (models, imitation) for kind in classes_of(room, LightningModule)]


@pytest.mark.parametrize("kind", MODELS)
def test_every_model(kind: type[GAN], tmp_path: Path) -> None:
    (first, untrained, save), (second, _, _) = fitted(kind), fitted(kind)
    state = first.state_dict()
    for name, value in second.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} differs between two runs with the same seed"
        assert value.isfinite().all()

    moved = [name for name in untrained if not torch.equal(untrained[name], state[name])]
    for network in ("generator", "discriminator") if first.settings.discriminator_turns else ("generator",):
        assert any(name.startswith(f"{network}.") for name in moved), f"the {network} did not move"

    save(tmp_path / "model.ckpt")
    again = loaded(kind, tmp_path / "model.ckpt")
    assert again.images_seen == first.images_seen > 0
    for name, value in again.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} is not loaded as it was saved"
