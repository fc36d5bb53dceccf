"""The JSON file of records: whole, valid, of the weights of one run."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_gan.metrics.record_file import set_aside, write_record

OWN: dict[str, Any] = {"kimg": 1.0, "weights": "a", "trained_here": True, "metrics": {"recall": 0.5}}
OTHER: dict[str, Any] = {"kimg": 1.0, "weights": "b", "trained_here": False, "metrics": {"recall": 0.1}}


def read(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(constant))


def test_records_of_other_weights_do_not_get_into_the_file_of_a_run(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "metrics.json", tmp_path / "metrics_of_other_weights.json"
    assert write_record(OWN, path).path == path
    assert write_record(OTHER, path).path == elsewhere
    assert write_record(OTHER | {"kimg": 2.0}, path).path == elsewhere
    assert read(path) == [OWN] and [entry["kimg"] for entry in read(elsewhere)] == [1.0, 2.0]


def test_weights_that_the_run_has_measured_are_known_without_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_record(OWN, path)
    assert write_record(OTHER | {"weights": "a", "kimg": 3.0}, path).path == path
    assert [(entry["kimg"], entry["trained_here"]) for entry in read(path)] == [(1.0, True), (3.0, True)]


def test_records_of_earlier_versions_are_those_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps([{"kimg": 1.0, "metrics": {}}]))
    assert write_record(OTHER, path).path.name == "metrics_of_other_weights.json"
    assert write_record(OWN, path).path == path and len(read(path)) == 2


def test_without_a_run_other_weights_are_collected(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_record(OTHER, path)
    assert write_record(OTHER | {"weights": "c"}, path).path == path
    assert [entry["weights"] for entry in read(path)] == ["b", "c"]


@pytest.mark.parametrize(
    "text", ["", "[{", "{}", "[1]", '[{"kimg": 1.0, "metrics": {"recall": NaN}}]', "\udcff", "null", "[[]]"]
)
def test_a_broken_file_is_renamed_and_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    contents = text.encode(errors="surrogateescape")
    for number in (1, 2):
        path.write_bytes(contents)
        assert write_record(OWN, path) == (path, tmp_path / f"metrics_broken_{number}.json")
        assert read(path) == [OWN]
        assert (tmp_path / f"metrics_broken_{number}.json").read_bytes() == contents


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_not_leave_the_file_as_it_was(tmp_path: Path, value: float) -> None:
    path = tmp_path / "metrics.json"
    write_record(OWN, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(OWN | {"kimg": 2.0, "metrics": {"recall": value}}, path)
    assert read(path) == [OWN] and [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_a_file_is_set_aside_under_a_free_name(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert set_aside(path, reason="of_earlier_run") is None
    for number in (1, 2):
        path.write_text(str(number))
        assert set_aside(path, reason="of_earlier_run") == tmp_path / f"metrics_of_earlier_run_{number}.json"
    assert (tmp_path / "metrics_of_earlier_run_1.json").read_text() == "1"
