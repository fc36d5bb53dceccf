"""Public data sets in their own formats on the disk, made small: pixels, labels, splits, and errors.

Nothing here reaches a network: torchvision's ways to it are closed for every test.
"""

import hashlib
import pickle
import sys
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image

from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.data import GANData, box_mean
from lightning_gan.data.celeba import ATTRIBUTES, CelebA, CelebASplit, FaceCrop
from lightning_gan.data.cifar import CIFAR10, CIFAR100, CIFARSplit
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.imagenet import ImageNet, ImageNetSplit
from lightning_gan.data.lsun import LSUN
from lightning_gan.data.stl10 import STL10, STL10Split
from tests.data.public_formats import (
    face,
    pixels,
    write,
    write_celeba,
    write_cifar10,
    write_cifar100,
    write_imagenet,
    write_lsun,
    write_stl10,
)

torchvision_datasets = pytest.importorskip("torchvision.datasets")

ALL: tuple[type[GANData], ...] = (CIFAR10, CIFAR100, STL10, CelebA, LSUN, ImageNet)
FRAGMENTS = [
    name
    for name in shipped_configs()
    if name.startswith("data/")
    and not any(
        other in (shipped_folder() / name).read_text() for other in ("Rollouts", "ImageShards", "StackedDigits")
    )
]
"""Of public data sets. Those of environments are in tests/imitation/test_rollouts.py, of shards in test_shards.py, and
stacked digits in tests/cli/test_other_data.py."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise URLError("Name or service not known")

    for name in ("_urlretrieve", "_get_redirect_url", "download_file_from_google_drive"):
        monkeypatch.setattr(f"torchvision.datasets.utils.{name}", refused)
    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", refused)


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_cifar10(tmp_path, monkeypatch)


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_cifar100(tmp_path, monkeypatch)


@pytest.fixture
def stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_stl10(tmp_path, monkeypatch)


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_celeba(tmp_path, monkeypatch)


@pytest.fixture
def lsun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_lsun(tmp_path, monkeypatch)


def all_images(data: GANData) -> torch.Tensor:
    return data.source.read(torch.arange(len(data.source)), resolution=data.image_size)


def labels_of(data: GANData) -> list[int]:
    assert data.source.labels is not None and data.source.labels.dtype == torch.int64
    return data.source.labels.tolist()


# ---------------------------------------------------------------------- CIFAR


def test_cifar10_is_its_files_one_after_the_other(cifar10: Path) -> None:
    data = CIFAR10(root=cifar10)
    expected = np.concatenate([pixels(3, 3072, seed=seed) for seed in (0, 1)]).reshape(6, 3, 32, 32)
    assert torch.equal(all_images(data), torch.from_numpy(expected))
    assert labels_of(data) == [3, 0, 9, 1, 1, 2]
    assert (data.image_size, data.image_channels, data.number_of_classes) == (32, 3, 10)


def test_cifar10_has_a_test_split(cifar10: Path) -> None:
    data = CIFAR10(root=cifar10, split=CIFARSplit.test)
    assert torch.equal(all_images(data), torch.from_numpy(pixels(1, 3072, seed=2).reshape(1, 3, 32, 32)))
    assert labels_of(data) == [7]


def test_a_part_of_cifar10_is_its_first_images_with_all_classes(cifar10: Path) -> None:
    data = CIFAR10(root=cifar10, number_of_images=2)
    assert labels_of(data) == [3, 0] and data.source.number_of_classes == 10
    assert torch.equal(all_images(data), all_images(CIFAR10(root=cifar10))[:2])


def test_cifar10_without_labels_streams_zeros(cifar10: Path) -> None:
    data = CIFAR10(root=cifar10, labels=False, batch_size=6)
    images, labels = next(iter(data.train_dataloader()))
    assert data.number_of_classes == 0 and labels.tolist() == [0] * 6 and images.dtype == torch.uint8


def test_cifar10_is_read_smaller_for_growing(cifar10: Path) -> None:
    data = CIFAR10(root=cifar10)
    small = data.source.read(torch.arange(6), resolution=8)
    assert torch.equal(small, box_mean(all_images(data), resolution=8))


def test_cifar100_has_the_fine_classes(cifar100: Path) -> None:
    data = CIFAR100(root=cifar100)
    assert labels_of(data) == [99, 5] and data.number_of_classes == 100
    assert labels_of(CIFAR100(root=cifar100, split=CIFARSplit.test)) == [42]


def test_a_changed_file_of_cifar10_is_refused(cifar10: Path) -> None:
    with (cifar10 / "cifar-10-batches-py" / "data_batch_2").open("ab") as file:
        file.write(b"half of a download")
    with pytest.raises(ValueError, match=r"does not hold the whole of CIFAR-10; give download: true"):
        CIFAR10(root=cifar10).setup("fit")


def test_an_archive_put_there_by_hand_is_unpacked_without_a_network(
    cifar10: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = cifar10 / "elsewhere" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as file:
        file.add(cifar10 / "cifar-10-batches-py", arcname="cifar-10-batches-py")
    checksum = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "tgz_md5", checksum)
    data = CIFAR10(root=archive.parent, download=True)
    data.prepare_data()
    assert torch.equal(all_images(data), all_images(CIFAR10(root=cifar10)))


# ---------------------------------------------------------------------- STL-10


def stl10_pixels(seed: int) -> torch.Tensor:
    return torch.from_numpy(pixels(2, 3, 96, 96, seed=seed)).transpose(2, 3)


def test_stl10_is_its_images_without_labels_at_half_their_size(stl10: Path) -> None:
    data = STL10(root=stl10)
    assert (data.image_size, data.number_of_classes) == (48, 0) and data.source.labels is None
    assert torch.equal(all_images(data), box_mean(stl10_pixels(1), resolution=48))


def test_the_splits_of_stl10_are_its_files(stl10: Path) -> None:
    for split, seed, classes in ((STL10Split.train, 0, [0, 9]), (STL10Split.test, 2, [3, 1])):
        data = STL10(root=stl10, split=split, image_size=96, labels=True)
        assert torch.equal(all_images(data), stl10_pixels(seed)) and labels_of(data) == classes
        assert data.number_of_classes == 10
    both = STL10(root=stl10, split=STL10Split.train_and_unlabeled, image_size=96)
    assert torch.equal(all_images(both), torch.cat([stl10_pixels(0), stl10_pixels(1)]))


def test_stl10_at_a_third_of_its_size_is_the_mean_of_nine_pixels(stl10: Path) -> None:
    mean = torch.nn.functional.avg_pool2d(stl10_pixels(1).double(), 3)
    difference = (all_images(STL10(root=stl10, image_size=32)).double() - mean).abs()
    assert difference.max() < 0.56  # Pillow's fixed point rounds 5/9 down


def test_stl10_refuses_labels_it_has_not_and_sizes_beyond_its_own() -> None:
    with pytest.raises(ValueError, match="split unlabeled of STL-10 has no labels"):
        STL10(labels=True)
    with pytest.raises(ValueError, match="image_size=128: STL-10 has 96x96 pixels"):
        STL10(image_size=128)


# ---------------------------------------------------------------------- CelebA


SQUARES = [crop for crop in FaceCrop if crop is not FaceCrop.shorter_side]


@pytest.mark.parametrize("crop", SQUARES)
def test_a_crop_of_celeba_is_its_square(celeba: Path, crop: FaceCrop) -> None:
    left, top, right, bottom = crop.value
    assert right - left == bottom - top and 0 <= left < right <= 178 and 0 <= top < bottom <= 218
    data = CelebA(root=celeba, crop=crop, image_size=right - left)
    expected = torch.from_numpy(face(1)[top:bottom, left:right].copy()).permute(2, 0, 1)
    assert torch.equal(all_images(data)[1], expected)


def test_crops_of_celeba_are_central_but_for_those_of_progressive_growing_and_of_dcgan() -> None:
    """`crop_celebA.lua` of github.com/soumith/dcgan.torch cuts 138 pixels at (30, 40)."""
    centers = {crop: ((crop.value[0] + crop.value[2]) / 2, (crop.value[1] + crop.value[3]) / 2) for crop in FaceCrop}
    assert centers.pop(FaceCrop.square_128_low) == (89, 121)
    assert FaceCrop.square_138.value[:2] == (30, 40) and centers.pop(FaceCrop.square_138) == (99, 109)
    assert set(centers.values()) == {(89, 109)}


def test_celeba_resized_by_its_shorter_side_is_fuels(celeba: Path) -> None:
    """`convert_celeba_64` of github.com/mila-iqia/fuel, ALI's data: to 64x78 by Lanczos, then rows 7 to 71."""
    data = CelebA(root=celeba, crop=FaceCrop.shorter_side, resampling=Resampling.lanczos, image_size=64)
    whole = Image.fromarray(face(2)).resize((64, 78), Image.Resampling.LANCZOS)
    expected = torch.from_numpy(np.asarray(whole)[7:71].copy()).permute(2, 0, 1)
    assert torch.equal(all_images(data)[2], expected)


