"""Exported files compute what the model computes, for batches of any size, also where this package is not installed."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import lightning_gan
from lightning_gan import models
from lightning_gan.cli import main
from lightning_gan.inference.export_formats import ONNX, Format, Safetensors, Torch, all_formats
from lightning_gan.inference.export_model import WrittenFile, write_export
from lightning_gan.inference.exported_networks import (
    BATCH_SIZES,
    EXAMPLES,
    exported_networks,
    largest_difference,
    rounding_of,
)
from lightning_gan.inference.load import LoadedModel
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.checkpointing import CheckpointError
from lightning_gan.loop.gan import GAN
from tests.cli.command_line import message_of
from tests.inference.made_models import made, save
from tests.parts import classes_of
from tests.toys import toy_gan

DCGAN_WITH_CLASSES: dict[str, Any] = {
    "image_size": 8,
    "image_channels": 2,
    "number_of_classes": 3,
    "latent_dim": 5,
    "generator_width": 4,
    "discriminator_width": 4,
}
STYLEGAN: dict[str, Any] = {
    "image_size": 8,
    "latent_dim": 6,
    "style_dim": 6,
    "mapping_layers": 1,
    "mapping_width": 6,
    "channel_base": 32,
    "channel_max": 4,
}


def test_no_batch_that_is_checked_is_the_one_that_was_recorded() -> None:
    assert EXAMPLES not in BATCH_SIZES and min(BATCH_SIZES) == 1


def exported(loaded: LoadedModel, folder: Path, *formats: Format, truncation: float = 1.0) -> dict[str, WrittenFile]:
    files: list[WrittenFile] = []
    write_export(loaded, folder, formats=formats, truncation=truncation, report=files.append)
    return {file.name: file for file in files}


def inputs_of(model: GAN, count: int) -> list[Tensor]:
    return [part for part in model.draw_latents(count, seed=7) if part is not None]


@torch.no_grad()
def check(loaded: LoadedModel, folder: Path, *formats: Format, least: int = 1) -> None:
    """Export, and compare every file with `sample` and `encode`, without the code that compares files by itself."""
    model = loaded.model
    files = exported(loaded, folder, *formats)
    names = ["generator", *(["encoder"] if isinstance(model, Autoencoder) else [])]
    assert files.keys() == {f"{name}{kind.suffix}" for name in names for kind in formats}
    assert all(file.batch_sizes == [size for size in BATCH_SIZES if size >= least] for file in files.values())
    for count in (least, 4):
        inputs = inputs_of(model, count)
        images = model.sample(*inputs)
        expected = {"generator": images}
        if isinstance(model, Autoencoder):
            expected["encoder"] = model.encode(images)
        again = lightning_gan.load(folder) if any(isinstance(kind, Safetensors) for kind in formats) else model
        torch.testing.assert_close(again.sample(*inputs), images, rtol=0, atol=0)
        for name in names:
            given = inputs if name == "generator" else [images]
            if (folder / f"{name}.pt2").exists():
                found = torch.export.load(folder / f"{name}.pt2").module()(*given)
                torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-4)
            if (folder / f"{name}.onnx").exists():
                import onnxruntime

                session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
                feed = {one.name: given[index].numpy() for index, one in enumerate(session.get_inputs())}
                (found,) = session.run(None, feed)
                torch.testing.assert_close(torch.from_numpy(found), expected[name], rtol=1e-4, atol=1e-4)


def test_a_model_with_classes_as_both_graphs(tmp_path: Path) -> None:
    model = toy_gan(number_of_classes=3).eval().requires_grad_(False)
    check(LoadedModel(model=model, class_path="GAN", settings={}, file=tmp_path), tmp_path / "out", Torch(), ONNX())


def test_a_dcgan_with_classes_as_weights_and_as_a_graph(tmp_path: Path) -> None:
    check(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "out", Safetensors(), Torch())


@pytest.mark.slow
@pytest.mark.parametrize("kind", classes_of(models, GAN), ids=lambda kind: kind.__name__)
def test_every_model_in_every_format(kind: type[GAN], tmp_path: Path) -> None:
    # The generator of SmallCTGAN normalizes vectors over the batch, so that it cannot make a single image.
    check(made(kind), tmp_path / "out", *all_formats(), least=2 if kind is models.SmallCTGAN else 1)


def test_the_averaged_weights_are_exported_and_they_alone(tmp_path: Path) -> None:
    loaded = made(models.DCGAN, **DCGAN_WITH_CLASSES)
    exported(loaded, tmp_path / "out", Safetensors())
    again = lightning_gan.load(tmp_path / "out")
    for network in (again.generator, again.generator_ema):
        for name, value in loaded.model.generator_ema.state_dict().items():
            assert torch.equal(network.state_dict()[name], value)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["generator.safetensors", "generator.yaml"]


@pytest.mark.slow
def test_a_graph_has_the_truncation_that_was_asked_for(tmp_path: Path) -> None:
    loaded = made(models.StyleGAN, **STYLEGAN)
    loaded.model.generator_ema.w_avg.normal_()
    exported(loaded, tmp_path / "out", Torch(), truncation=0.5)
    (latents,) = inputs_of(loaded.model, 3)
    images = torch.export.load(tmp_path / "out" / "generator.pt2").module()(latents)
    torch.testing.assert_close(images, loaded.model.sample(latents, truncation=0.5), rtol=0, atol=1e-5)
    assert (images - loaded.model.sample(latents)).abs().max() > 0.01


def test_a_network_that_has_not_grown_yet_is_exported_as_it_is(tmp_path: Path) -> None:
    loaded = made(models.PGGAN, image_size=16, channel_base=32, channel_max=4, latent_dim=4)
    loaded.model.grow(8, 0.25)
    exported(loaded, tmp_path / "out", Safetensors())
    again = lightning_gan.load(tmp_path / "out")
    assert again.resolution == 8 and again.fade_in == 0.25
    assert torch.equal(again.sample(2, seed=1), loaded.model.sample(2, seed=1))


def test_the_settings_say_how_the_networks_are_called(tmp_path: Path) -> None:
    exported(made(models.BiGAN), tmp_path / "bigan", Safetensors())
    settings = yaml.safe_load((tmp_path / "bigan" / "generator.yaml").read_text())
    assert settings["latents"] == "Latents count latent_dim, uniform in [-1, 1)"
    assert settings["graphs"]["encoder"] == {"images": "float32, batch x 1 x 8 x 8", "codes": "float32, batch x 12"}
    exported(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "dcgan", Safetensors())
    settings = yaml.safe_load((tmp_path / "dcgan" / "generator.yaml").read_text())
    assert settings["graphs"]["generator"] == {
        "latents": "float32, batch x 5",
        "labels": "int64, batch",
        "images": "float32, batch x 2 x 8 x 8",
    }
    assert settings["latents"] == "standard normal" and settings["image_range"] == [-1.0, 1.0]


def test_a_file_that_computes_something_else_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = made(models.DCGAN, **DCGAN_WITH_CLASSES)
    (network,) = exported_networks(loaded.model, truncation=1.0)
    assert largest_difference(network.function, network) == (0.0, [1, 3, 5])
    assert largest_difference(lambda *inputs: network.function(*inputs) + 0.25, network)[0] == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"gives \[2, 2, 8, 8\] for 1 images"):
        largest_difference(lambda *_: network.function(*network.inputs(2)), network)
    monkeypatch.setattr(Safetensors, "read", lambda self, path, one, **_: lambda *rows: one.function(*rows) + 0.001)
    with pytest.raises(ValueError, match=r"generator\.safetensors differs from the model by 1\.0e-03"):
        write_export(loaded, tmp_path / "out", formats=[Safetensors()])
    assert not list(tmp_path.iterdir())


def test_a_network_whose_roundings_are_seen_is_exported_and_the_roundings_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = made(models.StyleGAN, **STYLEGAN)
    generator = loaded.model.sampling_generator
    constant = generator.get_parameter("synthesis.first.constant")
    with torch.no_grad():  # as after a few batches: the first layer divides by a standard deviation near zero
        generator.get_parameter("synthesis.first.epilogue0.noise_weight").zero_()
        constant.copy_(1 + 1e-5 * torch.randn(constant.shape, generator=torch.Generator().manual_seed(0)))
    (network,) = exported_networks(loaded.model, truncation=1.0)
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    rounding = rounding_of(network)
    assert 1e-3 < rounding < 1
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
    assert rounding_of(exported_networks(made(models.DCGAN, **DCGAN_WITH_CLASSES).model, truncation=1.0)[0]) < 1e-5

    def differing(by: float) -> dict[str, WrittenFile]:
        monkeypatch.setattr(Safetensors, "read", lambda self, path, one, **_: lambda *rows: one.function(*rows) + by)
        return exported(loaded, tmp_path / f"{by}", Safetensors())

    assert differing(5e-5)["generator.safetensors"].rounding is None
    assert differing(5e-4)["generator.safetensors"].rounding == rounding
    with pytest.raises(ValueError, match="differs from the model by"):
        differing(2 * rounding)


def test_a_graph_of_a_fixed_batch_fails_the_check() -> None:
    (network,) = exported_networks(toy_gan().eval().requires_grad_(False), truncation=1.0)
    with torch.no_grad():
        fixed = torch.export.export(network.function, network.inputs(2), strict=False)
    with pytest.raises(AssertionError, match="Guard failed"):
        largest_difference(fixed.module(), network)


# ---------------------------------------------------------------------- the command


def test_the_command_prints_the_differences_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "x.ckpt")
    main(["export", "x.ckpt", "out", "--formats", "safetensors,torch"])
    said = capsys.readouterr().out
    assert re.search(r"generator\.pt2 +[\d.]+ kB  largest difference \d\.\de[+-]\d\d \(batches of 1, 3, 5\)", said)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert "out exists, and nothing is overwritten" in message_of("export x.ckpt out", capsys)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert "--formats png: give one or several of safetensors,torch,onnx" in message_of(
        "export x.ckpt new --formats png", capsys
    )
    assert "DCGAN has no truncation trick" in message_of("export x.ckpt new --truncation 0.5", capsys)
    assert not (tmp_path / "new").exists()
    # An exported folder is itself a source.
    main(["export", "out", "again", "--formats", "safetensors"])
    assert (tmp_path / "again/generator.safetensors").read_bytes() == before[tmp_path / "out/generator.safetensors"]


def test_a_missing_package_leaves_its_format_out_or_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "x.ckpt")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(ONNX, "missing", ["onnxscript"])
    monkeypatch.setattr(Torch, "missing", ["torch"])  # which saves time here
    main(["export", "x.ckpt", "out"])
    assert "onnx: left out, because onnxscript is not installed (pip install 'lightning-gan[export]')" in (
        capsys.readouterr().out
    )
    assert not (tmp_path / "out/generator.onnx").exists()
    assert "onnxscript" in message_of("export x.ckpt new --formats onnx", capsys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("generator.yaml", "class_path: [", "generator.yaml is no file of settings"),
        ("generator.yaml", "class_path: lightning_gan.models.DCGAN\n", "generator.yaml is no file of settings"),
        ("generator.safetensors", "text", "generator.safetensors is no whole file of safetensors"),
        ("generator.safetensors", None, "there is no .*generator.safetensors"),
    ],
)
def test_a_broken_folder_is_refused_in_one_line(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    exported(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "out", Safetensors())
    (tmp_path / "out" / name).unlink()
    if content is not None:
        (tmp_path / "out" / name).write_text(content)
    with pytest.raises(CheckpointError, match=message) as error:
        lightning_gan.load(tmp_path / "out")
    assert "\n" not in str(error.value)


def test_weights_of_other_settings_are_refused_in_one_line(tmp_path: Path) -> None:
    exported(made(models.DCGAN, **DCGAN_WITH_CLASSES), tmp_path / "out", Safetensors())
    file = tmp_path / "out" / "generator.yaml"
    file.write_text(file.read_text().replace("generator_width: 4", "generator_width: 8"))
    with pytest.raises(CheckpointError, match=r"the weights of generator do not fit .*DCGAN"):
        lightning_gan.load(tmp_path / "out")
