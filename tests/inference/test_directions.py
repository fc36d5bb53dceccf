"""Images are moved along the directions by standard deviations of the latents."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan import GAN
from lightning_gan.callbacks.figures.pictures import image_grid
from lightning_gan.inference.closed_form import directions_of
from lightning_gan.inference.directions import MovableLatents, MovableStyles, directions
from lightning_gan.models import DCGAN, BiGAN, BigGAN, StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.inference.trained import in_memory, saved_run, small


def test_latents_are_moved() -> None:
    trained = in_memory(small(DCGAN))
    movable = MovableLatents(trained, seeds=[4], labels=[2], layers=None, truncation=1.0)
    step = torch.randn(trained.model.latent_dim)
    latents = trained.model.draw_latents(1, seed=4)[0] + step
    expected = to_bytes(trained.model.sample(latents, torch.tensor([2]), clipped=False))
    assert torch.equal(movable.moved(0, step), expected)


def test_only_the_styles_of_the_chosen_layers_are_moved() -> None:
    trained = in_memory(small(StyleGAN))
    model = trained.model
    assert isinstance(model, StyleGAN)
    movable = MovableStyles(trained, seeds=[4], labels=[2], layers="1,3-4", truncation=0.8)
    assert [layer.style for layer in movable.layers] == [1, 3, 4]
    step = torch.randn(8)
    styles = model.styles(model.draw_latents(1, seed=4)[0], torch.tensor([2]), truncation=0.8).clone()
    styles[:, [1, 3, 4]] += step
    assert torch.equal(movable.moved(0, step), to_bytes(model.synthesize(styles)))


def test_the_picture_and_the_file_hold_the_same_directions(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    directions(str(run), str(tmp_path / "d.png"), count=2, strengths="-2,0,2", seeds="3,5")
    arrays = np.load(tmp_path / "d.npz")
    trained = in_memory(small(BiGAN))
    model = trained.model
    weight = model.generator_ema.get_submodule("generator.first.layer").weight
    found, values = directions_of(weight)
    np.testing.assert_allclose(arrays["directions"], found[:2], atol=1e-5)
    np.testing.assert_allclose(arrays["eigenvalues"], values, rtol=1e-4)
    # Uniform latents in [-1, 1) have the standard deviation 1 / sqrt(3) along every direction.
    np.testing.assert_allclose(arrays["deviations"], 3**-0.5, rtol=0.03)
    assert str(arrays["space"]) == "z" and list(arrays["layers"]) == ["generator.first.layer"]
    with Image.open(tmp_path / "d.png") as opened:
        picture = np.asarray(opened)
    size = 1024 // 24 * 8
    step = 2 * arrays["deviations"][1] * torch.from_numpy(arrays["directions"][1])
    latents = model.draw_latents(1, seed=3)[0] - step.float()
    image = image_grid(to_bytes(model.sample(latents, clipped=False)), columns=1, factor=size // 8).numpy()
    rows = picture[-2 * size - 2 :]  # those of the second direction
    assert np.array_equal(rows[:size, -3 * size - 4 : -2 * size - 4], image.repeat(3, axis=2))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (BiGAN, {"out": "d.gif"}, "d.gif must end in .png"),
        (BiGAN, {"count": 0}, "count=0 must be at least 1"),
        (BiGAN, {"strengths": "1,a"}, "strengths: 'a' is no number"),
        (BiGAN, {"count": 7}, "count=7: the layers have 6 directions along which they change; give at most 6"),
        (BigGAN, {"count": 6}, "count=6: the layers have 5 directions"),
        (BiGAN, {"layers": "2"}, r"layers=2: the layers that take the latents are 0 \(generator.first.layer\), 1 \("),
        (StyleGAN, {"layers": "4-6"}, "layers: 4-6 are 3 numbers|layers: there is no layer 6; the layers are 0 to 5"),
    ],
)
def test_what_does_not_fit_is_refused(kind: type[GAN], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    run = saved_run(kind, tmp_path / "run")
    settings = {"out": str(tmp_path / "d.png"), **options}
    with pytest.raises(ValueError, match=message):
        directions(str(run), **settings)
    assert not list(tmp_path.glob("d.*"))


def test_a_file_of_directions_is_kept(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"d.npz exists; give another place, or --overwrite"):
        directions("no such checkpoint", str(tmp_path / "d.png"))
