"""Images of 16 bits, of floats and of any number of channels: read, scaled, reduced, cached and streamed."""

import pickle
from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1
from lightning_gan.data import GANData, ImageFolder, ImageSource, MemoryImages, Resize, box_mean
from lightning_gan.data.decoding import size_of
from lightning_gan.data.first_image import size_of_first
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.stored_values import stored_deep
from lightning_gan.data.stream import Batch
from lightning_gan.data.value_range import ValueRange, ValuesError
from lightning_gan.models import R3GAN, StyleGAN2
from lightning_gan.schedules.growth import GrowthSchedule
from lightning_gan.tensors.image_bytes import from_bytes, nearest_bytes
from tests.toys import toy_trainer

SIZE = 8
DEEP = (0.0, 65535.0)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)


def png(values: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def npy(values: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, values)
    return file.getvalue()


def folder_of(path: Path, contents: Sequence[bytes], *, suffix: str = ".png") -> Path:
    path.mkdir()
    for number, content in enumerate(contents):
        (path / f"{number}{suffix}").write_bytes(content)
    return path


def read_all(
    path: Path, *, channels: int = 1, value_range: tuple[float, float] | None = DEEP, **settings: object
) -> torch.Tensor:
    files = ImageFiles(
        path=path,
        image_size=SIZE,
        image_channels=channels,
        value_range=value_range,
        **settings,  # type: ignore[arg-type]
    )
    return files.read(torch.arange(len(files)), resolution=SIZE)


# ---------------------------------------------------------------------- ranges


def test_the_ends_of_a_range_are_minus_one_and_one() -> None:
    scaled = ValueRange(low=-20.0, high=80.0).scaled(np.array([-20, -10, 30, 80]))
    assert scaled.tolist() == [-1.0, np.float32(-0.8), 0.0, 1.0] and scaled.dtype == np.float32


def test_scaling_is_undone() -> None:
    values = np.linspace(-7, 3, 1001)
    values_range = ValueRange(low=-7.0, high=3.0)
    back = values_range.original(torch.from_numpy(values_range.scaled(values)))
    torch.testing.assert_close(back, torch.from_numpy(values), rtol=0, atol=1e-6)


@pytest.mark.parametrize("given", [(0.0, 0.0), (1.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_what_is_no_range_is_refused(given: tuple[float, float], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE))])
    with pytest.raises(ValueError, match=r"value_range=.* must be two finite numbers, of which the second is the larg"):
        read_all(folder, value_range=given)


@pytest.mark.parametrize(("value", "shown"), [(101.5, "101.5"), (-0.5, "-0.5")])
def test_values_outside_of_the_range_are_refused_with_file_and_value(value: float, shown: str, tmp_path: Path) -> None:
    values = np.full((SIZE, SIZE), 50, dtype=np.float32)
    values[3, 4] = value
    folder = folder_of(tmp_path / "images", [npy(values)], suffix=".npy")
    with pytest.raises(ValueError, match=rf"images: 0.npy: its value {shown} is outside of value_range \[0, 100\]"):
        read_all(folder, value_range=(0.0, 100.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_not_answered_with_a_wider_range(value: float, tmp_path: Path) -> None:
    values = np.full((SIZE, SIZE), 50, dtype=np.float32)
    values[3, 4] = value
    folder = folder_of(tmp_path / "images", [npy(values)], suffix=".npy")
    with pytest.raises(ValueError, match=rf"images: 0.npy: its value {value} is not finite; give it a finite one"):
        read_all(folder, value_range=(0.0, 100.0))


def test_complex_images_are_refused_and_not_cut_to_their_real_part() -> None:
    with pytest.raises(ValueError, match=r"images are torch.complex64 \(2, 1, 8, 8\); give uint8"):
        MemoryImages(images=torch.zeros(2, 1, SIZE, SIZE, dtype=torch.complex64), labels=None, value_range=DEEP)


def test_what_is_wrong_with_several_files_is_said_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE, seed=seed)) for seed in range(12)])
    (folder / "a.png").write_bytes(png(np.zeros((SIZE, SIZE, 3), dtype=np.uint8)))
    files = ImageFiles(path=folder, image_size=SIZE, image_channels=3, value_range=(0.0, 255.0))
    with pytest.raises(ValueError, match=r"12 of 13 images in .* cannot be used") as caught:
        files.check()
    _, reason = str(caught.value).splitlines()
    assert reason == (
        "  0.png, 1.png, 10.png, 11.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png, ... (12): it has 1 channel, not 3; "
        "set image_channels to 1 (--data.image_channels 1; prepare, test --reals: --image_channels)"
    )


