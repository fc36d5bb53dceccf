"""What `Evaluation` measures on demand: distances within classes, memorization, nearest images; and kept features."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks.evaluation.evaluation import Evaluation
from lightning_gan.callbacks.evaluation.nearest_images import nearest_picture, thumbnails
from lightning_gan.callbacks.figures.pictures import GAP, LINE, enlargement
from lightning_gan.callbacks.training.progressive_growing import ProgressiveGrowing
from lightning_gan.data import Digits
from lightning_gan.metrics import class_frechet_distances, memorization
from lightning_gan.models import DCGAN, PGGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.toys import SIZE, toy_gan, toy_images, toy_loader, toy_trainer


class FourMeans(nn.Module):
    """The mean of each quarter of the image; it counts the images that it has seen."""

    images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 2).flatten(1) / 255


class Projected(FourMeans):
    """Random combinations of the four means."""

    def __init__(self, *, seed: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) @ self.weights


class Images(LightningDataModule):
    """Images whose validation data are bytes."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(to_bytes(self.images)), batch_size=7)


def copies(module: Any, count: int, seed: int) -> Tensor:
    """Images of the real data, as a generator makes them that has learned them by heart."""
    return toy_images(33)[torch.arange(count) % 33]


def evaluation(**settings: Any) -> Evaluation:
    small: dict[str, Any] = {"extractor": FourMeans(), "fake_count": 24, "batch_size": 8, "kernel_subsets": 3}
    return Evaluation(**{**small, **settings})


def numbers_of(folder: Path, place: int = -1) -> dict[str, float]:
    numbers: dict[str, float] = json.loads((folder / "metrics.json").read_text())[place]["metrics"]
    return numbers


def measured(callback: Evaluation, folder: Path, *, classes: int = 0, **settings: Any) -> dict[str, float]:
    """The numbers of `test` for an untrained toy."""
    trainer = toy_trainer(callback, default_root_dir=str(folder), **settings)
    trainer.test(toy_gan(number_of_classes=classes), toy_loader(33, batch_size=5, classes=classes), verbose=False)
    return numbers_of(folder)


# ------------------------------------------------------------------ classes


