"""`test --images FOLDER --reals FOLDER`: options that arrive, and what is refused in one line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command_line import message_of, run
from tests.inception import structured_images

pytestmark = pytest.mark.filterwarnings("ignore:.*the covariance of")


@pytest.fixture(autouse=True)
def sets(folder: Path) -> None:
    for name, seed in (("made", 1), ("real", 2)):
        Path(name).mkdir()
        for index, image in enumerate(structured_images(12, seed=seed)):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(f"{name}/{index:02}.png")


def test_folders_are_compared_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    run("test --images made --reals=real --extractor RandomFeatures --extractor.seed 7 --out scores --image_size 16")
    (record,) = json.loads(Path("scores/metrics.json").read_text())
    assert (record["extractor"], record["image_size"], record["fake_count"]) == ("RandomFeatures", 16, 12)
    printed = capsys.readouterr().out
    assert "Frechet distance " in printed and "not for quoting" in " ".join(printed.split())
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("test --images made", "no model is given; give for example --config stylegan.yaml. (To measure the images"),
        ("test --reals real", "--reals: give --images FOLDER, too, the images that are measured"),
        ("test --images made --reals real --config tiny.yaml", "without a model, and --config is of a model; leave"),
        ("test --images made --reals real --model.latent_dim 4", "without a model, and --model.latent_dim is of a"),
        ("test --images made --reals real --ckpt_path last", "without a model, and --ckpt_path is of a model"),
        ("fit --images made --reals real", "--reals is no option of fit; test --images FOLDER --reals FOLDER"),
        ("test --images made --reals nowhere", "nowhere does not exist; give a folder of images or a zip"),
        ("test --images made --reals real --extractor Incepton", "extractor: there is no class Incepton"),
        (
            "test --images made --reals real --extractor RandomFeatures --extractor.sed 1",
            "RandomFeatures has no option sed",
        ),
        (
            "test --images made --reals real --extractor InceptionFeatures --extractor.weights no.pth",
            "no weights at no.pth",
        ),
        ("test --images made --reals real --protocol clean-fid", "protocol: clean-fid is none of torch-fidelity"),
        ("test --images made --reals real --extracter RandomFeatures", "extracter is no option of test; did you mean"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in message_of(command, capsys)


def test_the_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run("test --reals real --help")
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "--images IMAGES" in printed and "--extractor.weights FILE" in " ".join(printed.split())
