"""Under a real trainer: a resumed fit goes on with the next image, and a pass shows every image once."""

import traceback
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn

from lightning_gan.data import GANData, ImageSource, MemoryImages, Pass, stream
from lightning_gan.data.images import factor_between
from lightning_gan.data.stream import Batch
from lightning_gan.schedules.growth import GrowthSchedule

LENGTH = 10

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning cannot know that the position is the data module's.
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    # Lightning 2.6 with torch >= 2.10.
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
]


def numbered(length: int = LENGTH) -> MemoryImages:
    """Images whose every pixel is their number."""
    images = torch.arange(length, dtype=torch.uint8)[:, None, None, None].expand(length, 1, 8, 8)
    return MemoryImages(images=images, labels=torch.arange(length) % 3)


class Numbers(GANData):
    """The numbered images."""

    def __init__(self, *, length: int = LENGTH, batch_size: int = 4, number_of_workers: int | None = 0) -> None:
        super().__init__(
            image_size=8,
            image_channels=1,
            number_of_classes=3,
            batch_size=batch_size,
            seed=3,
            mirror=False,
            number_of_workers=number_of_workers,
        )
        self.length = length

    def open_source(self) -> ImageSource:
        return numbered(self.length)


class Diary(LightningModule):
    """Writes down what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.shown: list[list[int]] = []
        self.sizes: list[int] = []
        self.validated: list[int] = []

    def training_step(self, batch: Batch) -> Tensor:
        images, _ = batch
        self.shown.append(images[:, 0, 0, 0].tolist())
        self.sizes.append(images.shape[-1])
        return self.layer(images[:, 0, :1, 0].float()).square().mean()

    def validation_step(self, batch: Batch) -> None:
        self.validated += batch[0][:, 0, 0, 0].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


class SaveAfter(Callback):
    """Saves in the hook where Lightning's counters disagree the most."""

    def __init__(self, batches: int, path: Path) -> None:
        self.batches = batches
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        if trainer.global_step == self.batches:
            trainer.save_checkpoint(self.path)


