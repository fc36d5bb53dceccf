"""`test --protocol torch-fidelity`: the library's table beside that of `Evaluation`, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lightning_gan.metrics import InceptionFeatures
from tests.cli.command_line import TINY, message_of, run, write

pytestmark = pytest.mark.filterwarnings("ignore:.*the covariance of")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the library is called with; it answers with one number."""
    found: list[dict[str, Any]] = []

    def calculate_metrics(**arguments: Any) -> dict[str, float]:
        found.append(arguments)
        return {"frechet_inception_distance": 5.0}

    monkeypatch.setattr(torch_fidelity, "calculate_metrics", calculate_metrics)
    return found


def quarters(_: InceptionFeatures, images: Tensor) -> Tensor:
    """The mean of each quarter of grey images."""
    return adaptive_avg_pool2d(images.float(), 2).flatten(1)


def write_evaluation(extractor: dict[str, Any], **settings: Any) -> None:
    """`tiny.yaml` with an `Evaluation`, and few test images."""
    small = {"fake_count": 12, "batch_size": 6, "score_splits": 2, "extractor": extractor, **settings}
    callbacks = [{"class_path": "lightning_gan.callbacks.Evaluation", "init_args": small}]
    write("tiny.yaml", {**TINY, "trainer": {**TINY["trainer"], "limit_test_batches": 2, "callbacks": callbacks}})


def test_both_tables_are_printed_of_the_same_images_with_the_configured_weights(
    inception_weights: Path,
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Four features in place of 2,048, of which the distance takes seconds; tests/metrics compares the real ones.
    monkeypatch.setattr(InceptionFeatures, "forward", quarters)
    monkeypatch.setattr(InceptionFeatures, "classify_features", lambda _, features: features)
    extractor = {
        "class_path": "lightning_gan.metrics.InceptionFeatures",
        "init_args": {"weights": str(inception_weights)},
    }
    write_evaluation(extractor)
    run("test --config tiny.yaml --ckpt_path none --protocol torch-fidelity --Evaluation.seed 5")
    (call,) = calls
    assert call["feature_extractor_weights_path"] == str(inception_weights)
    names = ("metrics", "torch_fidelity")
    (ours,), (theirs,) = (json.loads(Path(f"runs/tiny/{name}.json").read_text()) for name in names)
    for setting in ("real_count", "fake_count", "seed", "truncation", "ema", "weights", "extractor_weights"):
        assert ours[setting] == theirs[setting]
    assert theirs["seed"] == 5
    printed = capsys.readouterr().out
    assert "Frechet distance " in printed and "FID by torch-fidelity  5.0000" in printed


def test_missing_weights_end_in_one_line_with_options_that_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    write_evaluation({"class_path": "lightning_gan.metrics.RandomFeatures"})
    message = message_of("test --config tiny.yaml --ckpt_path none --protocol torch-fidelity", capsys)
    assert message.startswith("--protocol torch-fidelity: TorchFidelity: there are no weights at ")
    assert "--trainer.callbacks+=TorchFidelity --TorchFidelity.weights FILE" in message


def test_a_configured_callback_is_not_added_again(inception_weights: Path, calls: list[dict[str, Any]]) -> None:
    write_evaluation({"class_path": "lightning_gan.metrics.RandomFeatures"})
    run(
        "test --config tiny.yaml --ckpt_path none --protocol=torch-fidelity --trainer.callbacks+=TorchFidelity "
        f"--TorchFidelity.weights {inception_weights} --TorchFidelity.fake_count 14"
    )
    (call,) = calls
    assert len(call["input1"]) == 14


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("test --protocol clean-fid", "--protocol clean-fid is none of torch-fidelity"),
        ("test --protocol torch_fidelity", "did you mean torch-fidelity?"),
        ("test --protocol", "--protocol needs a value"),
        (
            "fit --protocol torch-fidelity",
            "--protocol is no option of fit; --trainer.callbacks+=TorchFidelity",
        ),
    ],
)
def test_unknown_protocols_and_commands_are_refused(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in message_of(f"{command}", capsys)