def test_celeba_is_cropped_at_random_out_of_a_larger_square(celeba: Path) -> None:
    data = CelebA(
        root=celeba, image_size=64, crop=FaceCrop.square_138, random_crop_from=138, mirror=False, batch_size=6
    )
    data.number_of_workers = 0
    images = torch.cat([images for images, _ in islice(data.train_dataloader(), 50)])
    lefts, tops = images[:, 0].amin(dim=(1, 2)).int(), images[:, 1].amin(dim=(1, 2)).int()
    assert (int(lefts.min()), int(lefts.max())) == (30, 104) and (int(tops.min()), int(tops.max())) == (40, 114)
    assert torch.equal(all_images(data)[0, 0, 0], torch.arange(67, 131, dtype=torch.uint8))


def test_celeba_is_resized_by_means_where_the_size_divides_and_else_resampled(celeba: Path) -> None:
    halved = CelebA(root=celeba, crop=FaceCrop.square_128_low, image_size=64)
    full = CelebA(root=celeba, crop=FaceCrop.square_128_low, image_size=128)
    assert torch.equal(all_images(halved), box_mean(all_images(full), resolution=64))
    images = all_images(CelebA(root=celeba, image_size=64))
    # A slope of one grey value a pixel keeps its mean and becomes 178 / 64 as steep.
    assert abs(images[0, 0].float().mean() - 88.5) < 0.2
    assert abs((images[0, 0, 32, 48] - images[0, 0, 32, 16]).item() - 32 * 178 / 64) <= 1