def test_arrays_with_their_channels_first_are_told_from_those_of_another_number_of_channels(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "first", [npy(np.zeros((5, SIZE, SIZE)))], suffix=".npy")
    with pytest.raises(ValueError, match=r"0.npy: its shape \[5, 8, 8\] is read as \[height, .*transpose\(1, 2, 0\)"):
        read_all(first, channels=5)
    other = folder_of(tmp_path / "other", [npy(np.zeros((SIZE, SIZE, 4)))], suffix=".npy")
    with pytest.raises(ValueError, match="it has 4 channels, not 5; set image_channels to 4"):
        read_all(other, channels=5)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, SIZE, SIZE, 5)), r"an array of float64 \[2, 8, 8, 5\] and no image; write numbers \[height"),
        (np.zeros((SIZE, SIZE), dtype=complex), r"an array of complex128 \[8, 8\] and no image"),
        (np.zeros((0, SIZE)), r"an array of float64 \[0, 8\] and no image"),
        (np.array([[None, 1]]), "Object arrays cannot be loaded"),
    ],
)
def test_a_first_file_that_is_no_image_is_refused_with_the_reason(
    array: np.ndarray, reason: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "0.npy", array)
    files = ImageFiles(path=tmp_path, image_size=SIZE, image_channels=5, value_range=DEEP)
    with pytest.raises(ValueError, match=rf"--images: 0.npy: .*{reason}.*; replace or remove the file"):
        size_of_first(files, option="--images")


# ---------------------------------------------------------------------- files


def test_grey_images_of_16_bits_are_read_exactly(tmp_path: Path) -> None:
    values = noise(SIZE, SIZE)
    folder = folder_of(tmp_path / "images", [png(values)])
    expected = torch.from_numpy(values.astype(np.float64) / 65535 * 2 - 1).float()
    torch.testing.assert_close(read_all(folder)[0, 0], expected, rtol=0, atol=6e-8)


def test_16_bits_that_repeat_the_byte_are_the_images_of_8_bits(tmp_path: Path) -> None:
    pixels = np.arange(256, dtype=np.uint16)[:64].reshape(SIZE, SIZE) * 4 + 3
    deep = folder_of(tmp_path / "deep", [png(pixels * 257)])
    flat = folder_of(tmp_path / "flat", [png(pixels.astype(np.uint8))])
    bytes_ = read_all(flat, value_range=None)
    assert bytes_.dtype == torch.uint8
    torch.testing.assert_close(read_all(deep), from_bytes(bytes_), rtol=0, atol=1.2e-7)
    torch.testing.assert_close(read_all(flat, value_range=(0.0, 255.0)), from_bytes(bytes_), rtol=0, atol=1.2e-7)
    assert torch.equal(nearest_bytes(read_all(deep)), bytes_)  # which metrics compare


