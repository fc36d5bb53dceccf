"""Grids of what a function of the user makes: translations, reconstructions, spectrograms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, SampleGrid
from lightning_gan.callbacks.figures.pictures import LINE
from lightning_gan.tensors.image_bytes import to_bytes
from tests.callbacks.figures.test_samples import FakeWandb, names, pixels
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_images, toy_trainer, weights_of

SOURCES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1


class Translator(LightningModule):
    """Translates images to images; it has no latents."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.nets = nn.ModuleDict({"translate": nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.5))})

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.nets["translate"](batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


def translations(module: LightningModule, count: int, seed: int) -> Tensor:
    assert isinstance(module, Translator)
    assert not any(part.training for part in module.modules()) and not torch.is_grad_enabled()
    return module.nets["translate"](SOURCES[:count])


def noise(module: LightningModule, count: int, seed: int) -> Tensor:
    return torch.randn(count, 1, 4, 4).clamp(-1, 1) * np.random.rand()


def grid(folder: Path, **settings: Any) -> SampleGrid:
    return SampleGrid(**{"every_kimg": 0.008, "rows": 2, "columns": 3, "directory": str(folder), **settings})


def run(*callbacks: Callback, module: LightningModule | None = None, **settings: Any) -> tuple[Trainer, Any]:
    module = Translator() if module is None else module
    trainer = toy_trainer(*callbacks, **settings)
    trainer.fit(module, DataLoader(toy_images(16), batch_size=4))
    return trainer, module


def shown(path: Path) -> Tensor:
    """The images of a grid of 2 x 3 images of 4 x 4 pixels, without the gaps of 2 pixels and the enlargement."""
    picture = torch.from_numpy(pixels(path).copy())
    factor = (picture.shape[1] - 2 * LINE) // 12
    places = [(row * (4 * factor + LINE), column * (4 * factor + LINE)) for row in range(2) for column in range(3)]
    side = 4 * factor
    return torch.stack([picture[y : y + side : factor, x : x + side : factor] for y, x in places])[:, None]


def test_a_grid_shows_what_the_function_returns(tmp_path: Path) -> None:
    _, module = run(grid(tmp_path, sampler=translations))
    assert names(tmp_path) == ["kimg_000000.000.png", "kimg_000000.008.png", "kimg_000000.016.png"]
    with torch.no_grad():
        expected = to_bytes(module.nets["translate"].eval()(SOURCES))
    assert torch.equal(shown(tmp_path / "kimg_000000.016.png"), expected)


def test_the_weights_that_are_averaged_are_shown_unless_they_are_not_wanted(tmp_path: Path) -> None:
    still = EMA(half_life_kimg=1e9, generator=["nets.translate"])
    averaged, raw = (grid(tmp_path / name, sampler=translations, name=name) for name in ("averaged", "raw"))
    raw.ema = False
    run(still, averaged, raw)
    first, last = (shown(tmp_path / "averaged" / f"kimg_000000.{images}.png") for images in ("000", "016"))
    assert torch.equal(first, last)
    assert not torch.equal(shown(tmp_path / "raw" / "kimg_000000.016.png"), last)


def test_a_function_that_draws_random_numbers_leaves_training_as_it_is(tmp_path: Path) -> None:
    whole = [run(*callbacks) for callbacks in ([], [grid(tmp_path, sampler=noise, every_kimg=0.001)])]
    assert equal(weights_of(whole[0][1]), weights_of(whole[1][1]))
    assert_same_state(toy_state(whole[0][0]), toy_state(whole[1][0]))
    assert whole[1][1].training and whole[1][1].nets["translate"][1].training
    assert torch.equal(shown(tmp_path / "kimg_000000.000.png"), shown(tmp_path / "kimg_000000.004.png"))


def toy_state(trainer: Trainer) -> Trainer:
    trainer.callbacks = []  # type: ignore[attr-defined]
    return trainer


def test_two_grids_have_folders_and_titles_of_their_own(tmp_path: Path) -> None:
    wandb = FakeWandb()
    grids = [
        SampleGrid(rows=1, columns=2, sampler=translations, name="translations"),
        SampleGrid(rows=1, columns=2, sampler=noise, name="noise"),
    ]
    run(*grids, default_root_dir=tmp_path, logger=wandb, limit_train_batches=1)
    assert names(tmp_path / "translations") == names(tmp_path / "noise") != []
    assert {title for title, _ in wandb.images} == {"translations", "noise"}
    with pytest.raises(ValueError, match="the trainer has 2 of them with the same name, ema, seed and truncation"):
        run(SampleGrid(sampler=noise), SampleGrid(sampler=translations))


def test_a_gan_may_have_a_sampler_too(tmp_path: Path) -> None:
    def black(module: LightningModule, count: int, seed: int) -> Tensor:
        assert not module.training and seed == 5
        return torch.full((count, 1, 4, 4), -1.0)

    fit(growing_gan(), grid(tmp_path, sampler=black, seed=5), images=4)
    assert not shown(tmp_path / "kimg_000000.004.png").any()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            torch.zeros(5, 1, 4, 4),
            r"a tensor \[5, 1, 4, 4\] of torch\.float32 for count=6; it must return ima",
        ),
        (torch.zeros(6, 4, 4), r"a tensor \[6, 4, 4\] of torch\.float32 for count=6"),
        (torch.zeros(6, 1, 4, 4, dtype=torch.bool), r"a tensor \[6, 1, 4, 4\] of torch\.bool for count=6"),
        ([torch.zeros(1, 4, 4)] * 6, "a list for count=6"),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_function_that_returns_no_images_is_refused_before_training(
    tmp_path: Path, made: Any, message: str, resumed: bool
) -> None:
    def wrong(module: LightningModule, count: int, seed: int) -> Any:
        return made

    module = ForeignGAN()
    cut = tmp_path / "cut.ckpt"
    if resumed:
        fit(ForeignGAN(), images=4, save=cut)
    with pytest.raises(ValueError, match=f"^SampleGrid: sampler returned {message}"):
        fit(module, grid(tmp_path, sampler=wrong), images=8, resume=cut if resumed else None)
    assert module.seen == []


def test_a_function_of_other_arguments_is_refused_before_training(tmp_path: Path) -> None:
    def of_two(module: LightningModule, count: int) -> Any:
        return torch.zeros(count, 1, 4, 4)

    module = ForeignGAN()
    message = r"^SampleGrid: sampler is a function of \(module: .*, count: int\) .*one of \(module, count, seed\)"
    with pytest.raises(ValueError, match=message):
        fit(module, grid(tmp_path, sampler=of_two), images=8)
    assert module.seen == []


@pytest.mark.parametrize(
    "setting", [{"latent_dim": 4}, {"generator": "netG"}, {"number_of_classes": 2}, {"truncation": 0.7}]
)
def test_settings_without_effect_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^SampleGrid: .*{next(iter(setting))}=.* have no effect with a sampler"):
        SampleGrid(sampler=noise, **setting)
