"""Images that are no squares, from a folder to samples, numbers and an exported model, in commands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lightning_gan
from lightning_gan.cli.image_rule import OwnImages
from lightning_gan.data.decoding import size_of
from tests.cli.command_line import hyperparameters, message_of, read, run
from tests.cli.small_runs import R3GAN, STYLEGAN2, TINY

HEIGHT, WIDTH = 16, 24


@pytest.fixture
def wide(folder: Path) -> Path:
    """Ten images that are wider than high."""
    (folder / "wide").mkdir()
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "wide" / f"{number}.png")
    return folder / "wide"


def weights(name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return found


def test_stylegan2_trains_on_a_folder_goes_on_exactly_is_measured_and_exported(
    wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"{STYLEGAN2} --images wide {TINY}"
    run(f"fit {command} --name whole")
    told = capsys.readouterr().err
    assert "10 images of 24x16" in told and "(0.0002 * 24 * 16 / 4)" in told
    saved = hyperparameters("whole")
    assert (saved["image_size"], saved["image_width"]) == (HEIGHT, WIDTH)
    assert read("runs/whole/config.yaml")["data"]["init_args"]["image_width"] == WIDTH
    assert "image_width" not in read("runs/whole/config.yaml")["model"]["init_args"]  # it follows from the data

    run(f"fit {command} --name parts --trainer.max_steps=2")
    run(f"fit {command} --name parts --resume")
    one, two = weights("whole"), weights("parts")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)

    run("generate runs/whole made --seeds 0-2")
    assert {size_of(path.read_bytes()) for path in Path("made").iterdir()} == {(WIDTH, HEIGHT)}
    run("test --name whole")
    run("project runs/whole wide/0.png --steps 1 --out found")
    assert size_of(Path("found/0/projected.png").read_bytes()) == (WIDTH, HEIGHT)
    run("export runs/whole exported --formats safetensors,torch")
    settings = read("exported/generator.yaml")
    assert (settings["image_height"], settings["image_width"]) == (HEIGHT, WIDTH)
    assert lightning_gan.load("exported").sample(2, seed=0).shape == (2, 3, HEIGHT, WIDTH)


def test_r3gan_trains_on_the_central_rectangles_of_a_folder(wide: Path) -> None:
    run(f"fit {R3GAN} --images wide --image_size 16 --image_width 20 {TINY} --name cut")
    saved = hyperparameters("cut")
    assert (saved["image_size"], saved["image_width"]) == (16, 20)
    assert lightning_gan.load("runs/cut").sample(1, seed=0).shape == (1, 3, 16, 20)


def test_a_prepared_rectangle_is_what_its_last_line_trains_on(wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("prepare wide made.zip --image_size 16 --image_width 20")
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert line == "train on it: fit --config stylegan2.yaml --images made.zip"
    networks = STYLEGAN2.removeprefix("--config stylegan2.yaml")
    run(f"{line.removeprefix('train on it: ')} {networks} {TINY.replace('max_steps=4', 'max_steps=1')} --name made")
    assert hyperparameters("made")["image_width"] == 20


def test_folders_are_measured_as_rectangles(wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("test --images wide --reals wide --extractor RandomFeatures --image_size 16 --image_width 12")
    printed = " ".join(capsys.readouterr().out.split())
    assert "image size 16, image width 12, image channels 3, central rectangles True" in printed
    assert "--image_width 12: give --image_size" in message_of(
        "test --images wide --reals wide --extractor RandomFeatures --image_width 12", capsys
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--config dcgan.yaml --images wide", "--images: 0.png has 24x16 pixels and is no square; give --image_size"),
        (
            "--config dcgan.yaml --images wide --image_size 16 --image_width 24",
            "DCGAN makes squares, and the images of ImageFolder have 24x16 pixels; give --config stylegan2.yaml",
        ),
        ("--config stylegan2.yaml --images wide --image_width 24", "--image_width 24: give --image_size, too"),
        (
            "--config stylegan2.yaml --images wide --image_size 16 --image_width 0",
            "--image_width 0: give the width in pixels",
        ),
        ("--config stylegan2.yaml --images wide --image_size -16", "--image_size -16: give the width and height in"),
        ("--config stylegan2.yaml --image_width 24", "--image_width is for --images; give --data.image_width"),
        (
            f"{STYLEGAN2} --images wide --model.image_width 32",
            "model.image_width=32, but ImageFolder has image_width=24; leave model.image_width out",
        ),
        (
            f"{STYLEGAN2} --images wide --image_size 16 --model.image_width 32",
            "model.image_width=32, but ImageFolder has image_width=None; leave model.image_width out",
        ),
        (
            f"{STYLEGAN2} --images wide --image_size 17 --image_width 33",
            "images of 33x17 pixels are halved to 33x17",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: str, message: str, wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in message_of(f"fit {options}", capsys)


def test_a_resume_names_only_what_changed_and_a_width_of_the_checkpoint_is_not_called_given(
    wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(f"fit {STYLEGAN2} --images wide --image_size 16 {TINY} --name one --image_width 24 --trainer.max_steps=1")
    run("fit --name one --resume --trainer.max_steps=2")
    assert "differ from the checkpoint" not in capsys.readouterr().err
    message = message_of("fit --name one --resume --data.image_width 20 --trainer.max_steps=3", capsys)
    assert "last.ckpt was trained with image_width=24, but ImageFolder has image_width=20; give the same" in message
    assert "(fit --weights runs/one/checkpoints/last.ckpt)" in message
    message = message_of("test --config stylegan2.yaml --ckpt_path runs/one/checkpoints/last.ckpt", capsys)
    assert "was trained with image_width=24, but Digits has image_width=None; give the same data" in message
    assert "--weights" not in message


def test_the_rule_follows_the_number_of_pixels() -> None:
    square = OwnImages(image_size=64, number_of_images=50)
    for height, width in ((32, 128), (128, 32), (64, 64)):
        rule = OwnImages(image_size=height, image_width=width, number_of_images=50)
        assert (rule.chosen_batch_size, rule.gamma, rule.chosen_kimg) == (
            square.chosen_batch_size,
            square.gamma,
            square.chosen_kimg,
        )