def test_colours_of_16_bits_keep_all_of_them(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = noise(SIZE, SIZE, 3)
    folder = folder_of(tmp_path / "images", [imagecodecs.png_encode(values)])
    (tmp_path / "images" / "1.tif").write_bytes(imagecodecs.tiff_encode(values, photometric="rgb"))
    expected = torch.from_numpy(ValueRange(low=0.0, high=65535.0).scaled(values)).permute(2, 0, 1)
    assert all(torch.equal(image, expected) for image in read_all(folder, channels=3))


def test_without_imagecodecs_colours_of_16_bits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    folder = folder_of(tmp_path / "images", [imagecodecs.png_encode(noise(SIZE, SIZE, 3))])

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("lightning_gan.data.stored_values.import_module", missing)
    with pytest.raises(ValueError, match=r"0.png: Pillow does not read its values; pip install .*fast-png.* \.npy"):
        read_all(folder, channels=3)


def test_planes_of_16_bits_are_not_taken_for_bytes(tmp_path: Path) -> None:
    """Pillow says that such a file has 8 bits, and reads the first half of each plane."""
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values, file = noise(SIZE, SIZE, 3), BytesIO()
    tifffile.imwrite(file, values.transpose(2, 0, 1), planarconfig="separate", photometric="rgb")
    folder = folder_of(tmp_path / "images", [file.getvalue()], suffix=".tif")
    with pytest.raises(ValueError, match=r"0.tif: its pixels \(RGB\) have more than 8 bits"):
        read_all(folder, channels=3, value_range=None)
    expected = torch.from_numpy(ValueRange(low=0.0, high=65535.0).scaled(values)).permute(2, 0, 1)
    assert torch.equal(read_all(folder, channels=3)[0], expected)


@pytest.mark.parametrize("settings", [{}, {"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_planes_of_files_that_pillow_does_not_know_are_channels(settings: dict[str, object], tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values, file = noise(SIZE, SIZE, SIZE), BytesIO()  # whose shape does not tell what the planes are
    tifffile.imwrite(file, values, planarconfig="separate", photometric="minisblack", **settings)
    folder = folder_of(tmp_path / "images", [file.getvalue()], suffix=".tif")
    expected = ValueRange(low=0.0, high=65535.0).scaled(values)
    assert np.array_equal(read_all(folder, channels=SIZE)[0].numpy(), expected)


def test_bytes_with_a_sign_are_not_taken_for_bytes_without(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values, file = np.arange(-32, 32, dtype=np.int8).reshape(SIZE, SIZE) * 4, BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack")
    folder = folder_of(tmp_path / "images", [file.getvalue()], suffix=".tif")
    with pytest.raises(ValueError, match=r"0.tif: its pixels \(L\) have a sign; .*--data.value_range '\[-128, 127\]'"):
        read_all(folder, value_range=None)
    found = read_all(folder, value_range=(-128.0, 127.0))[0, 0].numpy()
    assert np.array_equal(found, ValueRange(low=-128.0, high=127.0).scaled(values))


def test_tiff_files_of_five_channels_of_bytes_are_read_with_a_range_which_is_said(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values, file = noise(SIZE, SIZE, 5).astype(np.uint8), BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack", planarconfig="contig")
    folder = folder_of(tmp_path / "images", [file.getvalue()], suffix=".tif")
    with pytest.raises(ValueError, match=r"image_channels=5 .*TIFF files of other channels need a value_range"):
        read_all(folder, channels=5, value_range=None)
    expected = torch.from_numpy(ValueRange(low=0.0, high=255.0).scaled(values)).permute(2, 0, 1)
    assert torch.equal(read_all(folder, channels=5, value_range=(0.0, 255.0))[0], expected)


def test_tiff_files_of_floats_are_read(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(-5, 5, (SIZE, SIZE)).astype(np.float32)
    file = BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    folder = folder_of(tmp_path / "images", [file.getvalue()], suffix=".tif")
    torch.testing.assert_close(read_all(folder, value_range=(-5.0, 5.0))[0, 0], torch.from_numpy(values / 5))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_deep_images_are_turned_as_those_of_8_bits(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = []
    for kind in (np.uint8, np.uint16):
        file = BytesIO()
        Image.fromarray(values.astype(kind)).save(file, form, exif=exif)
        found.append(file.getvalue())
    with Image.open(BytesIO(found[1])) as opened:
        turned = stored_deep(opened, found[1])[:, :, 0]
    flat, deep = (size_of(contents) for contents in found)
    assert flat == deep == turned.shape[::-1]
    with Image.open(BytesIO(found[0])) as opened:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(opened)), turned)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_arrays_have_any_number_of_channels(channels: int, tmp_path: Path) -> None:
    values = noise(SIZE, SIZE, channels)
    folder = folder_of(tmp_path / "images", [npy(values)], suffix=".npy")
    expected = torch.from_numpy(ValueRange(low=0.0, high=65535.0).scaled(values)).permute(2, 0, 1)
    assert torch.equal(read_all(folder, channels=channels)[0], expected)
    assert size_of(npy(values[:, :6])) == (6, SIZE)


def test_arrays_of_bytes_need_no_range(tmp_path: Path) -> None:
    values = noise(2, SIZE, SIZE).astype(np.uint8)
    folder = folder_of(tmp_path / "images", [npy(one) for one in values], suffix=".npy")
    images = read_all(folder, value_range=None)
    assert images.dtype == torch.uint8 and torch.equal(images[:, 0], torch.from_numpy(values))


def test_arrays_in_a_zip_are_read_and_checked_as_images_are(tmp_path: Path) -> None:
    values = noise(SIZE, SIZE)
    with ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a.npy", npy(values))
        archive.writestr("b.npy", npy(values))
    files = ImageFiles(path=tmp_path / "d.zip", image_size=SIZE, image_channels=1, value_range=DEEP)
    assert files.origin.remarks == ("1 images are equal to another one",)
    assert torch.equal(files.read(torch.tensor([0]), resolution=SIZE), files.read(torch.tensor([1]), resolution=SIZE))
    with ZipFile(tmp_path / "large.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros((5000, 5000), dtype=np.float64)))
    with pytest.raises(ValueError, match=r"a.npy would grow from .* as only an attack on memory does"):
        ImageFiles(path=tmp_path / "large.zip", image_size=SIZE, image_channels=1, value_range=DEEP)


def test_arrays_beside_images_are_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE))])
    (folder / "features.npy").write_bytes(npy(noise(3, 3)))
    files = ImageFiles(path=folder, image_size=SIZE, image_channels=1, value_range=DEEP)
    assert files.names == ["0.png"] and files.origin.remarks == ("left out 1 .npy",)


@pytest.mark.parametrize(
    ("contents", "channels", "value_range", "message"),
    [
        (npy(noise(SIZE, SIZE, 5)), 3, DEEP, r"it has 5 channels, not 3; set image_channels to 5 \(--data.image_chan"),
        (
            npy(noise(SIZE, SIZE)),
            1,
            None,
            r"it has uint16 values from .* to .*--data.value_range '\[LOWEST, HIGHEST\]'",
        ),
        (npy(noise(SIZE, SIZE).astype(np.uint8)), 1, DEEP, r"it has 8 bits per channel, and value_range \[0, 65535\]"),
        (npy(noise(SIZE)), 1, DEEP, r"it is an array of uint16 \[8\] and no image; write numbers \[height, width\]"),
        (npy(np.full((SIZE, SIZE), 1j)), 1, DEEP, "it is an array of complex128"),
        (npy(noise(SIZE, SIZE))[:-9], 1, DEEP, "0.npy: "),
        (npy(np.array([[{}]])), 1, DEEP, "0.npy: Object arrays cannot be loaded"),
        (npy(noise(SIZE, 6)), 1, DEEP, "its size is 6x8, not 8x8"),
        (b"text", 1, DEEP, "it is not an image"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    contents: bytes, channels: int, value_range: tuple[float, float] | None, message: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "images", [contents], suffix=".npy")
    with pytest.raises(ValueError, match=rf"images: 0.npy: .*{message.removeprefix('0.npy: ')}"):
        read_all(folder, channels=channels, value_range=value_range)


def test_deep_images_without_a_range_are_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE))])
    with pytest.raises(ValueError, match=r"0.png: its pixels \(I;16\) have more than 8 bits; .*range '\[0, 65535\]'"):
        read_all(folder, value_range=None)
    with pytest.raises(ValueError, match="it has 1 channel, not 3; set image_channels to 1"):
        read_all(folder, channels=3)


# ---------------------------------------------------------------------- resizing and growing


def test_floats_are_resized_as_pillow_resizes_floats(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (20, 30)).astype(np.float32)
    folder = folder_of(tmp_path / "images", [npy(values)], suffix=".npy")
    found = read_all(folder, value_range=(0.0, 1.0), resize=Resize.center_crop)[0, 0]
    square = Image.fromarray(2 * values[:, 5:25] - 1).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    torch.testing.assert_close(found, torch.from_numpy(np.array(square)).clamp(-1, 1), rtol=0, atol=1e-6)


def test_filters_do_not_leave_the_range(tmp_path: Path) -> None:
    values = np.zeros((20, 20), dtype=np.float32)
    values[:, 10:] = 1
    folder = folder_of(tmp_path / "images", [npy(values)], suffix=".npy")
    found = read_all(folder, value_range=(0.0, 1.0), resize=Resize.squash)
    assert (found.min().item(), found.max().item()) == (-1, 1)


def test_lower_resolutions_are_means_that_are_not_rounded() -> None:
    images = torch.rand(3, 2, 8, 12) * 2 - 1
    expected = images.double().unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(-1, -2)).float()
    torch.testing.assert_close(box_mean(images, resolution=2), expected, rtol=0, atol=1e-7)


