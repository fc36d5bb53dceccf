"""Help, and the ways to start the command line."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from lightning_gan.cli.config_listing import configs_by_kind
from lightning_gan.loop.settings import Training
from lightning_gan.models import StyleGAN
from tests.cli.command_line import REPOSITORY, run, trained_batches, write


def test_help_lists_commands_and_configurations_without_importing_torch() -> None:
    code = "import sys; from lightning_gan.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "fit " in done.stdout
    assert all(f"{kind} ({len(names)})" in done.stdout for kind, names in configs_by_kind().items())
    assert len(done.stdout.splitlines()) < 50  # the names of configurations filled a screen of their own


@pytest.mark.parametrize(
    "arguments", ["fit --help", "test --help", "fit --model.help StyleGAN", "fit --config tiny.yaml --help"]
)
def test_help_of_a_command_works(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    assert exit_.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_the_help_of_a_model_explains_every_setting_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("fit --model.help DCGAN")
    shown = " ".join(capsys.readouterr().out.split())
    for field in fields(Training):
        option = f"--model.training.{field.name} {field.name.upper()} "
        if field.type in (bool, bool | None):
            values = "{true,false}" if field.type is bool else "{true,false,null}"
            option = f"--model.training.{field.name} {values} "
        explanation = shown.rpartition(option)[2]
        assert explanation[0].isupper() and "(type: " in explanation, field.name


def test_printed_settings_of_training_are_complete_and_train_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("fit --config tiny.yaml --print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    training = printed["model"]["init_args"]["training"]
    assert set(training) == {field.name for field in fields(Training)} - {"seed"}  # it follows seed_everything
    assert training["generator_optimizer"]["init_args"]["lr"] == 0.001
    write("printed.yaml", {**printed, "name": None})
    run("fit --config printed.yaml --name again")
    assert trained_batches("again") == 2


@pytest.mark.slow
def test_two_processes_share_one_run(folder: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "cli.py"), "fit", "--config", "tiny.yaml", "--trainer.devices=2"]
    for _ in range(2):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["tiny", "tiny-2"]
    # The batch size is global: two batches of 8.
    assert StyleGAN.load_from_checkpoint("runs/tiny-2/checkpoints/last.ckpt").images_seen == 16


@pytest.mark.slow
def test_the_script_of_the_repository_does_the_same(folder: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "cli.py"), "fit", "--config", "tiny.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert trained_batches("tiny") == 2
