"""The commands for trained models on a StyleGAN2, whose styles are one more than its convolutions, of any ratio."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.cli import main
from lightning_gan.inference.distances import pixel_distance
from lightning_gan.inference.latent_spaces import StyleSpace
from lightning_gan.inference.project import projected
from lightning_gan.models import StyleGAN2
from tests.inference.trained import in_memory, saved_run, small


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run with images of 16x24 pixels."""
    monkeypatch.chdir(tmp_path)
    return saved_run(StyleGAN2, tmp_path / "run", image_width=24)


def picture(path: str) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(path))


def test_images_are_generated_with_truncation_and_noise(run: Path) -> None:
    main(["generate", str(run), "plain.png", "--seeds", "0-3", "--columns", "2"])
    main(["generate", str(run), "noisy.png", "--seeds", "0-3", "--columns", "2", "--fresh_noise", "true"])
    plain, noisy = picture("plain.png"), picture("noisy.png")
    assert plain.shape == noisy.shape and plain.shape[0] < plain.shape[1]
    assert not np.array_equal(plain, noisy)
    main(["generate", str(run), "mean", "--seeds", "0,1", "--truncation", "0", "--classes", "1"])
    first, second = (picture(f"mean/seed000{seed}_class1.png") for seed in (0, 1))
    assert first.shape == (16, 24, 3)
    assert np.array_equal(first, second)  # a truncation of 0 is the mean style for every seed


def test_ways_mixtures_and_directions_are_drawn(run: Path) -> None:
    main(["interpolate", str(run), "strip.png", "--seeds", "0,1", "--frames", "3", "--space", "w"])
    main(["interpolate", str(run), "mixed.png", "--mix", "0-2", "--seeds", "0,1", "--mix_seeds", "2,3"])
    main(["directions", str(run), "directions.png", "--count", "2", "--seeds", "0", "--layers", "1-3"])
    for name in ("strip", "mixed", "directions"):
        assert picture(f"{name}.png").std() > 0


def test_an_own_image_is_found_in_the_styles_of_all_layers() -> None:
    trained = in_memory(small(StyleGAN2, number_of_classes=0))
    target = trained.model.sample(1, seed=1)
    space = StyleSpace(trained, label=None, each_layer=True, seed=0, asker="space")
    found = projected(space, target, distance=pixel_distance, steps=80, learning_rate=0.1, seed=0)
    assert found.distance < found.distances[0] / 3
    assert found.point.shape == (1, 6, 8)


def test_it_is_loaded_with_its_connections(run: Path) -> None:
    import lightning_gan

    model = lightning_gan.load(str(run))
    assert isinstance(model, StyleGAN2)
    assert model.sample(1).shape == (1, 3, 16, 24)
    assert model.hparams["generator_connections"] == {"image_skips": True, "residual": False}
    expected = small(StyleGAN2, image_width=24).sample(2)
    torch.testing.assert_close(model.sample(2), expected)
