"""Random data sets: what is read equals a small model of the rules, or is refused in one line."""

import random
from pathlib import Path

import pytest

from lightning_gan.data import ImageFiles
from tests.data.data_sets import SIZE, folder_of, labels, zip_of

SETS_OF_A_SEED = 30

Rows = list[list[object]] | None


class RefusedError(Exception):
    """The model of the rules refuses the data set."""


def random_names(draw: random.Random) -> list[str]:
    """Names of files in a random tree, of images and others, some of them hidden."""
    words = draw.choice([["cat", "dog", "owl"], ["0000", "0001"], ["train", "val", "cat"], ["a"], ["00", "01"]])
    prefix = draw.choice(["", "", "wrapped/", "one/two/"])
    names = []
    for number in range(draw.randint(2, 9)):
        folders = [draw.choice(words) for _ in range(draw.choice([0, 1, 1, 1, 2]))]
        suffix = draw.choice([".png", ".png", ".png", ".PNG", ".txt"])
        hidden = "." * (draw.random() < 0.05)
        names.append(prefix + "/".join([*folders, f"{hidden}{number}{suffix}"]))
    return names


def random_rows(draw: random.Random, images: list[str]) -> Rows:
    """Labels for the images: mostly right ones, sometimes with a fault."""
    kind = draw.choice(["indices", "names", "rows", "none", "indices"])
    values: dict[str, list[object]] = {
        "indices": [0, 1, 2],
        "names": ["x", "y"],
        "rows": [[0.5, 1], [1, 1], [0, 1]],
        "none": [0],
    }
    if kind == "none":
        return None
    rows: list[list[object]] = [[draw.choice(["", "./"]) + image, draw.choice(values[kind])] for image in images]
    if draw.random() < 0.15 and rows:
        rows.append(list(draw.choice(rows)))
    if draw.random() < 0.15 and rows:
        rows.pop(0)
    if draw.random() < 0.2:
        rows.append(["gone.png", values[kind][0]])
    draw.shuffle(rows)
    return rows


def labels_by_rows(rows: Rows, images: list[str]) -> object:
    if rows is None:
        return None
    found: dict[str, object] = {}
    for name, label in rows:
        assert isinstance(name, str)
        name = name.removeprefix("./")
        if name in found and name in images:
            raise RefusedError
        found[name] = label
    if set(images) - set(found):
        raise RefusedError
    given = [found[image] for image in images]
    if isinstance(given[0], int):
        if set(given) != set(range(len(set(given)))):
            raise RefusedError
        return given
    if isinstance(given[0], str):
        return [sorted(set(map(str, given))).index(str(name)) for name in given]
    if all(sorted(row) == [0, 1] for row in given):  # type: ignore[type-var, call-overload]
        return [row.index(1) for row in given]  # type: ignore[attr-defined]
    return given


def labels_by_folders(images: list[str]) -> object:
    for depth in range(4):
        groups: dict[str, set[str]] = {}
        for image in images:
            *folders, _ = image.split("/")
            if len(folders) > depth:
                groups.setdefault("/".join(folders[:depth]), set()).add(folders[depth])
        if any({"train", "val"} <= children for children in groups.values()):
            raise RefusedError
    folders = sorted({image.split("/")[0] for image in images if "/" in image})
    if len(folders) < 2:
        return None
    if set(folders) == {"0000", "0001"} or any("/" not in image for image in images):
        raise RefusedError
    return [folders.index(image.split("/")[0]) for image in images]


def model(names: list[str], rows: Rows, *, has_file: bool, top: str) -> tuple[list[str], object]:
    """The rules, written once more and shorter, for what `random_names` draws."""
    visible = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    images = sorted(name for name in visible if name.lower().endswith(".png"))
    if not images:
        raise RefusedError
    if has_file:
        return images, labels_by_rows(rows, [image.removeprefix(top) for image in images])
    inner = images
    while len({image.split("/")[0] for image in inner}) == 1 and "/" in inner[0]:
        inner = [image.split("/", 1)[1] for image in inner]
    return images, labels_by_folders(inner)


@pytest.mark.parametrize("seed", range(6))
def test_random_data_sets_are_read_by_the_rules_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    outcomes = []
    for number in range(SETS_OF_A_SEED):
        names = random_names(draw)
        top = next(prefix for prefix in ("wrapped/", "one/two/", "") if names[0].startswith(prefix))
        images = sorted(name.removeprefix(top) for name in names if name.lower().endswith(".png") and "/." not in name)
        images = [image for image in images if not image.startswith(".")]
        has_file = draw.random() < 0.5
        rows = random_rows(draw, images)
        others = {f"{top}{name}": text for name, text in labels(rows).items()} if has_file else {}
        make = draw.choice([folder_of, zip_of])
        slash = draw.choice(["/", "/", "\\"])
        path = make(tmp_path / f"{number}.zip", [name.replace("/", slash) for name in names], others=others)
        try:
            expected = model(names, rows, has_file=has_file, top=top)
        except RefusedError:
            with pytest.raises(ValueError) as caught:
                ImageFiles(path=path, image_size=SIZE, image_channels=3)
            assert "\n" not in str(caught.value) and f"{number}.zip" in str(caught.value)
            outcomes.append("refused")
        else:
            found = ImageFiles(path=path, image_size=SIZE, image_channels=3)
            read = None if found.labels is None else found.labels.tolist()
            assert (found.names, read) == expected, names
            outcomes.append("read")
    assert {"refused", "read"} == set(outcomes)
