"""Reads files of weights of other projects as tensors and plain data: of NumPy, of torch, and pickles of TensorFlow.

Nothing in a file is imported or run (`restricted_pickle`). Which of the kinds a file is, its content says.
"""

import pickle
import struct
import zipfile
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_gan.interop.restricted_pickle import Recorded, RestrictedUnpickler, Storage, plain

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The number with which files of torch before 1.6 begin."""


class ForeignFileError(ValueError):
    """A file cannot be read as weights. The message is one line for the user."""


def read_foreign(path: Path) -> Any:
    """The content of a file of weights: tensors, plain data, and `Recorded` objects.

    Args:
        path: path of a file of `numpy.savez`, of `torch.save`, or of a pickle.

    Raises:
        ForeignFileError: if there is no such file, or it is of another kind, or damaged.
    """
    if path.is_dir():
        raise ForeignFileError(f"{path} is a folder; give the file of weights in it")
    if not path.is_file():
        raise ForeignFileError(f"there is no file {path}; give the path of a file of weights")
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as file:
            if file.read(1) != b"\x80":  # with which every pickle of protocol 2 and later begins
                raise ForeignFileError(f"{path} is no file of numpy.savez, of torch.save, and no pickle; give another")
            file.seek(0)
            first = RestrictedUnpickler(file, storage_of=_storage_in).load()
            return _read_old_torch(file) if isinstance(first, int) and first == _TORCH_MAGIC else plain(first)
    except ForeignFileError:
        raise
    # A pickle is a program, which may fail in any way.
    except Exception as error:
        reason = str(error).partition("\n")[0][:150] or type(error).__name__
        raise ForeignFileError(f"{path} cannot be read as weights ({reason}); is it complete?") from error


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if names and all(name.endswith(".npy") for name in names):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
        found = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(found) != 1 or any(name.endswith("constants.pkl") for name in names):
            raise ForeignFileError(
                f"{path} is an archive of another kind than those of numpy.savez and torch.save; give a file of weights"
            )
        folder = found[0].removesuffix("data.pkl")
        storages: dict[str, Storage] = {}

        def persistent(identifier: Any) -> Storage:
            _, dtype, key, *_ = identifier
            if str(key) not in storages:
                storages[str(key)] = _storage(archive.read(f"{folder}data/{key}"), dtype)
            return storages[str(key)]

        return plain(RestrictedUnpickler(BytesIO(archive.read(found[0])), persistent=persistent).load())


def _read_old_torch(file: BufferedIOBase) -> Any:
    """The content of a file of torch before 1.6: pickles one after the other, then the numbers of all storages."""
    for _ in range(2):  # the version of the format, and facts of the machine
        RestrictedUnpickler(file).load()
    storages: dict[str, Storage] = {}
    dtypes: dict[str, torch.dtype] = {}

    def persistent(identifier: Any) -> Any:
        kind, *rest = identifier
        if kind == "module":  # a class of networks, with the path and the text of its source
            return rest[0]
        dtype, key, _, count, *_ = rest
        if str(key) not in storages:
            # The numbers follow behind the pickles, so that tensors are made of zeros that are filled later.
            dtypes[str(key)], storages[str(key)] = dtype, Storage(torch.zeros(int(count), dtype=dtype))
        return storages[str(key)]

    begin = file.tell()
    RestrictedUnpickler(file, persistent=persistent).load()  # only to find the storages
    for key in RestrictedUnpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        dtype = dtypes[str(key)]
        raw = file.read(count * torch.empty((), dtype=dtype).element_size())
        storages[str(key)].numbers.copy_(_storage(raw, dtype).numbers)
    file.seek(begin)
    return plain(RestrictedUnpickler(file, persistent=persistent).load())  # again, now with the numbers


def _storage_in(raw: bytes) -> Storage:
    """The storage in the bytes of a file of torch before 1.6, as which plain pickles have the numbers of a tensor."""
    file = BytesIO(raw)
    if RestrictedUnpickler(file).load() != _TORCH_MAGIC:
        raise pickle.UnpicklingError("the numbers of a tensor are in an unknown format")
    storage = _read_old_torch(file)
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("the numbers of a tensor are of an unknown kind")
    return storage


def _storage(raw: bytes, dtype: Any) -> Storage:
    if not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError("a storage has numbers of an unknown type")
    if not raw:
        return Storage(torch.zeros(0, dtype=dtype))
    return Storage(torch.frombuffer(bytearray(raw), dtype=dtype))


PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
"""The function with which NVIDIA's networks are pickled. Its argument has the text of their source, and their state."""


def attributes_of(value: Recorded) -> Any:
    """The attributes of a recorded object by name, as it was pickled by itself or by NVIDIA's `persistence`.

    Args:
        value: the object.
    """
    if value.path != PERSISTENT:
        return value.state
    description = value.arguments[0] if value.arguments else None
    return description.get("state") if isinstance(description, dict) else None


def is_persistent(value: Any) -> bool:
    """Whether a value is an object of one of NVIDIA's persistent classes.

    Args:
        value: anything that was read.
    """
    return isinstance(value, Recorded) and value.path == PERSISTENT


def persistent_arguments(module: Recorded) -> dict[str, Any]:
    """The arguments by name that a module of a persistent class was made with, single numbers as plain data.

    Args:
        module: the recorded module.
    """

    def plain_numbers(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain_numbers(item) for name, item in value.items()}
        return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value

    attributes = attributes_of(module)
    given = attributes.get("_init_kwargs", {}) if isinstance(attributes, dict) else {}
    return {name: plain_numbers(value) for name, value in given.items()}


def persistent_layers(module: Recorded) -> list[Recorded]:
    """The modules of persistent classes within a module, at any depth.

    Args:
        module: the recorded module.
    """
    attributes = attributes_of(module)
    children = attributes.get("_modules", {}).values() if isinstance(attributes, dict) else []
    own = [child for child in children if is_persistent(child)]
    return [*own, *(layer for child in own for layer in persistent_layers(child))]


def weights_of_module(module: Recorded) -> dict[str, Tensor]:
    """The state dict of a network that was pickled whole, as `module.state_dict()` would be.

    Args:
        module: the recorded `torch.nn.Module`. It may be one of NVIDIA's persistent classes (StyleGAN2-ADA and what is
            derived from it), whose pickles have the text of the class, which is not read, and its attributes.

    Raises:
        ForeignFileError: if the object is no network.
    """
    state = attributes_of(module)
    if not isinstance(state, dict) or "_modules" not in state:
        raise ForeignFileError(f"the object of the class {module.path} is no network of torch")
    own = {**state.get("_parameters", {}), **state.get("_buffers", {})}
    weights = {name: value for name, value in own.items() if isinstance(value, Tensor)}
    for name, child in state["_modules"].items():
        if isinstance(child, Recorded):
            weights |= {f"{name}.{inner}": value for inner, value in weights_of_module(child).items()}
    return weights


def is_state(value: Any) -> bool:
    """Whether a value is a state dict: tensors by name."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )
