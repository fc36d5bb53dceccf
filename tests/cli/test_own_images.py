"""`--images`: one's own images in the place of the digits, in one command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image

import lightning_gan
from lightning_gan.cli.config_listing import configs_by_kind
from lightning_gan.cli.configs import shipped_folder
from lightning_gan.cli.image_rule import OwnImages, retuned
from lightning_gan.cli.own_images import merged
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.cli.command_line import REPOSITORY, hyperparameters, message_of, read, run, write


def settings_of(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.load((shipped_folder() / name).read_text(), yaml.CSafeLoader)
    return settings


OF_DIGITS = [
    name
    for name in configs_by_kind()["models"]
    if settings_of(name)["data"]["class_path"] == "lightning_gan.data.Digits"
]
"""The configurations that are trained on images."""

SIZE = 16
TINY = (
    "--config hardware/cpu --trainer.logger=false --trainer.max_steps=3 "
    "--trainer.enable_model_summary=false --data.batch_size=4 --data.number_of_workers=0 --SampleGrid.columns=2 "
    "--SampleGrid.rows=2 --SlicedWasserstein.fake_count=8 --SlicedWasserstein.patches_per_image=4"
)


@pytest.fixture
def shapes(folder: Path) -> Path:
    """Twelve colour images of two classes, disks and squares, in folders, of different sizes."""
    numbers = np.random.default_rng(0)
    for index in range(12):
        size = SIZE + 4 * (index % 3)
        down, across = np.mgrid[:size, :size] / size - 0.5
        kind = "disks" if index % 2 else "squares"
        inside = down**2 + across**2 < 0.1 if index % 2 else np.maximum(abs(down), abs(across)) < 0.3
        pixels = np.full((size, size, 3), 255, dtype=np.uint8)
        pixels[inside] = numbers.integers(0, 200, 3)
        path = folder / "shapes" / kind / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder / "shapes"


def printed(arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """What `--print_config` prints, and the lines before it."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        run(f"{arguments} --print_config")
    assert exit_.value.code in (0, None)
    streams = capsys.readouterr()
    settings: dict[str, Any] = yaml.safe_load(streams.out)
    return settings, streams.err


