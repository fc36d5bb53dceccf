"""Images that are no squares: cut, resized, reduced, cached and streamed as squares are."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from lightning_gan.data import GANData, ImageFolder, ImageSource, MemoryImages, Pace, Resampling, Resize, box_mean
from lightning_gan.data.decoding import size_of
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import PixelSize, pixel_size
from lightning_gan.data.preparation import prepare
from lightning_gan.data.stream import Batch
from lightning_gan.schedules.growth import GrowthSchedule

HEIGHT, WIDTH = 8, 12


def noise(width: int, height: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_images(folder: Path, *, count: int = 5, width: int = WIDTH, height: int = HEIGHT) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(noise(width, height, seed=number)).save(folder / f"{number}.png")
    return folder


def decoded(path: Path, resize: Resize, *, resampling: Resampling = Resampling.bilinear) -> np.ndarray:
    decoder = ImageDecoder(size=pixel_size(HEIGHT, WIDTH), image_channels=3, resize=resize, resampling=resampling)
    (pixels,) = decoder.levels(path.read_bytes(), resolutions=[HEIGHT])
    return pixels


def batches(folder: Path, *, count: int = 4, **settings: object) -> list[Batch]:
    data = ImageFolder(
        path=folder,
        image_size=HEIGHT,
        image_width=WIDTH,
        batch_size=4,
        number_of_workers=0,
        **settings,  # type: ignore[arg-type]
    )
    return list(islice(data.train_dataloader(), count))


def equal(left: list[Batch], right: list[Batch]) -> bool:
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(left, right, strict=True))


# ---------------------------------------------------------------------- cutting and resizing


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (40, 16, (8, 0, 32, 16)),  # wider: 24x16 of 40x16
        (24, 40, (0, 12, 24, 28)),  # higher: 24x16 of 24x40
        (36, 24, (0, 0, 36, 24)),  # the same proportions
        (37, 24, (0, 0, 36, 24)),  # the odd pixel is cut from the right
    ],
)
def test_center_crop_resizes_the_largest_central_rectangle(
    width: int, height: int, box: tuple[int, int, int, int], tmp_path: Path
) -> None:
    image = Image.fromarray(noise(width, height))
    image.save(tmp_path / "a.png")
    expected = image.crop(box).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    assert np.array_equal(decoded(tmp_path / "a.png", Resize.center_crop), np.asarray(expected))


def test_squash_resizes_the_whole_image(tmp_path: Path) -> None:
    image = Image.fromarray(noise(30, 30))
    image.save(tmp_path / "a.png")
    expected = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    assert np.array_equal(decoded(tmp_path / "a.png", Resize.squash), np.asarray(expected))


@pytest.mark.parametrize(("width", "height", "covering"), [(30, 16, (15, 8)), (24, 40, (12, 20)), (19, 16, (12, 10))])
def test_shorter_side_covers_the_rectangle_and_cuts_it_out(
    width: int, height: int, covering: tuple[int, int], tmp_path: Path
) -> None:
    image = Image.fromarray(noise(width, height))
    image.save(tmp_path / "a.png")
    whole = np.asarray(image.resize(covering, Image.Resampling.BILINEAR))
    top, left = (covering[1] - HEIGHT) // 2, (covering[0] - WIDTH) // 2
    expected = whole[top : top + HEIGHT, left : left + WIDTH]
    assert np.array_equal(decoded(tmp_path / "a.png", Resize.shorter_side), expected)


def test_exact_refuses_the_square_and_the_turned_rectangle(tmp_path: Path) -> None:
    for width, height in ((HEIGHT, HEIGHT), (HEIGHT, WIDTH)):
        Image.fromarray(noise(width, height)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match=f"its size is {width}x{height}, not 12x8; set resize .* and image_width"):
            decoded(tmp_path / "a.png", Resize.exact)


def test_orientation_tags_count_before_the_size_does(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # is shown turned by 90 degrees
    pixels = np.zeros((WIDTH, HEIGHT, 3), dtype=np.uint8)
    pixels[:6] = 255  # the upper half of the file, which is shown at the right
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    assert size_of((tmp_path / "turned.jpg").read_bytes()) == (WIDTH, HEIGHT)
    shown = decoded(tmp_path / "turned.jpg", Resize.exact)
    assert shown.shape == (HEIGHT, WIDTH, 3) and shown[:, 8:].min() > 200 and shown[:, :4].max() < 55
    Image.fromarray(noise(WIDTH, HEIGHT)).save(tmp_path / "wrong.jpg", exif=exif)
    with pytest.raises(ValueError, match="its size is 8x12, not 12x8"):
        decoded(tmp_path / "wrong.jpg", Resize.exact)


def test_a_large_turned_photo_is_not_decoded_too_coarsely(tmp_path: Path) -> None:
    """The decoder of JPEG reduces by whole factors; asked for the turned size, it would take one too many."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stripes = np.zeros((96, 1024, 3), dtype=np.uint8)
    stripes[::2] = 255  # shown as columns, which a reduction before the cut would make grey
    Image.fromarray(stripes).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    decoder = ImageDecoder(size=pixel_size(8, 96), image_channels=3, resize=Resize.center_crop)
    (pixels,) = decoder.levels((tmp_path / "a.jpg").read_bytes(), resolutions=[8])
    assert pixels[:, ::2].std() < 20 and abs(int(pixels[4, 40, 0]) - int(pixels[4, 41, 0])) > 200


