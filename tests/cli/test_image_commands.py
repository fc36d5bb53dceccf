"""The commands that make images, as a user gives them, from another folder than that of the run."""

from pathlib import Path

import pytest
from PIL import Image

from lightning_gan.models import BiGAN
from tests.cli.command_line import message_of, run
from tests.inference.trained import saved_run


@pytest.fixture
def trained(folder: Path) -> str:
    """A run, and an image that it made, `runs/small/generated/seed0003.png`."""
    saved_run(BiGAN, folder / "runs" / "small")
    run("generate runs/small --seeds 3")
    return "runs/small"


def test_files_and_a_sheet(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    run(f"generate {trained} --seeds 4-5 here --device cpu")
    assert sorted(path.name for path in Path("here").iterdir()) == ["seed0004.png", "seed0005.png"]
    captured = capsys.readouterr()
    assert captured.out == "wrote 2 images to here (seed0004.png ... seed0005.png)\n"
    assert "BiGAN of runs/small/checkpoints/last.ckpt: 8x8, 12 kimg, averaged weights" in captured.err
    run(f"generate {trained} --seeds 0-3 --sheet --columns 2")
    assert Path("runs/small/generated/sheet.png").is_file()


def test_an_animation_a_projection_and_directions(trained: str) -> None:
    own = f"{trained}/generated/seed0003.png"
    run(f"interpolate {trained} way.gif --images {own},{own} --frames 2 --fps 25")
    run(f"project {trained} {own} --steps 2")
    run(f"directions {trained} directions.png --count 2 --strengths -1,0,1")
    for file in ("way.gif", f"{trained}/projected/seed0003/compared.png", "directions.png"):
        with Image.open(file) as image:
            image.load()
    assert Path("directions.npz").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("generate nothing", "there is no checkpoint nothing; give a file or a run"),
        ("generate runs/small --seeds 5-1", "seeds: the range 5-1 ends below its beginning; give 1-5"),
        ("generate runs/small here there", "there is one argument too many: generate takes checkpoint, out"),
        ("interpolate runs/small a.avi", "a.avi must end in .png, .gif, .mp4"),
        ("project runs/small", "project needs images"),
        ("project runs/small tiny.yaml", "tiny.yaml cannot be read as an image"),
        ("directions runs/small", "directions needs out"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: str, message: str, trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message_of(arguments, capsys).startswith(message)
