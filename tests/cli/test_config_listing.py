"""The command `configs`, and what every configuration says of itself."""

import subprocess
import sys

import pytest

from lightning_gan.cli.config_listing import configs_by_kind, summary_of
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from tests.cli.command_line import REPOSITORY, run


@pytest.mark.parametrize("name", shipped_configs())
def test_a_configuration_begins_with_a_sentence_that_says_what_it_is(name: str) -> None:
    summary = summary_of(name)
    assert 30 < len(summary) < 300
    assert not summary.endswith((",", " a", " the", " of", " and", " with", " eq", " al"))
    assert summary.count("(") == summary.count(")")


def test_configurations_are_listed_by_kind_without_importing_torch() -> None:
    code = "import sys; from lightning_gan.cli import main; main(['configs']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for kind, names in configs_by_kind().items():
        section = done.stdout.partition(f"{kind}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section] == names
    assert sum(map(len, configs_by_kind().values())) == len(shipped_configs())


def test_one_kind_is_listed_alone_and_one_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run("configs hardware")
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(configs_by_kind()["hardware"])
    run("configs addons/r1")
    assert capsys.readouterr().out == (shipped_folder() / "addons" / "r1.yaml").read_text()
    run("configs --help")
    assert "usage: lightning-gan configs [NAME]" in capsys.readouterr().out
