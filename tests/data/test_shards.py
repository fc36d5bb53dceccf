"""Shards are read in the order of the stream, with any number of workers and ranks, and what is no image is refused."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gan.cli import main
from lightning_gan.data import GANData, ImageFolder, ImageShards, Shards
from lightning_gan.data import shards as shards_module
from lightning_gan.data.decoding import Resize
from lightning_gan.data.preparation import prepare
from lightning_gan.data.preparation_report import RECORD
from lightning_gan.data.shard_files import ShardIndex, index_in
from lightning_gan.data.stream import Batch
from lightning_gan.models import DCGAN
from tests.data.data_sets import folder_of, image
from tests.data.shard_sets import arrays, shards_of, store_of
from tests.data.test_preparation import photos
from tests.documentation.pages import DOCS, blocks_of
from tests.toys import toy_trainer
from tests.two_ranks import assert_same_weights, run_on_one_and_two

pytest.importorskip("litdata", reason="the extra `streaming` is not installed")

SIZE = 8


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `images`, prepared as a folder, and `images.shards`, the same images in several shards."""
    monkeypatch.setattr("lightning_gan.data.shard_files._BYTES_OF_SHARD", 700)
    source = photos(tmp_path / "photos")
    for destination in ("images", "images.shards"):
        prepare(str(source), str(tmp_path / destination), image_size=SIZE)
    assert len(list((tmp_path / "images.shards").glob("*.bin"))) > 2
    return tmp_path


def shards_in(folder: Path, *, workers: int = 0, **settings: Any) -> ImageShards:
    address = str(folder / "images.shards")
    labels_file = f"{address}/dataset.json"
    settings = {"address": address, "labels_file": labels_file, "image_size": SIZE, "batch_size": 4, **settings}
    return ImageShards(mirror=True, number_of_workers=workers, **settings)


def files_in(folder: Path, *, workers: int = 0) -> ImageFolder:
    return ImageFolder(
        path=folder / "images", image_size=SIZE, batch_size=4, mirror=True, number_of_workers=workers, cache=False
    )


def first(data: GANData, batches: int = 7) -> list[Batch]:
    return list(islice(data.train_dataloader(), batches))


