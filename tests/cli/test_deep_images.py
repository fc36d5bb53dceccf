"""Images of 16 bits, and of several channels of floats, from a folder to generated values, in commands."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lightning_gan
from lightning_gan.cli import main
from lightning_gan.data.decoding import size_of
from lightning_gan.inference.load import load_with_settings
from tests.cli.command_line import message_of, read, run
from tests.cli.small_runs import R3GAN, STYLEGAN2, TINY

SIZE = 16


@pytest.fixture
def grey(folder: Path) -> Path:
    """Ten grey images of 16 bits."""
    (folder / "grey").mkdir()
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 65536, (SIZE, SIZE), dtype=np.uint16)
        Image.fromarray(pixels).save(folder / "grey" / f"{number}.png")
    return folder / "grey"


@pytest.fixture
def bands(folder: Path) -> Path:
    """Ten images of five channels of floats in [-10, 10], which are no squares."""
    (folder / "bands").mkdir()
    for number in range(10):
        values = np.random.default_rng(number).uniform(-10, 10, (SIZE, 24, 5)).astype(np.float32)
        np.save(folder / "bands" / f"{number}.npy", values)
    return folder / "bands"


def weights(name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return found


def test_grey_images_of_16_bits_are_trained_on_exactly_and_generated(grey: Path) -> None:
    command = f"{R3GAN} --images grey --data.image_channels=1 --data.value_range=[0,65535] {TINY}"
    run(f"fit {command} --name whole")
    run(f"fit {command} --name parts --trainer.max_steps=2")
    run(f"fit {command} --name parts --resume")
    one, two = weights("whole"), weights("parts")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    run("generate runs/whole made --seeds 0-1")
    with Image.open("made/seed0000.png") as opened:
        values = np.asarray(opened)
    sample = lightning_gan.load("runs/whole").sample(1, seed=0)
    expected = (sample[0, 0].double() + 1) / 2 * 65535
    assert values.dtype == np.uint16 and np.abs(values - expected.numpy()).max() <= 1.0
    run("test --name whole")
    run("project runs/whole grey/0.png --steps 1 --out found")
    assert size_of(Path("found/0/projected.png").read_bytes()) == (SIZE, SIZE)
    run("export runs/whole exported --formats safetensors")
    assert read("exported/generator.yaml")["value_range"] == [0.0, 65535.0]
    assert str(load_with_settings("exported").value_range) == "[0, 65535]"


@pytest.mark.filterwarnings("ignore:Evaluation. the covariance of 256 features")
def test_several_channels_of_floats_are_trained_on_and_generated(bands: Path) -> None:
    command = f"--images bands --data.image_channels=5 --data.value_range=[-10,10] {TINY}"
    run(
        f"fit {STYLEGAN2} {command} --name bands --trainer.callbacks+=Evaluation --Evaluation.extractor=RandomFeatures "
        "--Evaluation.fake_count=8"
    )
    run("generate runs/bands made --seeds 0-3")
    values = np.load("made/seed0003.npy")
    assert values.shape == (SIZE, 24, 5) and values.dtype == np.float32 and np.abs(values).max() <= 10
    run(f"fit {STYLEGAN2} {command.replace('--images bands', '--images made')} --name again --trainer.max_steps=1")
    run("test --images made --reals bands --extractor RandomFeatures --image_channels 5 --value_range [-10,10]")
    run("generate runs/bands sheet.png --seeds 0-3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            f"{STYLEGAN2} --images grey --data.image_channels=1",
            "9.png: its pixels (I;16) have more than 8 bits; convert it to 8 bits per channel, or give the range",
        ),
        (
            f"{STYLEGAN2} --images grey --data.value_range=[0,65535]",
            "9.png: it has 1 channel, not 3; set image_channels to 1 (--data.image_channels 1; prepare",
        ),
        (
            f"{STYLEGAN2} --images grey --data.image_channels=1 --data.value_range=[0,100]",
            "is outside of value_range [0, 100]; give a range that holds all values",
        ),
        (
            f"{STYLEGAN2} --images grey --data.image_channels=1 --data.value_range=[1,0]",
            "value_range=[1, 0] must be two finite numbers",
        ),
        (f"{STYLEGAN2} --images grey --data.value_range=7", "data.value_range: 7 is no list; a list has brackets"),
        (f"{STYLEGAN2} --images grey --data.value_range=[7]", "data.value_range: [7] must be a list of 2 values"),
    ],
)
def test_what_cannot_be_read_is_refused(
    options: str, message: str, grey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in message_of(f"fit {options} {TINY}", capsys)


def test_another_range_does_not_go_on_with_a_run(grey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"{R3GAN} --images grey --data.image_channels=1 {TINY} --name one --trainer.max_steps=1"
    run(f"fit {command} --data.value_range=[0,65535]")
    message = message_of(f"fit {command} --data.value_range=[0,70000] --resume --trainer.max_steps=2", capsys)
    assert "trained with value_range=[0, 65535] and the data now has [0, 70000]; give the same data" in message


@pytest.mark.filterwarnings("ignore:Evaluation. the covariance of 256 features")
@pytest.mark.parametrize(
    ("goal", "evaluation"),
    [
        ("made.zip", "--trainer.callbacks+=Evaluation --Evaluation.extractor=RandomFeatures"),
        ("made.shards", ""),  # for which the configuration has it
    ],
)
def test_what_prepare_makes_of_arrays_is_trained_on_by_its_last_line_measured_and_generated(
    goal: str, evaluation: str, bands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if goal.endswith(".shards"):
        pytest.importorskip("litdata", reason="the extra `streaming` is not installed")
    values = "--image_channels 5 --value_range [-10,10]"
    run(f"prepare bands {goal} --image_size 16 --image_width 20 {values}")
    told, line = capsys.readouterr().out.strip().splitlines()
    assert told == f"{goal}: 10 images of 20x16x5 with values in [-10, 10], without labels, of 10 in bands"
    words = shlex.split(line.removeprefix("train on it: fit --config stylegan2.yaml "))
    assert words[-4:] == ["--data.image_channels", "5", "--data.value_range", "[-10, 10]"]
    tiny = TINY if goal == "made.zip" else TINY.partition("--SlicedWasserstein")[0]
    steps = "--Evaluation.fake_count=8 --trainer.max_steps=4 --name made"
    main([*f"fit {STYLEGAN2}".split(), *words, *f"{tiny} {evaluation} {steps}".split()])
    assert any(record["metrics"].get("frechet_distance", 0) > 0 for record in read("runs/made/metrics.json"))
    assert str(load_with_settings("runs/made").value_range) == "[-10, 10]"
    run("generate runs/made generated --seeds 0-3")
    found = np.load("generated/seed0003.npy")
    assert found.shape == (16, 20, 5) and found.dtype == np.float32 and np.abs(found).max() <= 10
    run("test --name made")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("grey ", "(fit --data.value_range '[0, 65535]'; prepare, test --reals: --value_range)); give other settings"),
        ("grey --value_range=[0,65535]", "(the first is 0.png, it has 1 channel, not 3; set image_channels to 1"),
        ("grey --image_channels=2", "image_channels=2 cannot be read from image files; give 1 (grey), 3 (RGB) or 4"),
        ("grey --value_range=[1,0]", "value_range=[1, 0] must be two finite numbers, of which the second is the"),
        ("grey --value_range=7", "value_range: 7 is no list; a list has brackets"),
        ("bands --image_channels=5", "it has float32 values from -"),
        (
            "bands --image_channels=5 --value_range=[0,1]",
            "is outside of value_range [0, 1]; give a range that holds all",
        ),
    ],
)
def test_what_cannot_be_prepared_is_refused(
    options: str, message: str, grey: Path, bands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in message_of(f"prepare {options.replace(' ', ' made ', 1)} --image_size=8", capsys)
    assert not list(Path().glob("made*"))
