"""Figures of autoencoders: which images they show, where they keep them, and who is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, InterpolationGrid, KimgCheckpoint, ReconstructionGrid
from lightning_gan.callbacks.figures.reconstructions import FigureOfReals
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.image_bytes import from_bytes, to_bytes
from lightning_gan.tensors.shapes import Images, Latents
from tests.toys import LATENT, SIZE, ToyCritic, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer, weights_of


class MirrorGAN(GAN, Autoencoder):
    """Codes are the pixels, and a reconstruction is the negative."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(generator=ToyGenerator(), discriminator=ToyCritic(), latent_dim=LATENT)

    def encode(self, images: Images, *, ema: bool = True) -> Latents:
        return images.flatten(1)

    def decode(self, codes: Latents, *, ema: bool = True) -> Images:
        return -codes.unflatten(1, (1, SIZE, SIZE))


def grid(folder: Path, **settings: Any) -> ReconstructionGrid:
    return ReconstructionGrid(**{"columns": 2, "rows": 1, "directory": str(folder), **settings})


def drawn(figure: FigureOfReals, module: GAN) -> list[Tensor]:
    """The rows of images that a figure lays out, before they are enlarged and labelled."""
    tables: list[Tensor] = []

    class Spied:
        def __init__(self, *, rows: list[Tensor], **settings: Any) -> None:
            tables.extend(rows)

        def drawn(self) -> Tensor:
            return torch.zeros(1, 1, 3, dtype=torch.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_gan.callbacks.figures.reconstructions.Table", Spied)
        for _ in figure.pictures(module):
            pass
    return tables


def first_images(count: int) -> Tensor:
    """The first images of the toys' loader, as bytes."""
    return torch.cat([to_bytes(batch[0]) for batch in toy_loader()])[:count]


def test_it_shows_the_first_real_images_their_reconstructions_and_samples(tmp_path: Path) -> None:
    figure, module = grid(tmp_path, rows=2), MirrorGAN()
    toy_trainer(figure, limit_train_batches=3).fit(module, toy_loader())
    assert torch.equal(figure.reals, first_images(4))
    rows = drawn(figure, module)
    assert len(rows) == 6
    for reals, reconstructions, start in ((rows[0], rows[1], 0), (rows[3], rows[4], 2)):
        assert torch.equal(reals, first_images(4)[start : start + 2])
        assert torch.equal(reconstructions, to_bytes(-from_bytes(reals)))
    latents, _ = module.draw_latents(4, seed=0)
    assert torch.equal(torch.cat([rows[2], rows[5]]), to_bytes(module.sample(latents)))


def test_an_interpolation_runs_straight_from_one_image_to_the_other(tmp_path: Path) -> None:
    figure, module = InterpolationGrid(rows=2, steps=3, directory=str(tmp_path)), MirrorGAN()
    toy_trainer(figure, limit_train_batches=2).fit(module, toy_loader())
    first, second = drawn(figure, module)
    begin, end = first_images(4)[[0]], first_images(4)[[2]]
    ends = [begin, to_bytes(-from_bytes(begin)), to_bytes(-from_bytes(end)), end]
    assert torch.equal(first[[0, 1, 3, 4]], torch.cat(ends))
    middle = to_bytes(-(from_bytes(begin) + from_bytes(end)) / 2)
    assert (first[2].int() - middle[0].int()).abs().max() <= 1  # bytes are cut off, so the last bit may tip
    assert torch.equal(second[[0, -1]], first_images(4)[[1, 3]])


def test_pictures_are_drawn_as_often_as_asked_for_and_at_the_end(tmp_path: Path) -> None:
    toy_trainer(grid(tmp_path, every_kimg=0.004), limit_train_batches=3).fit(MirrorGAN(), toy_loader())
    files = sorted(path.name for path in (tmp_path / "reconstructions").glob("*.png"))
    assert files == ["kimg_000000.004.png", "kimg_000000.008.png", "kimg_000000.012.png"]
    assert np.asarray(Image.open(tmp_path / "reconstructions" / files[0])).std() > 0


def test_a_resumed_run_and_its_test_show_the_same_images(tmp_path: Path) -> None:
    saves = KimgCheckpoint(every_kimg=1.0, dirpath=str(tmp_path))
    toy_trainer(grid(tmp_path), saves, limit_train_batches=1, enable_checkpointing=True).fit(MirrorGAN(), toy_loader())
    others = toy_loader(count=32)
    others.dataset.tensors = (-others.dataset.tensors[0],)  # type: ignore[attr-defined]
    figure = grid(tmp_path / "test")
    trainer = toy_trainer(figure, limit_test_batches=1)
    trainer.test(MirrorGAN(), others, ckpt_path=str(tmp_path / "last.ckpt"), verbose=False)
    assert torch.equal(figure.reals, first_images(2))


@pytest.mark.parametrize("loop", ["validate", "test"])
def test_an_evaluation_without_training_shows_images_from_all_over_its_set(tmp_path: Path, loop: str) -> None:
    figure = grid(tmp_path)
    getattr(toy_trainer(figure), loop)(MirrorGAN(), toy_loader(count=32), verbose=False)
    # Of eight batches of four: one when the set begins, one when its second half does.
    assert torch.equal(figure.reals, first_images(32)[[0, 16]])
    assert (tmp_path / "reconstructions" / "kimg_000000.000.png").exists()


def test_training_does_not_notice(tmp_path: Path) -> None:
    weights = []
    for callbacks in ([], [grid(tmp_path, every_kimg=0.001)]):
        module = MirrorGAN()
        toy_trainer(*callbacks, EMA(), limit_train_batches=3).fit(module, toy_loader())
        weights.append(weights_of(module))
    assert equal(*weights)


def test_fewer_images_than_asked_for_make_a_smaller_picture(tmp_path: Path) -> None:
    figure, module = grid(tmp_path, columns=50, rows=3), MirrorGAN()
    toy_trainer(figure, limit_train_batches=1).fit(module, toy_loader())
    assert [len(row) for row in drawn(figure, module)] == [4, 4, 4]


@pytest.mark.parametrize("figure", [ReconstructionGrid(), InterpolationGrid()])
def test_a_model_without_an_encoder_is_refused(figure: FigureOfReals) -> None:
    with pytest.raises(ValueError, match=f"{type(figure).__name__}: GAN has no encoder"):
        toy_trainer(figure).fit(toy_gan(), toy_loader())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReconstructionGrid(columns=0), "columns=0"),
        (lambda: InterpolationGrid(rows=0), "rows=0"),
        (lambda: InterpolationGrid(steps=1), "steps=1"),
        (lambda: MirrorGAN().interpolate(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), steps=1), "steps=1"),
    ],
)
def test_bad_settings_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_without_a_real_image_it_says_so() -> None:
    module: nn.Module = MirrorGAN()
    assert isinstance(module, GAN)
    with pytest.raises(ValueError, match="no real images were read"):
        next(ReconstructionGrid().pictures(module))