def equal(left: list[Batch], right: list[Batch]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_show_the_same_as_the_folder_in_the_same_order(prepared: Path, workers: int) -> None:
    shards, files = shards_in(prepared, workers=workers), files_in(prepared)
    assert equal(first(shards), first(files))
    everything = [torch.cat(parts) for data in (shards, files) for parts in zip(*data.val_dataloader(), strict=True)]
    assert torch.equal(everything[0], everything[2]) and torch.equal(everything[1], everything[3])
    assert shards.source.origin.class_names == files.source.origin.class_names == ("cats", "dogs")
    lower = [data.source.read(torch.arange(5), resolution=4) for data in (shards, files)]
    assert torch.equal(*lower)


def test_ranks_and_their_environment_do_not_change_what_is_read(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = first(shards_in(prepared))
    shares = []
    for rank in range(2):  # by these variables litdata would divide the shards
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("GLOBAL_RANK", str(rank))
        monkeypatch.setattr("lightning_gan.data.datamodule.rank_and_world_size", lambda trainer, rank=rank: (rank, 2))
        data = shards_in(prepared)
        assert len(data.source) == len(files_in(prepared).source)
        shares.append(first(data))
    together = [tuple(map(torch.cat, zip(*parts, strict=True))) for parts in zip(*shares, strict=True)]
    assert equal(together, alone)


@pytest.mark.slow
def test_two_ranks_end_with_the_weights_of_one_process(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shards_of(
        tmp_path / "d", [draw.integers(0, 256, (1, 4, 4), dtype=np.uint8) for _ in range(50)], bytes_of_shard=3000
    )
    run_on_one_and_two("tests.data.shards_worker", tmp_path)
    assert_same_weights(tmp_path / "1.pt", tmp_path / "2.pt", relative=1e-12)


def test_a_copy_for_another_process_opens_the_shards_itself(prepared: Path) -> None:
    source = shards_in(prepared).source
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(*(one.read(torch.tensor([3, 0, 3]), resolution=SIZE) for one in (source, copy)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_was_cut_goes_on_bit_for_bit(prepared: Path, workers: int) -> None:
    def fit(steps: int, resumed: Path | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        data = shards_in(prepared, workers=workers)
        facts = {"image_size": SIZE, "image_channels": 3, "number_of_classes": data.number_of_classes}
        gan = DCGAN(**facts, generator_width=4, discriminator_width=4)
        trainer = toy_trainer(max_epochs=-1, max_steps=2 * steps)  # two players
        trainer.fit(gan, data, ckpt_path=resumed, weights_only=None if resumed is None else True)
        trainer.save_checkpoint(prepared / f"{steps}.ckpt")
        return gan.state_dict()

    whole = fit(6)
    fit(4)
    again = fit(6, prepared / "4.ckpt")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_line_that_prepare_prints_trains(
    prepared: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(prepared)
    prepare("photos", "printed.shards", image_size=SIZE)
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("train on it: ")
    main([*line.split(), "--config", "hardware/cpu", "--trainer.fast_dev_run=1", "--data.batch_size=4"])
    assert "data: 10 images of 8x8x3 in printed.shards, 2 classes from dataset.json (cats 4, dogs 6)" in caplog.text


def test_other_shards_of_as_many_images_are_refused_on_resume(prepared: Path) -> None:
    state = shards_in(prepared).state_dict()
    shards_in(prepared).load_state_dict(state)
    shutil.copytree(prepared / "images.shards", prepared / "copy" / "images.shards")
    shards_in(prepared / "copy").load_state_dict(state)
    shutil.rmtree(prepared / "images.shards")
    prepare(str(prepared / "photos"), str(prepared / "images.shards"), image_size=SIZE, resize=Resize.squash)
    with pytest.raises(ValueError, match="but the index of shards of the data differ") as caught:
        shards_in(prepared).load_state_dict(state)
    assert "\n" not in str(caught.value)


def test_shards_that_are_written_anew_during_training_are_refused(prepared: Path) -> None:
    copy = pickle.loads(pickle.dumps(shards_in(prepared).source))
    index = prepared / "images.shards" / "index.json"
    index.write_text(index.read_text().replace('"updated_at": "', '"updated_at": "9'))
    with pytest.raises(ValueError, match="was written anew while it was in use; begin anew"):
        copy.read(torch.tensor([0]), resolution=SIZE)


def test_arrays_are_images_too(tmp_path: Path) -> None:
    source = Shards(address=str(shards_of(tmp_path / "d", arrays(9))), image_size=8, image_channels=3)
    indices = torch.tensor([8, 0, 8, 3])
    for resolution in (8, 4):
        read = source.read(indices, resolution=resolution)
        assert read.shape == (4, 3, resolution, resolution) and read.dtype == torch.uint8
        assert torch.equal(read, indices.to(torch.uint8)[:, None, None, None].expand_as(read))


def test_rectangles_in_shards_are_those_of_the_folder(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    for destination in ("images", "images.shards"):
        prepare(str(source), str(tmp_path / destination), image_size=SIZE, image_width=6)
    of_shards = first(shards_in(tmp_path, image_width=6))
    data = ImageFolder(path=tmp_path / "images", image_size=SIZE, image_width=6, batch_size=4, mirror=True)
    assert of_shards[0][0].shape == (4, 3, SIZE, 6) and equal(of_shards, first(data))


def test_random_crops_may_lie_anywhere_in_the_whole_image(tmp_path: Path) -> None:
    file = BytesIO()
    columns = np.arange(6, dtype=np.uint8)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)  # each tells its number
    Image.fromarray(columns).save(file, "PNG")
    data = ImageShards(
        address=str(shards_of(tmp_path / "d", [file.getvalue()] * 3)),
        image_size=4,
        resize=Resize.shorter_side,
        random_crop_from=4,
        batch_size=64,
        number_of_workers=0,
    )
    ((images, _),) = first(data, 1)
    assert set(images[:, 0, 0, 0].tolist()) == {0, 1, 2}


def test_an_object_store_gives_the_same_and_only_what_is_asked_for(prepared: Path) -> None:
    wanted = first(shards_in(prepared), 3)
    address = "s3://bucket/images.shards"
    with store_of(prepared) as store:
        assert equal(first(shards_in(prepared, address=address, workers=2), 3), wanted)
        remote = shards_in(prepared, address=address)
        assert equal(first(remote, 3), wanted)
        before = store.bytes_of_shards
        remote.source.read(torch.tensor([1]), resolution=SIZE)
        largest = max(path.stat().st_size for path in (prepared / "images").rglob("*.png"))
        assert store.bytes_of_shards - before < 8 + largest + 100  # its place, and the image with its name
        told = "10 images of 8x8x3 in images.shards, 2 classes from dataset.json (cats 4, dogs 6); 5 shards"
        assert remote.describe() == told


def test_a_store_without_shards_is_refused_in_one_line(tmp_path: Path) -> None:
    with store_of(tmp_path):
        with pytest.raises(ValueError, match=r"s3://bucket/none: its index\.json cannot be read .*404") as caught:
            Shards(address="s3://bucket/none", image_size=8, image_channels=3)
    assert "\n" not in str(caught.value)


def test_a_shard_that_is_missing_in_the_store_is_named_when_it_is_read(prepared: Path) -> None:
    with store_of(prepared):
        source = shards_in(prepared, address="s3://bucket/images.shards").source
        (prepared / "images.shards" / "chunk-0-1.bin").unlink()
        with pytest.raises(ValueError, match=r"images\.shards: image \d+: .*; check the shards and the network"):
            source.read(torch.arange(len(source)), resolution=SIZE)


def test_other_shards_of_the_same_address_may_be_opened_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another program, of whose copy of the index this one must not take away its own."""
    address = "s3://bucket/images.shards"
    for name, number in (("old", 3), ("new", 5)):
        shards_of(tmp_path / name / "images.shards", arrays(number))

    def open_the_new(path: Path, **settings: Any) -> ShardIndex:
        monkeypatch.setattr(shards_module, "index_in", index_in)
        with store_of(tmp_path / "new"):
            assert len(Shards(address=address, image_size=8, image_channels=3)) == 5
        return index_in(path, **settings)

    monkeypatch.setattr(shards_module, "index_in", open_the_new)
    with store_of(tmp_path / "old"):
        source = Shards(address=address, image_size=8, image_channels=3)
        assert source.read(torch.arange(3), resolution=8)[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_a_process_that_ends_takes_its_own_copies_of_the_index_away(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared / "temporary"
    folder.mkdir()
    monkeypatch.setattr(shards_module, "mkdtemp", partial(mkdtemp, dir=folder))
    with store_of(prepared):
        data = shards_in(prepared, address="s3://bucket/images.shards", workers=2)
        first(data, 2)
        (copy,) = folder.glob("lightning_gan_index_*")  # of this process, which goes on
    assert list(copy.rglob("index.json"))


def refusal(path: Path | str, **settings: Any) -> str:
    with pytest.raises(ValueError) as caught:
        data = ImageShards(address=str(path), **{"image_size": 4, "number_of_workers": 0, **settings})
        data.setup("fit")
        data.source.read(torch.arange(len(data.source)), resolution=data.image_size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ITEMS: dict[str, tuple[list[Any], str]] = {
    "a page": (
        [image(), b"<html>404</html>"],
        r"image 1: it is not an image.*; write the shards without it",
    ),
    "half an image": ([image(), image()[:-30]], r"image 1: .*(truncated|broken|incomplete)"),
    "another size": (arrays(2, size=8), r"it is uint8 \[3, 8, 8\] and not numbers \[3, 4, 4\]"),
    "grey arrays": (arrays(2, size=4, channels=1), r"\[1, 4, 4\] and not numbers \[3, 4, 4\]"),
    "truths": ([np.zeros((3, 4, 4), np.bool_)], r"it is bool \[3, 4, 4\] and not numbers \[3, 4, 4\]"),
    "floats": ([np.zeros((3, 4, 4), np.float32)], r"image 0: it has float32 values from 0 to 0; write it as uint8, or"),
    "tensors": ([torch.zeros(3, 4, 4, dtype=torch.uint8)], r"fields of the kind tensor, which are not read"),
    "no field": ([{"picture": image()}], r'have the fields picture and no field "image"'),
    "objects": ([{"image": object}], r"fields of the kind pickle, which are not read; write them .* array of numpy"),
    "nested": ([{"image": {"file": image()}}], r"index\.json cannot be understood"),
    "lists": ([[image()]], r"index\.json cannot be understood"),
}


@pytest.mark.parametrize("case", ITEMS)
def test_what_is_no_image_is_refused(tmp_path: Path, case: str) -> None:
    items, message = ITEMS[case]
    found = refusal(shards_of(tmp_path / "d", items))
    assert re.search(message, found), found


def test_an_image_of_another_size_is_refused_with_its_name(tmp_path: Path) -> None:
    items = [{"name": f"{number}.png".encode(), "image": image()} for number in range(2)]
    path = shards_of(tmp_path / "d", items)
    assert "0.png: its size is 4x4, not 8x8; set resize to center_crop or squash" in refusal(path, image_size=8)
    data = ImageShards(address=str(path), image_size=2, resize=Resize.squash, number_of_workers=0)
    assert data.source.read(torch.tensor([1]), resolution=2).shape == (1, 3, 2, 2)


def test_places_without_shards_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "d", ["a.png"])
    assert "has no index.json and holds no shards; give the folder that `prepare` or litdata wrote" in refusal(folder)
    assert "has no index.json" in refusal(tmp_path / "none")
    assert "begins with s3:// or gs://, or copy the shards" in refusal("azure://container/d")
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    assert "gs://bucket/d needs google-cloud-storage; pip install google-cloud-storage" in refusal("gs://bucket/d")
    (folder / "index.json").write_text("[]")
    assert "its index.json cannot be understood" in refusal(folder)
    empty = shards_of(tmp_path / "empty", [image()])
    index = json.loads((empty / "index.json").read_text())
    for change, message in (
        ({"chunks": []}, "hold no image"),
        ({"config": {**index["config"], "compression": "zstd"}}, "are compressed or encrypted as a whole"),
    ):
        (empty / "index.json").write_text(json.dumps({**index, **change}))
        assert message in refusal(empty)


def test_without_litdata_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    remedy = r"shards need litdata .*pip install 'lightning-gan\[streaming\]'"
    assert re.search(remedy, refusal(tmp_path))
    with pytest.raises(ValueError, match=remedy):
        prepare(str(photos(tmp_path / "photos")), str(tmp_path / "out.shards"), image_size=8)
    assert not list(tmp_path.glob("out*"))


def test_labels_of_other_images_are_refused(prepared: Path) -> None:
    shards = prepared / "images.shards"
    file = prepared / "other.json"
    content = json.loads((shards / "dataset.json").read_text())

    def refused(labels: object) -> str:
        file.write_text(json.dumps({**content, "labels": labels}))
        return refusal(shards, image_size=SIZE, labels_file=str(file))

    rows = content["labels"]
    assert "has labels of 9 images, and" in refused(rows[:-1])
    first_name, second_name = rows[0][0], rows[1][0]
    swapped = [[second_name, 0], [first_name, 1], *rows[2:]]
    message = f"image 0 is {first_name} in the shards and {second_name} in "
    assert message in refused(swapped)
    assert "other.json: dataset.json has" in refused([[name, "1"] for name, _ in rows])
    assert "cannot be read" in refusal(shards, labels_file=str(prepared / "none.json"))
    nameless = shards_of(prepared / "nameless", [image()] * len(rows))
    assert "has images without names" in refusal(nameless, labels_file=str(shards / "dataset.json"))
    file.write_text('{"labels": null}')
    assert ImageShards(address=str(shards), image_size=SIZE, labels_file=str(file)).number_of_classes == 0


def test_rows_of_numbers_are_labels_too(tmp_path: Path) -> None:
    items = [{"name": f"{number}.png".encode(), "image": image(number)} for number in range(4)]
    rows = [[f"{number}.png", [0.5 * number, 3.0]] for number in range(4)]
    (tmp_path / "rows.json").write_text(json.dumps({"labels": rows}))
    data = ImageShards(
        address=str(shards_of(tmp_path / "d", items)),
        labels_file=str(tmp_path / "rows.json"),
        image_size=4,
        batch_size=4,
        number_of_workers=0,
    )
    assert data.number_of_classes == 2
    ((images, labels),) = first(data, 1)
    assert torch.equal(labels, torch.stack([0.5 * images[:, 0, 0, 0].float(), torch.full((4,), 3.0)], dim=1))


def test_names_that_are_paths_of_files_stay_names(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared / "images")
    prepare(str(prepared / "photos"), str(prepared / "here.shards"), image_size=SIZE)
    for path in (prepared / "images.shards").glob("*.bin"):
        assert (prepared / "here.shards" / path.name).read_bytes() == path.read_bytes()


def test_fields_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = shards_of(tmp_path / "d", [{"image": image(), "label": 3}] * 2)
    data = ImageShards(address=str(path), image_size=4)
    assert "fields that are not used: label" in data.describe()


def test_preparing_shards_goes_on_where_it_was_stopped(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, destination = str(prepared / "photos"), str(prepared / "again.shards")
    with pytest.MonkeyPatch.context() as patch:

        def stopped(images: object, folder: Path) -> None:
            (folder / "chunk-0-0.bin").write_bytes(b"unfinished")
            raise KeyboardInterrupt

        patch.setattr("lightning_gan.data.preparation.write_shards", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, destination, image_size=SIZE)
    assert not Path(destination).exists()
    prepare(source, destination, image_size=SIZE)
    found, wanted = Path(destination), prepared / "images.shards"
    assert sorted(path.name for path in prepared.iterdir() if path.name.startswith("again")) == ["again.shards"]
    for path in [*wanted.glob("*.bin"), wanted / "dataset.json", wanted / RECORD]:
        assert (found / path.name).read_bytes() == path.read_bytes()
    told = capsys.readouterr().out
    assert f"--config data/shards.yaml --data.address {destination} --data.image_size 8 --data.labels_file" in told
    prepare(source, destination, image_size=SIZE)
    assert "is prepared already" in capsys.readouterr().out


@pytest.mark.slow
def test_the_lines_of_the_page_write_shards_that_are_read_with_their_labels(tmp_path: Path) -> None:
    names = [f"photos/{kind}/{number}.png" for kind in ("cats", "dogs") for number in range(5)]
    folder_of(tmp_path, names, others={"photos/cats/large.png": image() + b"\0" * 5000})
    (script,) = (block.text for block in blocks_of(DOCS / "data.md") if "litdata.optimize(" in block.text)
    (tmp_path / "write.py").write_text(script)
    subprocess.run([sys.executable, "write.py"], cwd=tmp_path, check=True, capture_output=True, timeout=200)
    paths = sorted([*names, "photos/cats/large.png"])
    labels = {"labels": [[path, int("dogs" in path)] for path in paths], "classes": ["cats", "dogs"]}
    (tmp_path / "dataset.json").write_text(json.dumps(labels))
    address, labels_file = str(tmp_path / "photos.shards"), str(tmp_path / "dataset.json")
    data = ImageShards(address=address, labels_file=labels_file, image_size=4, number_of_workers=0)
    read = data.source.read(torch.arange(11), resolution=4)[:, 0, 0, 0]
    assert read.tolist() == [0, 1, 2, 3, 4, 0, 5, 6, 7, 8, 9]
    assert data.source.labels is not None and data.source.labels.tolist() == [0] * 6 + [1] * 5
