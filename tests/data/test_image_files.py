"""Folders and zips of image files: labels, modes, sizes, and errors that name every file at fault."""

import hashlib
import json
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.data.decoding import Resize
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.images import MemoryImages, box_mean


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def zipped(folder: Path, *, compression: int = zipfile.ZIP_STORED) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    return target


def rgb_folder(folder: Path, *, names: tuple[str, ...] = ("b.png", "a.png", "c.bmp"), size: int = 8) -> torch.Tensor:
    """Writes RGB images, and gives them in the order of their names."""
    arrays = {name: save(folder / name, pixels(size, size, 3, seed=seed)) for seed, name in enumerate(names)}
    return torch.from_numpy(np.stack([arrays[name] for name in sorted(names)])).permute(0, 3, 1, 2)


def labels_of(folder: Path) -> list[int] | None:
    labels = ImageFiles(path=folder, image_size=8, image_channels=3).labels
    return None if labels is None else labels.tolist()


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    expected = rgb_folder(tmp_path)
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    assert source.names == ["a.png", "b.png", "c.bmp"] and len(source) == 3
    assert torch.equal(source.read(torch.tensor([2, 0]), resolution=8), expected[[2, 0]])


def test_other_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    rgb_folder(tmp_path, names=("deep/er/a.PNG", "__MACOSX/b.png", ".hidden/c.png", ".d.png"))
    (tmp_path / "notes.txt").write_text("no image")
    assert ImageFiles(path=tmp_path, image_size=8, image_channels=3).names == ["deep/er/a.PNG"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_equals_its_folder(tmp_path: Path, compression: int) -> None:
    folder = tmp_path / "images"
    expected = rgb_folder(folder, names=("one/a.png", "two/b.png"))
    source = ImageFiles(path=zipped(folder, compression=compression), image_size=8, image_channels=3)
    assert torch.equal(source.read(torch.arange(2), resolution=8), expected)
    assert source.labels is not None and source.labels.tolist() == [0, 1]


def test_an_open_zip_can_be_pickled_for_a_worker(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    expected = rgb_folder(folder)
    source = ImageFiles(path=zipped(folder), image_size=8, image_channels=3)
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy.read(torch.arange(3), resolution=8), expected)


def test_folders_at_the_top_are_classes(tmp_path: Path) -> None:
    rgb_folder(tmp_path, names=("dog/2.png", "cat/1.png", "cat/old/3.png"))
    assert labels_of(tmp_path) == [0, 0, 1]


@pytest.mark.parametrize("names", [("cat/1.png", "cat/2.png"), ("cat/1.png", "2.png"), ("1.png", "2.png")])
def test_one_folder_makes_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    rgb_folder(tmp_path, names=names)
    assert labels_of(tmp_path) is None


@pytest.mark.parametrize("form", [list, dict])
def test_a_json_file_decides_over_folders(tmp_path: Path, form: type) -> None:
    rgb_folder(tmp_path, names=("x/a.png", "y/b.png"))
    pairs = [("y/b.png", 0), ("x/a.png", 1), ("not/there.png", 9)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": form(pairs)}))
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    assert labels_of(tmp_path) == [1, 0] and source.number_of_classes == 2


def test_null_in_the_json_file_means_no_labels(tmp_path: Path) -> None:
    rgb_folder(tmp_path, names=("x/a.png", "y/b.png"))
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert labels_of(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be understood"),
        ("{}", "cannot be understood"),
        ('{"labels": [["a.png", 0]]}', "no label for 1 images, the first is b.png"),
        ('{"labels": [["a.png", 0], ["b.png", 1.5]]}', "label 1.5"),
        ('{"labels": [["a.png", 0], ["b.png", -1]]}', "label -1"),
    ],
)
def test_a_broken_json_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    rgb_folder(tmp_path, names=("a.png", "b.png"))
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        labels_of(tmp_path)


def test_missing_and_empty_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere does not exist"):
        labels_of(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no image; images end in .*\.png"):
        labels_of(tmp_path)
    (tmp_path / "broken.zip").write_bytes(b"PK half a zip")
    with pytest.raises(ValueError, match="neither a folder nor a complete zip"):
        labels_of(tmp_path / "broken.zip")


def test_another_size_is_refused_with_the_remedy(tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels(6, 10, 3))
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    with pytest.raises(ValueError, match=r"a\.png: its size is 10x6, not 8x8; set resize to center_crop or squash"):
        source.check()


def test_if_none_of_the_first_files_can_be_used_the_others_are_not_tried(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.png").write_bytes(b"no image")
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    with pytest.raises(ValueError, match=r"the first 100 of 300 images in .* cannot be used; .*(.|\n)*000.png"):
        source.check()


def test_data_sets_that_prepare_reads_are_told_from_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"a database")
    with pytest.raises(ValueError, match=r"no image but 1 \.mdb; .* `prepare` makes images of lmdb .*hub:FOLDER"):
        labels_of(tmp_path)


def test_all_files_at_fault_are_named_in_one_error(tmp_path: Path) -> None:
    rgb_folder(tmp_path, names=("good.png",))
    for number in range(12):
        (tmp_path / f"bad{number:02}.jpg").write_bytes(b"no image" * number)
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    for look in (source.check, source.in_memory):
        with pytest.raises(ValueError, match=r"12 of 13 images in .* cannot be used") as caught:
            look()
        message = str(caught.value)
        assert (
            "bad00.jpg" in message and "bad09.jpg" in message and "bad10.jpg" not in message and "good" not in message
        )


def test_a_truncated_file_is_named_when_its_pixels_are_read(tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels(64, 64, 3))
    path = tmp_path / "a.png"
    path.write_bytes(path.read_bytes()[:5000])
    source = ImageFiles(path=tmp_path, image_size=64, image_channels=3)
    with pytest.raises(ValueError, match=r"a\.png: .*truncated"):
        source.read(torch.tensor([0]), resolution=64)
    with pytest.raises(ValueError, match=r"1 of 1 .*\n.*a\.png"):
        source.in_memory()


def test_transparent_images_lie_on_white_paper(tmp_path: Path) -> None:
    array = np.zeros((8, 8, 4), dtype=np.uint8)
    array[:, :4] = (200, 100, 50, 255)
    array[:, 4:] = (200, 100, 50, 0)
    save(tmp_path / "a.png", array)
    colour = ImageFiles(path=tmp_path, image_size=8, image_channels=3).read(torch.tensor([0]), resolution=8)
    assert colour[0, :, 0, 0].tolist() == [200, 100, 50] and colour[0, :, 0, 7].tolist() == [255, 255, 255]
    grey = ImageFiles(path=tmp_path, image_size=8, image_channels=1).read(torch.tensor([0]), resolution=8)
    assert grey.shape == (1, 1, 8, 8) and grey[0, 0, 0, 7] == 255


def test_four_channels_keep_alpha_and_files_without_it_are_opaque(tmp_path: Path) -> None:
    with_alpha = save(tmp_path / "a.png", pixels(8, 8, 4))
    save(tmp_path / "b.png", pixels(8, 8, 3))
    images = ImageFiles(path=tmp_path, image_size=8, image_channels=4).read(torch.arange(2), resolution=8)
    assert torch.equal(images[0], torch.from_numpy(with_alpha).permute(2, 0, 1)) and bool((images[1, 3] == 255).all())


def test_grey_and_palette_files_become_rgb(tmp_path: Path) -> None:
    grey = save(tmp_path / "a.png", pixels(8, 8))
    Image.fromarray(grey).convert("P").save(tmp_path / "b.png")
    images = ImageFiles(path=tmp_path, image_size=8, image_channels=3).read(torch.arange(2), resolution=8)
    assert torch.equal(images, torch.from_numpy(grey).expand(2, 3, 8, 8))


def test_sixteen_bits_per_pixel_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        ImageFiles(path=tmp_path, image_size=8, image_channels=1).check()


def test_channels_other_than_one_three_and_four_are_refused(tmp_path: Path) -> None:
    rgb_folder(tmp_path)
    with pytest.raises(ValueError, match="image_channels=2"):
        ImageFiles(path=tmp_path, image_size=8, image_channels=2)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lower_resolutions_are_box_means_as_in_memory(tmp_path: Path, channels: int) -> None:
    for seed in range(3):
        save(tmp_path / f"{seed}.png", pixels(16, 16, channels, seed=seed).squeeze())
    source = ImageFiles(path=tmp_path, image_size=16, image_channels=channels)
    memory = source.in_memory()
    assert isinstance(memory, MemoryImages)
    for resolution in (16, 8, 4, 2):
        expected = memory.read(torch.arange(3), resolution=resolution)
        assert torch.equal(source.read(torch.arange(3), resolution=resolution), expected)


def test_center_crop_takes_the_central_square(tmp_path: Path) -> None:
    array = save(tmp_path / "a.png", pixels(16, 24, 3))
    square = torch.from_numpy(array[:, 4:20].copy()).permute(2, 0, 1)[None]
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3, resize=Resize.center_crop)
    source.check()
    assert torch.equal(source.read(torch.tensor([0]), resolution=8), box_mean(square, resolution=8))


def test_squash_keeps_the_edges_of_the_image(tmp_path: Path) -> None:
    array = np.zeros((8, 32, 3), dtype=np.uint8)
    array[:, :4], array[:, 28:] = 100, 200
    save(tmp_path / "a.png", array)
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3, resize=Resize.squash)
    assert source.read(torch.tensor([0]), resolution=8)[0, 0, 0].tolist() == [100, 0, 0, 0, 0, 0, 0, 200]


