"""A published folder has what a hub needs, says what was measured and how, and leaves the license to the user."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import lightning_gan
from lightning_gan import models
from lightning_gan.cli import main
from lightning_gan.inference.hub import from_pretrained, push_to_hub
from lightning_gan.inference.load import LoadedModel
from tests.cli.command_line import message_of
from tests.inference.made_models import made, save

SETTINGS: dict[str, Any] = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "number_of_classes": 3}
SETTINGS |= {"generator_width": 4, "discriminator_width": 4}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A model whose run is in `runs/a`."""
    monkeypatch.chdir(tmp_path)
    source = made(models.DCGAN, **SETTINGS)
    source.model.images_seen = 2000
    folder = Path("runs/a/checkpoints")
    folder.mkdir(parents=True)
    save(source, folder / "last.ckpt")
    config = {
        "model": {"class_path": source.class_path, "init_args": {"training": {"generator_optimizer": {"lr": 0.25}}}},
        "data": {"class_path": "ImageFolder", "init_args": {"path": "/home/somebody/secret/faces", "image_size": 8}},
        "trainer": {"callbacks": [{"class_path": "a.R1", "init_args": {"gamma": 3.0, "scores": None}}]},
    }
    Path("runs/a/config.yaml").write_text(yaml.safe_dump(config))
    records = [
        {
            "stage": "fit",
            "kimg": kimg,
            "extractor": "Inception",
            "fake_count": 50,
            "metrics": {"frechet_distance": distance},
        }
        for kimg, distance in ((1.0, 9.5), (2.0, 7.25))
    ]
    Path("runs/a/metrics.json").write_text(json.dumps(records))
    return source


def header_and_text(folder: str) -> tuple[dict[str, Any], str]:
    _, header, text = Path(folder, "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_a_folder_for_a_hub(trained: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["publish", "runs/a", "out", "--license", "cc-by-nc-4.0", "--title", "Small digits"])
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"README.md", "generator.safetensors", "generator.yaml", "samples.png", "training.yaml"}
    header, text = header_and_text("out")
    assert header["license"] == "cc-by-nc-4.0" and header["library_name"] == "lightning-gan"
    assert header["tags"] == ["gan", "image-generation", "dcgan", "class-conditional"]
    assert "# Small digits" in text and "CC-BY-NC-4.0" in text
    assert "| frechet distance | 7.2500 |" in text and "9.5" not in text  # of these weights alone
    assert "extractor Inception, fake count 50" in text
    assert "| R1 | gamma=3.0 |" in text and "| training.generator_optimizer.lr | 0.25 |" in text
    assert "trained on 2,000 images" in text and "of 3 classes" in text
    # No folder of this machine is published.
    assert not any("somebody" in path.read_text() for path in Path("out").glob("*.[my]*"))
    assert yaml.safe_load(Path("out/training.yaml").read_text())["data"]["init_args"]["path"] == "faces"
    assert "the last part alone of data.init_args.path" in capsys.readouterr().out
    again = lightning_gan.load("out")
    assert torch.equal(again.sample(5, seed=2), trained.model.sample(5, seed=2))
    with Image.open("out/samples.png") as picture:
        # Eight columns and four rows of images of 8x8, each 16 times as wide, with two pixels between them.
        assert picture.size == (8 * 128 + 7 * 2, 4 * 128 + 3 * 2)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    main(["publish", "runs/a", "again", "--license", "CC-BY-NC-4.0", "--title", "Small digits"])
    assert {Path("out", path.name): path.read_bytes() for path in Path("again").iterdir()} == before


def test_the_license_is_the_users_choice(trained: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--license is required" in message_of("publish runs/a out", capsys)
    assert "--license free is no identifier of SPDX" in message_of("publish runs/a out --license free", capsys)
    own = "publish runs/a out --license LicenseRef-Ours"
    assert "give its text with --license_file" in message_of(own, capsys)
    assert "there is no such file" in message_of(f"{own} --license_file nothing.txt", capsys)
    assert "add safetensors" in message_of("publish runs/a out --license mit --formats torch", capsys)
    assert not Path("out").exists()
    Path("ours.txt").write_text("Do what you like.")
    main([*own.split(), "--license_file", "ours.txt"])
    header, text = header_and_text("out")
    assert header["license"] == "other" and header["license_name"] == "ours" and header["license_link"] == "LICENSE"
    assert Path("out/LICENSE").read_text() == "Do what you like." and "see LICENSE" in text
    assert "out exists, and nothing is overwritten" in message_of("publish runs/a out --license mit", capsys)


def test_without_a_run_nothing_is_claimed(trained: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    save(trained, Path("x.ckpt"))
    main(["publish", "x.ckpt", "out", "--license", "MIT"])
    assert "x.ckpt is not in the folder of a run" in capsys.readouterr().out
    _, text = header_and_text("out")
    assert "The settings of its training are not known" in text and "Nothing was measured" in text
    assert not Path("out/training.yaml").exists()


def test_a_model_is_downloaded_and_uploaded_by_the_library_of_the_hub(
    trained: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["publish", "runs/a", "out", "--license", "MIT"])
    calls: list[Any] = []

    def snapshot_download(name: str, **options: Any) -> str:
        calls.append((name, options))
        return "out"

    class Api:
        def create_repo(self, name: str, **options: Any) -> None:
            calls.append((name, options))

        def upload_folder(self, **options: Any) -> str:
            calls.append(options)
            return "address"

    hub = SimpleNamespace(snapshot_download=snapshot_download, HfApi=Api)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    model = from_pretrained("user/name", revision="abc")
    assert torch.equal(model.sample(2), trained.model.sample(2))
    assert calls.pop() == ("user/name", {"revision": "abc", "allow_patterns": ["generator.yaml", "*.safetensors"]})
    assert push_to_hub("out", "user/name") == "address"
    assert calls == [("user/name", {"private": True, "exist_ok": True}), {"repo_id": "user/name", "folder_path": "out"}]
    with pytest.raises(ValueError, match="make it with `lightning-gan publish`"):
        push_to_hub("runs/a", "user/name")
