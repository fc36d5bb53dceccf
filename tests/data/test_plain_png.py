"""PNG files that imagecodecs decodes have the pixels and the errors of Pillow."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lightning_gan.data import plain_png
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.images import pixel_size
from lightning_gan.data.plain_jpeg import Pixels
from lightning_gan.data.plain_png import pixels_of_plain_png
from tests.data.test_plain_jpeg import DECODER, MODES, SIZE, check_ends, picture, turned

imagecodecs = pytest.importorskip("imagecodecs", reason="the extra `fast-png` is not installed")


def png(image: Image.Image, **settings: Any) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", **settings)
    return file.getvalue()


def parts_of(contents: bytes) -> list[tuple[bytes, bytes]]:
    start, parts = 8, []
    while start < len(contents):
        length = int.from_bytes(contents[start : start + 4], "big")
        parts.append((contents[start + 4 : start + 8], contents[start + 8 : start + 8 + length]))
        start += 12 + length
    return parts


def file_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    packed = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def with_part(contents: bytes, kind: bytes, content: bytes, *, place: int) -> bytes:
    parts = parts_of(contents)
    return file_of([*parts[:place], (kind, content), *parts[place:]])


def by_pillow(contents: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(BytesIO(contents)))
    return pixels.reshape(*pixels.shape[:2], -1)


def by_imagecodecs(contents: bytes, mode: str) -> Pixels | None:
    return pixels_of_plain_png(Image.open(BytesIO(contents)), contents, mode=mode)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def decoder_is_chosen_anew() -> Iterator[None]:
    plain_png._decoder.cache_clear()
    yield
    plain_png._decoder.cache_clear()


@pytest.mark.parametrize("mode", MODES.values())
@pytest.mark.parametrize("level", [0, 1, 9])
def test_plain_files_have_the_pixels_of_pillow(mode: str, level: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        width, height = (int(length) for length in rng.integers(1, 99, 2))
        contents = png(picture(rng, width=width, height=height, mode=mode), compress_level=level)
        pixels = by_imagecodecs(contents, mode)
        assert pixels is not None and pixels.shape == (height, width, len(mode)) and pixels.flags.writeable
        np.testing.assert_array_equal(pixels, by_pillow(contents))


def text(name: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(name, value)
    return info


def test_remarks_in_a_file_change_nothing() -> None:
    image = picture(np.random.default_rng(0))
    remarks = {"icc_profile": b"a colour profile", "dpi": (72, 72), "pnginfo": text("Software", "a program")}
    contents = png(image, **remarks)
    for kind, content in (
        (b"gAMA", struct.pack(">I", 45455)),
        (b"sRGB", b"\0"),
        (b"cHRM", struct.pack(">8I", *range(30000, 30008))),
        (b"tIME", b"\x07\xe7\1\1\1\1\1"),
    ):
        contents = with_part(contents, kind, content, place=1)
    pixels = by_imagecodecs(contents, "RGB")
    assert pixels is not None
    np.testing.assert_array_equal(pixels, np.asarray(image))


def test_only_plain_png_files_are_taken_from_pillow() -> None:
    image = picture(np.random.default_rng(0))
    plain = png(image)
    assert by_imagecodecs(plain, "RGB") is not None
    behind = len(parts_of(plain)) - 1
    others = {
        "other channels": (plain, "L"),
        "a palette": (png(image.quantize(16)), "RGB"),
        "a transparent colour": (png(image, transparency=(1, 2, 3)), "RGB"),
        "one bit": (png(image.convert("1")), "L"),
        "a grey one with a transparent colour": (png(image.convert("L"), transparency=3), "L"),
        "tags of a camera": (png(image, exif=turned(6)), "RGB"),
        "tags of a camera behind the pixels": (with_part(plain, b"eXIf", turned(6).tobytes(), place=behind), "RGB"),
        "tags of a camera in a text": (png(image, pnginfo=text("Raw profile type exif", "exif")), "RGB"),
        "tags of Adobe in a text": (png(image, pnginfo=text("XML:com.adobe.xmp", "<x/>")), "RGB"),
        "something unknown": (with_part(plain, b"abCd", b"?", place=1), "RGB"),
        "an animation": (png(image, save_all=True, append_images=[image.rotate(90)]), "RGB"),
        "an end that is missing": (plain[:-12], "RGB"),
        "a jpeg": (jpeg(image), "RGB"),
    }
    for case, (contents, mode) in others.items():
        assert by_imagecodecs(contents, mode) is None, case


def jpeg(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def test_interlaced_files_are_left_to_pillow() -> None:
    """Pillow writes none: seven passes of an image of one pixel are one row."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    contents = file_of([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0\1\2\3")), (b"IEND", b"")])
    assert by_imagecodecs(contents, "RGB") is None
    (pixels,) = ImageDecoder(size=pixel_size(1), image_channels=3).levels(contents, resolutions=[1])
    assert pixels.tolist() == [[[1, 2, 3]]]


