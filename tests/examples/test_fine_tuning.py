"""The example of a training that begins with other weights."""

from pathlib import Path

import pytest

from tests.examples.running import example_named, numbers_in, printed_by


def test_it_runs_says_what_was_copied_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example_named("fine_tuning").main(total_kimg=0.512, few=32)
    printed = capsys.readouterr().out
    assert "generator: " in printed and "tensors are copied" in printed
    assert printed.count("after 64 cold images: distance ") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_other_weights_are_a_better_beginning_within_a_minute(tmp_path: Path) -> None:
    tuned, anew = numbers_in(printed_by("fine_tuning", tmp_path), r"distance ([\d.]+)")
    assert tuned < anew / 3
