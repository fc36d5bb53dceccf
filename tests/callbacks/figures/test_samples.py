"""Sample grids: when, where, how large, of what, and that training does not notice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor, nn

from lightning_gan.callbacks import EMA, ProgressiveGrowing, SampleGrid, StopAtKimg
from lightning_gan.callbacks.figures.pictures import LINE, SCREEN_WIDTH
from lightning_gan.callbacks.figures.samples import enlargement, image_grid
from tests.callbacks.training.growing_toys import ForeignGAN, ToyData, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


def grid(folder: Path, **settings: Any) -> SampleGrid:
    return SampleGrid(**{"every_kimg": 0.008, "rows": 2, "columns": 3, "directory": str(folder), **settings})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))


def test_images_fill_a_grid_row_by_row() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    gap = [255] * LINE
    rows = [[0, *gap, 1, *gap, 2], *[[255] * (3 + 2 * LINE)] * LINE, [3, *gap, 4, *gap, 5]]
    assert image_grid(images, columns=3)[..., 0].tolist() == rows
    large = image_grid(images, columns=3, factor=2)[..., 0].tolist()
    assert large[0] == large[1] == [0, 0, *gap, 1, 1, *gap, 2, 2] and len(large) == 4 + LINE


def test_a_single_image_has_no_frame_and_wide_grids_have_wide_gaps() -> None:
    assert image_grid(torch.zeros(1, 3, 4, 5, dtype=torch.uint8), columns=1).shape == (4, 5, 3)
    wide = image_grid(torch.zeros(2, 1, 1, SCREEN_WIDTH, dtype=torch.uint8), columns=2)[..., 0]
    assert wide.shape == (1, 2 * SCREEN_WIDTH + 2 * LINE) and (wide == 255).sum() == 2 * LINE


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 4), (5, 3)])
def test_any_number_of_channels_can_be_shown(channels: int, shown: int) -> None:
    images = torch.zeros(2, channels, 4, 4, dtype=torch.uint8)
    assert image_grid(images, columns=2).shape == (4, 8 + LINE, shown)


@pytest.mark.parametrize(("size", "columns", "width"), [(32, 10, 960), (4, 8, 1024), (256, 8, 2048), (28, 3, 1008)])
def test_grids_are_as_wide_as_a_screen_and_never_shrunk(size: int, columns: int, width: int) -> None:
    assert size * columns * enlargement(size, size, final_height=size, columns=columns) == width


def test_the_first_grid_is_of_the_start_and_the_last_of_the_end(tmp_path: Path) -> None:
    fit(growing_gan(), grid(tmp_path), images=20)
    assert names(tmp_path) == [f"kimg_000000.{images:03d}.png" for images in (0, 8, 16, 20)]


def test_a_resumed_run_does_not_draw_its_beginning_again(tmp_path: Path) -> None:
    fit(growing_gan(), images=12, save=tmp_path / "cut.ckpt")
    fit(growing_gan(), grid(tmp_path / "grids"), images=16, resume=tmp_path / "cut.ckpt")
    assert names(tmp_path / "grids") == ["kimg_000000.016.png"]


def test_every_resolution_ends_with_a_grid_and_all_have_one_size(tmp_path: Path) -> None:
    growing = ProgressiveGrowing(hold_kimg=0.012, fade_kimg=0.004)
    fit(growing_gan(), growing, grid(tmp_path, every_kimg=1.0), images=20)
    assert names(tmp_path) == ["kimg_000000.000.png", "kimg_000000.012.png", "kimg_000000.020.png"]
    assert {pixels(path).shape for path in tmp_path.iterdir()} == {(2 * 8 * 42 + LINE, 3 * 8 * 42 + 2 * LINE)}
    small = pixels(tmp_path / "kimg_000000.012.png")[: 8 * 42, : 8 * 42]
    blocks = small.reshape(4, 84, 4, 84)
    assert (blocks == blocks[:, :1, :, :1]).all()  # a 4x4 image still, each pixel 84 wide


def test_a_grid_shows_the_latents_of_its_seed_in_the_range_of_images(tmp_path: Path) -> None:
    module = toy_gan()
    drawn = grid(tmp_path, rows=3, columns=7, seed=5)
    toy_trainer(drawn, limit_train_batches=1).fit(module, toy_loader())
    images = module.sample(*module.draw_latents(21, seed=5))
    expected = image_grid(
        (images * 127.5 + 128).clamp(0, 255).to(torch.uint8),
        columns=7,
        factor=enlargement(4, 4, final_height=4, columns=7),
    )
    assert np.array_equal(pixels(tmp_path / "kimg_000000.004.png"), expected[..., 0].numpy())


def test_each_class_has_a_column(tmp_path: Path) -> None:
    module = toy_gan(number_of_classes=3)
    asked: list[Tensor] = []
    module.generator.register_forward_hook(lambda _, inputs, output: asked.append(inputs[1]))
    drawn = grid(tmp_path, rows=2, columns=None)
    trainer = toy_trainer(drawn, limit_train_batches=0)
    trainer.strategy.connect(module)
    drawn.draw(trainer, module)
    assert asked[0].tolist() == [0, 1, 2, 0, 1, 2]
    assert pixels(tmp_path / "kimg_000000.000.png").shape == (2 * 4 * 85 + LINE, 3 * 4 * 85 + 2 * LINE)


def test_the_average_is_shown_unless_it_is_not_wanted(tmp_path: Path) -> None:
    module = toy_gan()
    shown, raw = grid(tmp_path / "ema"), grid(tmp_path / "raw", ema=False)
    toy_trainer(EMA(half_life_kimg=1.0), shown, raw, limit_train_batches=2).fit(module, toy_loader())
    last = "kimg_000000.008.png"
    assert not np.array_equal(pixels(tmp_path / "ema" / last), pixels(tmp_path / "raw" / last))


class Noisy(nn.Module):
    """Draws noise, counts its calls in training mode, and has a part that is always in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(4, 16)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.norm(self.dropout(self.output(latents)))
        return (features + torch.randn_like(features)).view(-1, 1, 4, 4)


