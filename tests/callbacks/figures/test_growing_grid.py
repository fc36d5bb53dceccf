"""The growing grid: a row for every resolution, of the same latents, also across a resume and in a test."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_gan.callbacks import EMA, ProgressiveGrowing
from lightning_gan.callbacks.figures.growing_grid import GrowingGrid
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.tensors.image_bytes import to_bytes
from tests.callbacks.training.growing_toys import ToyData, fit, growing_gan
from tests.toys import toy_gan, toy_loader, toy_trainer


def grid(folder: Path, **settings: Any) -> GrowingGrid:
    return GrowingGrid(**{"columns": 3, "directory": str(folder), **settings})


def growing() -> ProgressiveGrowing:
    return ProgressiveGrowing(hold_kimg=0.012, fade_kimg=0.004)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "growing").iterdir())


def pixels(folder: Path, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(folder / "growing" / name))


def test_every_resolution_ends_with_a_new_row_of_the_same_latents(tmp_path: Path) -> None:
    early = growing_gan()
    fit(early, growing(), images=12)
    assert early.resolution == 4
    latents, _ = early.draw_latents(3, seed=0)
    small = to_bytes(early.sample(latents))

    late, figure = growing_gan(), grid(tmp_path)
    fit(late, growing(), figure, images=20)
    large = to_bytes(late.sample(latents))
    assert names(tmp_path) == ["kimg_000000.012.png", "kimg_000000.020.png"]
    one = Table(rows=[small], row_labels=["4 x 4"]).drawn()
    both = Table(rows=[small, large], row_labels=["4 x 4", "8 x 8"]).drawn()
    assert np.array_equal(pixels(tmp_path, "kimg_000000.012.png"), one.numpy())
    assert np.array_equal(pixels(tmp_path, "kimg_000000.020.png"), both.numpy())


def test_a_row_in_the_making_is_replaced_and_one_that_is_done_stays(tmp_path: Path) -> None:
    figure = grid(tmp_path, every_kimg=0.004)
    seen: list[dict[int, Tensor]] = []

    class Rows(GrowingGrid):
        def draw(self, *arguments: Any) -> None:
            super().draw(*arguments)
            seen.append(dict(self.rows))

    figure = Rows(columns=3, directory=str(tmp_path), every_kimg=0.004)
    fit(growing_gan(), growing(), figure, images=24)
    assert [sorted(rows) for rows in seen] == [[4], [4], [4], [4, 8], [4, 8], [4, 8]]
    assert (seen[0][4] != seen[2][4]).any() and torch.equal(seen[2][4], seen[5][4])
    assert (seen[3][8] != seen[5][8]).any()


def test_rows_survive_a_resume(tmp_path: Path) -> None:
    fit(growing_gan(), growing(), EMA(), grid(tmp_path / "whole"), images=24)
    fit(growing_gan(), growing(), EMA(), grid(tmp_path / "cut"), images=16, save=tmp_path / "cut.ckpt")
    fit(growing_gan(), growing(), EMA(), grid(tmp_path / "cut"), images=24, resume=tmp_path / "cut.ckpt")
    last = "kimg_000000.024.png"
    assert np.array_equal(pixels(tmp_path / "whole", last), pixels(tmp_path / "cut", last))
    saved = torch.load(tmp_path / "cut.ckpt", weights_only=True)["callbacks"][grid(tmp_path).state_key]["rows"]
    assert {size: row.dtype for size, row in saved.items()} == {4: torch.uint8, 8: torch.uint8}


def test_a_test_of_a_trained_run_draws_all_its_rows(tmp_path: Path) -> None:
    fit(growing_gan(), growing(), grid(tmp_path / "fit"), images=20, save=tmp_path / "trained.ckpt")
    trainer = toy_trainer(growing(), grid(tmp_path / "test"), limit_test_batches=1)
    trainer.test(growing_gan(), datamodule=ToyData(), ckpt_path=tmp_path / "trained.ckpt", verbose=False)
    last = "kimg_000000.020.png"
    assert np.array_equal(pixels(tmp_path / "fit", last), pixels(tmp_path / "test", last))


def test_rows_of_other_settings_are_left_out(tmp_path: Path) -> None:
    fit(growing_gan(), growing(), grid(tmp_path / "fit"), images=16, save=tmp_path / "trained.ckpt")
    figure = grid(tmp_path / "test", columns=2)
    fit(growing_gan(), growing(), figure, images=20, resume=tmp_path / "trained.ckpt")
    assert {size: len(row) for size, row in figure.rows.items()} == {8: 2}


def test_a_gan_that_does_not_grow_has_one_row(tmp_path: Path) -> None:
    module, figure = toy_gan(), grid(tmp_path)
    toy_trainer(figure, limit_train_batches=1).fit(module, toy_loader())
    assert list(figure.rows) == [4]
    assert torch.equal(figure.rows[4], to_bytes(module.sample(module.draw_latents(3, seed=0)[0])))
