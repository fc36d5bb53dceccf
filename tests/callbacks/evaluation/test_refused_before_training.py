"""What cannot be measured or drawn is refused before the first training step; images that are not finite always are."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_gan.callbacks.evaluation
import lightning_gan.callbacks.figures
from lightning_gan.callbacks import (
    EncoderEvaluation,
    Evaluation,
    LinearSeparability,
    MultiScaleSimilarity,
    PerceptualPathLength,
    ProgressiveGrowing,
    SlicedWasserstein,
    TorchFidelity,
)
from lightning_gan.callbacks.evaluation.measurement import Measurement
from lightning_gan.callbacks.figures.figure import Figure
from lightning_gan.callbacks.figures.paper_figure import PaperFigure
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.gan import GAN
from lightning_gan.metrics import DigitDistance, DigitFeatures
from lightning_gan.metrics.published_weights import WeightsFile
from tests.parts import classes_of, needed_arguments
from tests.toys import toy_trainer

LATENT, SIDE = 4, 16


class Pictures(nn.Module):
    """Latents to images; its one weight makes all of them NaN."""

    def __init__(self, *, side: int = SIDE, channels: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.shape = (channels, side, side)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        pattern = torch.linspace(-1, 1, self.shape[1] * self.shape[2], device=latents.device).reshape(self.shape[1:])
        return (latents.sum(1)[:, None, None, None] * self.weight * pattern).expand(-1, *self.shape).tanh()

    def grow(self, resolution: int, fade_in: float) -> None:
        self.shape = (self.shape[0], resolution, resolution)


class Scores(nn.Module):
    """Images to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return (images.mean(dim=(1, 2, 3)) * self.weight)[:, None]

    def grow(self, resolution: int, fade_in: float) -> None:
        """Nothing."""


