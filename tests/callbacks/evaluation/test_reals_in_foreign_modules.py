"""Real images in modules that are no GAN: understood, named by the user, or refused before training."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import (
    EncoderEvaluation,
    Evaluation,
    MultiScaleSimilarity,
    ProgressiveGrowing,
    SlicedWasserstein,
)
from lightning_gan.callbacks.evaluation.comparison import Comparison
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.real_images import ForeignReals, RealSettings
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.metrics import frechet_distance, gaussian
from lightning_gan.tensors.image_bytes import to_bytes
from tests.callbacks.evaluation.test_evaluation import FourMeans
from tests.toys import toy_gan, toy_images, toy_loader, toy_trainer

IMAGES = toy_images(32)
"""In [-1, 1], 1 x 4 x 4."""


class Translator(LightningModule):
    """Trains nothing that matters, and counts its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(1, 1, 1)
        self.steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.steps += 1
        return self.net(IMAGES[:4]).mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def sampler(module: LightningModule, count: int, seed: int) -> Tensor:
    assert not module.training and not torch.is_grad_enabled()
    return toy_images(64)[-count:]


def target(batch: Any) -> Tensor:
    return batch["target"] if isinstance(batch, dict) else batch[1]


def evaluation(**settings: Any) -> Evaluation:
    small: dict[str, Any] = {"extractor": FourMeans(), "fake_count": 20, "batch_size": 8, "kernel_subsets": 3}
    return Evaluation(**{**small, "sampler": sampler, **settings})


def loader_of(*parts: Tensor) -> DataLoader[Any]:
    return DataLoader([tuple(part[start : start + 8] for part in parts) for start in range(0, 32, 8)], batch_size=None)


def fitted(callback: Any, loader: DataLoader[Any], folder: Path, *others: Any) -> tuple[Translator, dict[str, Any]]:
    module = Translator()
    toy_trainer(*others, callback, default_root_dir=str(folder), limit_train_batches=1).fit(module, loader, loader)
    return module, json.loads((folder / "metrics.json").read_text())[-1]["metrics"]


def expected_distance(reals: Tensor) -> Any:
    fakes = torch.cat([toy_images(64)[-count:] for count in (8, 8, 4)])
    real, fake = (gaussian(FourMeans()(to_bytes(images))) for images in (reals, fakes))
    return pytest.approx(frechet_distance(real, fake).item(), rel=1e-5)


def refused(callback: Any, loader: DataLoader[Any], folder: Path, message: str) -> None:
    """Refused before the first step of training, and in validate and test; in one line."""
    module = Translator()
    trainer = toy_trainer(callback, default_root_dir=str(folder))
    with pytest.raises(ValueError, match=message) as error:
        trainer.fit(module, loader, loader)
    assert module.steps == 0 and "\n" not in str(error.value)
    for loop in (trainer.validate, trainer.test):
        with pytest.raises(ValueError, match=message):
            loop(module, loader, verbose=False)


# ------------------------------------------------------------------ which images


def test_the_only_images_of_a_batch_are_the_real_ones(tmp_path: Path) -> None:
    _, numbers = fitted(evaluation(), loader_of(torch.zeros(32), IMAGES), tmp_path)
    assert numbers["frechet_distance"] == expected_distance(IMAGES)


def test_several_images_in_a_batch_are_refused_with_its_structure(tmp_path: Path) -> None:
    message = (
        r"^Evaluation: the batch has several tensors that may be the real images, a list of "
        r"\(0: 8x1x4x4, 1: 8x1x4x4\); give real=, a function of the batch"
    )
    refused(evaluation(), loader_of(-IMAGES, IMAGES), tmp_path, message)


def test_real_takes_the_real_images_out_of_a_batch(tmp_path: Path) -> None:
    _, numbers = fitted(evaluation(real=target), loader_of(-IMAGES, IMAGES), tmp_path)
    assert numbers["frechet_distance"] == expected_distance(IMAGES)


