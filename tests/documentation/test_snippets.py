"""What the pages show in blocks of code runs: Python where the runs are that it names, command lines in the parser."""

import argparse
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lightning_gan.cli import main
from lightning_gan.cli.commands import command_names
from lightning_gan.cli.configs import shipped_configs
from lightning_gan.cli.entry import TRAINER_COMMANDS
from lightning_gan.models import IntroVAE, StyleGAN
from tests.documentation.pages import FRAGMENT, ROOT, WRITTEN, Block, blocks_of, command_lines, commands_of, name_of
from tests.toys import toy_trainer

PYTHON = [path for path in WRITTEN if any(block.language == "python" for block in blocks_of(path))]

TRAINING = [path for path in PYTHON if any(".fit(" in block.text and not block.title for block in blocks_of(path))]

LINES = sorted({tuple(line): path for path in WRITTEN for line in commands_of(path)}.items())
"""Every command line of the pages once, with one page that shows it."""


class Parsed(Exception):  # noqa: N818, because it is no error
    """Raised in place of running a command whose arguments were understood."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small untrained models as runs, and the folders of images that pages name, one of them as a zip too."""
    folder = tmp_path_factory.mktemp("reader")
    small = {"latent_dim": 4, "style_dim": 4, "mapping_width": 4, "channel_base": 32, "channel_max": 4}
    models = {
        "stylegan": StyleGAN(image_size=8, mapping_layers=2, **small),
        "introvae": IntroVAE(image_size=16, image_channels=1, latent_dim=4, channels=[4, 4, 4]),
    }
    for name, model in models.items():
        trainer = toy_trainer(limit_train_batches=0)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(folder / "runs" / name / "checkpoints" / "last.ckpt")
    lines = {options_of(line).get("--images", "photos"): line for line, _ in LINES} | {"photos": ()}
    for name, line in lines.items():
        if "/" not in name:
            write_images(folder / name.removesuffix(".zip"), line=line)
            shutil.make_archive(str(folder / name.removesuffix(".zip")), "zip", folder / name.removesuffix(".zip"))
    return folder


def options_of(line: tuple[str, ...]) -> dict[str, str]:
    """Every word of a command line with the one behind it, so that options have their values."""
    return dict(pairwise(line))


def write_images(folder: Path, *, line: tuple[str, ...]) -> None:
    """Four images in two classes, with the channels and the range of values of a command line."""
    given = options_of(line)
    random = np.random.default_rng(0)
    for number in range(4):
        path = folder / "ab"[number % 2] / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if "--data.value_range" in given:
            low, high = yaml.safe_load(given["--data.value_range"])
            shape = 64, 64, int(given["--data.image_channels"])
            np.save(path.with_suffix(".npy"), random.uniform(low, high, shape).astype(np.float32))
        else:
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path.with_suffix(".png"))


@pytest.fixture
def reader(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's folder, with the runs that pages name, and trainers that stop after a batch."""
    (tmp_path / "runs").mkdir()
    loaded = {Path(options_of(line).get("--weights", "")).name for line, _ in LINES} - {""}
    for name in loaded | {"photos"} | {Path(config).stem for config in shipped_configs() if "/" not in config}:
        run = examples / "runs" / name
        (tmp_path / "runs" / name).symlink_to(run if run.is_dir() else examples / "runs" / "stylegan")
    for path in examples.iterdir():
        if path.name != "runs":
            (tmp_path / path.name).symlink_to(path)
    for word in {word for line, _ in LINES for word in line}:
        if word.endswith(".ckpt") and "/" not in word:
            (tmp_path / word).symlink_to(examples / "runs" / "stylegan" / "checkpoints" / "last.ckpt")
        elif word.endswith(".yaml") and "/" not in word and word not in shipped_configs():
            (tmp_path / word).write_text("data: {class_path: Digits}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_TRAINER_FAST_DEV_RUN", "1")
    monkeypatch.setenv("PL_TRAINER_ACCELERATOR", "cpu")
    with torch.random.fork_rng():
        yield


def run_blocks(path: Path) -> None:
    """Run a page's blocks of Python one after the other, with the names of those before."""
    names: dict[str, Any] = {}
    for block in blocks_of(path):
        if block.language == "python" and not block.title.startswith(FRAGMENT):
            exec(compile(block.text, f"{name_of(path)}: {block.title or 'python'}", "exec"), names)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("path", [path for path in PYTHON if path not in TRAINING], ids=name_of)
def test_python_blocks_run(path: Path) -> None:
    run_blocks(path)


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_python_blocks_that_train_run(path: Path) -> None:
    run_blocks(path)


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_fragments_are_python_and_say_what_is_the_readers(path: Path) -> None:
    for block in blocks_of(path):
        if block.language == "python":
            compile(block.text, name_of(path), "exec")
            assert not block.title.startswith(FRAGMENT) or block.title.startswith(f"{FRAGMENT}: ")


@pytest.mark.parametrize("path", WRITTEN, ids=name_of)
def test_yaml_blocks_are_yaml(path: Path) -> None:
    for block in blocks_of(path):
        if block.language == "yaml":
            assert yaml.safe_load(block.text) is not None


def test_commands_that_pages_show_exist() -> None:
    shown = {line[0]: name_of(path) for line, path in LINES}
    assert {name: page for name, page in shown.items() if name not in (*TRAINER_COMMANDS, *command_names())} == {}


def is_of_trainer(line: tuple[str, ...]) -> bool:
    """Whether a command line is read by the parser of settings; that of folders of images is a function."""
    return line[0] in TRAINER_COMMANDS and not (line[0] == "test" and "--images" in line)


def parse(line: tuple[str, ...]) -> None:
    """Read a command line as far as the parser goes."""
    main([*line, "--print_config"] if is_of_trainer(line) else [*line])


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("line", [line for line, _ in LINES], ids=" ".join)
def test_command_lines_are_understood(
    line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = argparse.ArgumentParser.parse_args

    def stop(self: Any, *arguments: Any, **options: Any) -> None:
        raise Parsed

    def parse_and_stop(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        raise Parsed

    if not is_of_trainer(line):
        monkeypatch.setattr("lightning_gan.cli.functions.ArgumentParser.instantiate_classes", stop)
        monkeypatch.setattr("lightning_gan.dynamics.command.argparse.ArgumentParser.parse_args", parse_and_stop)
    try:
        parse(line)  # some commands have nothing to parse and print at once
    except Parsed:
        pass
    except SystemExit as ended:
        assert ended.code == 0, capsys.readouterr().err.splitlines()[-1:]


def test_a_wrong_line_is_found() -> None:
    with pytest.raises(SystemExit) as ended:
        parse(("fit", "--config", "stylegan.yaml", "--modle.style_mixing", "0.5"))
    assert ended.value.code == 2


def test_blocks_and_lines_are_read_as_a_reader_reads_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# A\n\n```python title="A fragment: x"\nx = 1\n```\n\n'
        '1. b\n   ```sh\n   python cli.py fit --name "a b"   # c\n   ```\n'
        "\n    python cli.py dynamics\n"
    )
    assert blocks_of(page)[0] == Block("python", "A fragment: x", "x = 1\n")
    assert commands_of(page) == [["fit", "--name", "a b"], ["dynamics"]]
    assert command_lines("srun python cli.py fit \\\n  --resume\n# python cli.py no") == [["fit", "--resume"]]
    assert (ROOT / "README.md") in WRITTEN
