"""Random crops are a pure function of (seed, position); resizing by the shorter side is torchvision's."""

import hashlib
import json
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from lightning_gan.data import GANData, ImageFolder, MemoryImages, RandomCrops, Resampling, Resize, box_mean
from lightning_gan.data.crops import crops_of_images, offset_at, places_at, size_to_read
from lightning_gan.data.datamodule import Pace
from lightning_gan.data.decoding import resized
from lightning_gan.data.image_decoder import ImageDecoder
from lightning_gan.data.images import pixel_size
from lightning_gan.data.stream import Batch, Stream, StreamLoader


def ramps(count: int = 6, *, height: int = 12, width: int = 12) -> torch.Tensor:
    """Images whose first channel is the row, whose second is the column, and whose third is their number."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    images = [torch.stack([rows, columns, torch.full_like(rows, number)]) for number in range(count)]
    return torch.stack(images).to(torch.uint8)


def cropped(count: int = 6) -> RandomCrops:
    return crops_of_images(MemoryImages(images=ramps(count), labels=torch.arange(count)), larger_size=12, size=8)


def stream_of(source: RandomCrops, *, rank: int = 0, world_size: int = 1, resolution: int = 8) -> Stream:
    pace = Pace(batch_size=4, image_size=8, schedule=None)
    return Stream(
        source=source,
        seed=7,
        batch_size_at=pace.batch_size_at,
        resolution_at=lambda position: resolution,
        mirror=True,
        rank=rank,
        world_size=world_size,
    )


def first(batches: int, stream: Stream, *, workers: int = 0, position: int = 0) -> list[Batch]:
    loader = StreamLoader(stream=stream, position=lambda: position, number_of_workers=workers, pin_memory=False)
    return list(islice(loader, batches))


def equal(left: list[Batch], right: list[Batch]) -> bool:
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(left, right, strict=True))


def png(array: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def write_images(folder: Path, *, count: int = 4, height: int = 16, width: int = 24) -> Path:
    folder.mkdir()
    for number, image in enumerate(ramps(count, height=height, width=width)):
        (folder / f"{number}.png").write_bytes(png(image.permute(1, 2, 0).numpy()))
    return folder


# ---------------------------------------------------------------------- places


def test_every_offset_is_equally_likely_and_both_ends_are_reached() -> None:
    places = places_at(0, count=90_000, seed=0)
    offsets = torch.tensor([offset_at(place, length=72, size=64) for place in places[:, 0].tolist()])
    shares = torch.bincount(offsets, minlength=9) / len(offsets)
    assert len(shares) == 9 and bool(((shares - 1 / 9).abs() < 4 * (1 / 9 * 8 / 9 / 90_000) ** 0.5).all())


def test_places_down_and_to_the_right_do_not_depend_on_each_other() -> None:
    down, right = places_at(0, count=50_000, seed=0).T
    assert abs(torch.corrcoef(torch.stack([down, right]))[0, 1]) < 0.02


def test_a_square_as_large_as_the_image_has_one_place() -> None:
    assert {offset_at(place, length=64, size=64) for place in (0.0, 0.5, 0.999999)} == {0}


def test_the_centre_is_rounded_up_as_bigans_code_does() -> None:
    """``(s - c + 1) // 2`` in `data.py` of github.com/jeffdonahue/bigan."""
    for length in range(64, 80):
        assert offset_at(0.5, length=length, size=64) == (length - 64 + 1) // 2


def test_a_crop_from_a_smaller_image_is_refused() -> None:
    with pytest.raises(ValueError, match="random_crop_from=60 is smaller than image_size=64; give at least 64"):
        size_to_read(image_size=64, random_crop_from=60)


# ---------------------------------------------------------------------- the stream


def test_a_crop_is_a_square_of_the_larger_image() -> None:
    images = cropped().cut(torch.tensor([2, 5]), places=torch.tensor([[0.0, 0.99], [0.5, 0.5]]).double(), resolution=8)
    assert torch.equal(images[0], ramps()[2, :, 0:8, 4:12])
    assert torch.equal(images[1], ramps()[5, :, 2:10, 2:10])


def test_passes_see_the_central_squares_in_order() -> None:
    assert torch.equal(cropped().read(torch.arange(6), resolution=8), ramps()[:, :, 2:10, 2:10])


def test_lower_resolutions_are_box_means_of_the_same_crop() -> None:
    full, half = first(3, stream_of(cropped())), first(3, stream_of(cropped(), resolution=4))
    for (images, _), (small, _) in zip(full, half, strict=True):
        assert torch.equal(small, box_mean(images, resolution=4))


def test_training_sees_many_places() -> None:
    corners = {
        tuple(image[:2].amin(dim=(1, 2)).tolist()) for images, _ in first(100, stream_of(cropped())) for image in images
    }
    assert corners == {(top, left) for top in range(5) for left in range(5)}


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
def test_workers_and_a_restart_do_not_change_the_crops() -> None:
    alone = first(7, stream_of(cropped()))
    assert equal(first(7, stream_of(cropped()), workers=3), alone)
    assert equal(first(4, stream_of(cropped()), position=12), alone[3:])


def test_ranks_together_cut_as_one_process() -> None:
    alone = first(6, stream_of(cropped()))
    ranks = [first(6, stream_of(cropped(), rank=rank, world_size=2)) for rank in range(2)]
    together = [tuple(map(torch.cat, zip(*shares, strict=True))) for shares in zip(*ranks, strict=True)]
    assert equal(together, alone)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- files