def test_a_batch_without_images_and_a_wrong_function_are_refused(tmp_path: Path) -> None:
    message = r"no tensor with four dimensions that may be the real images, a list of \(0: 8x16\); give real="
    refused(evaluation(), loader_of(IMAGES.flatten(1)), tmp_path, message)
    message = r"^Evaluation: real returned a tensor \[8, 16\]; it must return images \[batch, channels, height, width\]"
    refused(evaluation(real=lambda batch: batch[0]), loader_of(IMAGES.flatten(1)), tmp_path, message)
    refused(evaluation(real=lambda batch: None), loader_of(IMAGES), tmp_path, "real returned a NoneType; it must")


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 8, 8), (1, 4, 8)])
def test_reals_that_are_not_of_the_shape_of_the_fakes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    listed = r"\[{}, {}, {}\]".format(*shape)
    message = (
        rf"^Evaluation: the real images of a batch are {listed}, the generated images \[1, 4, 4\] \(channels, height, "
        r"width\); give real="
    )
    refused(evaluation(), loader_of(torch.rand(32, *shape) * 2 - 1), tmp_path, message)


def test_the_size_of_fakes_that_grow_may_differ_but_not_their_channels() -> None:
    reals = ForeignReals(RealSettings(asker="Evaluation"))
    large = torch.rand(2, 1, 8, 8) - 0.5
    reals.check_first(large, fakes=IMAGES[:2], grows=True)
    with pytest.raises(ValueError, match=r"\[3, 8, 8\], the generated images \[1, 4, 4\]"):
        reals.check_first(large.expand(2, 3, 8, 8), fakes=IMAGES[:2], grows=True)


def test_a_growing_trainer_is_recognized(tmp_path: Path) -> None:
    class Growing(nn.Conv2d):
        def grow(self, resolution: int, fade_in: float) -> None:
            """Nothing."""

    class Grower(Translator):
        def __init__(self) -> None:
            super().__init__()
            self.net = Growing(1, 1, 1)

    growing = ProgressiveGrowing(
        start_resolution=4, final_resolution=8, hold_kimg=1.0, fade_kimg=1.0, networks=("net",)
    )
    large = torch.rand(32, 1, 8, 8) * 2 - 1
    trainer = toy_trainer(growing, evaluation(), default_root_dir=str(tmp_path), limit_train_batches=1)
    trainer.fit(Grower(), loader_of(large), loader_of(large))
    assert (tmp_path / "metrics.json").exists()


# ------------------------------------------------------------------ their values


@pytest.mark.parametrize(
    ("reals", "value_range"),
    [
        ((IMAGES + 1) / 2, [0.0, 1.0]),
        ((IMAGES + 1) * 127.5, (0.0, 255.0)),
        (IMAGES, None),
        (IMAGES, [-1.0, 1.0]),
        (to_bytes(IMAGES), None),
        (to_bytes(IMAGES), [0.0, 1.0]),  # bytes need no range
    ],
)
def test_images_of_any_range_give_the_same_numbers(tmp_path: Path, reals: Tensor, value_range: Any) -> None:
    _, numbers = fitted(evaluation(value_range=value_range), loader_of(reals), tmp_path)
    assert numbers["frechet_distance"] == expected_distance(IMAGES)


@pytest.mark.parametrize(
    ("reals", "value_range", "message"),
    [
        (
            (IMAGES + 1) / 2,
            None,
            r"which does not look like \[-1, 1\]; give value_range=\[0, 1\] if",
        ),
        ((IMAGES + 1) * 127.5, None, r"which is not in \[-1, 1\]; give value_range=\[0, 255\] if this"),
        (
            IMAGES * 2.5,
            None,
            r"from -2\.\d* to 2\.\d*, which is not in \[-1, 1\]; give value_range=\[lowest, high",
        ),
        (IMAGES, [0.0, 1.0], r"which is not in \[0, 1\]; give value_range=\[-1, 1\] if this"),
        (
            (IMAGES + 1) / 2,
            [0.0, 255.0],
            r"which does not look like value_range=\[0, 255\]; give value_range=\[0, 1\] if",
        ),
        (IMAGES * float("nan"), None, r"values from nan to nan, which is not in \[-1, 1\]"),
        (to_bytes(IMAGES).long(), None, r"the real images are torch\.int64; give real=.* as uint8 or float"),
    ],
)
def test_values_outside_of_the_range_are_refused(tmp_path: Path, reals: Tensor, value_range: Any, message: str) -> None:
    refused(evaluation(value_range=value_range), loader_of(reals), tmp_path, f"^Evaluation: .*{message}")


