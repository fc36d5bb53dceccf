"""TorchFidelity: which images and settings reach the library, what is refused, and that its numbers are ours."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_fidelity
from torch import Tensor

from lightning_gan.callbacks import Evaluation, TorchFidelity
from lightning_gan.metrics import InceptionFeatures
from lightning_gan.tensors.image_bytes import to_bytes
from tests.toys import toy_gan, toy_images, toy_loader, toy_trainer


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text())
    return entries


def small(weights: Path, **settings: Any) -> TorchFidelity:
    few: dict[str, Any] = {"fake_count": 20, "batch_size": 8, "isc_splits": 2, "kid_subsets": 3}
    return TorchFidelity(weights=str(weights), **{**few, **settings})


def all_of(pictures: Any) -> Tensor:
    return torch.stack([pictures[index] for index in range(len(pictures))])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the library is called with; it answers with one number."""
    found: list[dict[str, Any]] = []

    def calculate_metrics(**arguments: Any) -> dict[str, float]:
        found.append(arguments)
        return {"frechet_inception_distance": 5.0, "inception_score_mean": 2.0}

    monkeypatch.setattr(torch_fidelity, "calculate_metrics", calculate_metrics)
    return found


def test_the_library_gets_the_bytes_of_the_samples_and_of_the_reals(
    inception_weights: Path, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    module = toy_gan()
    trainer = toy_trainer(small(inception_weights, seed=4), default_root_dir=str(tmp_path))
    trainer.test(module, toy_loader(33, batch_size=5), verbose=False)
    (call,) = calls
    fake = to_bytes(module.sample(module.draw_latents(20, seed=4)[0]))
    assert torch.equal(all_of(call["input1"]), fake.expand(-1, 3, -1, -1))  # grey images have three equal channels
    assert torch.equal(all_of(call["input2"]), to_bytes(toy_images(33)).expand(-1, 3, -1, -1))
    assert call["feature_extractor_weights_path"] == str(inception_weights) and not call["cuda"]
    (record,) = records(tmp_path, "torch_fidelity")
    arguments = {name: record[name] for name in ("isc_splits", "kid_subsets", "kid_subset_size", "prc_neighborhood")}
    assert arguments == {"isc_splits": 2, "kid_subsets": 3, "kid_subset_size": 20, "prc_neighborhood": 3}
    assert all(call[name] == value for name, value in arguments.items()) and call["rng_seed"] == record["rng_seed"]
    assert (record["real_count"], record["fake_count"], record["torch_fidelity"]) == (
        33,
        20,
        torch_fidelity.__version__,
    )
    assert record["remark"] == "other weights than the published ones"


def test_its_numbers_have_a_prefix_of_their_own_also_while_fitting(
    inception_weights: Path, calls: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = toy_trainer(small(inception_weights, every_kimg=0.03), default_root_dir=str(tmp_path))
    trainer.fit(toy_gan(), toy_loader(), toy_loader(33, batch_size=5))
    assert len(calls) == 3
    assert trainer.callback_metrics["torch_fidelity/frechet_inception_distance"].item() == 5.0
    assert "by torch-fidelity: FID 5.00, Inception Score 2.00" in capsys.readouterr().out


def test_more_memory_than_the_limit_is_refused_before_images_are_gathered(
    inception_weights: Path, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    callback = small(inception_weights, memory_limit_gib=1e-6)  # 1,073 bytes
    trainer = toy_trainer(callback, default_root_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"fake_count=20 generated and 64 real images of 16 bytes take 1.25e-06 GiB"):
        trainer.fit(toy_gan(), toy_loader(), toy_loader())
    with pytest.raises(ValueError, match="set a smaller fake_count or a higher memory_limit_gib"):
        trainer.test(toy_gan(), toy_loader(), verbose=False)
    callback.check_memory(16, real_count=40)
    assert not calls


def test_settings_images_and_weights_that_cannot_be_measured_are_refused(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="fake_count=3 must be at least 4, for isc_splits=2 and prc_neighborhood=3"):
        small(inception_weights, fake_count=3)
    with pytest.raises(ValueError, match="kid_subset_size=1 must be at least 2"):
        small(inception_weights, kid_subset_size=1)
    with pytest.raises(ValueError, match=r"TorchFidelity takes 1 or 3 channels, but images have 2"):
        small(inception_weights).describe(torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1).long())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"TorchFidelity: there are no weights at .*Download https"):
        TorchFidelity()


def test_beside_an_evaluation_it_measures_the_same_images(inception_weights: Path) -> None:
    extractor = InceptionFeatures(weights=str(inception_weights))
    evaluation = Evaluation(extractor=extractor, fake_count=70, batch_size=7, seed=3, truncation=0.5, score_splits=4)
    callback = TorchFidelity.beside(evaluation)
    assert callback.file.path == inception_weights
    for setting in ("fake_count", "batch_size", "seed", "truncation", "ema", "sampler", "real", "value_range"):
        assert getattr(callback, setting) == getattr(evaluation, setting)
    assert (callback.isc_splits, callback.kid_subset_size, callback.prc_neighborhood) == (4, 1000, 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*the covariance of")
def test_both_tables_agree(inception_weights: Path, tmp_path: Path) -> None:
    """Both measure 48 images against 48; the score has one split and KID one subset, which are drawn differently."""
    extractor = InceptionFeatures(weights=str(inception_weights))
    evaluation = Evaluation(
        extractor=extractor, fake_count=48, batch_size=16, kernel_subsets=1, kernel_subset_size=48, score_splits=1
    )
    module = toy_gan()
    trainer = toy_trainer(evaluation, TorchFidelity.beside(evaluation), default_root_dir=str(tmp_path))
    trainer.test(module, toy_loader(48, batch_size=16), verbose=False)
    ours, theirs = (records(tmp_path, name)[0]["metrics"] for name in ("metrics", "torch_fidelity"))
    assert theirs["frechet_inception_distance"] == pytest.approx(ours["frechet_distance"], rel=1e-3)
    assert 1000 * theirs["kernel_inception_distance_mean"] == pytest.approx(ours["kernel_distance_x1000"], rel=1e-3)
    assert theirs["inception_score_mean"] == pytest.approx(ours["inception_score"], rel=1e-3)
    assert theirs["precision"] == pytest.approx(ours["precision"], rel=1e-3)
    assert theirs["recall"] == pytest.approx(ours["recall"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_report_what_one_process_reports(inception_weights: Path, tmp_path: Path) -> None:
    """33 reals and three batches of fakes do not divide by two: padding of both kinds is left out."""

    def run(folder: str, **settings: Any) -> dict[str, Any]:
        callback = small(inception_weights, fake_count=24)
        trainer = toy_trainer(callback, default_root_dir=str(tmp_path / folder), **settings)
        trainer.test(toy_gan(), toy_loader(33), verbose=False)
        return records(tmp_path / folder, "torch_fidelity")[0]

    one, two = run("one"), run("two", strategy="ddp_spawn", devices=2)
    assert (two["real_count"], two["fake_count"]) == (33, 24)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-6)