def test_celeba_is_read_smaller_for_growing(celeba: Path) -> None:
    data = CelebA(root=celeba, image_size=64)
    small = data.source.read(torch.tensor([2, 0]), resolution=16)
    assert torch.equal(small, box_mean(all_images(data), resolution=16)[[2, 0]])


def test_the_splits_of_celeba_are_those_of_its_list(celeba: Path) -> None:
    for split, numbers in zip(CelebASplit, ([0, 1, 2, 3, 4, 5], [0, 3], [1, 4], [2, 5]), strict=True):
        images = all_images(CelebA(root=celeba, split=split, image_size=64))
        assert images[:, 2, 0, 0].tolist() == numbers


def test_an_attribute_of_celeba_makes_two_classes(celeba: Path) -> None:
    assert CelebA(root=celeba).number_of_classes == 0 and CelebA(root=celeba).source.labels is None
    data = CelebA(root=celeba, attribute="Smiling")
    assert data.number_of_classes == 2 and labels_of(data) == [0, 1, 0, 0, 0, 0]
    assert labels_of(CelebA(root=celeba, attribute="Male")) == [1, 0, 1, 1, 1, 1]


def test_celeba_has_forty_attributes_and_suggests_one() -> None:
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) == 40
    with pytest.raises(ValueError, match="no attribute smiling; give one of its 40, such as Smiling"):
        CelebA(attribute="smiling")


def test_celeba_unpacked_by_half_is_refused(celeba: Path) -> None:
    (celeba / "celeba" / "img_align_celeba" / "000002.png").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of 6 images, the first is 000002\.png; unpack"):
        CelebA(root=celeba).setup("fit")


def test_a_broken_face_is_named(celeba: Path) -> None:
    (celeba / "celeba" / "img_align_celeba" / "000002.png").write_bytes(b"no image")
    data = CelebA(root=celeba)
    with pytest.raises(ValueError, match=r"000002\.png cannot be read"):
        data.source.read(torch.tensor([1]), resolution=64)


