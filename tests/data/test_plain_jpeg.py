"""JPEG files that torchvision decodes have the pixels and the errors of Pillow."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from lightning_gan.data import plain_jpeg
from lightning_gan.data.decoding import Resize
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.images import pixel_size
from lightning_gan.data.plain_jpeg import Pixels, pixels_of_plain_jpeg

SIZE = 40
DECODER = ImageDecoder(size=pixel_size(SIZE), image_channels=3)
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def picture(rng: np.random.Generator, *, width: int = SIZE, height: int = SIZE, mode: str = "RGB") -> Image.Image:
    """Smooth colours with noise."""
    smooth = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((width, height))
    noise = rng.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)).convert(mode)


def jpeg(image: Image.Image, **settings: Any) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


def by_pillow(contents: bytes, mode: str) -> np.ndarray:
    image = Image.open(BytesIO(contents))
    image.draft(mode, image.size)
    pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def by_torchvision(contents: bytes, mode: str) -> Pixels | None:
    return pixels_of_plain_jpeg(Image.open(BytesIO(contents)), contents, mode=mode)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def decoder_is_chosen_anew() -> Iterator[None]:
    plain_jpeg._decoder.cache_clear()
    yield
    plain_jpeg._decoder.cache_clear()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("mode", "wanted"), [("RGB", "RGB"), ("RGB", "L"), ("L", "L"), ("L", "RGB")])
def test_plain_files_have_the_pixels_of_pillow(mode: str, wanted: str, progressive: bool, subsampling: str) -> None:
    rng = np.random.default_rng(0)
    for quality in (1, 30, 75, 95, 100):
        width, height = (int(length) for length in rng.integers(8, 99, 2))
        image = picture(rng, width=width, height=height, mode=mode)
        profile = b"a colour profile" * int(rng.integers(2))
        settings = {"quality": quality, "subsampling": subsampling, "progressive": progressive, "icc_profile": profile}
        contents = jpeg(image, **settings, restart_marker_rows=int(rng.integers(2)))
        pixels = by_torchvision(contents, wanted)
        assert pixels is not None and pixels.shape == (height, width, len(wanted))
        np.testing.assert_array_equal(pixels, by_pillow(contents, wanted))


@pytest.mark.parametrize("wanted", ["RGB", "L"])
def test_files_that_store_red_green_and_blue_have_the_pixels_of_pillow(wanted: str) -> None:
    for seed in range(5):
        contents = jpeg(picture(np.random.default_rng(seed)), quality=20 * seed + 10, keep_rgb=True)
        pixels = by_torchvision(contents, wanted)
        assert pixels is not None
        np.testing.assert_array_equal(pixels, by_pillow(contents, wanted))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_only_plain_jpeg_files_are_taken_from_pillow() -> None:
    image = picture(np.random.default_rng(0))
    assert by_torchvision(jpeg(image), "RGB") is not None
    assert by_torchvision(jpeg(image, exif=turned(1)), "RGB") is not None
    assert by_torchvision(jpeg(image, exif=turned(6)), "RGB") is None
    assert by_torchvision(jpeg(image.convert("CMYK")), "RGB") is None
    assert by_torchvision(jpeg(image), "RGBA") is None
    png = BytesIO()
    image.save(png, "PNG")
    assert by_torchvision(png.getvalue(), "RGB") is None


def broken(contents: bytes, rng: np.random.Generator) -> bytes:
    """Cuts a file, overwrites bytes, or removes some."""
    place, length = int(rng.integers(len(contents))), int(rng.integers(1, 30))
    cut = contents[: len(contents) - length], contents[:place]
    other = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    changed = contents[:place] + other + contents[place + length :], contents[:place] + contents[place + length :]
    return (*cut, *changed)[rng.integers(4)]


def outcome(contents: bytes, decoder: ImageDecoder, resolutions: list[int]) -> list[Any]:
    try:
        return [(pixels.shape, pixels.tobytes()) for pixels in decoder.levels(contents, resolutions=resolutions)]
    except Exception as error:
        return [type(error), str(error).partition(" object at ")[0]]


def check_ends(
    wholes: Iterable[bytes],
    broken: Callable[[bytes, np.random.Generator], bytes],
    rng: np.random.Generator,
    *,
    without_library: Callable[[], None],
) -> None:
    """Checks that files, and eight broken ones of each, give the same pixels or errors with and without a library."""
    cases = []
    for whole in wholes:
        for contents in (whole, *(broken(whole, rng) for _ in range(8))):
            decoder = ImageDecoder(
                size=pixel_size(int(rng.choice([SIZE, SIZE, 8]))),
                image_channels=int(rng.choice(list(MODES))),
                resize=list(Resize)[rng.integers(len(Resize))],
            )
            resolutions = [decoder.size.height // int(factor) for factor in rng.choice([1, 1, 2], 2)]
            cases.append((contents, decoder, resolutions, outcome(contents, decoder, resolutions)))
    without_library()
    for contents, decoder, resolutions, found in cases:
        assert found == outcome(contents, decoder, resolutions)
    assert sum(isinstance(found[0], tuple) for *_, found in cases) > len(cases) / 8


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on tags that it reads nevertheless
@pytest.mark.parametrize("pictures", [40, pytest.param(4000, marks=pytest.mark.slow)])
def test_whole_and_broken_files_end_as_with_pillow_alone(pictures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def drawn() -> bytes:
        mode = ("RGB", "L", "CMYK")[rng.choice(3, p=[0.6, 0.3, 0.1])]
        exif = turned(int(rng.integers(1, 9))) if rng.random() < 0.3 else Image.Exif()
        settings = {"quality": int(rng.integers(1, 101)), "progressive": bool(rng.integers(2)), "exif": exif}
        return jpeg(picture(rng, mode=mode), **settings)

    name = "lightning_gan.data.image_decoder.pixels_of_plain_jpeg"
    wholes = (drawn() for _ in range(pictures))
    check_ends(wholes, broken, rng, without_library=lambda: monkeypatch.setattr(name, lambda *_, **__: None))


def test_whole_images_for_random_crops_have_the_pixels_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = jpeg(picture(np.random.default_rng(0), width=SIZE, height=64))
    pixels = DECODER.whole(contents)
    assert pixels.shape == (64, SIZE, 3)
    np.testing.assert_array_equal(pixels, by_pillow(contents, "RGB"))


def one_off(data: torch.Tensor, mode: ImageReadMode) -> torch.Tensor:
    pixels = decode_jpeg(data, mode)
    pixels[0, 0, 0] ^= 1
    return pixels


def of_another_build(data: torch.Tensor, mode: ImageReadMode) -> torch.Tensor:
    raise RuntimeError("image.so was built for another torch")


@pytest.mark.parametrize("decoder", [one_off, of_another_build, None])
def test_pillow_decodes_everything_where_torchvision_is_missing_or_differs(
    decoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = SimpleNamespace(ImageReadMode=ImageReadMode, **({} if decoder is None else {"decode_jpeg": decoder}))
    monkeypatch.setattr(plain_jpeg, "import_module", lambda name: module)
    contents = jpeg(picture(np.random.default_rng(0)))
    assert by_torchvision(contents, "RGB") is None
    (pixels,) = DECODER.levels(contents, resolutions=[SIZE])
    np.testing.assert_array_equal(pixels, by_pillow(contents, "RGB"))


def test_png_pixels_with_a_wrong_checksum_are_refused_and_end_no_process() -> None:
    file = BytesIO()
    picture(np.random.default_rng(0)).save(file, "PNG")
    whole = file.getvalue()
    start = whole.index(b"IDAT")
    length = int.from_bytes(whole[start - 4 : start], "big")
    packed = whole[start + 4 : start + 4 + length]
    packed = packed[:-1] + bytes([packed[-1] ^ 1])
    chunk = b"IDAT" + packed
    contents = whole[:start] + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[start + 8 + length :]
    with pytest.raises(OSError, match="broken data stream"):
        DECODER.levels(contents, resolutions=[SIZE])
