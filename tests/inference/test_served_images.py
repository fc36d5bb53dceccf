"""The images on the page of `serve`: what its controls say is what they show, and what a model lacks is refused."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.inference.keyframes import styles_of
from lightning_gan.inference.served_images import ServedModel
from lightning_gan.inference.trained_model import Device, trained_model
from lightning_gan.loop.gan import GAN
from lightning_gan.models import DCGAN, BigGAN, IntroVAE, StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.inference.trained import saved_run


def served(kind: type[GAN], folder: Path, *, classes: list[str] | None = None) -> ServedModel:
    return ServedModel(trained_model(str(saved_run(kind, folder, classes=classes)), device=Device.cpu, ema=True))


def pixels(contents: bytes) -> np.ndarray[Any, Any]:
    with Image.open(BytesIO(contents)) as picture:
        return np.asarray(picture).copy()


def png(image: np.ndarray[Any, Any]) -> bytes:
    contents = BytesIO()
    Image.fromarray(image).save(contents, format="PNG")
    return contents.getvalue()


def test_a_sample_is_the_image_of_its_seed_and_its_class(tmp_path: Path) -> None:
    page = served(DCGAN, tmp_path, classes=["cat", "dog", "bird"])
    model = page.trained.model
    latents, _ = model.draw_latents(1, seed=4)
    for label, asked in ((1, None), (2, 2)):  # the class of seed 4 is 4 modulo 3
        expected = to_bytes(model.sample(latents, torch.tensor([label])))[0].permute(1, 2, 0).squeeze(-1)
        assert np.array_equal(pixels(page.sample(4, label=asked)), expected.numpy())
    assert page.sample(4) == page.sample(4, label=1) != page.sample(4, label=2)
    assert page.class_titles == ["0 cat", "1 dog", "2 bird"]


def test_the_page_has_what_the_model_has(tmp_path: Path) -> None:
    kinds: list[type[GAN]] = [StyleGAN, IntroVAE, BigGAN, DCGAN]
    styled, encoder, big, plain = (served(kind, tmp_path / kind.__name__) for kind in kinds)
    assert [page.layers for page in (styled, encoder, big, plain)] == [[4, 4, 8, 8, 16, 16], [], [], []]
    assert [page.has_encoder for page in (styled, encoder, big, plain)] == [False, True, False, False]
    assert [page.has_truncation for page in (styled, encoder, big, plain)] == [True, False, True, False]
    assert encoder.class_titles == [] and big.class_titles == ["0", "1", "2"]


def test_truncation_changes_samples_and_at_zero_all_seeds_are_alike(tmp_path: Path) -> None:
    page = served(StyleGAN, tmp_path)
    assert page.sample(1, truncation=0.5, label=0) != page.sample(1, label=0)
    assert page.sample(1, truncation=0.0, label=0) == page.sample(2, truncation=0.0, label=0)


@pytest.mark.parametrize("in_styles", [False, True])
def test_a_way_begins_and_ends_at_its_seeds(in_styles: bool, tmp_path: Path) -> None:
    page = served(StyleGAN, tmp_path)

    def at(first: int, second: int, place: float) -> np.ndarray[Any, Any]:
        return pixels(page.between(first, second, place=place, in_styles=in_styles, label=0)).astype(int)

    assert not np.array_equal(at(0, 1, 0.0), at(0, 1, 0.5))
    assert np.abs(at(0, 1, 0.3) - at(1, 0, 0.7)).max() <= 1  # the same place on the way back
    if in_styles:  # in z, ends have the direction of the seed's latent, and the length of a typical one
        assert np.array_equal(at(0, 1, 0.0), pixels(page.sample(0, label=0)))
        assert np.array_equal(at(0, 1, 1.0), pixels(page.sample(1, label=0)))


def test_mixed_styles_are_those_of_the_second_seed_in_the_chosen_layers(tmp_path: Path) -> None:
    page = served(StyleGAN, tmp_path)
    ends: dict[str, Any] = {"first": 3, "second": 5, "label": 1, "truncation": 0.7}
    own, other = (page.sample(seed, label=1, truncation=0.7) for seed in (3, 5))
    assert page.mixed(**ends, lowest=0, highest=-1) == own
    assert page.mixed(**ends, lowest=0, highest=5) == other
    some = page.mixed(**ends, lowest=2, highest=3)
    assert some not in (own, other)
    styles = styles_of(page.trained, [3, 5], [1, 1], truncation=0.7, asker="test")
    by_hand = torch.cat([styles[0, :2], styles[1, 2:4], styles[0, 4:]])[None]
    expected = page.trained.styled_image(by_hand, what="test")[0].permute(1, 2, 0).squeeze(-1)
    assert np.array_equal(pixels(some), expected.numpy())


def test_an_uploaded_image_is_reconstructed_in_the_size_of_the_model(tmp_path: Path) -> None:
    page = served(IntroVAE, tmp_path)
    wide = np.zeros((32, 64, 3), dtype=np.uint8)
    wide[:, 16:48] = 8 * np.arange(32, dtype=np.uint8)[:, None, None]
    made = page.reconstruction(png(wide), name="wide.png")
    image, reconstruction = pixels(made.image), pixels(made.reconstruction)
    assert image.shape == reconstruction.shape == (16, 16)
    assert (image == 16 * np.arange(16)[:, None] + 4).all()  # means of 2x2 pixels of the central square
    assert made.error == pytest.approx(np.abs(image.astype(float) - reconstruction).mean())
    model = page.trained.autoencoder(asker="test")
    expected = to_bytes(model.reconstruct(torch.tensor(image)[None, None] / 127.5 - 1))[0, 0].numpy()
    assert np.abs(expected.astype(int) - reconstruction).max() <= 1


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    page, encoder = served(DCGAN, tmp_path / "a"), served(IntroVAE, tmp_path / "b")
    with pytest.raises(ValueError, match="seed -1: seeds are whole numbers from 0"):
        page.sample(-1)
    with pytest.raises(ValueError, match="class 3: DCGAN has 3 classes"):
        page.sample(0, label=3)
    with pytest.raises(ValueError, match="no truncation trick"):
        page.sample(0, truncation=0.5)
    with pytest.raises(ValueError, match=r"place=1\.5"):
        page.between(0, 1, place=1.5)
    with pytest.raises(ValueError, match="layers 0 to 1: DCGAN has 0 with styles"):
        page.mixed(0, 1, lowest=0, highest=1)
    with pytest.raises(ValueError, match="DCGAN has no encoder"):
        page.reconstruction(b"", name="a.png")
    with pytest.raises(ValueError, match=r"a\.txt cannot be read as an image; give a PNG"):
        encoder.reconstruction(b"no image", name="a.txt")
    with pytest.raises(ValueError, match=r"a\.png: its pixels .* more than 8 bits; give an image as the model was"):
        encoder.reconstruction(png(np.zeros((8, 8), dtype=np.uint16)), name="a.png")
    with pytest.raises(ValueError, match=r"cut\.png cannot be read as an image"):
        encoder.reconstruction(png(np.zeros((64, 64), dtype=np.uint8))[:-30], name="cut.png")
