"""Shards of images of 16 bits, of floats and of any number of channels show what the folder shows, bit for bit."""

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from lightning_gan.callbacks import R1
from lightning_gan.data import GANData, ImageFolder, ImageShards, Resize
from lightning_gan.data.preparation import prepare
from lightning_gan.data.stream import Batch
from lightning_gan.models import R3GAN
from lightning_gan.schedules.growth import GrowthSchedule
from tests.data.shard_sets import shards_of, store_of
from tests.data.test_deep_preparation import Range, source_of
from tests.data.test_value_ranges import DEEP, SIZE, noise, npy, png
from tests.toys import toy_trainer

pytest.importorskip("litdata", reason="the extra `streaming` is not installed")

GROWTH = {"start_resolution": 2, "final_resolution": 8, "hold_kimg": 0.008, "fade_kimg": 0.008}


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 4, shape).astype(np.float32)


def packed(path: Path, items: Sequence[Any]) -> Path:
    return shards_of(path, items, bytes_of_shard=3000)


def both(folder: Path, shards: Path | str, *, labels: Path | None = None, **settings: Any) -> list[GANData]:
    """The same images in files and in shards."""
    settings = {"image_size": SIZE, "batch_size": 4, "mirror": True, "number_of_workers": 0, **settings}
    of_shards = ImageShards(address=str(shards), labels_file=None if labels is None else str(labels), **settings)
    return [ImageFolder(path=folder, cache=False, **settings), of_shards]


def first(data: GANData, batches: int = 12) -> list[Batch]:
    return list(islice(data.train_dataloader(), batches))


def assert_same(modules: Sequence[GANData]) -> None:
    """That both give the same batches in training and the same images in order, as floats."""
    files, shards = modules
    streams = [first(data) for data in modules]
    for left, right in zip(*streams, strict=True):
        assert left[0].dtype == torch.float32
        assert torch.equal(left[0], right[0]) and torch.equal(left[1], right[1])
    for left, right in zip(files.val_dataloader(), shards.val_dataloader(), strict=True):
        assert torch.equal(left[0], right[0]) and torch.equal(left[1], right[1])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("images", "channels", "value_range"),
    [
        ([noise(SIZE + seed % 4, 12, seed=seed) for seed in range(9)], 1, DEEP),
        ([floats(12, SIZE + seed % 4, 5, seed=seed) for seed in range(9)], 5, (-4.0, 4.0)),
    ],
    ids=["grey of 16 bits", "five channels of floats"],
)
def test_prepared_shards_grow_and_are_mirrored_as_the_prepared_folder(
    images: list[np.ndarray], channels: int, value_range: Range, workers: int, tmp_path: Path
) -> None:
    source = source_of(tmp_path / "d", images, classes=2)
    settings: dict[str, Any] = {"image_channels": channels, "value_range": value_range}
    for destination in ("made", "made.shards"):
        prepare(str(source), str(tmp_path / destination), image_size=SIZE, **settings)
    shards = tmp_path / "made.shards"
    modules = both(tmp_path / "made", shards, labels=shards / "dataset.json", number_of_workers=workers, **settings)
    assert_same(modules)
    for data in modules:
        data.schedule = GrowthSchedule(**GROWTH)  # type: ignore[arg-type]
    assert_same(modules)
    assert [images.shape[-1] for images, _ in first(modules[1])][::4] == [2, 4, 8]
    told = f"9 images of 8x8x{channels} with values in {list(map(int, value_range))} in made.shards"
    assert modules[1].describe().startswith(f"{told}, 2 classes from dataset.json (class0 5, class1 4)")


@pytest.mark.parametrize("resize", [Resize.center_crop, Resize.squash, Resize.shorter_side])
@pytest.mark.parametrize("more", [{}, {"random_crop_from": 10}, {"image_width": 6}], ids=str)
def test_files_in_shards_are_resized_and_cut_as_in_a_folder(
    more: dict[str, int], resize: Resize, tmp_path: Path
) -> None:
    contents = [png(noise(13, 17)), npy(noise(15, 11, seed=1)), npy(floats(16, 16, seed=2)), png(noise(20, 16, seed=3))]
    (tmp_path / "d").mkdir()
    for number, one in enumerate(contents):
        (tmp_path / "d" / f"{number}.png").write_bytes(one)  # what a file is, its first bytes say
    shards = packed(tmp_path / "shards", contents)
    settings: dict[str, Any] = {"image_channels": 1, "value_range": (-4.0, 65535.0), "resize": resize, **more}
    assert_same(both(tmp_path / "d", shards, **settings))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float16, np.float32, np.float64])