# ---------------------------------------------------------------------- LSUN


def bedrooms_and_churches() -> torch.Tensor:
    """The central squares in the order of their keys."""
    in_order = [
        sorted(seeds, key=lambda seed: hashlib.sha1(bytes([9 - seed])).hexdigest()) for seeds in ((0, 1), (2, 3, 4))
    ]
    squares = [pixels(8, 12, 3, seed=seed)[:, 2:10] for seeds in in_order for seed in seeds]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def test_lsun_is_the_central_squares_of_a_database(lsun: Path) -> None:
    data = LSUN(root=lsun, image_size=8)
    assert torch.equal(all_images(data), bedrooms_and_churches()[:2])
    assert data.number_of_classes == 0 and data.source.labels is None


def test_lsun_is_cut_at_random_places_of_whole_images(lsun: Path) -> None:
    """As DCGAN's Torch code does (`donkey_lsun.lua`): the shorter side is resized, and nothing is cut off before."""
    data = LSUN(root=lsun, image_size=4, resize=Resize.shorter_side, random_crop_from=8, number_of_workers=0)
    whole = data.source._whole(torch.tensor([0]))[0]  # type: ignore[attr-defined]
    places = [(top, left) for top in range(5) for left in range(9)]
    cuts = {tuple(whole[:, top : top + 4, left : left + 4].flatten().tolist()) for top, left in places}
    batches = islice(data.train_dataloader(), 25)
    assert cuts <= {tuple(image.flatten().tolist()) for images, _ in batches for image in images}


def test_several_categories_of_lsun_are_classes(lsun: Path) -> None:
    data = LSUN(root=lsun, categories=("bedroom_train", "church_outdoor_train"), image_size=8)
    assert torch.equal(all_images(data), bedrooms_and_churches())
    assert labels_of(data) == [0, 0, 1, 1, 1] and data.number_of_classes == 2
    unlabelled = LSUN(root=lsun, categories=("bedroom_train", "church_outdoor_train"), image_size=8, labels=False)
    assert unlabelled.number_of_classes == 0 and len(unlabelled.source) == 5


def test_lsun_is_read_smaller_for_growing(lsun: Path) -> None:
    small = LSUN(root=lsun, image_size=8).source.read(torch.tensor([1, 0]), resolution=4)
    assert torch.equal(small, box_mean(bedrooms_and_churches()[[1, 0]], resolution=4))


def test_an_opened_lsun_can_be_pickled_for_a_worker(lsun: Path) -> None:
    source = LSUN(root=lsun, image_size=8).source
    before = source.read(torch.arange(2), resolution=8)
    assert torch.equal(pickle.loads(pickle.dumps(source)).read(torch.arange(2), resolution=8), before)


def test_a_missing_database_of_lsun_is_told_with_where_to_get_it(lsun: Path) -> None:
    with pytest.raises(ValueError, match=r"tower_train_lmdb does not exist; .*tower_train_lmdb\.zip from dl\.yf\.io"):
        LSUN(root=lsun, categories=("tower_train",)).setup("fit")


def test_a_broken_image_of_lsun_is_named(lsun: Path) -> None:
    write(lsun / "cat_lmdb" / "data.mdb", pickle.dumps({b"c0ffee": b"no image"}))
    with pytest.raises(ValueError, match="cat_lmdb: the image c0ffee cannot be read"):
        all_images(LSUN(root=lsun, categories=("cat",), image_size=8))


def test_lsun_refuses_a_category_named_twice() -> None:
    with pytest.raises(ValueError, match="each once"):
        LSUN(categories=("cat", "cat"))


def test_lsun_without_lmdb_says_what_to_install(lsun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ValueError, match=r"LSUN needs lmdb; pip install 'lightning-gan\[datasets\]'"):
        LSUN(root=lsun).setup("fit")


# ---------------------------------------------------------------------- ImageNet


