"""Sliced Wasserstein distance and MS-SSIM of a trained model: what they report, of which images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks.evaluation.sample_metrics import MultiScaleSimilarity, SlicedWasserstein
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics.structural_similarity import multi_scale_similarity
from lightning_gan.tensors.image_bytes import to_bytes
from tests.toys import LATENT, equal, toy_trainer, weights_of


class Pictures(nn.Module):
    """Latents to grey 32 x 32 images."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(LATENT, 32 * 32)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.output(latents).view(-1, 1, 32, 32)
        return images


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(32 * 32, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(images.flatten(1))
        return logits


def pictures_gan() -> GAN:
    torch.manual_seed(3)
    return GAN(generator=Pictures(), discriminator=Critic(), latent_dim=LATENT)


def reals(count: int = 33, *, side: int = 32) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1


def loader(images: Tensor, *, batch_size: int = 5) -> DataLoader[Any]:
    return DataLoader(TensorDataset(images), batch_size=batch_size)


def swd(**settings: Any) -> SlicedWasserstein:
    small: dict[str, Any] = {"fake_count": 12, "batch_size": 4, "patches_per_image": 8, "repeats": 1, "directions": 4}
    return SlicedWasserstein(**{**small, **settings})


def ms_ssim(**settings: Any) -> MultiScaleSimilarity:
    return MultiScaleSimilarity(**{"fake_count": 12, "batch_size": 4, **settings})


def records(folder: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / "metrics.json").read_text())
    return entries


def fit(*callbacks: Callback, folder: Path, module: LightningModule | None = None, **settings: Any) -> None:
    trainer = toy_trainer(*callbacks, default_root_dir=str(folder), limit_train_batches=3, **settings)
    trainer.fit(module if module is not None else pictures_gan(), loader(reals(), batch_size=4), loader(reals()))


def measure(callback: Callback, folder: Path, images: Tensor | None = None, **settings: Any) -> dict[str, Any]:
    trainer = toy_trainer(callback, default_root_dir=str(folder), **settings)
    trainer.test(pictures_gan(), loader(reals() if images is None else images), verbose=False)
    return records(folder)[-1]


def test_patches_at_every_level_and_their_floor_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(swd(seed=5), folder=tmp_path)
    (record,) = records(tmp_path)
    numbers = record.pop("metrics")
    assert len(record.pop("weights")) == 16
    assert record == {
        "stage": "fit",
        "kimg": 0.012,
        "checkpoint": None,
        "trained_here": True,
        "real_count": 33,
        "fake_count": 12,
        "seed": 5,
        "truncation": 1.0,
        "ema": False,
        "compared_count": 12,
        "floor_count": 12,
        "patches_per_image": 8,
        "repeats": 1,
        "directions": 4,
    }
    for name in ("sliced_wasserstein_x1000", "sliced_wasserstein_floor_x1000"):
        assert numbers[name] == pytest.approx((numbers[f"{name}_at_32"] + numbers[f"{name}_at_16"]) / 2)
        assert numbers[name] > 0
    assert "sliced Wasserstein distance x 1000, 16 pixels" in capsys.readouterr().out


def test_a_generator_of_the_reals_themselves_is_no_further_than_they_are(tmp_path: Path) -> None:
    copies = swd(fake_count=16, sampler=lambda module, count, seed: drawn.pop(0)[:count])
    drawn = [reals(2, side=32), *reals(16, side=32).split(4)]  # it is tried with two images
    assert measure(copies, tmp_path, reals(16))["metrics"]["sliced_wasserstein_x1000"] < 200
    # Equal sets in another order of reals: sorted projections are the same, up to the patches that positions choose.
    assert records(tmp_path)[0]["truncation"] is None


def test_few_reals_are_compared_with_as_many_fakes(tmp_path: Path) -> None:
    record = measure(swd(), tmp_path, reals(9))
    assert (record["real_count"], record["compared_count"], record["floor_count"]) == (9, 9, 4)


def test_small_images_are_refused_with_their_size(tmp_path: Path) -> None:
    for callback in (swd(), ms_ssim()):
        with pytest.raises(ValueError, match="8 x 8 pixels are too small"):
            measure(callback, tmp_path, reals(8, side=8))


