"""Every wrong input ends in one line that names it, with exit code 2, within seconds, and leaves no run behind."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import lightning_gan.cli.trainer_cli  # noqa: F401  (importing it takes longer than any case)
from lightning_gan.cli import main
from tests.cli.bad_inputs import BUILT, FILES, OPTIONS, STARTED, WORDS, BadFile

SECONDS = 120
"""The longest time that a case may take; each takes a second or two on an idle machine."""


@pytest.fixture(autouse=True)
def time_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Lightning's handler of log lines keeps the stream of an earlier test, which is closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line ends in, after everything else that it prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed and "weights_only" not in printed
    lines = printed.splitlines()
    assert [line.startswith("lightning-gan: error: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("lightning-gan: error: ")
    return lines[-1].removeprefix("lightning-gan: error: ")


def trained() -> bool:
    """Whether a run has begun to train."""
    return any(Path("runs").rglob("*.ckpt")) or any(Path("runs").rglob("config.yaml"))


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_a_file_that_is_no_configuration_is_refused(case: BadFile, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_bytes(case.content)
    line = refusal(["fit", "--config", "tiny.yaml", "--config", "bad.yaml"], capsys)
    assert line.startswith("bad.yaml") and case.message in line
    assert not trained()


@pytest.mark.parametrize(("arguments", "message"), [*WORDS, *OPTIONS])
def test_a_wrong_command_line_is_refused(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refusal(arguments.split(" "), capsys)
    assert not trained()


@pytest.mark.parametrize(("arguments", "message"), BUILT)
def test_settings_that_nothing_can_be_made_of_are_refused(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(arguments.split(" "), capsys)
    assert not trained()


@pytest.mark.parametrize(("arguments", "message"), STARTED)
def test_settings_that_do_not_fit_the_batches_are_refused(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(arguments.split(" "), capsys)


def test_the_table_is_long() -> None:
    assert len(FILES) + len(WORDS) + len(OPTIONS) + len(BUILT) + len(STARTED) >= 150
