"""The clock counts images over all ranks, in a GAN and in any other module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_gan.callbacks import R1, LeCam
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import CLOCK, host_of
from lightning_gan.foreign.observer import tensors_of
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData, fit, growing_gan
from tests.foreign.detaching import DetachingGAN
from tests.toys import toy_trainer

NETWORKS = {"discriminator": "netD", "generator": "netG"}


class Diary(ImageClock):
    """Writes the clock down after every batch."""

    def __init__(self) -> None:
        self.pages: list[tuple[int, int]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self.pages.append((self.images_before, self.images_seen))


def test_a_multiple_is_crossed_by_the_batch_that_reaches_it() -> None:
    crossed = [seen for seen in range(0, 40, 4) if crosses_multiple(seen, seen + 4, every_images=8)]
    assert crossed == [4, 12, 20, 28, 36]
    assert crosses_multiple(0, 100, every_images=8)
    assert not crosses_multiple(8, 15, every_images=8)


def test_an_interval_of_no_image_is_refused_by_name() -> None:
    assert images_of_kimg("every_kimg", 0.001) == 1
    with pytest.raises(ValueError, match=r"every_kimg=0\.0 is less than one image"):
        images_of_kimg("every_kimg", 0.0)


def test_tensors_are_found_in_order_in_nested_batches() -> None:
    first, second, third = torch.zeros(1), torch.ones(2), torch.ones(3)
    batch = ["name", {"a": (first, 3), "b": [second]}, third]
    assert [len(tensor) for tensor in tensors_of(batch)] == [1, 2, 3]


def test_the_clock_of_a_gan_is_its_own() -> None:
    diary = Diary()
    module = growing_gan()
    fit(module, diary, images=12)
    assert diary.pages == [(0, 4), (4, 8), (8, 12)] and module.images_seen == 12
    assert diary.state_dict() == {}


def test_a_foreign_module_is_counted_by_its_batches_and_goes_on_after_a_resume(tmp_path: Path) -> None:
    """Two optimizers step per batch: Lightning's global step would count twice."""
    fit(ForeignGAN(), Diary(), images=8, save=tmp_path / "cut.ckpt")
    diary = Diary()
    trainer = fit(ForeignGAN(), diary, images=16, resume=tmp_path / "cut.ckpt")
    assert diary.pages == [(8, 12), (12, 16)] and trainer.global_step == 8


def test_batches_of_other_sizes_count_what_they_hold() -> None:
    diary = Diary()
    loader: DataLoader[Any] = DataLoader([torch.zeros(1, 8, 8) for _ in range(10)], batch_size=4)
    toy_trainer(diary).fit(ForeignGAN(), loader)
    assert diary.pages == [(0, 4), (4, 8), (8, 10)]


def test_a_batch_without_tensors_is_refused() -> None:
    class Wordy(ForeignGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            """Nothing."""

    def words(batch: list[Tensor]) -> list[str]:
        return ["words"]

    loader: DataLoader[Any] = DataLoader([torch.zeros(1)], collate_fn=words)
    with pytest.raises(ValueError, match="Diary counts images by the first tensor of a batch, but the batch, a list"):
        toy_trainer(Diary()).fit(Wordy(), loader)


def test_a_penalty_needs_no_clock_where_batches_do_not_tell_how_many_images_they_hold() -> None:
    """A module that gets indices and takes its images from elsewhere: R1 works, and LeCam, which asks, says why not."""

    class Indexed(DetachingGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            super().training_step([pixels(batch)], batch_idx)

    def pixels(batch: list[int]) -> Tensor:
        return torch.stack([torch.full((1, 4, 4), index / 10) for index in batch])

    def indices(batch: list[Tensor]) -> list[int]:
        return [int(index) for index in batch]

    loader: DataLoader[Any] = DataLoader([torch.tensor(index) for index in range(8)], batch_size=4, collate_fn=indices)
    penalty = R1(gamma=1.0, real=pixels, **NETWORKS)
    toy_trainer(penalty).fit(Indexed(), loader)
    assert penalty.state_dict() == {"turns_seen": 2}
    with pytest.raises(ValueError, match="LeCam counts images by the first tensor of a batch, but the batch, a list"):
        toy_trainer(LeCam(real=pixels, **NETWORKS)).fit(Indexed(), loader)


@pytest.mark.parametrize(("module", "networks"), [(growing_gan, {}), (ForeignGAN, NETWORKS)])
def test_a_penalty_knows_the_images_seen(module: Callable[[], LightningModule], networks: dict[str, str]) -> None:
    class Timed(R1):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
            pages.append(self.images_seen)

    pages: list[int] = []
    penalty = Timed(gamma=1.0, **networks)
    fit(module(), penalty, images=12)
    assert pages == [0, 4, 8] and penalty.images_seen == 12
    assert penalty.state_dict() == {"turns_seen": 3}


def test_a_callback_that_joins_a_resumed_run_reads_its_clock(tmp_path: Path) -> None:
    fit(ForeignGAN(), images=8, save=tmp_path / "cut.ckpt")
    assert torch.load(tmp_path / "cut.ckpt", weights_only=True)[CLOCK] == 8
    diary = Diary()
    fit(ForeignGAN(), diary, images=12, resume=tmp_path / "cut.ckpt")
    assert diary.pages == [(8, 12)]


def test_a_checkpoint_that_is_saved_in_the_middle_of_a_hook_holds_the_batch_that_is_done() -> None:
    host, checkpoint = host_of(ForeignGAN()), dict[str, Any]()
    for images_seen in (8, 12, 8):
        host.save_clock(images_seen, checkpoint)
    assert host.saved_clock(checkpoint) == 12


def test_the_clock_of_a_gan_is_no_part_of_checkpoints_but_for_its_own_state(tmp_path: Path) -> None:
    fit(growing_gan(), Diary(), images=8, save=tmp_path / "cut.ckpt")
    assert CLOCK not in torch.load(tmp_path / "cut.ckpt", weights_only=True)


def test_a_wrong_network_name_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match=r"EMA.*: ForeignGAN has no network 'generator'; its networks are netG, netD"):
        host_of(ForeignGAN()).network("generator", setting="EMA(generator=...)")


def test_the_clock_leaves_training_as_it_is() -> None:
    alone, watched = growing_gan(), growing_gan()
    fit(alone, images=12)
    fit(watched, Diary(), images=12, data=ToyData())
    torch.testing.assert_close(dict(alone.state_dict()), dict(watched.state_dict()), rtol=0, atol=0)