class Everything(GAN, Autoencoder):
    """A model that every measurement and every figure takes: it has an encoder and styles."""

    def __init__(self, *, side: int = SIDE, channels: int = 1) -> None:
        super().__init__(generator=Pictures(side=side, channels=channels), discriminator=Scores(), latent_dim=LATENT)
        self.steps = 0

    def finish_batch(self) -> None:
        self.steps += 1

    def encode(self, images: Tensor, *, ema: bool = True) -> Tensor:
        return images.flatten(1)[:, :LATENT]

    def decode(self, codes: Tensor, *, ema: bool = True) -> Tensor:
        return self.sample(codes, clipped=False, ema=ema)

    @property
    def style_resolutions(self) -> list[int]:
        return [4, 4, 8, 8, 16, 16]

    def styles(
        self, latents: Tensor, labels: Tensor | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Tensor:
        return latents[:, None].expand(-1, 6, -1) * truncation

    def synthesize(
        self,
        styles: Tensor,
        *,
        noisy_layers: Collection[int] | None = None,
        fresh_noise: bool = False,
        ema: bool = True,
    ) -> Tensor:
        return self.sample(styles[:, 0], clipped=False, ema=ema)

    def truncated(
        self, network: nn.Module, latents: Tensor, labels: Tensor | None, *, truncation: float, fresh_noise: bool
    ) -> Tensor:
        images: Tensor = network(latents * truncation)
        return images


class Attribute(nn.Module):
    """Whether an image is bright."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))


class Takes(nn.Module):
    """A network with weights for a number of channels, as other people's extractors have."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images.float()).mean(dim=(2, 3))


class Returns(nn.Module):
    """An extractor that returns the same for any images."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def forward(self, images: Tensor) -> Any:
        return self.result


SMALL: dict[type, dict[str, Any]] = {
    Evaluation: {"extractor": DigitFeatures(), "fake_count": 80, "kernel_subsets": 2, "batch_size": 40},
    EncoderEvaluation: {},
    LinearSeparability: {"classifier": Attribute(), "sample_count": 8},
    MultiScaleSimilarity: {"fake_count": 8, "batch_size": 4},
    PerceptualPathLength: {"distance": DigitDistance(), "pair_count": 4, "space": "z"},
    SlicedWasserstein: {"fake_count": 8, "patches_per_image": 4, "repeats": 1, "directions": 4},
    TorchFidelity: {"fake_count": 8, "isc_splits": 2},
}
"""Settings with which measurements of a few images take milliseconds."""

MEASUREMENTS = classes_of(lightning_gan.callbacks.evaluation, Measurement)
FIGURES = classes_of(lightning_gan.callbacks.figures, Figure)


@pytest.fixture(autouse=True)
def library_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity answers with one number, and its weights are not read."""
    file = WeightsFile(path=Path("nowhere"), sha256="", is_published=True)
    module = "lightning_gan.callbacks.evaluation.torch_fidelity"
    monkeypatch.setattr(f"{module}.inception_network", lambda **_: (None, file))
    answer = dict.fromkeys(("frechet_inception_distance", "inception_score_mean"), 1.0)
    monkeypatch.setattr("torch_fidelity.calculate_metrics", lambda **_: answer)


def small(kind: type, **settings: Any) -> Any:
    return kind(**{**SMALL.get(kind, {}), **settings})


def images(count: int = 24, *, channels: int = 1, side: int = SIDE) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def loader(data: Tensor, *, batch_size: int = 4) -> DataLoader[Any]:
    return DataLoader(TensorDataset(data), batch_size=batch_size)


def trainer_of(*callbacks: Callback, folder: Path, **settings: Any) -> Trainer:
    return toy_trainer(*callbacks, default_root_dir=str(folder), limit_train_batches=2, **settings)


def diverge(module: LightningModule) -> None:
    """All images of the module become NaN from now on. Its weights stay finite, so that the loop has nothing to say."""
    assert isinstance(module, Everything)
    for network in (module.generator, module.generator_ema):
        network.register_forward_hook(lambda network, latents, images: images * float("nan"))


class Diverge(Callback):
    """Makes the generator's images NaN after the last batch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch:
            diverge(pl_module)


def test_every_measurement_has_small_settings_here() -> None:
    for kind in MEASUREMENTS:
        missing = set(needed_arguments(kind)) - set(SMALL.get(kind, {}))
        assert not missing, f"add {kind.__name__} with {missing} to SMALL"


# ------------------------------------------------------------------ images that are not finite


@pytest.mark.filterwarnings("ignore:.*covariance")
@pytest.mark.parametrize("kind", [*MEASUREMENTS, *FIGURES], ids=lambda kind: kind.__name__)
def test_a_generator_that_is_not_finite_has_no_numbers_and_no_pictures(kind: type, tmp_path: Path) -> None:
    """At the end of fit, and in test; the same callback measures or draws a finite generator."""
    callback = small(kind)
    fine = Everything()
    trainer_of(callback, folder=tmp_path / "fine").fit(fine, loader(images()), loader(images()))
    assert list((tmp_path / "fine").rglob("*.json")) or list((tmp_path / "fine").rglob("*.png"))
    if isinstance(callback, Measurement):  # a number that has a direction is one that can be printed
        assert callback.better().keys() <= callback.titles().keys()
    broken = Everything()
    message = rf"^{kind.__name__}: \d+ of \d+ .*Everything are not finite \(NaN or infinite\) at 0\.008 kimg; .*"
    with pytest.raises(ValueError, match=message):
        trainer_of(Diverge(), small(kind), folder=tmp_path / "fit").fit(broken, loader(images()), loader(images()))
    drawn = {path.name for path in (tmp_path / "fit").rglob("*.*") if path.suffix in (".json", ".png")}
    assert drawn <= {"kimg_000000.000.png"}  # what was drawn before the first batch
    if issubclass(kind, Measurement | PaperFigure):
        diverge(fine)
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: \d+ of \d+ .* are not finite"):
            trainer_of(small(kind), folder=tmp_path / "test").test(fine, loader(images()), verbose=False)
        assert not [path for path in (tmp_path / "test").rglob("*.*") if path.suffix in (".json", ".png")]


@pytest.mark.parametrize("kind", [Evaluation, SlicedWasserstein])
def test_a_generator_that_is_not_finite_from_the_start_is_refused_before_training(kind: type, tmp_path: Path) -> None:
    module = Everything()
    diverge(module)
    with pytest.raises(ValueError, match=r"2 of 2 generated images of Everything are not finite .* at 0 kimg"):
        trainer_of(small(kind), folder=tmp_path).fit(module, loader(images()), loader(images()))
    assert module.steps == 0


def test_real_images_that_are_not_finite_are_named_as_such(tmp_path: Path) -> None:
    data = images()
    data[13, 0, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="1 of 24 real images of Everything are not finite"):
        trainer_of(small(Evaluation), folder=tmp_path).test(Everything(), loader(data), verbose=False)


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    class Broken(Measurement):
        def __init__(self) -> None:
            super().__init__(every_kimg=0.004, batch_size=1, seed=0, name="metrics")

        def check(self, module: LightningModule) -> None:
            """Nothing."""

        def headline(self, numbers: dict[str, float]) -> str:
            return ""

        def measured(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
            return {"metrics": {"fine": 1.0, "broken": float("nan")}}

    with pytest.raises(ValueError, match=r"^Broken: broken=nan at 0\.004 kimg; a number that is not finite"):
        trainer_of(Broken(), folder=tmp_path).fit(Everything(), loader(images()))
    assert not (tmp_path / "metrics.json").exists()


def test_equal_reals_have_no_ratio_to_their_floor(tmp_path: Path) -> None:
    """Their floor is 0, and a ratio would be infinite, which JSON cannot hold."""
    trainer = trainer_of(small(Evaluation), folder=tmp_path)
    (numbers,) = trainer.test(Everything(), loader(images(1).repeat(24, 1, 1, 1)), verbose=False)
    assert numbers["metrics/frechet_floor"] == 0 and "metrics/frechet_to_floor" not in numbers
    assert "Infinity" not in (tmp_path / "metrics.json").read_text()


# ------------------------------------------------------------------ settings and data that do not fit


REFUSED: list[tuple[str, Any, dict[str, Any], Tensor, str]] = [
    (
        "RGBA",
        Evaluation,
        {},
        images(channels=4),
        r"Evaluation: extractor=DigitFeatures cannot take images \[2, 4, 16, 16\] of torch\.uint8 \(DigitFeatures "
        r"takes 1 or 3 channels, but the images have 4",
    ),
    (
        "two channels",
        Evaluation,
        {},
        images(channels=2),
        r"extractor=DigitFeatures cannot take images \[2, 2, 16, 16\].* give another extractor",
    ),
    (
        "an extractor for colour",
        Evaluation,
        {"extractor": Takes(3)},
        images(),
        r"extractor=Takes cannot take images \[2, 1, 16, 16\] .*expected input.* to have 3 channels",
    ),
    (
        "features per pixel",
        Evaluation,
        {"extractor": Returns(torch.zeros(2, 8, 3, 3))},
        images(),
        r"extractor Returns returned \[2, 8, 3, 3\] of torch\.float32 for 2 images; it must return features \[batch",
    ),
    ("a list", Evaluation, {"extractor": Returns([])}, images(), "it returned a list and no tensor"),
    ("three images", Evaluation, {}, images(3), "have 3 real images, but at least 4 are needed; give more images"),
    ("few for k", Evaluation, {"neighbours": 24}, images(), "have 24 real images, but at least 25 are needed"),
    ("one image", SlicedWasserstein, {}, images(1), "SlicedWasserstein: .* 1 real images, but at least 2 are needed"),
    ("one image", MultiScaleSimilarity, {}, images(1), "MultiScaleSimilarity: .*too small; give larger batches"),
    ("one image", EncoderEvaluation, {}, images(1), "EncoderEvaluation: .* 1 real images, but at least 2 are needed"),
    ("small", SlicedWasserstein, {}, images(side=8), "images of 8 x 8 pixels are too small for the sliced Wasserstein"),
    ("small", MultiScaleSimilarity, {}, images(side=8), "images of 8 x 8 pixels are too small for MS-SSIM"),
    (
        "face",
        PerceptualPathLength,
        {"crop_faces": True},
        images(side=4),
        "images of 4 x 4 pixels are too small to crop a face",
    ),
    (
        "a distance for colour",
        PerceptualPathLength,
        {"distance": nn.Bilinear(3, 3, 1)},
        images(),
        r"PerceptualPathLength: distance=Bilinear cannot take images \[2, 1, 16, 16\]",
    ),
    (
        "a classifier for colour",
        LinearSeparability,
        {"classifier": Takes(3)},
        images(),
        r"LinearSeparability: classifier=Takes cannot take images \[2, 1, 16, 16\]",
    ),
    (
        "one logit for all",
        LinearSeparability,
        {"classifier": Returns(torch.zeros(1))},
        images(),
        r"classifier Returns returned \[1\] for 2 images; it must return logits",
    ),
]


@pytest.mark.filterwarnings("ignore:.*covariance")
@pytest.mark.parametrize(
    ("kind", "settings", "data", "message"),
    [row[1:] for row in REFUSED],
    ids=[f"{row[1].__name__}: {row[0]}" for row in REFUSED],
)
@pytest.mark.parametrize("every_kimg", [None, 0.004])
def test_what_cannot_be_measured_is_refused_before_the_first_step(
    kind: type, settings: dict[str, Any], data: Tensor, message: str, every_kimg: float | None, tmp_path: Path
) -> None:
    module = Everything(side=data.shape[-1], channels=data.shape[1])
    with pytest.raises(ValueError, match=message) as error:
        trainer_of(small(kind, every_kimg=every_kimg, **settings), folder=tmp_path).fit(
            module, loader(data), loader(data)
        )
    assert module.steps == 0
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        trainer_of(small(kind, **settings), folder=tmp_path).test(module, loader(data), verbose=False)


def test_real_images_of_other_channels_than_the_generated_ones_are_refused(tmp_path: Path) -> None:
    module = Everything(channels=3)
    with pytest.raises(ValueError, match=r"real images \[1, 16, 16\] cannot be compared with generated images \[3, 16"):
        trainer_of(small(Evaluation), folder=tmp_path).fit(module, loader(images(channels=3)), loader(images()))
    assert module.steps == 0


@pytest.mark.parametrize(("every_kimg", "measured"), [(0.004, [0.012, 0.016, 0.02, 0.024]), (None, [0.024])])
def test_a_growing_generator_is_measured_once_it_has_its_full_size(
    every_kimg: float | None, measured: list[float], tmp_path: Path
) -> None:
    """Images of 8 x 8 pixels have no level of the pyramid."""
    growing = ProgressiveGrowing(start_resolution=8, final_resolution=16, hold_kimg=0.008, fade_kimg=0.0)
    callback = small(SlicedWasserstein, every_kimg=every_kimg)
    module = Everything(side=8)
    trainer = toy_trainer(growing, callback, default_root_dir=str(tmp_path), limit_train_batches=6)
    trainer.fit(module, loader(images()), loader(images()))
    records = json.loads((tmp_path / "metrics.json").read_text())
    assert [record["kimg"] for record in records] == measured


def test_a_validation_before_fit_does_not_change_training(tmp_path: Path) -> None:
    """It says that the weights are untrained, and the records of the training are not mixed with its own."""
    weights = []
    for validates in (False, True):
        torch.manual_seed(0)
        module, folder = Everything(), tmp_path / str(validates)
        trainer = trainer_of(small(Evaluation), folder=folder, limit_val_batches=5)
        if validates:
            trainer.validate(module, loader(images()), verbose=False)
        trainer.fit(module, loader(images()), loader(images()))
        weights.append(module.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (tmp_path / "True" / "metrics_of_earlier_run_1.json").exists()


def sample_on_two_ranks(module: LightningModule, count: int, seed: int) -> Tensor:
    """Images that are not finite on the second rank alone."""
    made = images(count)
    return made * float("nan") if torch.distributed.get_rank() == 1 else made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_images_that_are_not_finite_on_one_rank_are_an_error_on_both(tmp_path: Path) -> None:
    """Neither waits for the other. The second rank generates the second of three batches."""
    callback = small(SlicedWasserstein, fake_count=24, batch_size=8, sampler=sample_on_two_ranks)
    trainer = trainer_of(callback, folder=tmp_path, strategy="ddp_spawn", devices=2)
    with pytest.raises(Exception, match="8 of 24 generated images of Everything are not finite"):
        trainer.test(Everything(), loader(images()), verbose=False)
    assert not (tmp_path / "metrics.json").exists()
