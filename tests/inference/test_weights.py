"""A training begins with what fits of another one's weights, says what does not, and begins its clock anew."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import lightning_gan
from lightning_gan import models
from lightning_gan.inference import load_weights
from lightning_gan.inference.export_formats import Safetensors
from lightning_gan.inference.export_model import write_export
from lightning_gan.inference.load import LoadedModel
from lightning_gan.loop.checkpointing import CheckpointError
from lightning_gan.loop.gan import GAN
from tests.cli.command_line import TINY, hyperparameters, message_of, read, run, trained_batches, write
from tests.inference.made_models import made, save

PGGAN: dict[str, Any] = {"image_size": 8, "channel_base": 32, "channel_max": 4, "latent_dim": 4, "image_channels": 1}
SNGAN: dict[str, Any] = {
    "image_size": 32,
    "image_channels": 1,
    "latent_dim": 4,
    "generator_widths": [4] * 4,
    "discriminator_widths": [4] * 4,
}


def new(kind: type[GAN], **settings: Any) -> GAN:
    torch.manual_seed(8)
    return kind(**settings)


def saved(kind: type[GAN], path: Path, **settings: Any) -> LoadedModel:
    source = made(kind, **settings)
    source.model.images_seen = 5000
    save(source, path)
    return source


def test_the_same_model_gets_every_weight_and_a_new_clock(tmp_path: Path) -> None:
    source = saved(models.PGGAN, tmp_path / "x.ckpt", **PGGAN)
    model = new(models.PGGAN, **PGGAN)
    report = load_weights(model, tmp_path / "x.ckpt")
    assert not report.other_shape and not report.missing and not report.unused and not report.settings
    then = source.model.state_dict()
    assert set(report.copied) == {name for name in then if not name.startswith(("_counts", "generator_ema."))}
    for name in report.copied:
        assert torch.equal(model.state_dict()[name], then[name])
    assert model.images_seen == 0 and not model.averaged and model.training
    for name, value in model.generator.state_dict().items():
        assert torch.equal(model.generator_ema.state_dict()[name], value)
    assert model.generator_ema.first.bias.data_ptr() != model.generator.first.bias.data_ptr()
    assert all(parameter.requires_grad for parameter in model.generator.parameters())
    assert report.lines()[0].startswith("weights of PGGAN from ")
    assert f"  generator: {len(source.model.generator.state_dict())} of" in report.lines()[2]


def test_a_larger_network_that_grows_gets_the_resolutions_that_both_have(tmp_path: Path) -> None:
    source = saved(models.PGGAN, tmp_path / "x.ckpt", **PGGAN)
    model = new(models.PGGAN, **{**PGGAN, "image_size": 16})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = load_weights(model, tmp_path / "x.ckpt")
    assert not report.other_shape and not report.unused
    for name, value in model.state_dict().items():
        if name in report.copied:
            assert torch.equal(value, source.model.state_dict()[name])
        elif name in report.missing:
            assert torch.equal(value, before[name]) and (".1." in name or ".2." in name)
    assert {"generator.blocks.1.conv1.weight", "generator.to_rgb.2.bias"} <= set(report.missing)
    # At the resolution that both have, they make the same images.
    model.eval().grow(8, 1.0)
    assert torch.equal(model.sample(3), source.model.sample(3, ema=False))
    assert report.settings == ("image_size=16 here and image_size=8 in the checkpoint",)
    # The other way, the file has more than the model.
    save(LoadedModel(model=model, class_path=source.class_path, settings={}, file=tmp_path), tmp_path / "large.ckpt")
    small = new(models.PGGAN, **PGGAN)
    report = load_weights(small, tmp_path / "large.ckpt")
    assert not report.missing and "generator.blocks.1.conv1.weight" in report.unused
    assert torch.equal(small.eval().sample(3), source.model.sample(3, ema=False))


def test_other_classes_and_channels_leave_those_layers_new(tmp_path: Path) -> None:
    saved(models.SNGAN, tmp_path / "x.ckpt", **SNGAN, number_of_classes=2)
    model = new(models.SNGAN, **{**SNGAN, "image_channels": 3, "number_of_classes": 5})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = load_weights(model, tmp_path / "x.ckpt")
    assert report.other_shape["generator.output.weight"] == "[3, 4, 3, 3] here, [1, 4, 3, 3] in the file"
    assert "generator.blocks.0.norm1.affine.gain" in report.other_shape
    assert "generator.input.weight" in report.copied and not report.missing
    for name in report.other_shape:
        assert torch.equal(model.state_dict()[name], before[name])
    # The singular vectors of a weight that is not copied are not those of the file either.
    vectors = [name for name in report.other_shape if "discriminator.head.embedding" in name]
    assert any(name.endswith(".right") for name in vectors) and len(vectors) == 3
    assert not any("head.embedding" in name for name in report.copied)
    assert "discriminator.blocks.0.conv1.bias" in report.other_shape  # it has the same shape, but belongs to the weight
    text = "\n".join(report.lines())
    assert "new weights, because the file has another shape: generator.blocks.0.norm1" in text and " more)" in text


def test_an_exported_folder_gives_its_averaged_weights(tmp_path: Path) -> None:
    source = made(models.IntroVAE)
    write_export(source, tmp_path / "out", formats=[Safetensors()])
    model = new(models.IntroVAE, **source.settings)
    report = load_weights(model, tmp_path / "out")
    assert not report.missing  # the discriminator is the encoder, which is exported
    assert torch.equal(model.eval().sample(2, ema=False), source.model.sample(2))
    dcgan = made(models.DCGAN)
    write_export(dcgan, tmp_path / "dcgan", formats=[Safetensors()])
    report = load_weights(new(models.DCGAN, **dcgan.settings), tmp_path / "dcgan")
    assert report.missing and all(name.startswith("discriminator.") for name in report.missing)


def test_what_does_not_fit_at_all_is_an_error(tmp_path: Path) -> None:
    saved(models.PGGAN, tmp_path / "x.ckpt", **PGGAN)
    model = made(models.BiGAN).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"no weight of .*x\.ckpt fits BiGAN by name and shape \(generator\."):
        load_weights(model, tmp_path / "x.ckpt")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_weights(model, tmp_path / "y.ckpt")


# ---------------------------------------------------------------------- the command line


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """A trained run `first`, and a run `second` that was begun with its weights for images of twice the size."""
    monkeypatch.chdir(tmp_path)
    write("tiny.yaml", TINY)
    run("fit --config tiny.yaml --name first")
    capsys.readouterr()
    run("fit --config tiny.yaml --name second --data.image_size 16 --weights runs/first --trainer.max_steps 1")
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_was_begun_with_weights_says_so_and_is_continued(
    begun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "weights of StyleGAN from runs/first/checkpoints/last.ckpt; the clock, the optimizers" in begun
    assert "new weights, because the file has none: generator.synthesis.noise4, " in begun
    assert read("runs/second/config.yaml")["weights"] == "runs/first"
    assert trained_batches("second") == 1 and hyperparameters("second")["image_size"] == 16
    second = lightning_gan.load("runs/second")
    assert second.images_seen == 8
    run("fit --config tiny.yaml --name second --data.image_size 16 --resume --trainer.max_steps 2")
    said = capsys.readouterr().err
    assert "training goes on from" in said and "weights of" not in said
    assert trained_batches("second") == 2 and read("runs/second/config.yaml")["weights"] == "runs/first"


@pytest.mark.slow
def test_without_a_model_that_of_the_weights_is_taken(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {name: value for name, value in TINY.items() if name != "model"}
    settings["data"] = {"class_path": "Digits", "init_args": {"image_size": 16, "batch_size": 8}}
    write("data.yaml", settings)
    run("fit --config data.yaml --name third --weights runs/first --model.style_mixing 0.5")
    said = capsys.readouterr().err
    assert "no model is given, so that it is that of runs/first: StyleGAN" in said
    taken = hyperparameters("third")
    assert taken["image_size"] == 16 and taken["channel_max"] == 4 and taken["style_mixing"] == 0.5


def test_what_contradicts_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("tiny.yaml", TINY)
    Path("x.ckpt").write_text("")
    both = "begins a new training, and --resume and --ckpt_path continue one; give one of them"
    assert both in message_of("fit --config tiny.yaml --weights x.ckpt --resume", capsys)
    assert both in message_of("fit --config tiny.yaml --weights x.ckpt --ckpt_path last", capsys)
    assert "--weights is no option of test; give --ckpt_path x.ckpt" in message_of("test --weights x.ckpt", capsys)
    assert "--weights y.ckpt: there is no such checkpoint" in message_of(
        "fit --config tiny.yaml --weights y.ckpt", capsys
    )
    assert "--weights needs a value" in message_of("fit --config tiny.yaml --weights", capsys)
    assert "x.ckpt is empty" in message_of("fit --config tiny.yaml --weights x.ckpt", capsys)
    Path("more.yaml").write_text(yaml.safe_dump({"weights": "z.ckpt"}))
    assert "z.ckpt: there is no such" in message_of("fit --config tiny.yaml --config more.yaml", capsys)