def test_sizes_that_do_not_divide_and_smaller_ones_are_resampled(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((13, 11, 3), 77, dtype=np.uint8))
    save(tmp_path / "b.png", np.full((3, 5, 3), 77, dtype=np.uint8))
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3, resize=Resize.center_crop)
    assert bool((source.read(torch.arange(2), resolution=8) == 77).all())


def test_jpegs_read_small_are_the_box_mean_of_the_large(tmp_path: Path) -> None:
    Image.fromarray(pixels(256, 256, 3)).save(tmp_path / "a.jpg", quality=95)
    source = ImageFiles(path=tmp_path, image_size=256, image_channels=3)
    full = source.read(torch.tensor([0]), resolution=256)
    for resolution in (128, 16, 1):
        assert torch.equal(source.read(torch.tensor([0]), resolution=resolution), box_mean(full, resolution=resolution))


@pytest.mark.parametrize("resolution", [0, 3, 16])
def test_a_resolution_that_halving_does_not_reach_is_refused(tmp_path: Path, resolution: int) -> None:
    rgb_folder(tmp_path)
    source = ImageFiles(path=tmp_path, image_size=8, image_channels=3)
    with pytest.raises(ValueError, match=f"8x8 images at resolution {resolution}"):
        source.read(torch.tensor([0]), resolution=resolution)