class EagerDiary(Diary):
    """Makes Lightning iterate the loader before it has restored its counters."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        assert self.trainer.estimated_stepping_batches == 12
        return super().configure_optimizers()


def fit(
    data: GANData,
    *,
    steps: int,
    resume: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    diary: type[Diary] = Diary,
    **trainer: Any,
) -> Diary:
    module = diary()
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    limits = {"max_epochs": -1, "max_steps": steps, "limit_val_batches": 0, **trainer}
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    lightning = Trainer(
        accelerator="cpu", devices=1, callbacks=list(callbacks), enable_checkpointing=saves, **quiet, **limits
    )
    lightning.fit(module, data, ckpt_path=resume, weights_only=True if resume is not None else None)
    return module


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epoch_batches", [None, 4])
@pytest.mark.parametrize("cut", [3, 4, 5, 8])
def test_a_resumed_fit_goes_on_with_the_next_image(
    tmp_path: Path, cut: int, epoch_batches: int | None, workers: int
) -> None:
    limits = {} if epoch_batches is None else {"limit_train_batches": epoch_batches}
    uninterrupted = fit(Numbers(), steps=12, **limits).shown
    by_hand = SaveAfter(cut, tmp_path / "hand.ckpt")
    by_lightning = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=cut, save_top_k=-1)
    fit(Numbers(number_of_workers=workers), steps=cut + 1, callbacks=(by_hand, by_lightning), **limits)
    for checkpoint in ("hand.ckpt", f"step={cut}.ckpt"):
        resumed = fit(Numbers(number_of_workers=workers), steps=12, resume=tmp_path / checkpoint, **limits).shown
        assert resumed == uninterrupted[cut:]
    by_default = fit(Numbers(number_of_workers=None), steps=12, resume=tmp_path / "hand.ckpt", **limits).shown
    assert by_default == uninterrupted[cut:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_is_iterated_before_the_counters_are_restored_goes_on_right(tmp_path: Path, workers: int) -> None:
    limits = {"limit_train_batches": 20}
    uninterrupted = fit(Numbers(), steps=12, **limits).shown
    fit(Numbers(), steps=5, callbacks=(SaveAfter(5, tmp_path / "a.ckpt"),), **limits)
    data = Numbers(number_of_workers=workers)
    resumed = fit(data, steps=12, resume=tmp_path / "a.ckpt", diary=EagerDiary, **limits)
    assert resumed.shown == uninterrupted[5:]
    assert data.position == 12 * 4


def test_epochs_of_lightning_do_not_start_the_stream_anew() -> None:
    assert fit(Numbers(), steps=10, limit_train_batches=3).shown == fit(Numbers(), steps=10).shown


def test_a_second_training_with_the_same_data_begins_at_the_beginning() -> None:
    data = Numbers()
    assert fit(data, steps=5).shown == fit(data, steps=5).shown


def test_a_resume_reproduces_growing_batches(tmp_path: Path) -> None:
    def growing() -> Numbers:
        data = Numbers()
        data.schedule = GrowthSchedule(
            final_resolution=8, start_resolution=2, hold_kimg=0.012, fade_kimg=0.0, batch_sizes={2: 6, 4: 4, 8: 2}
        )
        return data

    uninterrupted = fit(growing(), steps=9)
    assert uninterrupted.sizes == [2, 2, 4, 4, 4, 8, 8, 8, 8]
    for cut in (2, 4):
        fit(growing(), steps=cut, callbacks=(SaveAfter(cut, tmp_path / f"{cut}.ckpt"),))
        resumed = fit(growing(), steps=9, resume=tmp_path / f"{cut}.ckpt")
        assert (resumed.shown, resumed.sizes) == (uninterrupted.shown[cut:], uninterrupted.sizes[cut:])


def test_another_batch_size_goes_on_at_the_same_image(tmp_path: Path) -> None:
    uninterrupted = [*chain(*fit(Numbers(), steps=9).shown)]
    fit(Numbers(), steps=3, callbacks=(SaveAfter(3, tmp_path / "a.ckpt"),))
    # Cut again, so that the second position is counted from the first and not from the beginning.
    again = (SaveAfter(5, tmp_path / "b.ckpt"),)
    first = fit(Numbers(batch_size=2), steps=5, resume=tmp_path / "a.ckpt", callbacks=again).shown
    second = fit(Numbers(batch_size=6), steps=8, resume=tmp_path / "b.ckpt").shown
    assert [*chain(*first), *chain(*second)] == uninterrupted[12:34]


def test_the_saved_state_is_the_position_and_what_identifies_the_images() -> None:
    data = Numbers()
    fit(data, steps=5)
    state = data.state_dict()
    assert (state["batches"], state["position"], state["length"]) == (5, 20, 10)
    assert state["classes"] == [] and sorted(state["fingerprints"]) == ["labels", "pixels"]
    assert data.state_dict() == state == {**Numbers().state_dict(), "batches": 5, "position": 20}


def test_a_saved_position_holds_without_a_trainer() -> None:
    data = Numbers()
    data.load_state_dict({"batches": 5, "position": 20, "length": 10})
    loader = iter(data.train_dataloader())
    assert [next(loader)[0][:, 0, 0, 0].tolist() for _ in range(3)] == fit(Numbers(), steps=8).shown[5:]


def test_a_checkpoint_of_another_data_set_is_refused(tmp_path: Path) -> None:
    fit(Numbers(), steps=2, callbacks=(SaveAfter(2, tmp_path / "a.ckpt"),))
    with pytest.raises(ValueError, match="trained on 10 images and the data now has 11"):
        fit(Numbers(length=11), steps=4, resume=tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprints": {"pixels": "0"}}, "as many images, but the pixels of the data differ from then"),
        ({"fingerprints": {"pixels": "0", "labels": "1"}}, "but the pixels and the labels of the data differ"),
        ({"classes": ["cat", "dog"]}, r"trained on 2 classes \(cat, dog\), and those of the data lack cat, dog; give"),
    ],
)
def test_a_checkpoint_of_as_many_other_images_is_refused(change: dict[str, Any], message: str) -> None:
    data = Numbers()
    with pytest.raises(ValueError, match=message):
        data.load_state_dict({**data.state_dict(), **change})


def test_what_a_checkpoint_does_not_know_is_not_compared() -> None:
    data = Numbers()
    state = data.state_dict()
    data.load_state_dict({**state, "fingerprints": {"pixels": state["fingerprints"]["pixels"], "other": "1"}})
    data.load_state_dict({"batches": 5, "position": 20, "length": 10})  # of an earlier version
    assert data.position == 20


def test_what_the_data_became_is_said_once_before_training(caplog: pytest.LogCaptureFixture) -> None:
    data = Numbers()
    with caplog.at_level("INFO"):
        fit(data, steps=2)
        fit(data, steps=2)
    told = [message for message in caplog.messages if message.startswith("data:")]
    assert told == ["data: 10 images of 8x8x1 in Numbers, 3 classes (0 4, 1 3, 2 3)"]


class BrokenAt(ImageSource):
    """Images of which one cannot be read."""

    def __init__(self, number: int, error: type[Exception]) -> None:
        self.number, self.error = number, error

    def __len__(self) -> int:
        return LENGTH

    @property
    def labels(self) -> None:
        return None

    @property
    def number_of_classes(self) -> int:
        return 0

    def read(self, indices: Tensor, *, resolution: int) -> Tensor:
        if self.error is ValueError and self.number in indices.tolist():
            factor_between(3, 2)  # an error that this package raises
        if self.number in indices.tolist():
            raise self.error("a mistake in a program")
        return torch.zeros(len(indices), 1, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_process_that_reads_ahead_arrives_as_it_was(workers: int) -> None:
    data = Numbers(number_of_workers=workers)
    data._source = BrokenAt(7, ValueError)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        with pytest.raises(ValueError, match=r"^cannot read 3x3 images at resolution 2; .*$") as caught:
            list(islice(loader, 20))
        assert Path(traceback.extract_tb(caught.value.__traceback__)[-1].filename).parent.name == "data"


def test_a_mistake_in_a_process_that_reads_ahead_keeps_its_traceback() -> None:
    data = Numbers(number_of_workers=1)
    data._source = BrokenAt(7, TypeError)
    with pytest.raises(TypeError, match="Original Traceback"):
        list(islice(data.train_dataloader(), 20))


def test_a_process_that_was_killed_is_told_in_one_line() -> None:
    def batches() -> Iterator[Any]:
        yield "batch"
        raise RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. \nmore")

    with pytest.raises(ValueError, match=r"ahead was ended \(DataLoader worker .*Killed\. \); lower number_of_workers"):
        list(stream._without_refusals(batches()))


def test_a_checkpoint_can_be_evaluated_on_another_data_set(tmp_path: Path) -> None:
    fit(Numbers(), steps=2, callbacks=(SaveAfter(2, tmp_path / "a.ckpt"),))
    diary = Diary()
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.validate(diary, Numbers(length=11), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert diary.validated == list(range(11))


def test_validation_shows_every_image_once_and_in_order() -> None:
    for workers in (0, 2):
        loader = Numbers(number_of_workers=workers).val_dataloader()
        assert torch.cat([images for images, _ in loader])[:, 0, 0, 0].tolist() == list(range(10))
        assert torch.cat([labels for _, labels in loader]).tolist() == [number % 3 for number in range(10)]


def test_validation_within_an_endless_epoch() -> None:
    limits = {"limit_val_batches": 1.0, "val_check_interval": 2, "check_val_every_n_epoch": None}
    assert fit(Numbers(), steps=4, num_sanity_val_steps=0, **limits).validated == [*range(10), *range(10)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_ranks_share_a_pass_without_duplicates_in_equally_many_batches(world_size: int) -> None:
    passes = [
        Pass(source=numbered(), resolution=8, labels=True, batch_size=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shown = [image for one in passes for batch in range(len(one)) for image in one[batch][0][:, 0, 0, 0].tolist()]
    assert shown == list(range(10))
    assert len({len(one) for one in passes}) == 1
    assert all(1 <= len(one[batch][0]) <= 2 for one in passes for batch in range(len(one)))


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size=0"):
        Numbers(batch_size=0)
    with pytest.raises(ValueError, match="number_of_workers=-1"):
        Numbers(number_of_workers=-1)


class DiaryOnDisk(Diary):
    """One file per process, because processes cannot share a list."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_end(self) -> None:
        torch.save({"shown": self.shown, "validated": self.validated}, self.folder / f"{self.global_rank}.pt")


