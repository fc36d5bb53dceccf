"""Any checkpoint becomes its model again, without a word about its class."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

import lightning_gan
from lightning_gan import GAN
from lightning_gan.callbacks import EMA, KimgCheckpoint
from lightning_gan.loop.checkpointing import CheckpointError
from lightning_gan.models import DCGAN, PGGAN, StyleGAN
from tests.toys import equal, toy_gan, toy_trainer, weights_of

SMALL: dict[type[GAN], dict[str, Any]] = {
    DCGAN: {"image_size": 16, "generator_width": 4, "discriminator_width": 4, "number_of_classes": 3},
    PGGAN: {"image_size": 8, "channel_base": 32, "channel_max": 8},
    StyleGAN: {"image_size": 8, "channel_base": 32, "channel_max": 8, "mapping_layers": 2},
}


def trained(model: GAN, folder: Path) -> GAN:
    """A model after a batch, whose average lags behind, and whose run is in `folder`."""
    channels, size = model.generator_ema(*rows(model)).shape[1:3]
    images = torch.rand(8, channels, size, size) * 2 - 1
    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, torch.arange(8) % max(model.number_of_classes, 1)), batch_size=4
    )
    trainer = toy_trainer(
        EMA(half_life_kimg=0.1),
        KimgCheckpoint(every_kimg=0.004),
        default_root_dir=str(folder),
        enable_checkpointing=True,
    )
    trainer.fit(model, data)
    return model.eval()


def rows(model: GAN) -> list[torch.Tensor]:
    return [part for part in model.draw_latents(1, seed=0) if part is not None]


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.__name__)
def test_a_file_a_run_and_its_checkpoints_load_as_the_model_that_was_saved(kind: type[GAN], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = trained(kind(**SMALL[kind]), tmp_path)
    before = torch.random.get_rng_state()
    for path in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints" / "last.ckpt"):
        loaded = lightning_gan.load(path)
        assert type(loaded) is kind and not loaded.training
        assert equal(weights_of(loaded), weights_of(model))
        assert loaded.averaged and loaded.images_seen == model.images_seen
        assert torch.equal(loaded.sample(3, seed=4), model.sample(3, seed=4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_networks_of_ones_own_need_their_class(tmp_path: Path) -> None:
    trained(toy_gan(), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"lightning_gan\.loop\.gan\.GAN cannot be built .* GAN\.load_from_checkpoint"
    ):
        lightning_gan.load(tmp_path)


class Foreign(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no checkpoint .*x.ckpt; give a file or a run"),
        (lambda path: path.mkdir(), "x.ckpt has no checkpoint that can be read; give a file or another run"),
        (lambda path: path.write_bytes(b"text"), "x.ckpt is not a file of torch.save, or it is damaged"),
        (
            lambda path: torch.save({"state_dict": {}, "hyper_parameters": {}}, path),
            "does not name the class of its model",
        ),
        (
            lambda path: torch.save({"state_dict": {}, "model_class_path": "subprocess.Popen"}, path),
            "subprocess.Popen cannot be built",
        ),
        (
            lambda path: torch.save({"state_dict": {}, "model_class_path": "lightning_gan.models.DCGN"}, path),
            "DCGN cannot be built",
        ),
        (
            lambda path: torch.save(
                {"state_dict": {}, "model_class_path": "lightning_gan.models.DCGAN", "hyper_parameters": {"width": 3}},
                path,
            ),
            "DCGAN cannot be built .*width",
        ),
    ],
)
def test_what_is_no_checkpoint_of_a_gan_is_refused_in_one_line(make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=message) as error:
        lightning_gan.load(tmp_path / "x.ckpt")
    assert "\n" not in str(error.value)