def test_arrays_in_shards_are_those_of_a_folder_with_their_channels_first(kind: Any, tmp_path: Path) -> None:
    images = [(noise(SIZE, 6, 3, seed=seed) // 2).astype(kind) for seed in range(5)]
    folder = source_of(tmp_path / "d", images)
    shards = packed(tmp_path / "shards", [image.transpose(2, 0, 1) for image in images])
    assert_same(both(folder, shards, image_width=6, value_range=(0.0, 40000.0)))


def test_arrays_of_bytes_may_have_any_number_of_channels(tmp_path: Path) -> None:
    images = [noise(SIZE, SIZE, 5, seed=seed).astype(np.uint8) for seed in range(3)]
    forms: list[list[Any]] = [[npy(image) for image in images], [image.transpose(2, 0, 1) for image in images]]
    for number, items in enumerate(forms):
        shards = packed(tmp_path / str(number), items)
        data = ImageShards(address=str(shards), image_size=SIZE, image_channels=5, number_of_workers=0)
        found = data.source.read(torch.arange(3), resolution=SIZE)
        assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), np.stack(images))


def test_a_store_gives_the_same_values(tmp_path: Path) -> None:
    images = [noise(SIZE, SIZE, 2, seed=seed) for seed in range(7)]
    folder = source_of(tmp_path / "d", images)
    packed(tmp_path / "shards", [npy(image) for image in images])
    with store_of(tmp_path):
        assert_same(both(folder, "s3://bucket/shards", image_channels=2, value_range=DEEP))


# ---------------------------------------------------------------------- refusals


def with_value(value: float) -> np.ndarray:
    values = np.full((SIZE, SIZE), 50.0)
    values[1, 2] = value
    return values


REFUSED: dict[str, tuple[bytes, int, Range | None]] = {
    "8 bits with a range of 16": (png(noise(SIZE, SIZE).astype(np.uint8)), 1, DEEP),
    "bytes with a range of 16": (npy(noise(SIZE, SIZE).astype(np.uint8)), 1, DEEP),
    "16 bits without a range": (png(noise(SIZE, SIZE)), 1, None),
    "an array of 16 bits without a range": (npy(noise(SIZE, SIZE)), 1, None),
    "floats without a range": (npy(floats(SIZE, SIZE)), 1, None),
    "not a number": (npy(with_value(float("nan"))), 1, (0.0, 100.0)),
    "infinite": (npy(with_value(float("inf"))), 1, (0.0, 100.0)),
    "outside": (npy(with_value(101)), 1, (0.0, 100.0)),
    "other channels": (npy(noise(SIZE, SIZE, 5)), 3, DEEP),
    "channels first": (npy(noise(5, SIZE, SIZE)), 5, DEEP),
    "two channels of an image file": (png(noise(SIZE, SIZE).astype(np.uint8)), 2, None),
    "another size": (npy(noise(SIZE, 9)), 1, DEEP),
    "complex": (npy(np.full((SIZE, SIZE), 1j)), 1, DEEP),
    "objects": (npy(np.array([[{}]])), 1, DEEP),
    "half a file": (npy(noise(SIZE, SIZE))[:-9], 1, DEEP),
}