def test_imagenet_is_central_squares_with_the_class_of_their_folder(tmp_path: Path) -> None:
    data = ImageNet(root=write_imagenet(tmp_path), image_size=4)
    assert labels_of(data) == [0, *range(1000)]
    images = data.source.read(torch.tensor([1, 801]), resolution=4)
    assert torch.equal(images[0], torch.from_numpy(pixels(4, 6, 3)[:, 1:5].copy()).permute(2, 0, 1))
    assert bool((images[1] == 800 % 256).all())


def test_imagenet_from_a_cache_is_the_same(tmp_path: Path) -> None:
    read = ImageNet(root=write_imagenet(tmp_path), image_size=4)
    cached = ImageNet(root=tmp_path, image_size=4, cache_directory=tmp_path / "cache", cache_resolution=2)
    cached.prepare_data()
    some = torch.tensor([1, 7, 500])
    for resolution in (4, 2):
        assert torch.equal(
            cached.source.read(some, resolution=resolution), read.source.read(some, resolution=resolution)
        )
    assert labels_of(cached) == labels_of(read)


def test_a_part_of_imagenet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has 3 class folders with images in them, not 1000; .*use ImageFolder"):
        ImageNet(root=write_imagenet(tmp_path, classes=3), image_size=4).setup("fit")


def training_archive(folder: Path) -> Path:
    """ImageNet's training archive: a tar of one tar for each class; here of three."""
    write_imagenet(folder / "made", classes=3)
    archive = folder / "ILSVRC2012_img_train.tar"
    with tarfile.open(archive, "w") as outer:
        for path in sorted((folder / "made" / "train").iterdir()):
            inner = path.with_suffix(".tar")
            with tarfile.open(inner, "w") as file:
                for image in path.iterdir():
                    file.add(image, arcname=image.name)
            outer.add(inner, arcname=inner.name)
    return archive


