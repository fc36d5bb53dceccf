"""Networks for digits do not measure other data: neither by a configuration nor by a callback."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import Evaluation
from lightning_gan.cli.configured_callbacks import ConfiguredCallback
from lightning_gan.cli.other_data import data_in_place_of_digits, for_other_data
from lightning_gan.metrics import DigitFeatures
from lightning_gan.models import DCGAN
from tests.cli.command_line import run
from tests.toys import toy_trainer

DIGITS = {"data": {"class_path": "lightning_gan.data.Digits"}}
CIFAR10 = {"data": {"class_path": "lightning_gan.data.CIFAR10"}}


@pytest.mark.parametrize(
    ("configurations", "options", "expected"),
    [
        ([DIGITS], [], None),
        ([DIGITS, CIFAR10], [], "CIFAR10"),
        ([DIGITS], ["--data", "lightning_gan.data.StackedDigits"], "StackedDigits"),
        ([DIGITS], ["--data.class_path=mine.Faces"], "Faces"),
        ([CIFAR10], [], None),  # whoever measures CIFAR-10 by a network for digits has said so
        ([CIFAR10, DIGITS], [], None),
        ([{}], [], None),
    ],
)
def test_other_data_are_recognized(
    configurations: list[dict[str, Any]], options: list[str], expected: str | None
) -> None:
    assert data_in_place_of_digits(configurations, options) == expected


def test_evaluation_gets_other_features_and_the_rest_is_left_out() -> None:
    given: list[Any] = [
        {
            "class_path": "lightning_gan.callbacks.Evaluation",
            "init_args": {"extractor": "lightning_gan.metrics.DigitFeatures", "fake_count": 7},
        },
        {"class_path": "PerceptualPathLength", "init_args": {"distance": "DigitDistance"}},
        "EMA",
    ]
    kept, remarks = for_other_data([ConfiguredCallback(given=one) for one in given], data="CIFAR10")
    assert [callback.name for callback in kept] == ["Evaluation", "EMA"]
    assert kept[0].settings == {"extractor": "lightning_gan.metrics.RandomFeatures", "fake_count": 7}
    assert "Evaluation compares CIFAR10 by RandomFeatures" in remarks[0] and "not for quoting" in remarks[0]
    assert remarks[1:] == ["trainer.callbacks: PerceptualPathLength measures by a network for digits and is left out"]


def printed(arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The settings that `--print_config` prints, and what was told before them."""
    with pytest.raises(SystemExit):
        run(f"fit {arguments} --print_config")
    output = capsys.readouterr()
    settings: dict[str, Any] = yaml.safe_load(output.out)
    return settings, output.err


def test_a_command_line_with_other_data_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    settings, told = printed("--config dcgan.yaml --config data/stacked_digits.yaml", capsys)
    callbacks = {one["class_path"].rsplit(".", 1)[1]: one["init_args"] for one in settings["trainer"]["callbacks"]}
    assert callbacks["Evaluation"]["extractor"]["class_path"] == "lightning_gan.metrics.RandomFeatures"
    assert "ModeCount" in callbacks
    assert told.count("RandomFeatures in place of a network for digits") == 1
    settings, told = printed("--config dcgan.yaml", capsys)
    assert "DigitFeatures" in str(settings) and "RandomFeatures" not in told


def test_the_digits_features_refuse_colours(tmp_path: Path) -> None:
    coloured = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grey = coloured[:, :1].repeat(1, 3, 1, 1)
    for images in (coloured, grey):
        model = DCGAN(image_size=8, generator_width=2, discriminator_width=2, latent_dim=4)
        loader = DataLoader(TensorDataset(images), batch_size=4)
        evaluation = Evaluation(extractor=DigitFeatures(), fake_count=70, kernel_subsets=2)
        trainer = toy_trainer(evaluation, max_epochs=1, default_root_dir=str(tmp_path))
        if images is grey:
            trainer.fit(model, loader, loader)
            continue
        with pytest.raises(ValueError, match="knows the ten grey digits alone, and the real images are coloured; set"):
            trainer.fit(model, loader, loader)