@pytest.mark.parametrize("case", REFUSED)
def test_shards_refuse_what_the_folder_refuses_in_the_same_words(case: str, tmp_path: Path) -> None:
    contents, channels, value_range = REFUSED[case]
    (tmp_path / "d").mkdir()
    ending = "png" if contents.startswith(b"\x89PNG") else "npy"
    (tmp_path / "d" / f"0.{ending}").write_bytes(contents)
    packed(tmp_path / "shards", [{"name": f"0.{ending}".encode(), "image": contents}])
    settings: dict[str, Any] = {"image_size": SIZE, "image_channels": channels, "value_range": value_range}
    reasons = []
    for make, place in ((ImageFolder, {"path": tmp_path / "d"}), (ImageShards, {"address": str(tmp_path / "shards")})):
        with pytest.raises(ValueError) as caught:
            make(**place, **settings).setup("fit")
        reasons.append(str(caught.value))
    assert "\n" not in reasons[1]
    found = re.fullmatch(rf".*shards: 0\.{ending}: (.*); write the shards without it", reasons[1])
    assert found is not None and found[1] in reasons[0], reasons


@pytest.mark.parametrize(
    ("array", "value_range", "reason"),
    [
        (floats(1, SIZE, SIZE), None, r"image 0: it has float32 values from -.* to 3\.\d*; write it as uint8, or give"),
        (noise(1, SIZE, SIZE), (0.0, 100.0), r"image 0: its value \d+ is outside of value_range \[0, 100\]"),
        (with_value(float("nan"))[None], (0.0, 100.0), "image 0: its value nan is not finite"),
        (
            noise(1, SIZE, SIZE).astype(np.uint8),
            DEEP,
            r"image 0: it has 8 bits per channel, and value_range \[0, 65535\]",
        ),
        (noise(SIZE, SIZE, 1), DEEP, r"it is uint16 \[8, 8, 1\] and not numbers \[1, 8, 8\]; change image_size or"),
        (floats(1, SIZE, SIZE) * 1j, DEEP, r"it is complex64 \[1, 8, 8\] and not numbers \[1, 8, 8\]"),
    ],
)
def test_arrays_are_refused_before_training(
    array: np.ndarray, value_range: Range | None, reason: str, tmp_path: Path
) -> None:
    shards = packed(tmp_path / "shards", [array])
    data = ImageShards(address=str(shards), image_size=SIZE, image_channels=1, value_range=value_range)
    with pytest.raises(ValueError, match=reason) as caught:
        data.setup("fit")
    assert "\n" not in str(caught.value)


def test_settings_that_contradict_a_range_are_refused() -> None:
    settings: dict[str, Any] = {"address": "none.shards", "image_size": SIZE}
    with pytest.raises(ValueError, match=r"value_range=\[1, 0\] must be two finite numbers"):
        ImageShards(**settings, value_range=(1.0, 0.0))
    with pytest.raises(ValueError, match=r"dequantization_noise=0.01 .* value_range=\[0.0, 65535.0\] are floats"):
        ImageShards(**settings, value_range=DEEP, dequantization_noise=0.01)


# ---------------------------------------------------------------------- training


def data_of(tmp_path: Path, value_range: Range = DEEP) -> ImageShards:
    path = tmp_path / "shards"
    if not path.exists():
        packed(path, [npy(noise(SIZE, SIZE, 2, seed=seed)) for seed in range(6)])
    return ImageShards(
        address=str(path),
        image_size=SIZE,
        image_channels=2,
        value_range=value_range,
        batch_size=4,
        number_of_workers=0,
        mirror=True,
    )


def test_a_run_that_was_cut_goes_on_bit_for_bit_and_with_its_range_alone(tmp_path: Path) -> None:
    def fit(steps: int, resumed: Path | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = R3GAN(image_size=SIZE, image_channels=2, widest=8, group_width=4, latent_dim=4)
        trainer = toy_trainer(R1(gamma=1.0), max_epochs=-1, max_steps=2 * steps)
        trainer.fit(model, data_of(tmp_path), ckpt_path=resumed, weights_only=None if resumed is None else True)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return model.state_dict()

    whole = fit(4)
    fit(2)
    again = fit(4, tmp_path / "2.ckpt")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    state = torch.load(tmp_path / "2.ckpt", weights_only=True)["ImageShards"]
    assert state["value_range"] == [0.0, 65535.0]
    other = data_of(tmp_path, (0.0, 70000.0))
    other.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    with pytest.raises(ValueError, match=r"trained with value_range=\[0, 65535\] and the data now has \[0, 70000\]"):
        other.load_state_dict(state)
