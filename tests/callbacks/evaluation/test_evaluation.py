"""Evaluation: when it happens, what it reports, and that training does not notice."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from lightning_gan.callbacks.evaluation.evaluation import Evaluation
from lightning_gan.callbacks.training.ema import EMA
from lightning_gan.data.digits import load_digits
from lightning_gan.foreign.real_images import images_of
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.metrics import DigitFeatures, frechet_distance, gaussian
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from tests.toys import LATENT, ToyCritic, ToyGenerator, equal, toy_gan, toy_images, toy_loader, toy_trainer, weights_of


class FourMeans(nn.Module):
    """The mean of each quarter of the image; it counts the images that it has seen."""

    images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 2).flatten(1) / 255


class NoisyGenerator(ToyGenerator):
    """A toy that draws noise of its own, as StyleGAN does, and behaves differently in training."""

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images = super().forward(latents, labels)
        return images + torch.randn_like(images) + float(self.training)


def evaluation(**settings: Any) -> Evaluation:
    small: dict[str, Any] = {"fake_count": 20, "batch_size": 8, "kernel_subsets": 3}
    return Evaluation(**{"extractor": FourMeans(), **small, **settings})


def records(folder: Path, name: str = "metrics") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text())
    return entries


def fit(*callbacks: Callback, folder: Path, module: LightningModule | None = None, **settings: Any) -> Trainer:
    trainer = toy_trainer(*callbacks, default_root_dir=str(folder), **settings)
    trainer.fit(module if module is not None else toy_gan(), toy_loader(), toy_loader(33, batch_size=5))
    return trainer


def test_the_end_of_fit_is_evaluated_and_says_what_its_numbers_depend_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(evaluation(seed=5), folder=tmp_path)
    (record,) = records(tmp_path)
    numbers = record.pop("metrics")
    assert len(record.pop("weights")) == 16
    assert record == {
        "stage": "fit",
        "kimg": 0.064,
        "checkpoint": None,  # the weights in memory
        "trained_here": True,
        "extractor": "FourMeans",
        "real_count": 33,
        "fake_count": 20,
        "seed": 5,
        "truncation": 1.0,
        "ema": False,  # no EMA callback moves it
        "neighbours": 3,
        "kernel_subsets": 3,
        "kernel_subset_size": 20,  # 1,000 were asked for
    }
    assert numbers["frechet_to_floor"] == pytest.approx(numbers["frechet_distance"] / numbers["frechet_floor"])
    printed = capsys.readouterr().out
    assert printed.startswith("Frechet distance ") and f" {numbers['frechet_distance']:.4f}\n" in printed
    assert "real count 33, fake count 20, seed 5, truncation 1.0" in " ".join(printed.split())


def test_it_evaluates_every_so_many_images_and_at_the_end_but_not_twice(tmp_path: Path) -> None:
    fit(evaluation(every_kimg=0.025), folder=tmp_path, limit_train_batches=15)
    assert [record["kimg"] for record in records(tmp_path)] == [0.028, 0.052, 0.06]
    fit(evaluation(every_kimg=0.02), folder=tmp_path / "multiple", limit_train_batches=10)
    assert [record["kimg"] for record in records(tmp_path / "multiple")] == [0.02, 0.04]


def test_every_image_passes_the_extractor_once_and_the_reals_only_the_first_time(tmp_path: Path) -> None:
    callback = evaluation(every_kimg=0.03)
    fit(callback, folder=tmp_path)
    assert len(records(tmp_path)) == 3
    tried = 2 + 2
    assert isinstance(callback.extractor, FourMeans)
    assert callback.extractor.images == tried + 33 + 3 * 20


def test_the_numbers_are_those_of_the_samples_and_the_reals(tmp_path: Path) -> None:
    module = toy_gan(number_of_classes=3)
    trainer = toy_trainer(evaluation(seed=4), default_root_dir=str(tmp_path))
    trainer.fit(module, toy_loader(classes=3), toy_loader(33, classes=3))
    latents, labels = module.draw_latents(20, seed=4)
    fake = gaussian(FourMeans()(to_bytes(module.sample(latents, labels))))
    real = gaussian(FourMeans()(to_bytes(toy_images(33))))
    expected = frechet_distance(real, fake).item()
    assert records(tmp_path)[0]["metrics"]["frechet_distance"] == pytest.approx(expected, rel=1e-6)


def test_validate_and_test_use_their_own_batches(tmp_path: Path) -> None:
    module, loader = toy_gan(), toy_loader(33, batch_size=5)
    trainer = toy_trainer(evaluation(), default_root_dir=str(tmp_path))
    trainer.fit(module, toy_loader(), loader)
    (tested,) = trainer.test(module, loader, verbose=False)
    (validated,) = trainer.validate(module, loader, verbose=False)
    other = trainer.validate(module, toy_loader(12), verbose=False)
    fitted, test, validate, smaller = records(tmp_path)
    assert [entry["stage"] for entry in (test, validate, smaller)] == ["test", "validate", "validate"]
    assert [entry["real_count"] for entry in (fitted, test, validate, smaller)] == [33, 33, 33, 12]
    assert fitted["metrics"] == test["metrics"] == validate["metrics"] != smaller["metrics"]
    assert fitted["kimg"] == test["kimg"]
    assert tested["metrics/frechet_distance"] == pytest.approx(test["metrics"]["frechet_distance"], rel=1e-6)
    assert tested == validated != other[0]
    assert tested["step"] == 64 and tested["kimg"] == pytest.approx(0.064)


def test_results_reach_the_loggers_and_whoever_monitors_them(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    trainer = fit(evaluation(every_kimg=0.03), folder=tmp_path, logger=logger, log_every_n_steps=1000)
    logger.save()
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    logged = [float(row.split(",")[header.split(",").index("metrics/precision")]) for row in rows]
    assert logged == pytest.approx([record["metrics"]["precision"] for record in records(tmp_path)])
    # The last one is that of the end of fit.
    monitored = trainer.callback_metrics["metrics/frechet_distance"].item()
    assert monitored == pytest.approx(records(tmp_path)[-1]["metrics"]["frechet_distance"], rel=1e-6)


def test_training_does_not_notice_evaluations(tmp_path: Path) -> None:
    alone, evaluated = toy_gan(), toy_gan()
    fit(folder=tmp_path, module=alone)
    fit(evaluation(every_kimg=0.01), folder=tmp_path, module=evaluated)
    assert equal(weights_of(alone), weights_of(evaluated))


def test_random_state_and_modes_are_put_back(tmp_path: Path) -> None:
    def states(module: LightningModule) -> list[Any]:
        modes = {name: part.training for name, part in module.named_modules()}
        return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(), modes]

    class Look(Callback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            self.seen.append(states(pl_module))

    before, after = Look(), Look()
    module = toy_gan()
    module.discriminator.conv.eval()  # a layer that is frozen on purpose
    fit(before, evaluation(every_kimg=0.004), after, folder=tmp_path, module=module, limit_train_batches=2)
    assert before.seen == after.seen
    assert len(records(tmp_path)) == 2


def test_modes_are_put_back_after_an_error() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(KeyError), evaluation_mode(module):
        assert not module[0].training
        raise KeyError
    assert [part.training for part in module.modules()] == [True, True, False]


def test_networks_with_noise_have_the_same_numbers_each_time(tmp_path: Path) -> None:
    module = toy_gan()
    module.generator = NoisyGenerator()
    trainer = toy_trainer(evaluation(), default_root_dir=str(tmp_path))
    results = []
    for seed in range(2):
        torch.manual_seed(seed)
        results += trainer.test(module, toy_loader(), verbose=False)
    assert results[0] == results[1]


def test_the_extractor_stays_out_of_checkpoints(tmp_path: Path) -> None:
    trainer = fit(evaluation(extractor=DigitFeatures(), fake_count=80), folder=tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    plain = fit(folder=tmp_path / "plain")
    assert checkpoint["state_dict"].keys() == plain.lightning_module.state_dict().keys()
    assert not any("Evaluation" in key and state for key, state in checkpoint["callbacks"].items())


class KnownDigits(nn.Module):
    """Makes a real digit of the class asked for, whatever the latent."""

    def __init__(self) -> None:
        super().__init__()
        images, labels = load_digits()
        first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
        self.register_buffer("digits", from_bytes(images[first]))
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        images: Tensor = self.get_buffer("digits")[labels] * self.weight
        return images


class NoCritic(nn.Module):
    """Scores every image alike."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.weight * images.mean(dim=(1, 2, 3))