def callbacks_in(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    callbacks = settings["trainer"]["callbacks"]
    return {one["class_path"].rsplit(".", 1)[-1]: one.get("init_args", {}) for one in callbacks}


# ---------------------------------------------------------------------- the rule


def test_the_rule_gives_stylegan2_adas_numbers_where_its_authors_print_them() -> None:
    # docs/configs.md of StyleGAN3 for one GPU: batch 16 and gamma 0.8192 at 256, batch 4 and gamma 52.43 at 1024.
    for size, batch, gamma in ((256, 16, 0.819), (1024, 4, 52.4)):
        rule = OwnImages(image_size=size, number_of_images=70_000)
        assert (rule.chosen_batch_size, rule.gamma) == (batch, gamma)
        assert rule.chosen_kimg == 25_000  # StyleGAN's on these 70,000 images
    assert OwnImages(image_size=64, number_of_images=10**7).chosen_kimg == 25_000
    assert OwnImages(image_size=32, number_of_images=1).chosen_kimg == 160  # 5 for each pixel


@pytest.mark.parametrize("name", OF_DIGITS)
@pytest.mark.parametrize("size", [32, 256])
def test_every_schedule_keeps_its_share_of_the_length(name: str, size: int) -> None:
    before = settings_of(name)
    after, _ = retuned(before, OwnImages(image_size=size, number_of_images=2474))
    old, new = callbacks_in(before), callbacks_in(after)
    factor = new["StopAtKimg"]["total_kimg"] / old["StopAtKimg"]["total_kimg"]
    assert factor > 1
    for callback in set(old) & set(new) - {"StopAtKimg", "EMA"}:
        for setting in ("every_kimg", "annealing_kimg"):
            if setting in old[callback]:
                assert new[callback][setting] == pytest.approx(factor * old[callback][setting], rel=0.01)
    if "LearningRate" in old:
        (ends,) = ([one["init_args"]["end_kimg"] for one in part["LearningRate"]["schedules"]] for part in (new,))
        assert ends == pytest.approx([new["StopAtKimg"]["total_kimg"]], rel=0.01)
    if "vae_warmup_kimg" in before["model"]["init_args"]:
        assert after["model"]["init_args"]["vae_warmup_kimg"] == pytest.approx(10 * factor, rel=0.01)


def test_the_last_stage_of_growing_begins_at_the_same_share_whatever_the_number_of_stages() -> None:
    for size, doublings in ((32, 3), (64, 4), (256, 6)):
        after, _ = retuned(settings_of("stylegan.yaml"), OwnImages(image_size=size, number_of_images=9000))
        growing, length = callbacks_in(after)["ProgressiveGrowing"], callbacks_in(after)["StopAtKimg"]["total_kimg"]
        begin = doublings * (growing["hold_kimg"] + growing["fade_kimg"])
        assert begin / length == pytest.approx(3 * 5 / 122, rel=0.02)


def test_a_longer_training_grows_no_later_so_that_a_run_can_go_on() -> None:
    settings = settings_of("stylegan.yaml")
    rule, shorter, longer = (
        callbacks_in(retuned(settings, OwnImages(image_size=64, number_of_images=2474, total_kimg=kimg))[0])
        for kimg in (None, 442.0, 2000.0)
    )
    assert longer["ProgressiveGrowing"] == rule["ProgressiveGrowing"]
    assert longer["LearningRate"]["schedules"][0]["init_args"]["end_kimg"] == 2000.0
    assert shorter["ProgressiveGrowing"]["hold_kimg"] == pytest.approx(
        rule["ProgressiveGrowing"]["hold_kimg"] / 2, 0.01
    )


# ---------------------------------------------------------------------- composing


@pytest.mark.parametrize("name", OF_DIGITS)
def test_every_configuration_for_the_digits_takes_a_folder(
    name: str, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, told = printed(f"fit --config {name} --images shapes --image_size 64 --labels", capsys)
    data = settings["data"]
    assert data["class_path"] == "lightning_gan.data.ImageFolder"
    given = {"path": "shapes", "image_size": 64, "image_channels": 3, "resize": "center_crop", "labels": True}
    assert given.items() <= data["init_args"].items() and data["init_args"]["batch_size"] == 32
    callbacks = callbacks_in(settings)
    assert callbacks["StopAtKimg"]["total_kimg"] == 320.0
    assert ".Digit" not in json.dumps(settings) and "SlicedWasserstein" in callbacks
    assert settings["name"] == f"shapes-{name.removesuffix('.yaml')}"
    lines = [line for line in told.splitlines() if line.startswith("--images: ")]
    assert len(lines) == 2 and lines[0].startswith("--images: 12 images of 64x64, batch size 32, 320 kimg (5 for each")
    assert f"networks of folder/{name}" in lines[0] and "SlicedWasserstein takes its place" in lines[1]
    if "R1" in callbacks:
        assert callbacks["R1"]["gamma"] == 0.0256 and "gamma of R1 0.0256 (0.0002 * 64^2 / 32)" in lines[0]
    if "R2" in callbacks:
        assert callbacks["R2"]["gamma"] == callbacks["R1"]["gamma"]
    if "EMA" in callbacks:
        assert callbacks["EMA"]["half_life_kimg"] == 10.0


@pytest.mark.parametrize(("kimg", "adaptation_kimg"), [(60, 10.0), (25_000, 500.0)])
def test_ada_adapts_within_its_share_of_the_length_and_at_most_500_kimg(
    kimg: int, adaptation_kimg: float, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"fit --config stylegan2_ada.yaml --images shapes --image_size 64 --StopAtKimg.total_kimg {kimg}"
    settings, _ = printed(command, capsys)
    ada = callbacks_in(settings)["AdaptiveAugmentation"]  # in stylegan2_ada.yaml: 20 of 120 kimg, and no colours
    assert ada["adaptation_kimg"] == adaptation_kimg
    assert ada["groups"]["blit"] == ada["groups"]["geometry"] == ada["groups"]["colour"] == 1.0


def test_every_configuration_for_the_digits_has_networks_for_folders_and_no_others_exist() -> None:
    assert configs_by_kind()["folder"] == [f"folder/{name}" for name in OF_DIGITS]


@pytest.mark.parametrize("name", OF_DIGITS)
def test_the_networks_for_folders_can_be_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = merged(settings_of(name), settings_of(f"folder/{name}"))["model"]
    facts: dict[str, Any] = {"image_size": 64, "image_channels": 3}
    if name == "semi_supervised_ct_gan.yaml":
        facts["number_of_classes"] = 3
    monkeypatch.setattr(torch.nn.init, "orthogonal_", lambda weight, gain=1.0: weight)  # takes half a minute
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GAN, "model")
    parsed = parser.parse_object({"model": {**model, "init_args": model["init_args"] | facts}})
    built = parser.instantiate_classes(parsed).model
    assert sum(weights.numel() for weights in built.parameters()) > 10**6


def test_what_is_given_wins_over_the_rule_and_the_rule_follows_it(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mine.yaml", {"data": {"init_args": {"batch_size": 16, "mirror": True}}})
    command = "fit --config stylegan.yaml --config mine.yaml --images=shapes --image_size=64"
    settings, _ = printed(command, capsys)
    assert settings["data"]["init_args"]["batch_size"] == 16 and settings["data"]["init_args"]["mirror"] is True
    assert settings["data"]["init_args"]["labels"] is False
    assert callbacks_in(settings)["R1"]["gamma"] == 0.0512
    options = "--data.batch_size 8 --StopAtKimg.total_kimg 16 --R1.every_n_turns 2 --model.channel_base 99 --name own"
    settings, told = printed(f"{command} {options}", capsys)
    callbacks = callbacks_in(settings)
    assert (callbacks["R1"]["gamma"], callbacks["R1"]["every_n_turns"]) == (0.102, 2)
    assert callbacks["StopAtKimg"]["total_kimg"] == 16.0 and "16 kimg (as given)" in told
    assert callbacks["LearningRate"]["schedules"][0]["init_args"]["end_kimg"] == 16.0
    assert callbacks["SampleGrid"]["every_kimg"] == 1.31  # 10 kimg of 122
    assert settings["model"]["init_args"]["channel_base"] == 99 and settings["name"] == "own"
    settings, told = printed(f"{command} --R1.gamma 7", capsys)
    assert callbacks_in(settings)["R1"]["gamma"] == 7.0 and "gamma" not in told


def test_without_a_size_images_must_be_squares_of_one_size(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, _ = printed("fit --config dcgan.yaml --images shapes", capsys)
    assert settings["data"]["init_args"]["resize"] == "exact"
    assert settings["data"]["init_args"]["image_size"] == 20  # of disks/01.png
    Image.new("RGB", (20, 10)).save(shapes / "disks" / "00.png")
    message = message_of("fit --config dcgan.yaml --images shapes", capsys)
    assert message.startswith("--images: disks/00.png has 20x10 pixels and is no square; give --image_size")


def test_configurations_that_are_not_for_the_digits_keep_everything_but_their_data(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, told = printed("fit --config paper/stylegan_ffhq256.yaml --images shapes --image_size 64", capsys)
    before = settings_of("paper/stylegan_ffhq256.yaml")
    data = settings["data"]["init_args"]
    assert (data["path"], data["image_size"], data["mirror"], data["batch_size"]) == ("shapes", 64, True, 32)
    assert callbacks_in(settings)["R1"]["gamma"] == callbacks_in(before)["R1"]["gamma"] == 10.0
    assert "12 images; all settings of paper/stylegan_ffhq256.yaml but those of its data stay" in told
    settings, _ = printed("fit --config paper/sagan_imagenet128.yaml --images shapes --image_size 64", capsys)
    assert "root" not in settings["data"]["init_args"] and settings["data"]["init_args"]["batch_size"] == 256


def test_images_need_no_configuration_where_a_model_is_given_otherwise(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, _ = printed("fit --model DCGAN --images shapes --image_size 16 --labels", capsys)
    assert settings["data"]["class_path"] == "lightning_gan.data.ImageFolder"
    given = {"path": "shapes", "image_size": 16, "labels": True, "resize": "center_crop"}
    assert given.items() <= settings["data"]["init_args"].items()
    assert settings["name"] == "shapes"


def test_training_on_from_other_weights_keeps_their_networks(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml")
    command = "--images shapes --image_size 16 --weights runs/tiny"
    settings, told = printed(f"fit --config stylegan.yaml {command}", capsys)
    model = settings["model"]["init_args"]
    assert (model["latent_dim"], model["channel_max"], model["mapping_layers"]) == (4, 4, 1)  # of tiny.yaml
    assert model["training"]["generator_optimizer"]["init_args"]["lr"] == 0.001 and "networks of runs/tiny" in told
    assert callbacks_in(settings)["R1"]["gamma"] == 0.0016
    # Those of another model fit at most in part.
    settings, told = printed(f"fit --config pggan.yaml {command}", capsys)
    assert settings["model"]["init_args"]["latent_dim"] == 256 and "networks of folder/pggan.yaml" in told


def test_a_hundred_images_begin_with_weights_and_frozen_layers_without_them_are_told(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"fit --config stylegan2.yaml --images shapes --image_size {SIZE} {TINY}"
    run(f"{command} --model.channel_base=64 --model.channel_max=8 --name many")
    before = torch.load("runs/many/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    capsys.readouterr()
    run(f"{command} --weights runs/many --config addons/hundred_images.yaml --name few")
    assert "drawn at random" not in capsys.readouterr().err
    after = torch.load("runs/few/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    frozen = [name for name in before if name.startswith(("discriminator.from_images", "discriminator.blocks"))]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    run("fit --name few --resume --trainer.max_steps=4")
    assert "drawn at random" not in capsys.readouterr().err
    run(f"{command} --config addons/hundred_images.yaml --name without --trainer.max_steps=1")
    told = capsys.readouterr().err
    assert "of the tensors that stay as they are were drawn at random (discriminator.from_images." in told
    frozen_blocks = "--config addons/freeze_d.yaml --FreezeD.layers=[blocks] --trainer.max_steps=1"
    run(f"{command} {frozen_blocks} --weights runs/many --model.channel_max=4 --name narrow")
    told = capsys.readouterr().err
    assert "were drawn at random (discriminator.blocks.0" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--images shapes", "--images shapes: no model is given; give for example --config stylegan.yaml"),
        ("--config stylegan.yaml --images", "--images needs a value"),
        ("--config stylegan.yaml --images nowhere", "nowhere does not exist; give a folder of images or a zip"),
        ("--config stylegan.yaml --images empty", "empty holds no image"),
        (
            "--config stylegan.yaml --images shapes --image_size 0",
            "--image_size 0: give the width and height in pixels",
        ),
        ("--config stylegan.yaml --images shapes --image_size x", "--image_size x: give the width and height"),
        ("--config stylegan.yaml --images shapes --labels=3", "--labels=3: give --labels for the classes"),
        ("--config stylegan.yaml --image_size 64", "--image_size is for --images; give --data.image_size"),
        ("--config stylegan.yaml --labels", "--labels is for --images; give --data.labels"),
        (
            "--config stylegan.yaml --images shapes/disks --image_size 64 --labels",
            "--labels: shapes/disks has no classes (no classes); leave --labels out, or give each class a folder",
        ),
        (
            "--config stylegan.yaml --config data/cifar10.yaml --images shapes",
            "--images and the data CIFAR10 of data/cifar10.yaml contradict each other; give one of them",
        ),
        ("--config stylegan.yaml --images shapes --data Digits", "the data Digits of the command line contradict"),
        (
            "--config semi_supervised_ct_gan.yaml --images shapes --image_size 16",
            "number_of_classes=0 must be 2 at least",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    options: str, message: str, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert message in message_of(f"fit {options}", capsys)
    assert not Path("runs").exists()


def test_the_help_explains_the_options_and_needs_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run("fit --config stylegan.yaml --images nowhere --help")
    assert exit_.value.code == 0
    assert "--images PATH" in capsys.readouterr().out


# ---------------------------------------------------------------------- training


def test_stylegan_trains_on_a_folder_goes_on_and_is_measured(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = f"{TINY} --model.channel_base=32 --model.channel_max=4 --model.mapping_layers=1 --model.latent_dim=4"
    command = f"--config stylegan.yaml --images shapes --image_size {SIZE} --labels {tiny}"
    run(f"fit {command} --name of_shapes")
    saved = hyperparameters("of_shapes")
    assert (saved["image_size"], saved["image_channels"], saved["number_of_classes"]) == (SIZE, 3, 2)
    assert "SlicedWasserstein: training ends at 4x4 pixels" in capsys.readouterr().out
    assert list(Path("runs/of_shapes/samples").glob("*.png"))
    run(f"fit {command} --name of_shapes --resume --trainer.max_steps=4")
    assert torch.load("runs/of_shapes/checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


def test_dcgan_trains_on_a_folder_without_labels_in_a_run_named_after_it(shapes: Path) -> None:
    tiny = f"{TINY} --model.generator_width=4 --model.discriminator_width=4 --model.latent_dim=4"
    run(f"fit --config dcgan.yaml --images shapes --image_size {SIZE} {tiny}")
    assert hyperparameters("shapes-dcgan")["number_of_classes"] == 0
    assert read("runs/shapes-dcgan/config.yaml")["data"]["init_args"]["path"] == "shapes"
    assert list(Path("runs/shapes-dcgan/samples").glob("*.png"))
    assert "sliced_wasserstein_x1000" in Path("runs/shapes-dcgan/metrics.json").read_text()
    run("test --name shapes-dcgan")  # by the saved settings
    # The saved callbacks stay; the same images elsewhere are those of the checkpoint.
    shapes.rename("moved")
    run("fit --name shapes-dcgan --resume --images moved --image_size 16 --trainer.max_steps 4")
    assert "SampleGrid" in Path("runs/shapes-dcgan/config.yaml").read_text()
    Path("moved").rename("shapes")
    run(f"test --config dcgan.yaml --images shapes --image_size {SIZE} {tiny}")
    assert '"stage": "test"' in Path("runs/shapes-dcgan/metrics.json").read_text()


def test_the_five_commands_of_the_first_page_lead_from_a_folder_to_samples_and_an_exported_model(shapes: Path) -> None:
    """The commands are read from the documentation. No command edits a file, and `small` only makes them quick."""
    text = (REPOSITORY / "docs" / "index.md").read_text()
    block = text.partition("in five commands\n\n```sh\n")[2].partition("```")[0]
    prepare, fit, generate, serve, export = (line.removeprefix("python cli.py ") for line in block.splitlines())
    shapes.rename("photos")
    small = f"{TINY} --model.channel_base=32 --model.channel_max=4 --model.mapping_layers=1 --model.latent_dim=4"
    small = f"{small} --StopAtKimg.total_kimg=0.016 --trainer.max_steps=-1 --ProgressiveGrowing.start_resolution=16"
    size = f"--image_size {SIZE}"
    run(prepare.replace("--image_size 64", size))
    run(f"{fit.replace('--image_size 64', size)} {small}")
    run(generate.replace("0-63", "0-5"))
    assert serve == "serve runs/photos"  # tests/inference/test_serve_model.py drives its page in a browser
    run(export)
    assert list(Path("runs/photos/samples").glob("*.png"))
    images = sorted(Path("runs/photos").rglob("seed*.png"))
    assert len(images) == 6
    pixels = []
    for path in images:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (SIZE, SIZE))
            pixels.append(np.asarray(image))
    model = lightning_gan.load("runs/photos")
    assert np.array_equal(pixels[3], to_bytes(model.sample(1, seed=3))[0].permute(1, 2, 0).numpy())
    assert torch.equal(lightning_gan.load("exported").sample(2, seed=5), model.sample(2, seed=5))
