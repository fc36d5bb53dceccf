"""Evaluating encoders: what is reported, of which images, by which weights; and that training does not notice."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import EMA, EncoderEvaluation
from lightning_gan.models.adversarial_inference import AdversarialInference
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from tests.models.inference_toys import toy_inference
from tests.toys import FAST, equal, toy_gan, toy_images, toy_trainer, weights_of

IMAGES = toy_images(24)
LABELS = torch.arange(24) % 3


def loader(*, labels: Tensor | None = LABELS, images: Tensor = IMAGES, batch_size: int = 5) -> DataLoader[Any]:
    tensors = (images,) if labels is None else (images, labels)
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size)


def records(folder: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / "metrics.json").read_text())
    return entries


def measured(folder: Path, module: LightningModule, data: DataLoader[Any], **settings: Any) -> dict[str, Any]:
    trainer = toy_trainer(EncoderEvaluation(**settings), default_root_dir=str(folder))
    trainer.test(module, data, verbose=False)
    return records(folder)[-1]


def fit(*callbacks: Callback, folder: Path, module: LightningModule, batches: int = 3, **settings: Any) -> None:
    trainer = toy_trainer(*callbacks, default_root_dir=str(folder), limit_train_batches=batches, **settings)
    trainer.fit(module, loader(batch_size=4), loader())


def accuracy(features: Tensor, among: Tensor, labels: Tensor) -> float:
    """One image after the other."""
    hits = 0
    for query in range(len(features)):
        distances = (among - features[query]).square().sum(dim=1)
        distances[query] = torch.inf
        hits += int(labels[distances.argmin()] == labels[query])
    return hits / len(features)


def expected(module: AdversarialInference, images: Tensor, labels: Tensor, *, ema: bool = True) -> dict[str, float]:
    codes = module.encode(images, ema=ema)
    reconstructions = module.decode(codes, ema=ema)
    pixels = images.flatten(1)
    return {
        "reconstruction_error": mse_loss(reconstructions, images).item(),
        "code_neighbours": accuracy(codes, codes, labels),
        "reconstruction_neighbours": accuracy(reconstructions.flatten(1), pixels, labels),
        "pixel_neighbours": accuracy(pixels, pixels, labels),
    }


def test_errors_and_neighbours_are_reported_of_all_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = toy_inference()
    record = measured(tmp_path, module, loader())
    assert record.pop("metrics") == pytest.approx(expected(module, IMAGES, LABELS))
    del record["weights"]
    origin = {"checkpoint": None, "trained_here": False}
    assert record == {"stage": "test", "kimg": 0.0, **origin, "real_count": 24, "ema": False}
    printed = capsys.readouterr().out
    for title in ("squared error of reconstructions", "1-NN accuracy of codes", "of the images' own pixels"):
        assert title in printed


def test_while_fitting_the_validation_images_are_measured_with_averaged_weights(tmp_path: Path) -> None:
    module = toy_inference(training=FAST)
    evaluation = EncoderEvaluation(every_kimg=0.008)
    fit(EMA(half_life_kimg=0.02), evaluation, folder=tmp_path, module=module)
    assert [(record["kimg"], record["ema"], record["real_count"]) for record in records(tmp_path)] == [
        (0.008, True, 24),
        (0.012, True, 24),
    ]
    last = records(tmp_path)[-1]["metrics"]
    assert last == pytest.approx(expected(module, IMAGES, LABELS))
    assert last["reconstruction_error"] != pytest.approx(mse_loss(module.reconstruct(IMAGES, ema=False), IMAGES).item())
    plain = measured(tmp_path, module, loader(), ema=False)
    assert not plain["ema"]
    assert plain["metrics"] == pytest.approx(expected(module, IMAGES, LABELS, ema=False))


def test_bytes_are_images_too(tmp_path: Path) -> None:
    module, images = toy_inference(), to_bytes(IMAGES)
    record = measured(tmp_path, module, loader(images=images))
    assert record["metrics"] == pytest.approx(expected(module, from_bytes(images), LABELS))


def test_the_first_images_are_measured_when_there_are_too_many(tmp_path: Path) -> None:
    module = toy_inference()
    record = measured(tmp_path / "test", module, loader(), image_count=12)
    assert record["real_count"] == 12
    assert record["metrics"] == pytest.approx(expected(module, IMAGES[:12], LABELS[:12]))
    fit(EncoderEvaluation(image_count=12), folder=tmp_path / "fit", module=module)
    assert records(tmp_path / "fit")[-1]["metrics"] == pytest.approx(expected(module, IMAGES[:12], LABELS[:12]))


@pytest.mark.parametrize(
    "labels", [None, torch.zeros(24, dtype=torch.long), torch.eye(3)[LABELS]], ids=["none", "one_class", "multi_hot"]
)
def test_without_classes_errors_alone_are_reported(tmp_path: Path, labels: Tensor | None) -> None:
    module = toy_inference()
    record = measured(tmp_path, module, loader(labels=labels))
    assert record["metrics"] == pytest.approx(
        {"reconstruction_error": mse_loss(module.reconstruct(IMAGES), IMAGES).item()}
    )
    assert EncoderEvaluation().headline(record["metrics"]).startswith("squared error of reconstructions")


def test_measurements_repeat_and_training_does_not_notice_them(tmp_path: Path) -> None:
    alone, watched = toy_inference(), toy_inference()
    fit(folder=tmp_path, module=alone)
    fit(EncoderEvaluation(every_kimg=0.004), folder=tmp_path, module=watched)
    assert equal(weights_of(alone), weights_of(watched))
    assert [record["kimg"] for record in records(tmp_path)] == [0.004, 0.008, 0.012]
    pixels = {record["metrics"]["pixel_neighbours"] for record in records(tmp_path)}
    assert len(pixels) == 1
    first, second = (measured(tmp_path / str(run), watched, loader(), name="metrics") for run in range(2))
    assert first == second


def test_numbers_can_be_monitored(tmp_path: Path) -> None:
    trainer = toy_trainer(EncoderEvaluation(every_kimg=0.004), default_root_dir=str(tmp_path), limit_train_batches=1)
    trainer.fit(toy_inference(), loader(batch_size=4), loader())
    assert trainer.callback_metrics["metrics/code_neighbours"] == records(tmp_path)[-1]["metrics"]["code_neighbours"]


def test_models_without_an_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="EncoderEvaluation: GAN has no encoder"):
        fit(EncoderEvaluation(), folder=tmp_path, module=toy_gan())


def test_fewer_than_two_images_are_refused() -> None:
    with pytest.raises(ValueError, match="image_count=1 must be at least 2"):
        EncoderEvaluation(image_count=1)
