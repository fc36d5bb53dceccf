"""Style mixing and noise: which layers take whose styles and whose noise; the paper's defaults; refusals."""

from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gan.callbacks.figures.sample_sheets import TruncationSweep
from lightning_gan.callbacks.figures.style_figures import (
    NoiseComparison,
    StyleMixingGrid,
    StyleRange,
    default_ranges,
    noise_deviation,
)
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.style_based import StyleBased
from lightning_gan.models.stylegan import StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.callbacks.figures.test_sample_sheets import draw, pixels
from tests.callbacks.training.growing_toys import GrowingCritic, GrowingGenerator
from tests.toys import LATENT, toy_gan, toy_loader, toy_trainer

LAYERS = 4


class StyledGAN(GAN):
    """Rows 2k and 2k + 1 of its 8x8 images are as grey as layer k's style; row 2k + 1 also has that layer's noise."""

    def __init__(self) -> None:
        super().__init__(
            generator=GrowingGenerator(),
            discriminator=GrowingCritic(),
            latent_dim=LATENT,
        )
        self.asked_of_average: list[bool] = []

    @property
    def style_resolutions(self) -> list[int]:
        return [4, 4, 8, 8]

    def styles(
        self, latents: Tensor, labels: Tensor | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Tensor:
        self.asked_of_average.append(ema)
        return latents[:, :1, None].expand(-1, LAYERS, -1).tanh() * 0.5 * truncation

    def synthesize(
        self,
        styles: Tensor,
        *,
        noisy_layers: Collection[int] | None = None,
        fresh_noise: bool = False,
        ema: bool = True,
    ) -> Tensor:
        self.asked_of_average.append(ema)
        noisy = range(LAYERS) if noisy_layers is None else noisy_layers
        strength = torch.tensor([float(layer in noisy) for layer in range(LAYERS)])[:, None]
        noise = torch.randn(len(styles), LAYERS, 8) * strength * 0.1
        images = torch.stack([styles.expand(-1, -1, 8), styles + noise], dim=2).flatten(1, 2)  # batch 8 8
        return images[:, None]


def cells(
    path: Path,
    *,
    rows: int,
    columns: int,
    row_gaps: Collection[int] = (),
    column_gaps: Collection[int] = (),
    size: int = 8,
) -> Any:
    """The images of a picture as it was drawn, found from its lower right end, `rows columns size size`."""
    picture = np.asarray(Image.open(path))[..., 0]
    factor = 1024 // (columns * size)
    cell = size * factor
    ys = [picture.shape[0] - (rows - row) * (cell + 2) + 2 - 12 * sum(g > row for g in row_gaps) for row in range(rows)]
    xs = [
        picture.shape[1] - (columns - column) * (cell + 2) + 2 - 12 * sum(g > column for g in column_gaps)
        for column in range(columns)
    ]
    found = [[picture[y : y + cell, x : x + cell][::factor, ::factor] for x in xs] for y in ys]
    return np.array(found)


def greys(latents: Tensor) -> list[int]:
    return to_bytes(latents[:, :1, None, None].tanh() * 0.5).flatten().tolist()


# ------------------------------------------------------------------ style mixing


def test_each_band_takes_the_styles_of_its_layers_from_b_and_the_rest_from_a(tmp_path: Path) -> None:
    module = StyledGAN()
    ranges = [StyleRange(name="low", lowest=4, highest=4), StyleRange(name="high", lowest=8, highest=8, rows=1)]
    draw(StyleMixingGrid(ranges=ranges, columns=2, directory=str(tmp_path), seed=3), module)
    latents, _ = module.draw_latents(2 + 3, seed=3)
    b, a = greys(latents[:2]), greys(latents[2:])
    found = cells(tmp_path / "style_mixing/kimg_000000.000.png", rows=4, columns=3, row_gaps=[1, 3], column_gaps=[1])
    without_noise = found[:, :, ::2, 0]  # rows columns layers
    assert without_noise[0, 1:].tolist() == [[b[0]] * 4, [b[1]] * 4]
    for row, source in enumerate(a):
        mixed = [[grey, grey, source, source] if row < 2 else [source, source, grey, grey] for grey in b]
        assert without_noise[1 + row].tolist() == [[source] * 4, *mixed]


def test_noise_is_the_same_in_every_row(tmp_path: Path) -> None:
    draw(StyleMixingGrid(columns=2, directory=str(tmp_path), truncation=0.0), StyledGAN())
    picture = tmp_path / "style_mixing/kimg_000000.000.png"
    found = cells(picture, rows=5, columns=3, row_gaps=[1, 4], column_gaps=[1])
    assert (found[1:] == found[1]).all() and (found[0, 1:] == found[1, 1:]).all()
    assert (found[1, 0] != found[1, 1]).any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1024, [("coarse", 4, 8, 3), ("middle", 16, 32, 2), ("fine", 64, 1024, 1)]),
        (64, [("coarse", 4, 8, 3), ("middle", 16, 32, 2), ("fine", 64, 64, 1)]),
        (32, [("coarse", 4, 4, 3), ("middle", 8, 8, 2), ("fine", 16, 32, 1)]),
        (16, [("coarse", 4, 4, 3), ("middle", 8, 8, 2), ("fine", 16, 16, 1)]),
        (8, [("coarse", 4, 4, 3), ("fine", 8, 8, 1)]),
        (4, [("coarse", 4, 4, 3)]),
    ],
)
def test_the_bands_are_the_papers_or_similar_ones(size: int, expected: list[tuple[str, int, int, int]]) -> None:
    resolutions = [4 * 2 ** (layer // 2) for layer in range(2 * (size.bit_length() - 2))]
    assert resolutions[-1] == size
    assert [(part.name, part.lowest, part.highest, part.rows) for part in default_ranges(resolutions)] == expected


def test_bands_beyond_the_active_resolution_are_left_out(tmp_path: Path) -> None:
    ranges = [StyleRange(name="low", lowest=4, highest=8, rows=1), StyleRange(name="high", lowest=16, highest=32)]
    draw(StyleMixingGrid(ranges=ranges, columns=1, directory=str(tmp_path)), StyledGAN())
    assert pixels(tmp_path / "style_mixing/kimg_000000.000.png").shape[0] < 3 * 512


# ------------------------------------------------------------------ noise


def test_realizations_differ_by_noise_alone_and_their_deviation_is_shown(tmp_path: Path) -> None:
    figure = NoiseComparison(rows=2, realizations=3, measured_realizations=40, directory=str(tmp_path))
    draw(figure, StyledGAN())
    picture = tmp_path / "noise/kimg_000000.000_realizations.png"
    found = cells(picture, rows=2, columns=4, column_gaps=[3])
    quiet, noisy = found[:, :, ::2], found[:, :, 1::2]
    assert (quiet[:, :3] == quiet[:, :1]).all() and (quiet[:, 3] == 0).all()
    assert (noisy[:, 0] != noisy[:, 1]).any() and (noisy[:, 3] > 0).all()
    assert found[:, 3].max() == 255


def test_the_deviation_is_that_of_every_pixel_averaged_over_channels() -> None:
    images = torch.randint(256, (20, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = images.numpy().astype(np.float64).std(axis=0).mean(axis=0)
    assert np.allclose(noise_deviation(images).numpy(), expected, rtol=1e-5)
    assert noise_deviation(torch.full((1, 1, 1, 1), 200, dtype=torch.uint8).repeat(3, 1, 1, 1)).item() == 0


def test_noise_is_in_all_layers_none_fine_or_coarse_ones(tmp_path: Path) -> None:
    draw(NoiseComparison(rows=2, measured_realizations=4, directory=str(tmp_path)), StyledGAN())
    found = cells(tmp_path / "noise/kimg_000000.000_layers.png", rows=2, columns=4)
    has_noise = (found[:, :, ::2] != found[:, :, 1::2]).any(axis=-1)  # rows columns layers
    expected = [[True] * 4, [False] * 4, [False, False, True, True], [True, True, False, False]]
    assert has_noise.tolist() == [expected, expected]


# ------------------------------------------------------------------ both


@pytest.mark.parametrize("figure", [StyleMixingGrid, NoiseComparison])
def test_the_choice_of_weights_is_passed_on(figure: Any, tmp_path: Path) -> None:
    small: dict[str, Any]
    small = {"rows": 1, "realizations": 1, "measured_realizations": 2} if figure is NoiseComparison else {"columns": 1}
    module = StyledGAN()
    for ema in (True, False):
        module.asked_of_average.clear()
        draw(figure(ema=ema, directory=str(tmp_path), **small), module)
        assert set(module.asked_of_average) == {ema}


@pytest.mark.parametrize("figure", [StyleMixingGrid, NoiseComparison])
def test_a_module_without_styles_is_refused_before_training(figure: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{figure.__name__}: GAN has no styles; leave this figure out"):
        toy_trainer(figure(directory=str(tmp_path)), limit_train_batches=1).fit(toy_gan(), toy_loader())


def test_settings_that_show_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="columns=0 must be at least 1"):
        StyleMixingGrid(columns=0)
    with pytest.raises(ValueError, match="range 'low': rows=0 must be at least 1"):
        StyleMixingGrid(ranges=[StyleRange(name="low", lowest=4, highest=8, rows=0)])
    with pytest.raises(ValueError, match=r"lowest=8, highest=4.* is empty; lowest must not be above highest"):
        StyleMixingGrid(ranges=[StyleRange(name="low", lowest=8, highest=4)])
    with pytest.raises(ValueError, match="measured_realizations=3 must be at least 2, and no less than realizations=4"):
        NoiseComparison(measured_realizations=3)


# ------------------------------------------------------------------ the model they are made for


def test_stylegan_is_drawn_with_all_its_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = StyleGAN(
        image_size=16,
        image_channels=3,
        number_of_classes=2,
        latent_dim=4,
        style_dim=4,
        mapping_layers=1,
        mapping_width=4,
        channel_base=64,
        channel_max=8,
    )
    for name, parameter in module.generator.named_parameters():
        if name.endswith("noise_weight"):
            nn.init.ones_(parameter)
    assert isinstance(module, StyleBased)
    draw(StyleMixingGrid(columns=2, directory=str(tmp_path)), module)
    draw(NoiseComparison(rows=1, measured_realizations=4, directory=str(tmp_path)), module)
    draw(TruncationSweep(rows=1, directory=str(tmp_path)), module)
    mixed = tmp_path / "style_mixing/kimg_000000.000.png"
    found = cells(mixed, size=16, rows=7, columns=3, row_gaps=[1, 4, 6], column_gaps=[1])
    # An image of A keeps what is not taken from B, and there is no row that ignores B.
    assert all((found[row, 1] != found[row, 2]).any() for row in range(7))
    found = cells(tmp_path / "noise/kimg_000000.000_layers.png", size=16, rows=1, columns=4)[0]
    assert all((found[first] != found[second]).any() for first, second in combinations(range(4), 2))
    assert pixels(tmp_path / "truncation/kimg_000000.000.png").shape[2] == 3