# ---------------------------------------------------------------------- resolutions


def test_lower_resolutions_are_means_of_squares_of_pixels() -> None:
    images = torch.from_numpy(noise(24, 16)).permute(2, 0, 1)[None]
    for resolution, factor in ((16, 1), (8, 2), (4, 4), (2, 8)):
        error = box_mean(images, resolution=resolution) - avg_pool2d(images.double(), factor)
        assert error.shape[-2:] == (16 // factor, 24 // factor) and error.abs().max() <= 0.5


def test_resolutions_end_where_a_side_is_odd() -> None:
    size = PixelSize(height=64, width=48)
    assert size.halvings == [64, 32, 16, 8, 4] and size.at(4) == PixelSize(height=4, width=3)
    with pytest.raises(ValueError, match=r"the width cannot be divided by 32; give an image_width .* such as 32"):
        size.at(2)
    schedule = GrowthSchedule(start_resolution=2, final_resolution=64, hold_kimg=0.008, fade_kimg=0.008)
    with pytest.raises(ValueError, match="cannot read 48x64 images at resolution 2"):
        Pace(batch_size=4, image_size=64, image_width=48, schedule=schedule)
    assert Pace(batch_size=4, image_size=64, schedule=schedule).resolution_at(0) == 2


def test_growing_streams_are_the_same_from_memory_from_files_and_from_a_cache(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")

    def grown(**settings: object) -> list[Batch]:
        data = ImageFolder(
            path=folder,
            image_size=HEIGHT,
            image_width=WIDTH,
            batch_size=4,
            mirror=True,
            number_of_workers=0,
            **settings,  # type: ignore[arg-type]
        )
        data.schedule = GrowthSchedule(start_resolution=2, final_resolution=8, hold_kimg=0.008, fade_kimg=0.008)
        return list(islice(data.train_dataloader(), 12))

    memory = grown()
    assert [images.shape[2:] for images, _ in memory][::4] == [(2, 3), (4, 6), (8, 12)]
    assert equal(grown(cache=False), memory) and equal(grown(cache_directory=tmp_path / "cache"), memory)
    (made,) = (tmp_path / "cache").iterdir()
    assert (
        np.load(made / "r0002.npy").shape == (5, 3, 2, 3)
        and '"image_width": 12' in (made / "manifest.json").read_text()
    )


def test_caches_of_squares_stay_valid_and_rectangles_have_their_own(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")
    widths: list[int | None] = [None, HEIGHT, WIDTH, 16]
    stamps = [
        ImageFiles(
            path=folder, image_size=HEIGHT, image_width=width, image_channels=3, resize=Resize.squash
        ).fingerprint()
        for width in widths
    ]
    assert stamps[0] == stamps[1] and len(set(stamps)) == 3


# ---------------------------------------------------------------------- data modules


def test_a_width_that_is_the_height_changes_nothing(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", width=16, height=16)
    squares = [
        ImageFolder(path=folder, image_size=8, image_width=width, resize=Resize.center_crop, batch_size=4)
        for width in (None, 8)
    ]
    assert squares[1].image_width is None and squares[0].describe() == squares[1].describe()
    streams = [list(islice(data.train_dataloader(), 3)) for data in squares]
    assert equal(*streams)


def test_random_crops_have_the_proportions_of_the_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", width=24, height=16)
    (images, _), *_ = batches(folder, random_crop_from=16)
    assert images.shape == (4, 3, HEIGHT, WIDTH)
    full = torch.stack([torch.from_numpy(noise(24, 16, seed=number)).permute(2, 0, 1) for number in range(5)])
    windows = full.unfold(2, HEIGHT, 1).unfold(3, WIDTH, 1)  # image channels down right height width
    for image in images:
        assert (windows == image[None, :, None, None]).all(dim=(1, 4, 5)).any()
    with pytest.raises(
        ValueError, match=r"random_crop_from=13 has no whole width .*; give a multiple of 2, such as 14"
    ):
        batches(folder, random_crop_from=13)


def test_random_crops_of_whole_images_may_lie_anywhere(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", width=48, height=16, count=1)
    found = batches(folder, random_crop_from=16, resize=Resize.shorter_side, count=60)
    images = torch.cat([images for images, _ in found])
    whole = torch.from_numpy(noise(48, 16)).permute(2, 0, 1)
    columns = {
        left
        for image in images
        for left in range(48 - WIDTH + 1)
        for top in range(9)
        if torch.equal(whole[:, top : top + HEIGHT, left : left + WIDTH], image)
    }
    assert min(columns) < 6 and max(columns) > 30


class Own(GANData):
    """A data module of a user with rectangular images in memory."""

    def __init__(self) -> None:
        super().__init__(
            image_size=HEIGHT,
            image_width=WIDTH,
            image_channels=3,
            number_of_classes=0,
            batch_size=4,
            seed=0,
            mirror=False,
            random_crop_from=16,
        )

    def open_source(self) -> ImageSource:
        assert (self.size_to_read, self.width_to_read) == (16, 24)
        images = torch.stack([torch.from_numpy(noise(24, 16, seed=number)).permute(2, 0, 1) for number in range(6)])
        return MemoryImages(images=images, labels=None)


def test_own_data_modules_have_rectangles_too() -> None:
    data = Own()
    assert data.describe().startswith("6 images of 12x8x3 in Own")
    images, _ = next(iter(data.train_dataloader()))
    assert images.shape == (4, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(("width", "message"), [(0, "image_width=0 must be at least 1; leave it out for squares")])
def test_impossible_widths_are_refused(width: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFolder(path=write_images(tmp_path / "images"), image_size=8, image_width=width)


# ---------------------------------------------------------------------- preparing


def test_prepared_rectangles_are_those_that_a_folder_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_images(tmp_path / "images", width=40, height=20)
    prepare(str(source), str(tmp_path / "made"), image_size=HEIGHT, image_width=WIDTH)
    assert "5 images of 12x8x3" in (printed := capsys.readouterr().out) and "fit --config stylegan2.yaml" in printed
    of_made = ImageFolder(path=tmp_path / "made", image_size=HEIGHT, image_width=WIDTH).source
    of_source = ImageFolder(path=source, image_size=HEIGHT, image_width=WIDTH, resize=Resize.center_crop).source
    indices = torch.arange(5)
    assert torch.equal(of_made.read(indices, resolution=8), of_source.read(indices, resolution=8))


def test_preparing_leaves_out_what_is_too_small_in_either_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_images(tmp_path / "images", width=20, height=20, count=2)
    Image.fromarray(noise(11, 20)).save(source / "narrow.png")
    Image.fromarray(noise(20, 7)).save(source / "low.png")
    prepare(str(source), str(tmp_path / "made"), image_size=HEIGHT, image_width=WIDTH)
    assert "2 images of 12x8x3, without labels, of 4" in (printed := capsys.readouterr().out)
    assert "left out: 2 too small" in printed
    with pytest.raises(ValueError, match="image_width=12 is given without a height; give image_size, too"):
        prepare(str(source), str(tmp_path / "other"), image_width=WIDTH)
