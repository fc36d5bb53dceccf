"""Images that are there already against real ones: what their numbers are, and which sets are refused."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lightning_gan.inference.score_images import score_images
from lightning_gan.metrics import (
    DigitFeatures,
    FeatureExtractor,
    InceptionFeatures,
    RandomFeatures,
    frechet_distance,
    gaussian,
    precision_recall,
)
from tests.inception import structured_images


class Quarters(FeatureExtractor):
    """The mean of each quarter of the channels."""

    def forward(self, images: Tensor) -> Tensor:
        return adaptive_avg_pool2d(images.float(), 2).flatten(1)


def write_images(folder: str, images: Tensor, *, mode: str = "RGB", start: int = 0) -> None:
    Path(folder).mkdir(exist_ok=True)
    for index, image in enumerate(images, start=start):
        pixels = image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode).save(f"{folder}/{index:03}.png")


def measured(images: str, reals: str, **settings: Any) -> dict[str, Any]:
    """The record that is written."""
    score_images(images=images, reals=reals, **{"extractor": Quarters(), "out": "out", "overwrite": True, **settings})
    (record,) = json.loads(Path("out/metrics.json").read_text())
    assert isinstance(record, dict)
    return record


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images("reals", structured_images(40, seed=1))
    write_images("fakes", structured_images(30, seed=2, noise=0.8))


def test_the_numbers_are_those_of_the_features_of_all_files(capsys: pytest.CaptureFixture[str]) -> None:
    record = measured("fakes", "reals", batch_size=7)
    real, fake = Quarters()(structured_images(40, seed=1)), Quarters()(structured_images(30, seed=2, noise=0.8))
    assert record["metrics"]["frechet_distance"] == pytest.approx(
        frechet_distance(gaussian(real), gaussian(fake)).item(), rel=1e-6
    )
    assert record["metrics"]["recall"] == precision_recall(real, fake, neighbours=3).recall
    assert (record["images"], record["reals"], record["fake_count"], record["real_count"]) == ("fakes", "reals", 30, 40)
    page, printed = Path("out/metrics.md").read_text(), capsys.readouterr().out
    shown = f"{record['metrics']['frechet_distance']:.4f}"
    assert f"| Frechet distance | {shown} | +- " in page and f"{shown} +- " in printed
    assert "extractor Quarters" in page


def test_a_zip_of_the_same_images_is_at_distance_0() -> None:
    with zipfile.ZipFile("reals.zip", "w") as archive:
        for path in sorted(Path("reals").iterdir()):
            archive.write(path)
    record = measured("reals.zip", "reals")
    assert record["metrics"]["frechet_distance"] == pytest.approx(0.0, abs=1e-6)
    assert record["metrics"]["precision"] == record["metrics"]["recall"] == 1.0


def test_grey_and_transparent_images_are_read_as_colours_unless_channels_are_given() -> None:
    grey = structured_images(6, seed=3, channels=1)
    write_images("grey", grey, mode="L")
    write_images("coloured", grey.expand(-1, 3, -1, -1).contiguous())
    assert measured("grey", "coloured")["metrics"]["frechet_distance"] == pytest.approx(0.0, abs=1e-6)
    opaque = torch.cat([structured_images(6, seed=3), torch.full((6, 1, 32, 32), 255, dtype=torch.uint8)], dim=1)
    clear = opaque.clone()
    clear[:, 3, :16] = 0
    write_images("opaque", opaque, mode="RGBA")
    write_images("clear", clear, mode="RGBA")
    white = opaque[:, :3].clone()
    white[:, :, :16] = 255
    write_images("white", white)
    assert measured("clear", "white")["metrics"]["frechet_distance"] == pytest.approx(0.0, abs=1e-6)
    assert measured("clear", "opaque", image_channels=4)["metrics"]["frechet_distance"] > 1
    with pytest.raises(ValueError, match="image_channels=2 cannot be read from image files; give 1 "):
        measured("clear", "opaque", image_channels=2)


def test_sets_of_different_sizes_need_a_size() -> None:
    write_images("large", structured_images(6, seed=4, size=48))
    with pytest.raises(ValueError, match="images of 48x48 pixels, and --reals reals of 32x32; give --image_size"):
        measured("large", "reals")
    record = measured("large", "reals", image_size=16)
    assert (record["image_size"], record["central_squares"]) == (16, True)
    write_images("reals", structured_images(1, seed=4, size=48), start=50)
    with pytest.raises(ValueError, match=r"1 of 41 images in reals cannot be used.*\n.*050.png: its size is 48x48"):
        measured("fakes", "reals")
    write_images("wide", structured_images(6, seed=4)[:, :, :20])
    with pytest.raises(
        ValueError, match=r"--images wide has images of 32x20 pixels, and --reals reals of 32x32; give --image_size"
    ):
        measured("wide", "reals")


def test_files_that_are_no_images_of_8_bits_are_named_before_anything_is_computed() -> None:
    class Unwanted(FeatureExtractor):
        def forward(self, images: Tensor) -> Tensor:
            raise AssertionError

    Image.fromarray(np.full((32, 32), 1000, dtype=np.uint16)).save("reals/deep.png")
    Path("reals/half.png").write_bytes(Path("reals/000.png").read_bytes()[:200])
    with pytest.raises(
        ValueError, match=r"2 of 42 images in reals cannot be used(.|\n)*deep.png: .*more than 8 bits"
    ) as error:
        measured("fakes", "reals", extractor=Unwanted())
    assert "half.png" in str(error.value)


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        ("nowhere", {}, "nowhere does not exist; give a folder of images or a zip"),
        ("empty", {}, "empty holds no image"),
        ("three", {}, "--images three has 3 images, but at least 4 are needed"),
        ("fakes", {"neighbours": 40}, "--images fakes has 30 images, but at least 41 are needed"),
        ("fakes", {"batch_size": 0}, "--batch_size 0 must be at least 1"),
        ("fakes", {"overwrite": False}, "out/metrics.md exists; give another place, or --overwrite"),
    ],
)
def test_what_cannot_be_measured_is_refused(images: str, settings: dict[str, Any], message: str) -> None:
    Path("empty").mkdir()
    write_images("three", structured_images(3, seed=5))
    measured("reals", "reals")
    with pytest.raises(ValueError, match=message):
        measured(images, "reals", **settings)


def test_numbers_that_are_not_finite_are_never_written() -> None:
    class Broken(FeatureExtractor):
        def forward(self, images: Tensor) -> Tensor:
            return adaptive_avg_pool2d(images.float(), 2).flatten(1) / 0

    with pytest.raises(ValueError, match=r"features of the images 0 to 29 of fakes are not finite"):
        measured("fakes", "reals", extractor=Broken())
    assert not list(Path("out").iterdir())


def test_missing_weights_are_named_with_the_fall_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        ValueError,
        match=r"no weights at .*Download https.*--extractor.weights FILE.*--extractor RandomFeatures needs no",
    ):
        score_images(images="fakes", reals="reals")


def test_coloured_images_are_not_compared_as_digits() -> None:
    with pytest.raises(ValueError, match="DigitFeatures knows the ten grey digits alone, and the real images are colo"):
        measured("fakes", "reals", extractor=DigitFeatures())


def test_the_fall_back_is_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    record = measured("fakes", "reals", extractor=RandomFeatures())
    assert record["remark"] == "for comparing runs on the same data, not for quoting"
    assert "the covariance of 256 features needs more than fake_count=30 images" in capsys.readouterr().err


def test_another_library_measures_the_same_images(
    inception_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[dict[str, Any]] = []

    def calculate_metrics(**arguments: Any) -> dict[str, float]:
        calls.append(arguments)
        return {"frechet_inception_distance": 5.0}

    monkeypatch.setattr(torch_fidelity, "calculate_metrics", calculate_metrics)
    # Four features in place of 2,048, of which the distance takes seconds.
    monkeypatch.setattr(InceptionFeatures, "forward", lambda _, images: Quarters()(images[:, :1]))
    monkeypatch.setattr(InceptionFeatures, "classify_features", lambda _, features: features)
    extractor = InceptionFeatures(weights=str(inception_weights))
    measured("fakes", "reals", extractor=extractor, protocol="torch-fidelity")
    (call,) = calls
    assert torch.equal(torch.stack([*call["input1"]]), structured_images(30, seed=2, noise=0.8))
    assert torch.equal(torch.stack([*call["input2"]]), structured_images(40, seed=1))
    (theirs,) = json.loads(Path("out/torch_fidelity.json").read_text())
    assert theirs["metrics"] == {"frechet_inception_distance": 5.0}
    assert "FID by torch-fidelity  5.0000" in capsys.readouterr().out
    assert "| FID by torch-fidelity | 5.0000 |" in Path("out/metrics.md").read_text()
