"""Shards in litdata's format: what their index says, and writing them.

litdata, and not mosaicml-streaming or webdataset, because it reads the image of any number without the rest of its
shard, so that our own order holds; litdata's, which depends on workers and ranks, is not used. mosaicml-streaming 0.13
has to have whole shards on the disk for that, and needs numpy below 2.2, transformers and the libraries of five stores.
webdataset reads shards from their beginning to their end alone.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, final

from lightning_gan.data.shown import listed, shown
from lightning_gan.tensors.fingerprints import fingerprint_of

INDEX = "index.json"
"""Name of the file beside shards that says how many images each holds."""

IMAGE = "image"
"""Field with the bytes of an image file or a .npy file, or with an array of numbers `channels height width`."""

NAME = "name"
"""Field with the name of an image: bytes in UTF-8, because in place of a text litdata stores the file that it names."""

_BYTES_OF_SHARD = 64 * 2**20
_READ_FORMATS = {"bytes", "str", "int", "float", "bool", "numpy"}  # of litdata; pickle could run any program


@final
@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """What the index of shards says.

    Args:
        images: number of images in all shards.
        shards: number of shards.
        has_names: whether the images have names.
        remarks: what is not used, for a person to read.
        stamp: 16 hexadecimal digits that change if the shards are written anew.
    """

    images: int
    shards: int
    has_names: bool
    remarks: tuple[str, ...]
    stamp: str


def litdata() -> Any:
    """Returns the package litdata.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return import_module("litdata")
    except ImportError as error:
        raise ValueError(f"shards need litdata ({error}); pip install 'lightning-gan[streaming]'") from error


def index_in(path: Path, *, address: str) -> ShardIndex:
    """Returns what the index of shards says.

    Args:
        path: path of the index, or of a copy of it.
        address: where the shards are, for messages.

    Raises:
        ValueError: if it cannot be understood, or the shards hold no images, or something else than images.
    """
    text = path.read_bytes()
    try:
        content = json.loads(text)
        config, sizes = content["config"], [int(shard["chunk_size"]) for shard in content["chunks"]]
        formats = [str(form) for form in config["data_format"]]
        fields = _fields(config["data_spec"])
        packed = config.get("compression") or config.get("encryption")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{shown(address)}: its {INDEX} cannot be understood ({shown(repr(error))}); write the shards again, by "
            "`prepare` or litdata"
        ) from error
    fault = None
    if sum(sizes) < 1:
        fault = "hold no image"
    elif packed:
        fault = "are compressed or encrypted as a whole, so that single images cannot be read"
    elif fields is not None and IMAGE not in fields:
        fault = f'have the fields {listed(fields)} and no field "{IMAGE}"'
    elif others := sorted({form for form in formats if form not in _READ_FORMATS}):
        fault = f"have fields of the kind {listed(others)}, which are not read"
    if fault is not None:
        raise ValueError(
            f"{shown(address)}: the shards {fault}; write them without compression, and each image as the bytes of its "
            f'file or as an array of numpy, alone or as {{"{NAME}": ..., "{IMAGE}": ...}}'
        )
    unused = [field for field in fields or () if field not in (NAME, IMAGE)]
    return ShardIndex(
        images=sum(sizes),
        shards=len(sizes),
        has_names=fields is not None and NAME in fields,
        remarks=(f"fields that are not used: {listed(unused)}",) if unused else (),
        stamp=fingerprint_of(text),
    )


def _fields(spec: str) -> list[str] | None:
    """The names of an item's fields; None if an item is an image and nothing else."""
    _, kind = json.loads(spec)
    if kind["type"] is None:
        return None
    if kind["type"] != "builtins.dict" or any(inner["type"] is not None for inner in kind["children_spec"]):
        raise ValueError(f"items are {kind['type']} and no plain dictionaries")
    return [str(name) for name in json.loads(kind["context"])]


def write_shards(images: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Writes images into shards of 64 MiB, in their order.

    Args:
        images: the name and the contents of each image file.
        folder: an empty folder for the shards and their index.

    Raises:
        ValueError: if litdata is missing.
    """
    shards = litdata().streaming.Cache(str(folder), chunk_bytes=_BYTES_OF_SHARD)
    for number, (name, contents) in enumerate(images):
        shards[number] = {NAME: name.encode(), IMAGE: contents}
    shards.done()
    shards.merge()