def test_whole_images_are_cut_at_random_places_of_their_longer_side_too(tmp_path: Path) -> None:
    """24x16 pixels, of which DCGAN's Torch code makes 18x12 before it cuts 8x8 out; nothing is cut off before."""
    data = ImageFolder(
        path=write_images(tmp_path / "images"),
        image_size=8,
        resize=Resize.shorter_side,
        random_crop_from=12,
        batch_size=4,
        number_of_workers=0,
    )
    assert isinstance(data.source, RandomCrops)
    images = torch.cat([images for images, _ in islice(data.train_dataloader(), 60)])
    # A slope of 24/18 a pixel: the first column at the left end is about 0, and at the right end, ten pixels on, 13.
    columns = images[:, 1, 0, 0]
    assert columns.min() <= 1 and columns.max() >= 12
    whole = ImageDecoder(size=pixel_size(12), image_channels=3).whole((tmp_path / "images" / "0.png").read_bytes())
    assert whole.shape == (12, 18, 3)
    central = torch.from_numpy(whole[2:10, 5:13].copy()).permute(2, 0, 1)
    assert torch.equal(
        data.source.read(torch.tensor([0]), resolution=8)[0],
        central,
    )


def test_crops_of_squares_are_the_same_from_memory_from_files_and_from_a_cache(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")

    def batches(**settings: object) -> list[Batch]:
        data = ImageFolder(
            path=folder,
            image_size=8,
            resize=Resize.center_crop,
            random_crop_from=12,
            batch_size=4,
            number_of_workers=0,
            **settings,  # type: ignore[arg-type]
        )
        return list(islice(data.train_dataloader(), 5))

    memory = batches()
    assert equal(batches(cache=False), memory) and equal(batches(cache_directory=tmp_path / "cache"), memory)


def test_a_cache_of_whole_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set resize to center_crop, or leave cache_directory out"):
        ImageFolder(
            path=write_images(tmp_path / "images"),
            image_size=8,
            resize=Resize.shorter_side,
            random_crop_from=12,
            cache_directory=tmp_path / "cache",
        )


def stamp_of(path: Path) -> str:
    return f"{path.stat().st_size} {path.stat().st_mtime_ns}"


def test_bilinear_images_have_a_cache_of_their_own_and_older_caches_stay_valid(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")

    def fingerprint(resampling: Resampling) -> str:
        data = ImageFolder(
            path=folder, image_size=8, resize=Resize.squash, resampling=resampling, cache_directory=tmp_path / "cache"
        )
        return data._files.fingerprint()

    assert len({fingerprint(resampling) for resampling in Resampling}) == 3
    files = [[name, stamp_of(folder / name)] for name in sorted(path.name for path in folder.iterdir())]
    before = hashlib.blake2b(json.dumps([[8, 3, "squash"], files]).encode(), digest_size=8).hexdigest()
    assert fingerprint(Resampling.box_or_lanczos) == before


# ---------------------------------------------------------------------- resizing


@pytest.mark.parametrize(("width", "height"), [(178, 218), (341, 256), (500, 375), (97, 300)])
@pytest.mark.parametrize("size", [64, 72, 96])
def test_the_shorter_side_is_resized_as_torchvision_does(width: int, height: int, size: int) -> None:
    """Resize and CenterCrop of torchvision, the transform of GAN_stability (arXiv:1801.04406) and of VGAN's code."""
    functional = pytest.importorskip("torchvision.transforms.functional")
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = functional.resize(Image.fromarray(noise), size)
    decoder = ImageDecoder(
        size=pixel_size(size), image_channels=3, resize=Resize.shorter_side, resampling=Resampling.bilinear
    )
    contents = png(noise)
    whole = decoder.whole(contents)
    assert np.array_equal(whole, np.asarray(expected))
    (square,) = decoder.levels(contents, resolutions=[size])
    top, left = (whole.shape[0] - size) // 2, (whole.shape[1] - size) // 2
    assert np.array_equal(square, whole[top : top + size, left : left + size])


@pytest.mark.parametrize(
    ("resampling", "filter_"),
    [(Resampling.bilinear, Image.Resampling.BILINEAR), (Resampling.lanczos, Image.Resampling.LANCZOS)],
)
def test_a_filter_is_used_even_where_the_size_divides(resampling: Resampling, filter_: Image.Resampling) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(resized(image, (8, 8), resampling)), np.asarray(image.resize((8, 8), filter_)))


def test_by_default_pixels_are_means_where_the_size_divides() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    image = np.array(resized(Image.fromarray(noise.numpy()), (8, 8), Resampling.box_or_lanczos))
    mean = avg_pool2d(noise.permute(2, 0, 1).double(), 2)
    assert (torch.from_numpy(image).permute(2, 0, 1) - mean).abs().max() <= 0.5


@pytest.mark.parametrize("resampling", Resampling)
def test_an_image_of_the_size_wanted_is_kept(resampling: Resampling) -> None:
    image = Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
    assert resized(image, (8, 8), resampling) is image
    assert resized(image, (5, 4), resampling).size == (5, 4)


def test_data_without_options_are_read_as_before(tmp_path: Path) -> None:
    data: GANData = ImageFolder(path=write_images(tmp_path / "images"), image_size=8, resize=Resize.center_crop)
    assert isinstance(data.source, MemoryImages) and data.size_to_read == 8