def test_a_range_that_is_stated_is_believed_and_a_little_outside_is_allowed(tmp_path: Path) -> None:
    bright = (IMAGES + 1) / 2
    _, numbers = fitted(evaluation(value_range=[-1.0, 1.0]), loader_of(bright), tmp_path / "stated")
    assert numbers["frechet_distance"] == expected_distance(bright)
    _, numbers = fitted(evaluation(), loader_of(IMAGES * 1.15), tmp_path / "resized")
    assert numbers["frechet_distance"] == expected_distance(IMAGES * 1.15)


@pytest.mark.parametrize("value_range", [[1.0, 0.0], [0.0], [0.0, float("inf")], [0.0, 1.0, 2.0]])
def test_a_range_that_is_none_is_refused(value_range: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^Evaluation: value_range=\[.*\] must be the lowest and the highest value"):
        evaluation(value_range=value_range)


# ------------------------------------------------------------------ samplers, other callbacks, and a GAN


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            torch.zeros(3, 1, 4, 4),
            r"a tensor \[3, 1, 4, 4\] of torch\.float32 for count=2; it must return ima",
        ),
        (torch.zeros(2, 16), r"a tensor \[2, 16\] of torch\.float32 for count=2"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.long), r"a tensor \[2, 1, 4, 4\] of torch\.int64 for count=2"),
        (None, "a NoneType for count=2"),
    ],
)
def test_a_sampler_that_returns_no_images_is_refused_before_training(tmp_path: Path, made: Any, message: str) -> None:
    def wrong(module: LightningModule, count: int, seed: int) -> Any:
        return made

    refused(evaluation(sampler=wrong), loader_of(IMAGES), tmp_path, f"^Evaluation: sampler returned {message}")


@pytest.mark.parametrize("kind", [SlicedWasserstein, MultiScaleSimilarity])
def test_all_comparisons_follow_the_rule(tmp_path: Path, kind: type[Comparison]) -> None:
    settings: dict[str, Any] = {"fake_count": 8, "batch_size": 8, "sampler": sampler}
    name = kind.__name__
    refused(kind(**settings), loader_of(-IMAGES, IMAGES), tmp_path, rf"^{name}: the batch has several .*; give real=")
    refused(kind(**settings, real=lambda batch: batch[0].abs()), loader_of(IMAGES), tmp_path, rf"^{name}: .*\[0, 1\]")


class Encoder(Translator, Autoencoder):
    """Flattens an image, and puts it together again."""

    def encode(self, images: Tensor, *, ema: bool = True) -> Tensor:
        return images.flatten(1)

    def decode(self, codes: Tensor, *, ema: bool = True) -> Tensor:
        return codes.unflatten(1, (1, 4, 4)) / 2


def test_encoders_of_other_modules_read_the_same_images(tmp_path: Path) -> None:
    trainer = toy_trainer(
        EncoderEvaluation(real=target, value_range=[0.0, 1.0]), default_root_dir=str(tmp_path), limit_train_batches=1
    )
    loader = loader_of(-IMAGES, (IMAGES + 1) / 2)
    trainer.fit(Encoder(), loader, loader)
    record = json.loads((tmp_path / "metrics.json").read_text())[-1]
    assert record["metrics"] == {"reconstruction_error": pytest.approx((IMAGES / 2).square().mean().item(), rel=1e-5)}
    with pytest.raises(ValueError, match="EncoderEvaluation: the batch has several tensors that may be"):
        toy_trainer(EncoderEvaluation(), default_root_dir=str(tmp_path)).fit(Encoder(), loader, loader)


def test_the_batches_of_a_gan_are_read_as_before_and_its_sampler_is_called_for_its_numbers_only(tmp_path: Path) -> None:
    counts: list[int] = []

    def counted(module: LightningModule, count: int, seed: int) -> Tensor:
        counts.append(count)
        return toy_images(count)

    bright = DataLoader([((toy_images(8) + 1) / 2, toy_images(8)) for _ in range(2)], batch_size=None)
    trainer = toy_trainer(evaluation(sampler=counted), default_root_dir=str(tmp_path), limit_train_batches=1)
    trainer.fit(toy_gan(), toy_loader(), bright)
    assert counts == [2, 8, 8, 4]  # it is tried before training
    reals = host_of(toy_gan()).real_images(RealSettings(asker="Evaluation", real=lambda batch: batch["x"]))
    assert torch.equal(reals.images({"x": IMAGES}), IMAGES)