def test_growing_streams_are_the_same_from_memory_from_files_and_from_a_cache(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [npy(noise(SIZE, SIZE, 2, seed=seed)) for seed in range(5)], suffix=".npy")

    def grown(**settings: object) -> list[Batch]:
        data = ImageFolder(
            path=folder,
            image_size=SIZE,
            image_channels=2,
            value_range=DEEP,
            batch_size=4,
            mirror=True,
            number_of_workers=0,
            **settings,  # type: ignore[arg-type]
        )
        data.schedule = GrowthSchedule(start_resolution=2, final_resolution=8, hold_kimg=0.008, fade_kimg=0.008)
        return list(islice(data.train_dataloader(), 12))

    def equal(left: list[Batch], right: list[Batch]) -> bool:
        return all(torch.equal(a, b) for (a, _), (b, _) in zip(left, right, strict=True))

    memory = grown()
    assert [images.shape[1:] for images, _ in memory][::4] == [(2, 2, 2), (2, 4, 4), (2, 8, 8)]
    assert all(images.dtype == torch.float32 for images, _ in memory)
    assert equal(grown(cache=False), memory) and equal(grown(cache_directory=tmp_path / "cache"), memory)
    (made,) = (tmp_path / "cache").iterdir()
    assert np.load(made / "r0004.npy").dtype == np.float32
    assert '"value_range": "[0, 65535]"' in (made / "manifest.json").read_text()