def test_similarity_is_that_of_pairs_of_a_batch_of_the_samples_and_of_the_reals(tmp_path: Path) -> None:
    callback = ms_ssim(seed=2)
    record = measure(callback, tmp_path)
    module = pictures_gan()
    fakes = to_bytes(module.sample(module.draw_latents(12, seed=2)[0])).double()

    def mean_of_pairs(batches: Sequence[Tensor]) -> float:
        """The pairs of each batch are those of a permutation, which leaves one image over in an odd batch."""
        orders = [callback._pairs(torch.arange(len(batch))) for batch in batches]
        assert all(
            torch.cat(own).unique().numel() == len(batch) // 2 * 2 for own, batch in zip(orders, batches, strict=True)
        )
        pairs = [multi_scale_similarity(batch[i], batch[j]) for (i, j), batch in zip(orders, batches, strict=True)]
        return torch.cat(pairs).mean().item()

    assert record["metrics"]["ms_ssim"] == pytest.approx(mean_of_pairs(fakes.split(4)), rel=1e-6)
    batches = [to_bytes(batch).double() for batch in reals().split(5)]
    assert record["metrics"]["ms_ssim_of_reals"] == pytest.approx(mean_of_pairs(batches), rel=1e-6)
    # Six batches of five reals leave one over each; the last, of three, likewise.
    assert (record["real_pairs"], record["fake_pairs"]) == (13, 6)


def test_fakes_of_classes_in_turn_are_paired_with_their_own_class_as_often_as_by_chance() -> None:
    classes = torch.arange(1000) % 10
    first, second = ms_ssim()._pairs(torch.arange(1000))
    same = (classes[first] == classes[second]).double().mean().item()
    assert same == pytest.approx(0.1, abs=0.04)  # three standard errors; neighbours would never be


def test_duplicates_are_paired_with_each_other_first() -> None:
    positions = torch.tensor([-1, 4, -1, 5, 6, 7])
    first, second = ms_ssim()._pairs(positions)
    assert ((positions[first] < 0) == (positions[second] < 0)).all()


def test_a_generator_of_one_image_is_entirely_alike(tmp_path: Path) -> None:
    always = ms_ssim(sampler=lambda module, count, seed: reals(1).expand(count, -1, -1, -1))
    assert measure(always, tmp_path)["metrics"]["ms_ssim"] == pytest.approx(1.0)


@pytest.mark.parametrize("callback", [swd, ms_ssim])
def test_measurements_repeat_and_training_does_not_notice_them(callback: Any, tmp_path: Path) -> None:
    alone, measured = pictures_gan(), pictures_gan()
    fit(folder=tmp_path, module=alone)
    fit(callback(every_kimg=0.004), folder=tmp_path, module=measured)
    assert equal(weights_of(alone), weights_of(measured))
    assert [record["kimg"] for record in records(tmp_path)] == [0.004, 0.008, 0.012]
    first, second = (measure(callback(), tmp_path / str(run))["metrics"] for run in range(2))
    assert first == second


def test_both_work_side_by_side(tmp_path: Path) -> None:
    fit(swd(every_kimg=0.008), ms_ssim(every_kimg=0.008), folder=tmp_path)
    assert len(records(tmp_path)) == 4


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (swd, {"fake_count": 0}, "SlicedWasserstein: fake_count=0 must be at least 1"),
        (swd, {"directions": 0}, "directions=0"),
        (swd, {"every_kimg": 0.0}, "SlicedWasserstein: every_kimg=0.0"),
        (ms_ssim, {"fake_count": 3}, "fake_count=3 and batch_size=4 must be even"),
        (ms_ssim, {"batch_size": 5}, "fake_count=12 and batch_size=5 must be even"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**settings)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("callback", [swd, ms_ssim])
def test_two_ranks_report_what_one_process_reports(callback: Any, tmp_path: Path) -> None:
    """Patches and fake pairs are the same; which reals are neighbours depends on how they are dealt out."""
    settings = {"strategy": "ddp_spawn", "devices": 2}
    one, two = measure(callback(), tmp_path / "one"), measure(callback(), tmp_path / "two", **settings)
    for record in (one, two):
        record["metrics"].pop("ms_ssim_of_reals", None)
        record.pop("real_pairs", None)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-5)
    assert {**one, "metrics": {}} == {**two, "metrics": {}}