def test_sampling_leaves_training_and_random_state_as_they_are(tmp_path: Path) -> None:
    whole = []
    for callbacks in ([], [grid(tmp_path, every_kimg=0.001)]):
        module = toy_gan()
        module.generator = Noisy()
        module.generator_ema = Noisy()
        torch.manual_seed(0)
        nn.init.normal_(module.generator.output.weight)
        states: list[Tensor] = []

        class RandomState(Callback):
            def on_train_batch_end(self, *_: Any, states: list[Tensor] = states) -> None:
                states.append(torch.get_rng_state())

        toy_trainer(*callbacks, RandomState(), limit_train_batches=3).fit(module, toy_loader())
        assert module.generator.norm.training
        whole.append((weights_of(module), list(module.generator.buffers()), states))
    assert equal(whole[0][0], whole[1][0]) and equal(whole[0][1], whole[1][1]) and equal(whole[0][2], whole[1][2])


def test_grids_of_the_same_weights_are_the_same_whatever_noise_they_draw(tmp_path: Path) -> None:
    module = toy_gan()
    module.generator = Noisy()
    drawn = grid(tmp_path)
    trainer = toy_trainer(drawn)
    trainer.strategy.connect(module)
    drawn.draw(trainer, module)
    first = pixels(tmp_path / "kimg_000000.000.png")
    torch.manual_seed(99)
    drawn.draw(trainer, module)
    assert np.array_equal(first, pixels(tmp_path / "kimg_000000.000.png"))


def test_a_resumed_run_draws_the_same_grids(tmp_path: Path) -> None:
    whole = fit(growing_gan(), EMA(), grid(tmp_path / "whole"), images=24)
    fit(growing_gan(), EMA(), grid(tmp_path / "cut"), images=12, save=tmp_path / "cut.ckpt")
    cut = fit(growing_gan(), EMA(), grid(tmp_path / "cut"), images=24, resume=tmp_path / "cut.ckpt")
    assert_same_state(whole, cut)
    for name in names(tmp_path / "whole"):
        assert np.array_equal(pixels(tmp_path / "whole" / name), pixels(tmp_path / "cut" / name))


# ------------------------------------------------------------------ loggers


class FakeWandb(WandbLogger):
    """Keeps the images it is given; the real one needs an account."""

    def __init__(self) -> None:
        self.images: list[tuple[str, int | None]] = []

    @property
    def experiment(self) -> Any:
        return None

    @property
    def name(self) -> str:
        return "fake"

    @property
    def version(self) -> str:
        return "0"

    @property
    def save_dir(self) -> str:
        return "."

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        assert isinstance(images[0], Image.Image)
        self.images.append((key, step))

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Nothing."""

    def log_hyperparams(self, params: Any) -> None:
        """Nothing."""

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Nothing."""

    def save(self) -> None:
        """Nothing."""

    def finalize(self, status: str) -> None:
        """Nothing."""

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Nothing."""


class FakeMLFlow(MLFlowLogger):
    """Keeps the images that its client is given; the real client is a package of its own."""

    def __init__(self) -> None:
        self.images: list[tuple[str, int]] = []

    @property
    def experiment(self) -> Any:
        return self

    @property
    def run_id(self) -> str:
        return "run"

    @property
    def name(self) -> str:
        return "fake"

    @property
    def version(self) -> str:
        return "0"

    @property
    def save_dir(self) -> str:
        return "."

    def log_image(self, run_id: str, image: Any, *, key: str, step: int) -> None:
        assert run_id == "run" and isinstance(image, Image.Image)
        self.images.append((key, step))

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Nothing."""

    def log_hyperparams(self, params: Any) -> None:
        """Nothing."""

    def finalize(self, status: str) -> None:
        """Nothing."""