def broken(contents: bytes, rng: np.random.Generator) -> bytes:
    """Changes bits, cuts, or inserts a byte, anywhere or in the compressed pixels, whose checksum is then right."""
    parts = parts_of(contents)
    number = next(number for number, (kind, _) in enumerate(parts) if kind == b"IDAT")
    within = bool(rng.integers(2))
    data = bytearray(parts[number][1] if within else contents)
    place = int(rng.integers(len(data)))
    kind = rng.integers(5)
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        data[place:place] = rng.bytes(1)
    elif kind == 3:
        data[-int(rng.integers(1, 5))] ^= 1 << int(rng.integers(8))
    else:
        data += rng.bytes(int(rng.integers(1, 9)))
    if not within:
        return bytes(data)
    halves = [(b"IDAT", bytes(data[:place])), (b"IDAT", bytes(data[place:]))]
    return file_of([*parts[:number], *halves, *parts[number + 1 :]])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on what it reads nevertheless
@pytest.mark.parametrize("pictures", [40, pytest.param(4000, marks=pytest.mark.slow)])
def test_whole_and_broken_files_end_as_with_pillow_alone(pictures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def drawn() -> bytes:
        mode = ("RGB", "L", "RGBA", "P", "LA")[rng.choice(5, p=[0.4, 0.2, 0.2, 0.1, 0.1])]
        image = picture(rng, mode="RGB" if mode == "P" else mode)
        image = image.quantize(16) if mode == "P" else image
        exif = {"exif": turned(int(rng.integers(1, 9)))} if rng.random() < 0.2 else {}
        return png(image, compress_level=int(rng.integers(0, 10)), **exif)

    name = "lightning_gan.data.image_decoder.pixels_of_plain_png"
    wholes = (drawn() for _ in range(pictures))
    check_ends(wholes, broken, rng, without_library=lambda: monkeypatch.setattr(name, lambda *_, **__: None))


def test_whole_images_for_random_crops_have_the_pixels_of_pillow() -> None:
    contents = png(picture(np.random.default_rng(0), width=SIZE, height=64))
    pixels = DECODER.whole(contents)
    assert pixels.shape == (64, SIZE, 3)
    np.testing.assert_array_equal(pixels, by_pillow(contents))


def one_off(contents: bytes) -> np.ndarray:
    pixels: np.ndarray = imagecodecs.png_decode(contents)
    pixels.flat[0] ^= 1
    return pixels


def without_libpng(contents: bytes) -> np.ndarray:
    raise imagecodecs.DelayedImportError("png")


@pytest.mark.parametrize("decoder", [one_off, without_libpng, None])
def test_pillow_decodes_everything_where_imagecodecs_is_missing_or_differs(
    decoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(**({} if decoder is None else {"png_decode": decoder}))
    monkeypatch.setattr(plain_png, "import_module", lambda name: library)
    contents = png(picture(np.random.default_rng(0)))
    assert by_imagecodecs(contents, "RGB") is None
    (pixels,) = DECODER.levels(contents, resolutions=[SIZE])
    np.testing.assert_array_equal(pixels, by_pillow(contents))
