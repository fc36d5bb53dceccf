"""A checkpoint of another model or of other sizes is refused in one line that names the difference."""

from pathlib import Path

import pytest
from torch import nn

from lightning_gan.loop.gan import GAN
from lightning_gan.models import DCGAN, StyleGAN
from tests.toys import toy_gan, toy_loader, toy_trainer


def dcgan(width: int) -> DCGAN:
    return DCGAN(image_size=8, image_channels=1, latent_dim=4, generator_width=width, discriminator_width=4)


def saved(model: GAN, folder: Path) -> Path:
    trainer = toy_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "dcgan.ckpt")
    return folder / "dcgan.ckpt"


def test_the_setting_that_differs_is_named_and_nothing_else(tmp_path: Path) -> None:
    path = saved(dcgan(4), tmp_path)
    with pytest.raises(ValueError, match=r"DCGAN does not fit the checkpoint: generator_width=8 here and") as error:
        toy_trainer(max_steps=1).fit(dcgan(8), toy_loader(), ckpt_path=str(path), weights_only=True)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"DCGAN does not fit the checkpoint: generator.blocks.0.0.weight of shape"):
        DCGAN.load_from_checkpoint(path, weights_only=True, generator_width=8)


def test_tensors_are_named_where_no_setting_differs(tmp_path: Path) -> None:
    other = toy_gan()
    other.generator = nn.Sequential(nn.Flatten(), nn.Linear(other.latent_dim, 4), nn.Linear(4, 4))
    path = saved(other, tmp_path)
    with pytest.raises(ValueError, match=r"GAN does not fit the checkpoint: .*the checkpoint does not have.*more"):
        toy_trainer(max_steps=1).fit(toy_gan(), toy_loader(), ckpt_path=str(path), weights_only=True)


def test_the_class_is_named_where_it_differs(tmp_path: Path) -> None:
    path = saved(dcgan(4), tmp_path)
    with pytest.raises(ValueError, match=r"the model is a GAN, and the checkpoint is one of .*DCGAN.*--weights"):
        toy_trainer(max_steps=1).fit(toy_gan(), toy_loader(), ckpt_path=str(path), weights_only=True)


def test_weights_that_are_no_checkpoint_keep_the_message_of_torch() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        dcgan(4).load_state_dict(dcgan(8).state_dict())


def test_another_model_is_named(tmp_path: Path) -> None:
    model = StyleGAN(
        image_size=8, image_channels=1, latent_dim=4, style_dim=4, mapping_layers=1, channel_base=16, channel_max=4
    )
    model.on_load_checkpoint({"hyper_parameters": {"_class_path": "lightning_gan.models.DCGAN"}})
    with pytest.raises(ValueError, match=r"is a StyleGAN, and the checkpoint is one of lightning_gan.models.DCGAN"):
        model.load_state_dict(dcgan(4).state_dict())
