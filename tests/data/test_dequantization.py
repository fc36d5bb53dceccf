"""Dequantization noise: its distribution, that it is added on the device to training images alone, resume and ranks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.data.dequantization import dequantized
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from tests.toys import equal, toy_gan, toy_trainer, weights_of

WIDTH = 1 / 128

pytestmark = [
    # Lightning cannot know that the position is the data module's.
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
]


class Grey(GANData):
    """Twelve images whose every pixel is ten times their number."""

    def __init__(self, *, dequantization_noise: float = WIDTH, batch_size: int = 4) -> None:
        super().__init__(
            image_size=4,
            image_channels=1,
            number_of_classes=0,
            batch_size=batch_size,
            seed=3,
            mirror=False,
            number_of_workers=0,
            dequantization_noise=dequantization_noise,
        )

    def open_source(self) -> ImageSource:
        numbers = torch.arange(12, dtype=torch.uint8)[:, None, None, None]
        return MemoryImages(images=(10 * numbers).expand(12, 1, 4, 4), labels=None)


class Cropped(GANData):
    """Noisy 4x4 crops of 8x8 images that differ in every pixel."""

    def __init__(self) -> None:
        super().__init__(
            image_size=4,
            image_channels=1,
            number_of_classes=0,
            batch_size=4,
            seed=3,
            mirror=True,
            number_of_workers=0,
            random_crop_from=8,
            dequantization_noise=WIDTH,
        )

    def open_source(self) -> ImageSource:
        pixels = torch.arange(3 * self.size_to_read**2, dtype=torch.uint8)
        return MemoryImages(images=pixels.reshape(3, 1, self.size_to_read, self.size_to_read), labels=None)


class Diary(LightningModule):
    """Keeps the images that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.trained: list[Tensor] = []
        self.validated: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.trained.append(batch[0])
        return self.weight

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated.append(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(data: GANData, *, batches: int, checkpoint: Path | None = None, **settings: Any) -> Diary:
    diary = Diary()
    limits = {"max_epochs": -1, "max_steps": batches, "limit_val_batches": 0, **settings}
    toy_trainer(**limits).fit(diary, data, ckpt_path=checkpoint, weights_only=False)
    return diary


def images(batches: int, *, width: float = WIDTH) -> Tensor:
    return torch.cat(trained(Grey(dequantization_noise=width), batches=batches).trained)


def rows(start: int, stop: int, *, position: int = 0, levels: int = 0) -> Tensor:
    """Part of a global batch of 64 grey images with noise."""
    grey = torch.full((64, 3, 8, 8), levels, dtype=torch.uint8)[start:stop]
    return dequantized(grey, width=WIDTH, position=position, batch_size=64, share=slice(start, stop), seed=0)


def test_noise_is_uniform_between_zero_and_its_width() -> None:
    noise = (rows(0, 64, levels=255) - 1).flatten() / WIDTH
    assert 0 <= noise.min() < 0.001 and 0.999 < noise.max() < 1
    assert abs(noise.mean() - 0.5) < 0.01 and abs(noise.var() - 1 / 12) < 0.002
    assert abs(noise.sort().values - torch.linspace(0, 1, len(noise))).max() < 0.02  # Kolmogorov and Smirnov


def test_noise_does_not_depend_on_the_image() -> None:
    torch.testing.assert_close(
        rows(0, 64, levels=200) - from_bytes(torch.full((64, 3, 8, 8), 200).byte()), rows(0, 64) + 1
    )


def test_ranks_together_draw_as_one_process() -> None:
    assert torch.equal(torch.cat([rows(0, 16), rows(16, 64)]), rows(0, 64))


def test_positions_have_noise_of_their_own() -> None:
    assert not torch.equal(rows(0, 64), rows(0, 64, position=64))


def test_training_images_are_floats_with_noise_and_bytes_without() -> None:
    noisy, plain = images(5), images(5, width=0.0)
    assert plain.dtype == torch.uint8 and noisy.dtype == torch.float32
    noise = noisy - from_bytes(plain)
    assert noise.min() >= 0 and noise.max() < WIDTH + 1e-6 and noise.max() - noise.min() > 0.9 * WIDTH
    assert len(noise.unique()) > 0.9 * noise.numel()


def test_the_noise_is_lost_again_in_bytes() -> None:
    difference = to_bytes(images(5)).int() - images(5, width=0.0).int()
    assert set(difference.unique().tolist()) <= {0, 1}


def test_images_of_a_validation_have_no_noise() -> None:
    diary = trained(Grey(), batches=3, limit_val_batches=2, num_sanity_val_steps=1, val_check_interval=2)
    assert diary.validated and all(batch.dtype == torch.uint8 for batch in diary.validated)
    assert all(batch.dtype == torch.float32 for batch in diary.trained)


def test_a_resumed_fit_has_the_same_noise(tmp_path: Path) -> None:
    whole = trained(Grey(), batches=7).trained
    trainer = toy_trainer(max_epochs=-1, max_steps=4, limit_val_batches=0)
    trainer.fit(Diary(), Grey())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    rest = trained(Grey(), batches=7, checkpoint=tmp_path / "last.ckpt").trained
    assert len(rest) == 3 and all(map(torch.equal, rest, whole[4:]))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gan_trains_on_it(precision: str) -> None:
    gan = toy_gan()
    before = weights_of(gan)
    toy_trainer(max_steps=2, limit_val_batches=0, precision=precision).fit(gan, Grey())
    assert not equal(weights_of(gan), before)


def test_images_get_the_dtype_of_half_precision_weights() -> None:
    diary = trained(Grey(), batches=2, precision="bf16-true")
    assert {batch.dtype for batch in diary.trained} == {torch.bfloat16}


@pytest.mark.filterwarnings("ignore:You have overridden `on_after_batch_transfer` in `LightningModule`")
def test_without_noise_the_modules_own_hook_is_called() -> None:
    class Halving(Diary):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return (batch[0] // 2, batch[1])

    diary = Halving()
    toy_trainer(max_steps=3, limit_val_batches=0).fit(diary, Grey(dequantization_noise=0.0))
    assert max(int(batch.max()) for batch in diary.trained) <= 55


class DiaryOnDisk(Diary):
    """One file per process, because processes cannot share a list."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_end(self) -> None:
        torch.save(torch.stack(self.trained), self.folder / f"{self.global_rank}.pt")


@pytest.mark.slow
def test_two_processes_crop_and_draw_as_one(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    toy_trainer(devices=2, strategy="ddp_spawn", max_epochs=-1, max_steps=5, limit_val_batches=0).fit(
        DiaryOnDisk(tmp_path / "two"), Cropped()
    )
    ranks = [torch.load(tmp_path / "two" / f"{rank}.pt") for rank in range(2)]
    assert torch.equal(torch.cat(ranks, dim=1), torch.stack(trained(Cropped(), batches=5).trained))


@pytest.mark.parametrize("width", [-0.1, 1.0])
def test_a_width_out_of_range_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=f"dequantization_noise={width} must be at least 0 and below 1"):
        Grey(dequantization_noise=width)
