"""Image files for a model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.inference.images_in import image_for, paths_in
from lightning_gan.models import BiGAN, StyleGAN, StyleGAN2
from tests.inference.trained import in_memory, small


def test_an_image_of_the_models_size_is_read_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = (np.arange(16 * 16 * 3) % 256).astype(np.uint8).reshape(16, 16, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = image_for(in_memory(small(StyleGAN)), str(tmp_path / "a.png"))
    assert torch.equal(read, torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1)
    assert capsys.readouterr().err == ""


def test_of_another_size_the_central_square_is_resized_and_this_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = 255  # only the central square is white
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = image_for(in_memory(small(BiGAN)), str(tmp_path / "a.png"))
    assert read.shape == (1, 1, 8, 8) and (read == 1).all()
    assert "a.png has 48x16 pixels: its central square is resized to 8x8" in capsys.readouterr().err


def test_for_a_rectangle_the_largest_central_rectangle_is_resized(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = in_memory(StyleGAN2(image_size=8, image_width=12, latent_dim=4, style_dim=4, channel_base=32))
    pixels = np.zeros((32, 24, 3), dtype=np.uint8)
    pixels[8:24] = 255  # only the central 24x16 are white
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = image_for(trained, str(tmp_path / "a.png"))
    assert read.shape == (1, 3, 8, 12) and (read == 1).all()
    assert "its largest central rectangle of these proportions is resized to 12x8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "channels", "reason"),
    [
        (
            np.zeros((8, 8), dtype=np.uint16),
            1,
            r"its pixels \(I;16\) have more than 8 bits; .*: channels 1, of 8 bits",
        ),
        (np.zeros((8, 8, 5), dtype=np.uint8), 3, "it has 5 channels, not 3; .*: channels 3, of 8 bits$"),
        (np.zeros((8, 8), dtype=np.uint8), 5, r"image_channels=5 cannot be read from image files; .*: channels 5"),
    ],
)
def test_an_image_of_other_values_is_told_what_the_model_was_trained_on_and_no_settings_of_data(
    values: np.ndarray, channels: int, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / ("a.png" if values.ndim == 2 else "a.npy")
    if values.ndim == 2:
        Image.fromarray(values).save(file)
    else:
        np.save(file, values)
    with pytest.raises(ValueError, match=rf"a\.(png|npy): {reason}") as caught:
        image_for(in_memory(BiGAN(image_size=8, latent_dim=6, image_channels=channels)), str(file))
    assert "--" not in str(caught.value) and "give an image as the model was trained on" in str(caught.value)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    trained = in_memory(small(BiGAN))
    with pytest.raises(ValueError, match=r"there is no image .*b.png; give the path of an image file"):
        image_for(trained, str(tmp_path / "b.png"))
    (tmp_path / "c.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"c.png cannot be read as an image .*; give another file"):
        image_for(trained, str(tmp_path / "c.png"))
    with pytest.raises(ValueError, match=r"images=a.png, has an empty path"):
        paths_in("a.png,", option="images")