def test_loggers_that_show_images_get_the_grid_and_others_are_left_alone(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board, wandb, mlflow = TensorBoardLogger(tmp_path, name="board", version=""), FakeWandb(), FakeMLFlow()
    loggers = [board, CSVLogger(tmp_path, name="csv"), wandb, mlflow]
    trainer = toy_trainer(
        grid(tmp_path / "grids", every_kimg=2.0),
        StopAtKimg(total_kimg=2.0),
        logger=loggers,
        max_epochs=-1,
        limit_val_batches=0,
    )
    module = growing_gan()
    module.images_seen = 1996
    trainer.fit(module, datamodule=ToyData())
    assert wandb.images == mlflow.images == [("samples", 2000)]
    events = reader.EventAccumulator(board.log_dir)
    events.Reload()
    assert [event.step for event in events.Images("samples")] == [2000]


def test_without_a_directory_grids_go_into_the_run(tmp_path: Path) -> None:
    drawn = SampleGrid(rows=1, columns=1)
    toy_trainer(drawn, limit_train_batches=1, default_root_dir=tmp_path).fit(toy_gan(), toy_loader())
    assert names(tmp_path / "samples") == ["kimg_000000.000.png", "kimg_000000.004.png"]


# ------------------------------------------------------------------ modules that are no GAN


def test_a_foreign_generator_is_sampled_in_evaluation_mode_with_its_average(tmp_path: Path) -> None:
    module = ForeignGAN()
    ema = EMA(half_life_kimg=1.0, generator="netG")
    foreign = {"generator": "netG", "latent_dim": 4}
    fit(module, ema, grid(tmp_path / "ema", **foreign), grid(tmp_path / "raw", ema=False, **foreign), images=8)
    last = "kimg_000000.008.png"
    averaged, raw = pixels(tmp_path / "ema" / last), pixels(tmp_path / "raw" / last)
    assert averaged.shape == raw.shape and not np.array_equal(averaged, raw)
    assert module.netG.training
    alone = ForeignGAN()
    fit(alone, images=8)
    assert equal(weights_of(alone), weights_of(module))


def test_grids_of_a_foreign_generator_are_on_the_axis_of_its_losses(tmp_path: Path) -> None:
    wandb = FakeWandb()
    drawn = grid(tmp_path, every_kimg=0.008, generator="netG", latent_dim=4)
    settings: dict[str, Any] = {"logger": wandb, "max_epochs": -1, "limit_val_batches": 0}
    toy_trainer(drawn, StopAtKimg(total_kimg=0.008), **settings).fit(ForeignGAN(), datamodule=ToyData())
    assert wandb.images == [("samples", 0), ("samples", 4)]  # two batches of two steps


def test_a_foreign_generator_may_take_maps_and_labels(tmp_path: Path) -> None:
    class Maps(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.generator = nn.Module()
            self.generator.forward = self.generate  # type: ignore[method-assign]

        def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
            assert not self.generator.training and latents.shape[1:] == (3, 2, 2) and labels.tolist() == [0, 1, 0, 1]
            return latents

    drawn = grid(tmp_path, rows=2, columns=None, latent_dim=[3, 2, 2], number_of_classes=2)
    module = Maps()
    trainer = toy_trainer(drawn)
    trainer.strategy.connect(module)
    drawn.draw(trainer, module)
    assert pixels(tmp_path / "kimg_000000.000.png").shape == (1024 + LINE, 1024 + LINE, 3)


def test_what_cannot_be_drawn_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ForeignGAN is no lightning_gan\.GAN.*give latent_dim"):
        fit(ForeignGAN(), grid(tmp_path, generator="netG"), images=4)
    with pytest.raises(ValueError, match="has no network 'generator'; its networks are netG, netD"):
        fit(ForeignGAN(), grid(tmp_path, latent_dim=4), images=4)
    with pytest.raises(ValueError, match="rows=0"):
        SampleGrid(rows=0)
    with pytest.raises(ValueError, match=r"every_kimg=0\.0"):
        SampleGrid(every_kimg=0.0)
