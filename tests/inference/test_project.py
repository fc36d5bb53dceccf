"""Projection finds the latent of an image that the model itself has made, better than any that it begins at."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lightning_gan
from lightning_gan import GAN
from lightning_gan.inference.distances import DistanceKind, clipped_with_gradient, pixel_distance
from lightning_gan.inference.latent_spaces import LatentSpace, SpaceKind, StyleSpace, nearest_latent
from lightning_gan.inference.project import learning_rate_at, noise_at, project, projected
from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.models import DCGAN, BiGAN, IntroVAE, StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.shapes import Images
from tests.inference.trained import in_memory, saved_run, small


def own_image(trained: TrainedModel, *, seed: int, label: int | None = None) -> Images:
    """An image that the model makes."""
    labels = None if label is None else torch.tensor([label])
    return trained.model.sample(trained.model.draw_latents(1, seed=seed)[0], labels)


@pytest.mark.parametrize("each_layer", [False, True])
def test_an_own_image_is_found_in_the_styles(each_layer: bool) -> None:
    trained = in_memory(small(StyleGAN, number_of_classes=0))
    target = own_image(trained, seed=1)
    space = StyleSpace(trained, label=None, each_layer=each_layer, seed=0, asker="space")
    found = projected(space, target, distance=pixel_distance, steps=120, learning_rate=0.1, seed=0)
    assert found.distance < found.distances[0] / 4
    assert found.point.shape == (1, 6 if each_layer else 1, 8)
    made = found.space.images(found.point).detach().clamp(-1, 1)
    assert float(pixel_distance(made, target)) == pytest.approx(found.distance, rel=1e-4)


def test_the_search_in_z_begins_at_the_nearest_of_some_latents() -> None:
    trained = in_memory(small(DCGAN))
    target = own_image(trained, seed=1, label=2)
    space = nearest_latent(trained, target, label=None, distance=pixel_distance, seed=0)
    latents, labels = trained.model.draw_latents(100, seed=0)
    apart = pixel_distance(trained.model.sample(latents, labels), target.expand(100, -1, -1, -1))
    nearest = int(apart.argmin())
    assert torch.equal(space.start, latents[nearest][None]) and space.label == nearest % 3
    found = projected(space, target, distance=pixel_distance, steps=80, learning_rate=0.1, seed=0)
    assert found.distance < found.distances[0] / 2
    assert nearest_latent(trained, target, label=1, distance=pixel_distance, seed=0).label == 1


def test_an_encoder_gives_the_start() -> None:
    trained = in_memory(small(BiGAN))
    target = torch.rand(1, 1, 8, 8) * 2 - 1
    assert isinstance(trained.model, BiGAN)
    code = trained.model.encode(target)
    space = LatentSpace(trained, start=code, label=None)
    stays = projected(space, target, distance=pixel_distance, steps=0, learning_rate=0.1, seed=0)
    assert torch.equal(stays.point, code) and stays.distances == [stays.distance]
    refined = projected(space, target, distance=pixel_distance, steps=40, learning_rate=0.1, seed=0)
    assert refined.distance < stays.distance
    assert len(refined.distances) == 41


def test_the_result_is_never_worse_than_the_start() -> None:
    trained = in_memory(small(BiGAN))
    target = own_image(trained, seed=0)
    space = LatentSpace(trained, start=trained.model.draw_latents(1, seed=0)[0] + 1e-3, label=None)
    found = projected(space, target, distance=pixel_distance, steps=20, learning_rate=500.0, seed=0)
    assert min(found.distances[1:]) > found.distances[0]
    assert found.distance == found.distances[0] and torch.equal(found.point, space.start)


def test_a_seed_gives_the_same_path_and_another_seed_another() -> None:
    trained = in_memory(small(StyleGAN, number_of_classes=0))
    target = own_image(trained, seed=1)
    space = StyleSpace(trained, label=None, each_layer=False, seed=0, asker="space")
    paths = [
        projected(space, target, distance=pixel_distance, steps=10, learning_rate=0.1, seed=seed).distances
        for seed in (0, 0, 1)
    ]
    assert paths[0] == paths[1] != paths[2]


def test_the_mean_style_and_its_deviation_are_those_of_many_styles() -> None:
    trained = in_memory(small(StyleGAN))
    model = trained.model
    assert isinstance(model, StyleGAN)
    space = StyleSpace(trained, label=1, each_layer=False, seed=0, asker="space")
    latents = torch.randn(4000, 8, generator=torch.Generator().manual_seed(9))
    styles = model.styles(latents, torch.ones(4000, dtype=torch.int64))[:, 0]
    apart = (styles - styles.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    assert space.deviation == pytest.approx(float(apart), rel=0.05)
    assert (space.start[0, 0] - styles.mean(dim=0)).norm() < 0.1 * apart
    other = StyleSpace(trained, label=None, each_layer=False, seed=0, asker="space")
    assert not torch.equal(other.start, space.start)


def test_clipped_values_have_a_gradient() -> None:
    images = torch.tensor([-3.0, -0.5, 3.0, 3.0]).reshape(1, 1, 2, 2).requires_grad_()
    clipped = clipped_with_gradient(images)
    assert clipped.flatten().tolist() == [-1.0, -0.5, 1.0, 1.0]
    target = torch.tensor([-1.0, 0.5, 1.0, -1.0]).reshape(1, 1, 2, 2)
    (gradient,) = torch.autograd.grad(pixel_distance(clipped, target).sum(), images)
    assert gradient.flatten().tolist() == [0.0, -0.5, 0.0, 1.0]


def test_the_schedules_of_the_paper() -> None:
    rates = [learning_rate_at(share / 100, largest=0.1) for share in range(101)]
    assert max(rates) == rates[5] == rates[75] == 0.1 and rates[0] == 0 and rates[100] == pytest.approx(0)
    assert rates[:6] == sorted(rates[:6]) and rates[75:] == sorted(rates[75:], reverse=True)
    assert noise_at(0.0) == 0.05 and noise_at(0.75) == 0 and noise_at(0.25) == pytest.approx(0.05 * (2 / 3) ** 2)


# ------------------------------------------------------------------ the command


def written(model: GAN, path: Path) -> Images:
    """Write an image of a model to a file, and return it as the file has it."""
    image = to_bytes(model.sample(1, seed=5))[0]
    pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(path)
    return image


def test_files_hold_the_image_the_latent_and_the_distances(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    model = lightning_gan.load(run)
    written(model, tmp_path / "a.png")
    project(str(run), [str(tmp_path / "a.png")], steps=5)
    folder = run / "projected" / "a"
    assert sorted(path.name for path in folder.iterdir()) == [
        "compared.png",
        "distances.csv",
        "latent.npz",
        "projected.png",
    ]
    lines = (folder / "distances.csv").read_text().splitlines()
    assert lines[0] == "step,pixel" and len(lines) == 7 and lines[1].startswith("0,")
    latents = torch.from_numpy(np.load(folder / "latent.npz")["latents"])
    with Image.open(folder / "projected.png") as opened:
        assert np.array_equal(np.asarray(opened), to_bytes(model.sample(latents))[0, 0].numpy())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    project(str(run), [str(tmp_path / "a.png")], steps=5, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(ValueError, match=r"projected.png exists; give another place, or --overwrite"):
        project(str(run), [str(tmp_path / "a.png")], steps=5)


def test_styles_in_a_file_make_the_projected_image(tmp_path: Path) -> None:
    run = saved_run(StyleGAN, tmp_path / "run")
    model = lightning_gan.load(run)
    assert isinstance(model, StyleGAN)
    written(model, tmp_path / "a.png")
    project(str(run), [str(tmp_path / "a.png")], steps=2, space=SpaceKind.w_plus, out=str(tmp_path / "out"))
    styles = torch.from_numpy(np.load(tmp_path / "out" / "a" / "latent.npz")["styles"])
    assert styles.shape == (1, 6, 8)
    with Image.open(tmp_path / "out" / "a" / "projected.png") as opened:
        expected = to_bytes(model.synthesize(styles))[0].permute(1, 2, 0)
        assert np.array_equal(np.asarray(opened), expected.numpy())


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (BiGAN, {"steps": -1}, "steps=-1 must be at least 0"),
        (BiGAN, {"learning_rate": 0.0}, "learning_rate=0.0 must be a positive number"),
        (BiGAN, {"images": ["a.png", "b/a.jpg"]}, "two images are called a and would get the same folder"),
        (BiGAN, {"images": ["missing.png"]}, "there is no image missing.png"),
        (BiGAN, {"space": SpaceKind.w}, "space=w: BiGAN has no styles"),
        (IntroVAE, {"label": "1"}, "label=1: IntroVAE was trained without classes"),
        (DCGAN, {"label": "0-1"}, "label=0-1 are 2 classes; give one"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: type[GAN], options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("a.png")
    run = saved_run(kind, tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        project(str(run), **{"images": ["a.png"], **options})


def test_lpips_needs_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    message = r"distance=lpips: .*no weights at .*vgg16-397923af.pth. Download .*LpipsDistance\(download=True"
    with pytest.raises(ValueError, match=message):
        DistanceKind.lpips.found(torch.device("cpu"))


def test_another_distance_is_minimized_as_well() -> None:
    trained = in_memory(small(BiGAN))
    target = own_image(trained, seed=1)

    def brightness(first: Images, second: Images) -> torch.Tensor:
        return (first.mean(dim=(1, 2, 3)) - second.mean(dim=(1, 2, 3))).square()

    space = LatentSpace(trained, start=trained.model.draw_latents(1, seed=0)[0], label=None)
    found = projected(space, target, distance=brightness, steps=40, learning_rate=0.1, seed=0)
    assert found.distance < found.distances[0] / 100