def tell_checksum(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(torchvision_datasets.imagenet.ARCHIVE_META, "train", (archive.name, checksum))


def test_the_archive_of_imagenet_is_unpacked_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell_checksum(training_archive(tmp_path), monkeypatch)
    ImageNet(root=tmp_path).prepare_data()
    unpacked = sorted(path.relative_to(tmp_path / "train").as_posix() for path in (tmp_path / "train").rglob("*.PNG"))
    assert unpacked == ["n00000000/one.PNG", "n00000000/two.PNG", "n00000001/one.PNG", "n00000002/one.PNG"]


def test_unpacking_imagenet_by_half_leaves_nothing_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = training_archive(tmp_path)
    tell_checksum(archive, monkeypatch)
    extract: Callable[..., None] = torchvision_datasets.imagenet.extract_archive

    def full_disk(source: str, target: str, *, remove_finished: bool = False) -> None:
        if "n00000001" in source:
            raise OSError("No space left on device")
        extract(source, target, remove_finished=remove_finished)

    monkeypatch.setattr("torchvision.datasets.imagenet.extract_archive", full_disk)
    with pytest.raises(ValueError, match=r"could not be unpacked \(No space left on device\); make room"):
        ImageNet(root=tmp_path).prepare_data()
    assert not (tmp_path / "train").exists()
    monkeypatch.setattr("torchvision.datasets.imagenet.extract_archive", extract)
    ImageNet(root=tmp_path).prepare_data()
    assert len(list((tmp_path / "train").rglob("*.PNG"))) == 4 and not (tmp_path / "train.unfinished").exists()


def test_an_archive_of_imagenet_with_another_checksum_is_refused(tmp_path: Path) -> None:
    training_archive(tmp_path)
    with pytest.raises(ValueError, match=r"could not be unpacked .*get the archive again"):
        ImageNet(root=tmp_path).prepare_data()


def test_imagenet_that_is_missing_says_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train does not exist.*put ILSVRC2012_img_train\.tar from image-net\.org"):
        ImageNet(root=tmp_path).setup("fit")
    with pytest.raises(ValueError, match=r"val does not exist.*put its 1000 class folders") as caught:
        ImageNet(root=tmp_path, split=ImageNetSplit.val).setup("fit")
    assert ".tar" not in str(caught.value)


# ---------------------------------------------------------------------- all of them


@pytest.mark.parametrize(
    ("make", "host", "file"),
    [
        (CIFAR10, "www.cs.toronto.edu", "cifar-10-python.tar.gz"),
        (CIFAR100, "www.cs.toronto.edu", "cifar-100-python.tar.gz"),
        (STL10, "ai.stanford.edu", "stl10_binary.tar.gz"),
        (CelebA, "drive.google.com", "img_align_celeba.zip"),
    ],
)
def test_missing_data_and_a_missing_network_are_told_in_one_line(
    tmp_path: Path, make: Callable[..., GANData], host: str, file: str
) -> None:
    root = tmp_path / "nothing"
    with pytest.raises(ValueError, match=rf"nothing does not hold the whole of .*download: true .*from {host}") as told:
        make(root=root).setup("fit")
    assert file in str(told.value) and "\n" not in str(told.value)
    data = make(root=root, download=True)
    with pytest.raises(
        ValueError, match=rf"could not be fetched from {host} to .*nothing .*not known.*network"
    ) as told:
        data.prepare_data()
    assert file in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(ValueError, match="does not hold the whole of"):  # nothing that failed looks complete
        data.setup("fit")


@pytest.mark.parametrize("make", [CIFAR10, STL10, CelebA])
def test_a_torchvision_that_cannot_be_imported_is_told_with_the_remedy(
    tmp_path: Path, make: Callable[..., GANData], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("lightning_gan.data.torchvision_datasets.import_module", broken)
    with pytest.raises(ValueError, match=r"nms does not exist.*pip install 'lightning-gan\[datasets\]'"):
        make(root=tmp_path).setup("fit")
    with pytest.raises(ValueError, match=r"pip install 'lightning-gan\[datasets\]'"):
        make(root=tmp_path, download=True).prepare_data()


@pytest.mark.parametrize("make", ALL)
def test_facts_are_known_without_any_data(make: Callable[..., GANData]) -> None:
    data = make(root="nowhere")
    facts = {CIFAR10: (32, 10), CIFAR100: (32, 100), STL10: (48, 0), CelebA: (64, 0), LSUN: (256, 0)}
    assert (data.image_size, data.number_of_classes) == facts.get(type(data), (128, 1000))
    assert data.image_channels == 3


@pytest.mark.parametrize("make", ALL)
def test_every_argument_is_documented(make: type[GANData]) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(make, "data")
    undocumented = [a.dest for a in parser._actions if a.dest.startswith("data.") and not (a.help or "").strip()]
    assert undocumented == []


def test_a_command_line_names_splits_crops_and_categories() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GANData, "data", instantiate=True)
    config = parser.parse_args(
        ["--data=lightning_gan.data.stl10.STL10", "--data.split=train_and_unlabeled", "--data.image_size=96"]
    )
    data = parser.instantiate(config).data
    assert isinstance(data, STL10) and data.split is STL10Split.train_and_unlabeled
    config = parser.parse_args(["--data=lightning_gan.data.celeba.CelebA", "--data.crop=square_108"])
    data = parser.instantiate(config).data
    assert isinstance(data, CelebA) and data.crop is FaceCrop.square_108
    config = parser.parse_args(["--data=lightning_gan.data.lsun.LSUN", "--data.categories=[cat, church_outdoor_train]"])
    data = parser.instantiate(config).data
    assert isinstance(data, LSUN) and data.categories == ("cat", "church_outdoor_train")


def test_labels_and_order_are_those_of_the_exact_stream(cifar10: Path) -> None:
    def batches(start: int) -> list[tuple[list[int], int]]:
        data = CIFAR10(root=cifar10, batch_size=4, mirror=True)
        data.load_state_dict({"batches": start, "position": 4 * start, "length": 6})
        return [(labels.tolist(), int(images.long().sum())) for images, labels in islice(data.train_dataloader(), 5)]

    assert batches(0)[2:] == batches(2)[:3]


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_puts_the_data_set_in_place_of_a_configurations_data(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "dcgan.yaml", "--config", name, "--print_config"])
    assert exit_.value.code == 0
    data = yaml.safe_load(capsys.readouterr().out)["data"]
    assert data["class_path"].rsplit(".", 1)[-1] in {make.__name__ for make in ALL}
    assert set(data["init_args"]) >= {"root", "batch_size"} and "image_channels" not in data["init_args"]
