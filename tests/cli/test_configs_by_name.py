"""Configurations that are found by their names."""

import re
from pathlib import Path

import pytest

from lightning_gan.cli.configs import find_config, shipped_folder
from lightning_gan.cli.errors import CommandLineError
from tests.cli.command_line import message_of


def test_a_configuration_of_the_working_directory_comes_before_a_shipped_one() -> None:
    assert find_config("addons/r1.yaml") == shipped_folder() / "addons" / "r1.yaml"
    assert find_config("configs/addons/r1.yaml") == find_config("addons/r1")
    Path("addons").mkdir()
    Path("addons/r1.yaml").touch()
    assert find_config("addons/r1.yaml") == Path("addons/r1.yaml")


def test_an_unknown_configuration_names_those_it_resembles() -> None:
    with pytest.raises(CommandLineError, match=r"no configuration addons/r11.yaml.*did you mean addons/r1.yaml"):
        find_config("addons/r11.yaml")
    with pytest.raises(CommandLineError, match=r"did you mean hardware/bf16.yaml or "):
        find_config("bf16")


def test_broken_yaml_is_reported_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.yaml").write_text("model:\n  class_path: [StyleGAN\n")
    assert re.fullmatch(r"broken.yaml is not valid YAML: .* in line \d", message_of("fit --config broken.yaml", capsys))