def fit_two(folder: Path, *, steps: int, resume: Path | None = None, save: Path | None = None) -> list[dict[str, Any]]:
    folder.mkdir()
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_spawn",
        max_epochs=-1,
        max_steps=steps,
        val_check_interval=steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[] if save is None else [SaveAfter(steps, save)],
    )
    trainer.fit(DiaryOnDisk(folder), Numbers(), ckpt_path=resume)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_training_moves_between_one_and_two_processes_without_losing_its_place(tmp_path: Path) -> None:
    uninterrupted = fit(Numbers(), steps=9).shown
    ranks = fit_two(tmp_path / "two", steps=5, save=tmp_path / "two.ckpt")
    together = [left + right for left, right in zip(ranks[0]["shown"], ranks[1]["shown"], strict=True)]
    assert together == uninterrupted[:5]
    assert sorted(ranks[0]["validated"] + ranks[1]["validated"]) == list(range(10))
    assert fit(Numbers(), steps=9, resume=tmp_path / "two.ckpt").shown == uninterrupted[5:]
    fit(Numbers(), steps=3, callbacks=(SaveAfter(3, tmp_path / "one.ckpt"),))
    ranks = fit_two(tmp_path / "again", steps=9, resume=tmp_path / "one.ckpt")
    together = [left + right for left, right in zip(ranks[0]["shown"], ranks[1]["shown"], strict=True)]
    assert together == uninterrupted[3:]
