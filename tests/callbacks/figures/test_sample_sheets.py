"""Figures: when they are drawn, where they go, that training does not notice; truncation and uncurated sheets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from PIL import Image
from torch import Tensor, nn

from lightning_gan.callbacks import EMA
from lightning_gan.callbacks.figures.paper_figure import PaperFigure
from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.callbacks.figures.sample_sheets import SampleSheets, TruncationSweep
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.callbacks.figures.test_samples import FakeWandb, Noisy
from tests.callbacks.training.growing_toys import ForeignGAN, fit, growing_gan
from tests.toys import LATENT, ToyCritic, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer, weights_of


class TruncatableGAN(GAN):
    """Truncation brings latents nearer to 0; more than 1 is refused."""

    def __init__(self, **settings: Any) -> None:
        torch.manual_seed(7)
        super().__init__(generator=ToyGenerator(), discriminator=ToyCritic(), latent_dim=LATENT, **settings)

    def truncated(
        self, network: nn.Module, latents: Tensor, labels: Tensor | None, *, truncation: float, fresh_noise: bool
    ) -> Tensor:
        if truncation > 1:
            raise ValueError(f"truncation={truncation} is above 1")
        images: Tensor = network(latents * truncation)
        return images


def sheets(folder: Path, **settings: Any) -> SampleSheets:
    return SampleSheets(**{"sheets": 1, "rows": 2, "columns": 3, "directory": str(folder), **settings})


def sweep(folder: Path, **settings: Any) -> TruncationSweep:
    return TruncationSweep(**{"directory": str(folder), **settings})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))


def draw(figure: PaperFigure, module: GAN) -> None:
    """Draw outside of any loop."""
    trainer = toy_trainer(figure)
    trainer.strategy.connect(module)
    figure.draw(trainer, module)


# ------------------------------------------------------------------ when and where


def test_a_figure_is_drawn_at_the_end_of_fit_alone(tmp_path: Path) -> None:
    fit(growing_gan(), sheets(tmp_path), images=20)
    assert files(tmp_path) == ["samples/kimg_000000.020/sheet_0000.png"]


def test_on_request_it_is_drawn_in_between_and_the_end_not_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = sheets(tmp_path, every_kimg=0.008)
    drawn: list[int] = []
    monkeypatch.setattr(figure, "draw", lambda trainer, module: drawn.append(module.images_seen))
    fit(growing_gan(), figure, images=16)
    assert drawn == [8, 16]


def test_validation_and_test_draw_a_trained_gan_at_its_kimg(tmp_path: Path) -> None:
    trained = toy_trainer(EMA(), limit_train_batches=2)
    trained.fit(toy_gan(), toy_loader())
    trained.save_checkpoint(tmp_path / "trained.ckpt")
    for loop in ("validate", "test"):
        module = toy_gan()
        trainer = toy_trainer(sheets(tmp_path / loop), limit_test_batches=1, limit_val_batches=1)
        getattr(trainer, loop)(module, toy_loader(), ckpt_path=tmp_path / "trained.ckpt", verbose=False)
        assert files(tmp_path / loop) == ["samples/kimg_000000.008/sheet_0000.png"]
        assert module.averaged
        draw(sheets(tmp_path / f"{loop} expected"), module)
        expected = tmp_path / f"{loop} expected" / "samples/kimg_000000.000/sheet_0000.png"
        assert np.array_equal(pixels(tmp_path / loop / "samples/kimg_000000.008/sheet_0000.png"), pixels(expected))


def test_validation_within_a_fit_draws_nothing(tmp_path: Path) -> None:
    trainer = toy_trainer(sheets(tmp_path), limit_train_batches=4, val_check_interval=1, limit_val_batches=1)
    trainer.fit(toy_gan(), toy_loader(), toy_loader())
    assert files(tmp_path) == ["samples/kimg_000000.016/sheet_0000.png"]


def test_without_a_directory_figures_go_into_the_run(tmp_path: Path) -> None:
    figure = SampleSheets(sheets=1, rows=1, columns=1, name="mine")
    toy_trainer(figure, limit_train_batches=1, default_root_dir=tmp_path).fit(toy_gan(), toy_loader())
    assert files(tmp_path) == ["figures/mine/kimg_000000.004/sheet_0000.png"]


def test_loggers_get_pictures_and_not_every_image(tmp_path: Path) -> None:
    wandb = FakeWandb()
    figures = [sheets(tmp_path, images=True), sweep(tmp_path, rows=1)]
    toy_trainer(*figures, logger=[wandb], limit_train_batches=1).fit(TruncatableGAN(), toy_loader())
    assert wandb.images == [("figures/samples/sheet_0000", 4), ("figures/truncation", 4)]


def test_every_rank_samples_and_the_first_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, asked = toy_gan(), []
    module.generator.register_forward_hook(lambda *_: asked.append(True))
    monkeypatch.setattr(SingleDeviceStrategy, "is_global_zero", False)
    draw(sheets(tmp_path), module)
    assert asked and files(tmp_path) == []


# ------------------------------------------------------------------ what they leave alone, what they depend on


def test_drawing_leaves_training_and_random_state_as_they_are(tmp_path: Path) -> None:
    whole = []
    for callbacks in ([], [sheets(tmp_path, every_kimg=0.001)]):
        module = toy_gan()
        module.generator, module.generator_ema = Noisy(), Noisy()
        torch.manual_seed(0)
        nn.init.normal_(module.generator.output.weight)
        states: list[Tensor] = []

        class RandomState(Callback):
            def on_train_batch_end(self, *_: Any, states: list[Tensor] = states) -> None:
                states.append(torch.get_rng_state())

        toy_trainer(*callbacks, RandomState(), limit_train_batches=3).fit(module, toy_loader())
        assert module.generator.norm.training
        whole.append((weights_of(module), list(module.generator.buffers()), states))
    assert all(equal(first, second) for first, second in zip(*whole, strict=True))


def test_the_same_seed_draws_the_same_picture_whatever_was_drawn_before(tmp_path: Path) -> None:
    module = toy_gan()
    module.generator = Noisy()
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        torch.manual_seed(99 + len(name))
        draw(sheets(tmp_path / name, seed=seed), module)
    first, again, other = (
        pixels(tmp_path / name / "samples/kimg_000000.000/sheet_0000.png") for name in ("first", "again", "other")
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_average_is_shown_unless_it_is_not_wanted(tmp_path: Path) -> None:
    module = TruncatableGAN()
    figures = [sweep(tmp_path, name="ema"), sweep(tmp_path, name="raw", ema=False)]
    toy_trainer(EMA(half_life_kimg=1.0), *figures, limit_train_batches=2).fit(module, toy_loader())
    ema, raw = (pixels(tmp_path / name / "kimg_000000.008.png") for name in ("ema", "raw"))
    assert ema.shape == raw.shape and not np.array_equal(ema, raw)


# ------------------------------------------------------------------ truncation


def test_a_sweep_has_a_row_for_each_latent_and_a_column_for_each_truncation(tmp_path: Path) -> None:
    module = TruncatableGAN()
    draw(sweep(tmp_path, truncations=(1.0, 0.5, -1.0), rows=2, seed=3), module)
    latents, _ = module.draw_latents(2, seed=3)
    rows = [
        to_bytes(torch.cat([module.sample(latent[None], truncation=psi) for psi in (1.0, 0.5, -1.0)]))
        for latent in latents
    ]
    labels = ["truncation 1", "truncation 0.5", "truncation -1"]
    expected = Table(rows=rows, column_labels=labels).drawn()
    assert np.array_equal(pixels(tmp_path / "truncation/kimg_000000.000.png"), expected.numpy())


def test_noise_is_the_same_for_every_truncation(tmp_path: Path) -> None:
    module = TruncatableGAN()
    module.generator = Noisy()
    draw(sweep(tmp_path, truncations=(1.0, 1.0), rows=2), module)
    once = pixels(tmp_path / "truncation/kimg_000000.000.png")[-512:]
    assert np.array_equal(once[:, :512], once[:, -512:])


def test_a_gan_without_truncation_is_refused_before_training(tmp_path: Path) -> None:
    module = toy_gan()
    before = weights_of(module)
    with pytest.raises(ValueError, match=r"GAN has no truncation trick; truncation=0\.7 must be 1"):
        toy_trainer(sweep(tmp_path), limit_train_batches=1).fit(module, toy_loader())
    with pytest.raises(ValueError, match=r"truncation=0\.3 must be 1"):
        toy_trainer(sheets(tmp_path, truncation=0.3), limit_train_batches=1).fit(module, toy_loader())
    with pytest.raises(ValueError, match=r"truncation=2\.0 is above 1"):
        toy_trainer(sweep(tmp_path, truncations=[1.0, 2.0])).fit(TruncatableGAN(), toy_loader())
    assert equal(before, weights_of(module)) and files(tmp_path) == []


# ------------------------------------------------------------------ sheets


def test_sheets_are_of_consecutive_seeds_and_every_image_has_a_file_in_its_own_size(tmp_path: Path) -> None:
    module = toy_gan()
    draw(sheets(tmp_path, sheets=2, images=True, seed=5), module)
    folder = tmp_path / "samples/kimg_000000.000"
    assert files(folder) == [
        *(f"images/{index:06d}.png" for index in range(12)),
        "sheet_0000.png",
        "sheet_0001.png",
    ]
    for sheet in range(2):
        images = to_bytes(module.sample(*module.draw_latents(6, seed=5 + sheet)))
        expected = Table(rows=list(images.unflatten(0, (2, 3)))).drawn()
        assert np.array_equal(pixels(folder / f"sheet_{sheet:04d}.png"), expected.numpy())
        for index, image in enumerate(images):
            assert np.array_equal(pixels(folder / f"images/{6 * sheet + index:06d}.png"), image[0].numpy())


def test_classes_come_in_order_and_columns_say_which(tmp_path: Path) -> None:
    module = toy_gan(number_of_classes=3)
    draw(sheets(tmp_path, columns=None, images=True), module)
    folder = tmp_path / "samples/kimg_000000.000"
    assert files(folder / "images") == [f"{index:06d}_class_{index % 3}.png" for index in range(6)]
    images = to_bytes(module.sample(*module.draw_latents(6, seed=0)))
    labels = ["class 0", "class 1", "class 2"]
    expected = Table(rows=list(images.unflatten(0, (2, 3))), column_labels=labels).drawn()
    assert np.array_equal(pixels(folder / "sheet_0000.png"), expected.numpy())


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SampleSheets: ForeignGAN is no lightning_gan\.GAN"):
        fit(ForeignGAN(), sheets(tmp_path), images=4)
    with pytest.raises(ValueError, match="SampleSheets: sheets=0 must be at least 1"):
        SampleSheets(sheets=0)
    with pytest.raises(ValueError, match="TruncationSweep: rows=0 must be at least 1"):
        TruncationSweep(rows=0)
    with pytest.raises(ValueError, match=r"truncations=\[\] must be finite"):
        TruncationSweep(truncations=[])
    with pytest.raises(ValueError, match=r"SampleSheets: every_kimg=0\.0"):
        SampleSheets(every_kimg=0.0)


def test_two_of_a_kind_need_two_names(tmp_path: Path) -> None:
    first, second = sheets(tmp_path), sheets(tmp_path, name="more")
    assert first.state_key != second.state_key