def test_distances_within_classes_are_those_of_labels_and_asked_classes(tmp_path: Path) -> None:
    numbers = measured(evaluation(within_classes=True, seed=2), tmp_path, classes=3)
    module = toy_gan(number_of_classes=3)
    latents, labels = module.draw_latents(24, seed=2)
    assert labels is not None
    fake, real = FourMeans()(to_bytes(module.sample(latents, labels))), FourMeans()(to_bytes(toy_images(33)))
    expected = class_frechet_distances(real, torch.arange(33) % 3, fake, labels)
    assert numbers["class_frechet_distance"] == pytest.approx(expected.mean, rel=1e-6)
    assert numbers["largest_class_frechet_distance"] == pytest.approx(expected.largest, rel=1e-6)
    assert (numbers["class_of_largest"], numbers["classes_compared"]) == (expected.largest_class, 3)


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        (0, {}, r"within_classes=true .* fake_count=24 images of 0 classes are generated; leave it out"),
        (13, {}, r"fake_count=24 images of 13 classes are generated; set fake_count to at least 26"),
        (3, {"sampler": copies}, "within_classes=true is for a GAN with classes, and not for a sampler"),
    ],
)
def test_classes_that_cannot_be_compared_are_refused(
    classes: int, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        measured(evaluation(within_classes=True, **settings), tmp_path, classes=classes)


# ------------------------------------------------------------------ nearest images


def test_the_picture_has_each_generated_image_beside_its_nearest_real_images(tmp_path: Path) -> None:
    module = toy_gan()
    measured(evaluation(nearest_images=2, seed=4), tmp_path)
    (path,) = (tmp_path / "nearest").glob("*.png")
    assert path.name == "kimg_000000.000.png"
    latents, _ = module.draw_latents(24, seed=4)
    fake, real = to_bytes(module.sample(latents))[:2], to_bytes(toy_images(33))
    drawn = nearest_picture(FourMeans()(fake), fake, FourMeans()(real), real)
    assert torch.equal(torch.from_numpy(np.array(Image.open(path))), drawn)


def test_copies_of_real_images_stand_beside_themselves() -> None:
    real = to_bytes(toy_images(12))
    flat = real.flatten(1).float()
    picture = nearest_picture(flat[[3, 8]], real[[3, 8]], flat, real)
    side = SIZE * enlargement(SIZE, SIZE, final_height=SIZE, columns=6)
    generated = picture[-side:, :side]
    assert generated.min() < generated.max()
    second = side + LINE + GAP  # where the second column begins
    assert torch.equal(picture[-side:, second : second + side], generated)
    assert not torch.equal(picture[-side:, -side:], generated)


def test_images_of_the_picture_have_at_most_64_pixels_and_those_of_real_images() -> None:
    images = torch.arange(2 * 3 * 128 * 96).reshape(2, 3, 128, 96).remainder(251).to(torch.uint8)
    small = thumbnails(images, like=(128, 96))
    assert small.shape == (2, 3, 64, 48)
    assert small[1, 2, 5, 7] == images[1, 2, 10:12, 14:16].float().mean().round()
    assert torch.equal(thumbnails(images[..., :64, :64], like=(64, 64)), images[..., :64, :64])
    growing = thumbnails(images[..., :8, :8], like=(32, 32))
    assert growing.shape[-1] == 32 and torch.equal(growing[..., ::4, ::4], images[..., :8, :8])


def test_a_growing_network_is_drawn_at_the_size_of_the_real_images(tmp_path: Path) -> None:
    """It makes 4x4 images at the first measurement, and the real ones have 8x8 pixels."""
    model = PGGAN(image_size=8, image_channels=1, latent_dim=4, channel_base=8, channel_max=8)
    growing = ProgressiveGrowing(start_resolution=4, hold_kimg=0.04, fade_kimg=0.04)
    callback = evaluation(extractor=FourMeans(), nearest_images=2, every_kimg=0.02)
    trainer = toy_trainer(growing, callback, default_root_dir=str(tmp_path), limit_train_batches=6, limit_val_batches=2)
    trainer.fit(model, datamodule=Digits(image_size=8, labels=False, batch_size=20))
    sizes = {np.array(Image.open(path)).shape for path in (tmp_path / "nearest").glob("*.png")}
    assert len(list((tmp_path / "nearest").glob("*.png"))) == 6 and len(sizes) == 1


# ------------------------------------------------------------------ memorization


def test_a_generator_that_copies_is_nearer_to_training_images(tmp_path: Path) -> None:
    held_out = torch.rand(40, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(50)) * 2 - 1
    numbers = measured(evaluation(held_out=Images(held_out), sampler=copies), tmp_path)
    assert numbers["nearer_to_training"] == 1.0
    assert numbers["nearer_to_training_z"] > 2
    assert numbers["held_out_count"] == 33


def test_the_share_is_that_of_the_function(tmp_path: Path) -> None:
    held_out, module = toy_images(90)[57:], toy_gan()
    numbers = measured(evaluation(held_out=Images(held_out), seed=4), tmp_path)
    latents, _ = module.draw_latents(24, seed=4)
    rows = (to_bytes(images) for images in (module.sample(latents), toy_images(33), held_out))
    expected = memorization(*(FourMeans()(images) for images in rows))
    assert numbers["nearer_to_training"] == expected.nearer_to_training
    assert numbers["nearer_to_training_error"] == pytest.approx(expected.standard_error)


@pytest.mark.parametrize("shape", [(4, 3, SIZE, SIZE), (4, 1, 8, 8), (0, 1, SIZE, SIZE)])
def test_held_out_images_of_another_shape_are_refused_before_training(shape: tuple[int, ...], tmp_path: Path) -> None:
    trainer = toy_trainer(evaluation(held_out=Images(torch.zeros(shape))), default_root_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"held_out has (images|no images).*and the real images are \[1, 4, 4\]"):
        trainer.fit(toy_gan(), toy_loader(), toy_loader(33))
    assert trainer.global_step == 0


# ------------------------------------------------------------------ kept features


def measured_digits(folder: Path, *, extractor: nn.Module, image_size: int = 8, **settings: Any) -> Trainer:
    callback = evaluation(extractor=extractor, batch_size=24, cache_reals=True, **settings)
    trainer = toy_trainer(callback, default_root_dir=str(folder), limit_test_batches=4)
    torch.manual_seed(0)
    model = DCGAN(image_size=image_size, image_channels=1, generator_width=4, discriminator_width=4)
    trainer.test(model, datamodule=Digits(image_size=image_size, labels=False, batch_size=20), verbose=False)
    return trainer


def test_a_second_measurement_reads_the_features_and_has_the_same_numbers(tmp_path: Path) -> None:
    first, second, other = FourMeans(), FourMeans(), Projected(seed=3)
    measured_digits(tmp_path / "first", extractor=first)
    measured_digits(tmp_path / "second", extractor=second)
    assert (first.images, second.images) == (2 + 2 + 80 + 24, 2 + 2 + 24)
    assert numbers_of(tmp_path / "first") == numbers_of(tmp_path / "second")
    measured_digits(tmp_path / "third", extractor=other)
    measured_digits(tmp_path / "fourth", extractor=Projected(seed=4))
    assert numbers_of(tmp_path / "third") != numbers_of(tmp_path / "fourth")


def test_other_counts_and_sizes_have_files_of_their_own(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "user_cache" / "lightning_gan" / "reals"
    before = len(list(folder.glob("*.pt")))
    measured_digits(tmp_path / "8", extractor=Projected(seed=9))
    measured_digits(tmp_path / "16", extractor=Projected(seed=9), image_size=16)
    measured_digits(tmp_path / "pictures", extractor=Projected(seed=9), nearest_images=2)
    assert len(list(folder.glob("*.pt"))) - before == 3


def test_a_broken_file_is_made_anew(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "user_cache" / "lightning_gan" / "reals"
    before = set(folder.glob("*.pt"))
    measured_digits(tmp_path / "first", extractor=Projected(seed=11))
    (path,) = set(folder.glob("*.pt")) - before
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="cannot be read .* and is made anew"):
        measured_digits(tmp_path / "second", extractor=Projected(seed=11))
    assert numbers_of(tmp_path / "first") == numbers_of(tmp_path / "second")
    assert len(path.read_bytes()) == len(whole)


def test_a_cache_that_cannot_be_written_is_said_and_the_numbers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    monkeypatch.setattr("lightning_gan.callbacks.evaluation.cached_reals.user_cache", lambda: file)
    with pytest.warns(UserWarning, match="the features of the real images cannot be kept"):
        measured_digits(tmp_path / "run", extractor=Projected(seed=13))
    assert numbers_of(tmp_path / "run")


def test_data_that_are_not_identified_have_no_cache(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs data whose images are known, and there is no data module"):
        measured(evaluation(cache_reals=True), tmp_path)


# ------------------------------------------------------------------ cost, ranks


def test_the_end_of_fit_says_what_measuring_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = toy_trainer(evaluation(every_kimg=0.03), default_root_dir=str(tmp_path))
    trainer.fit(toy_gan(), toy_loader(), toy_loader(33))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "of the time of this fit" in line]
    found = re.fullmatch(r"Evaluation: 3 measurements took (\d+\.\d) s, (\d+\.\d)% of the time of this fit", line)
    assert found is not None and 0 < float(found[2]) < 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_report_what_one_process_reports(tmp_path: Path) -> None:
    def run(folder: str, **settings: Any) -> dict[str, float]:
        held_out = Images(toy_images(90)[57:])
        callback = evaluation(within_classes=True, nearest_images=3, held_out=held_out)
        return measured(callback, tmp_path / folder, classes=3, **settings)

    one, two = run("one"), run("two", strategy="ddp_spawn", devices=2)
    assert one == pytest.approx(two, rel=1e-9)
    pictures = [(tmp_path / folder / "nearest" / "kimg_000000.000.png").read_bytes() for folder in ("one", "two")]
    assert pictures[0] == pictures[1]
