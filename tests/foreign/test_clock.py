"""The clock counts images over all ranks, in a GAN and in any other module."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_gan.callbacks import R1, LeCam, SampleCount
from lightning_gan.foreign.clock import ImageClock, crosses_multiple, images_of_kimg
from lightning_gan.foreign.host import CLOCK, host_of
from lightning_gan.foreign.structures import structure_text, tensors_of
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
    with pytest.raises(ValueError, match=r"Diary counts images by .*, but the batch is a list without tensors; "):
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
    with pytest.raises(ValueError, match=r"LeCam counts images by .*, but the batch is a list without tensors; "):
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


# ------------------------------------------------------------------ batches that are not counted by their first tensor


class Keyed(ForeignGAN):
    """Reads the images of a mapping, whatever else the mapping contains."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        super().training_step(batch["pixels"], batch_idx)


def batches_with(**others: Any) -> DataLoader[Any]:
    return DataLoader([{**others, "pixels": torch.rand(4, 1, 8, 8)} for _ in range(3)], batch_size=None)


def test_numbers_beside_the_samples_are_not_counted() -> None:
    diary = Diary()
    toy_trainer(diary).fit(Keyed(), batches_with(step=torch.tensor(7.0), label=torch.zeros(4)))
    assert diary.pages == [(0, 4), (4, 8), (8, 12)]


@pytest.mark.parametrize(
    ("others", "listed"),
    [
        (
            {"intrinsics": torch.eye(3)},
            r"a dict of \(intrinsics: 3x3, pixels: 4x1x8x8\); add",
        ),
        (
            {"nested": [torch.zeros(2)]},
            r"a dict of \(nested.0: 2, pixels: 4x1x8x8\); add",
        ),
    ],
)
def test_tensors_that_do_not_agree_are_refused_at_the_first_batch(others: dict[str, Any], listed: str) -> None:
    module = Keyed()
    with pytest.raises(ValueError, match=rf"^Diary counts images .* {listed} the callback SampleCount\(count=\.\.\.\)"):
        toy_trainer(Diary()).fit(module, batches_with(**others))
    assert len(module.seen) == 1


def test_a_batch_of_numbers_only_is_refused() -> None:
    class Number(ForeignGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            """Nothing."""

    loader: DataLoader[Any] = DataLoader([torch.tensor(3.0)], batch_size=None)
    with pytest.raises(ValueError, match=r"the batch is a Tensor of a single number; add the callback SampleCount"):
        toy_trainer(Diary()).fit(Number(), loader)


@dataclass
class Labelled:
    """A batch with names."""

    image: Tensor


class Automatic(LightningModule):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight * batch.mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Saves(ImageClock):
    """Writes the clock of each rank to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (self.folder / f"{trainer.global_rank}").write_text(str(self.images_seen))


def of_rank(batch: Tensor) -> int:
    return 1 + torch.distributed.get_rank()


def count_pixels(batch: dict[str, Tensor]) -> int:
    return len(batch["pixels"])


@pytest.mark.parametrize("position", [0, 1, 2])
def test_all_clocks_of_a_trainer_use_the_same_count_wherever_it_stands(position: int) -> None:
    diaries = [Diary(), Diary()]
    callbacks: list[Callback] = [*diaries]
    callbacks.insert(position, SampleCount(count=count_pixels))
    toy_trainer(*callbacks).fit(Keyed(), batches_with(intrinsics=torch.eye(3)))
    assert [diary.pages for diary in diaries] == [[(0, 4), (4, 8), (8, 12)]] * 2


@pytest.mark.parametrize("result", [2.5, -1, None, torch.tensor(1.5)])
def test_a_count_that_is_no_number_of_samples_is_refused(result: Any) -> None:
    def count(batch: Any) -> Any:
        return result

    with pytest.raises(
        ValueError, match=r"^SampleCount: count returned .* for a dict of .*; it must return the number"
    ):
        toy_trainer(SampleCount(count=count), Diary()).fit(Keyed(), batches_with())


def test_one_count_is_enough_and_a_gan_needs_none() -> None:
    counts = [SampleCount(count=len), SampleCount(count=len)]
    with pytest.raises(ValueError, match="SampleCount: the trainer has several of them"):
        toy_trainer(*counts).fit(ForeignGAN(), batches_with())
    with pytest.raises(ValueError, match=r"SampleCount: GAN is a lightning_gan\.GAN, which counts its images itself"):
        fit(growing_gan(), SampleCount(count=len), images=4)


def test_a_long_batch_is_listed_in_part() -> None:
    assert structure_text([torch.zeros(1)] * 15).endswith("11: 1, 3 more)")
    assert structure_text(Labelled(image=torch.zeros(2, 3))) == "Labelled of (image: 2x3)"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ranks_may_have_different_numbers_of_samples(tmp_path: Path) -> None:
    trainer = toy_trainer(SampleCount(count=of_rank), Saves(tmp_path), strategy="ddp_spawn", devices=2)
    trainer.fit(Automatic(), DataLoader([torch.zeros(1) for _ in range(4)], batch_size=2))
    assert [(tmp_path / f"{rank}").read_text() for rank in range(2)] == ["3", "3"]