def test_ranges_have_caches_of_their_own(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE))])
    ranges: list[tuple[float, float] | None] = [None, DEEP, (-1.0, 65535.0)]
    stamps = {
        ImageFiles(path=folder, image_size=SIZE, image_channels=1, value_range=one).fingerprint() for one in ranges
    }
    assert len(stamps) == 3


def test_random_crops_of_floats_are_parts_of_the_image(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [npy(noise(12, 12, 2))], suffix=".npy")
    data = ImageFolder(
        path=folder, image_size=SIZE, image_channels=2, value_range=DEEP, random_crop_from=12, batch_size=4
    )
    images, _ = next(iter(data.train_dataloader()))
    full = torch.from_numpy(ValueRange(low=0.0, high=65535.0).scaled(noise(12, 12, 2))).permute(2, 0, 1)
    windows = full.unfold(1, SIZE, 1).unfold(2, SIZE, 1)  # channels down right height width
    assert all((windows == image[:, None, None]).all(dim=0).all(dim=-1).all(dim=-1).any() for image in images)


# ---------------------------------------------------------------------- data modules


def folder_data(folder: Path, value_range: tuple[float, float] | None) -> ImageFolder:
    return ImageFolder(path=folder, image_size=SIZE, image_channels=1, value_range=value_range, batch_size=4)