def test_a_conditional_generator_is_asked_for_its_classes(tmp_path: Path) -> None:
    """Real digits are recognised as what they are; shifted by one class, hardly ever."""
    shares = []
    for shift in (0, 1):
        generator = KnownDigits()
        generator.digits = generator.get_buffer("digits").roll(shift, dims=0)
        module = GAN(generator=generator, discriminator=NoCritic(), latent_dim=LATENT, number_of_classes=10)
        folder = tmp_path / str(shift)
        trainer = toy_trainer(evaluation(extractor=DigitFeatures(), fake_count=80), default_root_dir=str(folder))
        trainer.validate(module, toy_loader(80, classes=10), verbose=False)
        shares.append(records(folder)[0]["metrics"]["asked_class"])
    assert shares[0] >= 0.9
    assert shares[1] <= 0.1


def test_digit_features_also_count_classes(tmp_path: Path) -> None:
    fit(evaluation(extractor=DigitFeatures(), fake_count=80), folder=tmp_path)
    numbers = records(tmp_path)[0]["metrics"]
    assert 1 <= numbers["classes_present"] <= 10
    assert 1 <= numbers["effective_classes"] <= numbers["classes_present"] + 1e-9


def test_too_few_fakes_for_a_covariance_are_warned_of_before_training(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the covariance of 64 features needs more than fake_count=20"):
        fit(evaluation(extractor=DigitFeatures()), folder=tmp_path, limit_train_batches=1)


def test_two_evaluations_work_side_by_side(tmp_path: Path) -> None:
    fit(evaluation(), evaluation(fake_count=30, name="more"), folder=tmp_path)
    assert [records(tmp_path, name)[0]["fake_count"] for name in ("metrics", "more")] == [20, 30]


def test_a_fast_dev_run_is_not_evaluated(tmp_path: Path) -> None:
    fit(evaluation(every_kimg=0.001), folder=tmp_path, fast_dev_run=True)
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_kimg": 0.0}, "every_kimg=0.0"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"fake_count": 3}, "fake_count=3 must be above neighbours=3"),
        ({"kernel_subset_size": 1}, "kernel_subset_size=1"),
        ({"sampler": lambda *_: None, "truncation": 0.7}, "with a sampler, set them there"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluation(**settings)


# ------------------------------------------------------------------ data that is missing or elsewhere


def test_intervals_without_validation_data_are_refused_before_training(tmp_path: Path) -> None:
    trainer = toy_trainer(evaluation(every_kimg=1.0), default_root_dir=str(tmp_path), limit_val_batches=0)
    with pytest.raises(ValueError, match=r"no real images to compare with while fitting.*every_kimg to null"):
        trainer.fit(toy_gan(), toy_loader(), toy_loader())


def test_an_end_of_fit_without_validation_data_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="There will be no evaluation at the end of fit"):
        fit(evaluation(), folder=tmp_path, limit_val_batches=0)
    assert not (tmp_path / "metrics.json").exists()


def test_validation_data_are_found_when_lightning_itself_does_not_validate(tmp_path: Path) -> None:
    fit(evaluation(), folder=tmp_path, check_val_every_n_epoch=7)
    assert records(tmp_path)[0]["real_count"] == 33


def test_limit_val_batches_limits_the_reals(tmp_path: Path) -> None:
    fit(evaluation(), folder=tmp_path, limit_val_batches=2)
    assert records(tmp_path)[0]["real_count"] == 10


def test_images_are_found_in_batches_of_any_kind() -> None:
    images = toy_images(2)
    for batch in (images, (images, torch.zeros(2)), [images], {"label": torch.zeros(2), "image": images}):
        assert images_of(batch) is images
    with pytest.raises(ValueError, match=r"no images .* in a batch of type tuple"):
        images_of((torch.zeros(3), "path"))


# ------------------------------------------------------------------ other people's modules


class Foreign(LightningModule):
    """Two toys, one optimizer, batches of tensors, nothing of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ToyGenerator()
        self.critic = ToyCritic()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.critic(self.net(torch.randn(4, LATENT))).mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def sample_foreign(module: LightningModule, count: int, seed: int) -> Tensor:
    assert isinstance(module, Foreign) and not module.training
    return module.net(torch.randn(count, LATENT, generator=torch.Generator().manual_seed(seed)))


def test_a_foreign_module_is_evaluated_with_a_sampler(tmp_path: Path) -> None:
    fit(evaluation(every_kimg=0.03, sampler=sample_foreign), folder=tmp_path, module=Foreign())
    first, second, third = records(tmp_path)
    assert [record["kimg"] for record in (first, second, third)] == [0.032, 0.06, 0.064]
    assert (first["fake_count"], first["truncation"], first["ema"]) == (20, None, False)
    assert first["metrics"] != third["metrics"]


def test_a_foreign_module_is_evaluated_with_its_averaged_weights(tmp_path: Path) -> None:
    module, sampled = Foreign(), []
    initial = weights_of(module.net)

    def sampler(module: LightningModule, count: int, seed: int) -> Tensor:
        sampled.append(equal(weights_of(module.net), initial))
        return sample_foreign(module, count, seed)

    average_that_stays = EMA(half_life_kimg=1e9, generator="net")
    fit(average_that_stays, evaluation(sampler=sampler), folder=tmp_path, module=module)
    assert all(sampled) and records(tmp_path)[0]["ema"]
    assert not equal(weights_of(module.net), initial)


def test_a_foreign_module_without_a_sampler_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Foreign is no .*GAN, so how to draw images from it is not known.*sampler="):
        fit(evaluation(), folder=tmp_path, module=Foreign())


# ------------------------------------------------------------------ ranks


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_report_what_one_process_reports(tmp_path: Path) -> None:
    """33 reals and three batches of fakes do not divide by two: padding of both kinds is left out."""

    def run(folder: str, **settings: Any) -> list[dict[str, Any]]:
        callback = evaluation(fake_count=24, kernel_subset_size=10)
        trainer = toy_trainer(callback, default_root_dir=str(tmp_path / folder), **settings)
        trainer.test(toy_gan(), toy_loader(33), verbose=False)
        return records(tmp_path / folder)

    (one,) = run("one")
    (two,) = run("two", strategy="ddp_spawn", devices=2)
    assert one["real_count"] == two["real_count"] == 33
    assert one["fake_count"] == two["fake_count"] == 24
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-9)