def test_orientation_tags_are_obeyed(tmp_path: Path) -> None:
    array = np.zeros((8, 8, 3), dtype=np.uint8)
    array[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    image = ImageFiles(path=tmp_path, image_size=8, image_channels=1).read(torch.tensor([0]), resolution=8)[0, 0]
    assert bool((image[:4] == 255).all()) and bool((image[4:] == 0).all())


@pytest.mark.parametrize("packed", [False, True])
def test_the_fingerprint_is_that_of_names_sizes_and_times(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "many").mkdir()
    for number in range(1100):  # more than are asked at once
        (tmp_path / "many" / f"ü'{number}.png").write_bytes(b"." * number)
    path = zipped(tmp_path / "many") if packed else tmp_path / "many"
    files = ImageFiles(path=path, image_size=8, image_channels=3)

    def stamp(name: str) -> str:
        contents, status = files.contents(name), (tmp_path / "many" / name).stat()
        return f"{status.st_size} {zlib.crc32(contents) if packed else status.st_mtime_ns}"

    text = json.dumps([[8, 3, "exact"], [[name, stamp(name)] for name in files.names]])
    assert len(files) == 1100
    assert files.fingerprint() == hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def test_memory_needed_is_known_before_reading(tmp_path: Path) -> None:
    rgb_folder(tmp_path)
    assert ImageFiles(path=tmp_path, image_size=8, image_channels=3).decoded_bytes == 3 * 3 * 8 * 8