def test_the_first_line_tells_the_range(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE))])
    assert folder_data(folder, DEEP).describe().startswith("1 images of 8x8x1 with values in [0, 65535] in images")


def test_a_resumed_training_refuses_another_range(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", [png(noise(SIZE, SIZE).astype(np.uint8))])
    ranges: list[tuple[float, float] | None] = [None, (0.0, 255.0), (0.0, 250.0)]
    modules = [folder_data(folder, value_range) for value_range in ranges]
    for module in modules:
        module.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    for saved in modules:
        for module in modules:
            state = saved.state_dict()
            if module is saved:
                module.load_state_dict(state)
            else:
                with pytest.raises(
                    ValueError, match=r"trained with value_range=.* and the data now has .*; give the s"
                ):
                    module.load_state_dict(state)
    before = {name: value for name, value in modules[0].state_dict().items() if name != "value_range"}
    modules[0].load_state_dict(before)  # of a version without ranges
    with pytest.raises(ValueError, match=r"value_range=null and the data now has \[0, 255\]"):
        modules[1].load_state_dict(before)


class Own(GANData):
    """A data module of a user: floats of two channels in memory."""

    def __init__(self, *, dequantization_noise: float = 0.0) -> None:
        super().__init__(
            image_size=SIZE,
            image_channels=2,
            number_of_classes=0,
            batch_size=4,
            seed=0,
            mirror=True,
            value_range=(-3.0, 3.0),
            dequantization_noise=dequantization_noise,
        )

    def open_source(self) -> ImageSource:
        images = torch.randn(6, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
        return MemoryImages(images=images, labels=None, value_range=(-3.0, 3.0))


def test_models_train_on_floats_of_an_own_data_module() -> None:
    module = R3GAN(image_size=SIZE, image_channels=2, widest=8, group_width=4, latent_dim=4)
    toy_trainer(R1(gamma=1.0), max_steps=2).fit(module, Own())
    assert module.images_seen == 8
    assert module.sample(3, seed=0).shape == (3, 2, SIZE, SIZE)


def test_models_train_on_float_rectangles_of_any_loader() -> None:
    module = StyleGAN2(
        image_size=8, image_width=12, image_channels=5, latent_dim=4, style_dim=4, channel_base=32, channel_max=4
    )
    loader = DataLoader(TensorDataset(torch.rand(8, 5, 8, 12) * 2 - 1), batch_size=4)
    toy_trainer(R1(gamma=1.0)).fit(module, loader)
    assert module.images_seen == 8
    wrong = DataLoader(TensorDataset(torch.rand(8, 5, 12, 8) * 2 - 1), batch_size=4)
    with pytest.raises(
        ValueError, match=r"5 x 12 x 8 and those of the generator 5 x 8 x 12 .* another image_size and an"
    ):
        toy_trainer().fit(module, wrong)


def test_own_data_modules_have_floats_too() -> None:
    images, _ = next(iter(Own().train_dataloader()))
    assert images.shape == (4, 2, SIZE, SIZE) and images.dtype == torch.float32 and images.abs().max() <= 1
    with pytest.raises(ValueError, match=r"dequantization_noise=0.01 fills the gaps .* value_range=\[-3.0, 3.0\]"):
        Own(dequantization_noise=0.01)
    with pytest.raises(ValueError, match=r"its value 4.0 is outside of value_range \[-3, 3\]"):
        MemoryImages(images=torch.full((1, 1, 2, 2), 4.0), labels=None, value_range=(-3.0, 3.0))


def test_a_refusal_of_values_can_be_sent_between_processes() -> None:
    refused = ValuesError("its value nan is not finite", "leave out the image")
    received = pickle.loads(pickle.dumps(refused))
    assert str(received) == str(refused) == "its value nan is not finite; leave out the image"
    assert received.found == refused.found
