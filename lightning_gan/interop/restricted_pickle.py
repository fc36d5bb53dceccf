"""Reads pickles of other people without importing or running anything that they name.

A pickle is a program: it names functions and classes of any module, and calls them. Here the few names that rebuild
arrays, tensors and containers are replaced by functions of this file. Every other name becomes an empty class that
records what the pickle would have given to it, so that the numbers in an object can be read without its code.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from io import BufferedIOBase
from typing import Any

import numpy as np
import torch
from torch import Tensor

PersistentLoad = Callable[[Any], Any]
"""Returns the object that a pickle refers to by an identifier, such as a storage of tensors."""


class Recorded(dict[Any, Any]):
    """An object of a class that was not imported. Items that the pickle sets are its items.

    Attributes:
        path: dotted path of the class (or of the function whose result this would have been).
        state: what the pickle gives to `__setstate__`, usually the attributes by name; None if it gives nothing.
        arguments: arguments of the constructor or function.
    """

    path = ""
    state: Any = None
    arguments: tuple[Any, ...] = ()

    def __new__(cls, *arguments: Any) -> "Recorded":
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *arguments: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, value: Any) -> None:
        """Record an item of a class that derives from `list`."""
        self[len(self)] = value

    def extend(self, values: Any) -> None:
        """Record items of a class that derives from `list`."""
        for value in values:
            self.append(value)


class _Dtype:
    """What a pickle says of `numpy.dtype`."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "fiub":
            raise pickle.UnpicklingError(f"arrays of the type {code} hold no numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """What a pickle says of `numpy.ndarray`."""

    value: Tensor | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, raw = state
        self.value = _tensor(raw, dtype, shape, order="F" if is_fortran else "C")


class _Ndarray:
    """Stands for the class `numpy.ndarray`, which pickles name and never call."""


class Storage:
    """The numbers of a file of torch, from which tensors are made.

    Args:
        numbers: all numbers, in one dimension.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers


def _tensor(raw: Any, dtype: _Dtype, shape: Any, *, order: Any) -> Tensor:
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    array = np.frombuffer(data, dtype=dtype.dtype).reshape(tuple(shape), order=order)
    native = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(np.array(native))


def _rebuilt(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, raw: Any) -> Tensor:
    return _tensor(raw, dtype, (), order="C")


def _from_buffer(raw: Any, dtype: _Dtype, shape: Any, order: Any) -> Tensor:
    return _tensor(raw, dtype, shape, order=order)


def _rebuilt_tensor(storage: Storage, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return torch.as_strided(storage.numbers, tuple(size), tuple(stride), offset).clone()


def _rebuilt_parameter(data: Any, *_: Any) -> Any:
    return data


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding} are not read")
    return text.encode("latin1")


def _object(kind: type, *_: Any) -> Any:
    return kind() if issubclass(kind, Recorded) else Recorded()


class _Callable:
    """A function that a pickle may call, and not change, as it might change the attributes of a plain function."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the pickle changes a function")


_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

_OWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _Callable(_encoded),
    ("copyreg", "_reconstructor"): _Callable(_object),
    ("copy_reg", "_reconstructor"): _Callable(_object),
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.numeric", "_frombuffer"): _Callable(_from_buffer),
    ("numpy._core.numeric", "_frombuffer"): _Callable(_from_buffer),
    **{(module, "_reconstruct"): _Callable(_rebuilt) for module in _ARRAY_MODULES},
    **{(module, "scalar"): _Callable(_scalar) for module in _ARRAY_MODULES},
    ("torch._utils", "_rebuild_tensor"): _Callable(_rebuilt_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Callable(_rebuilt_tensor),
    ("torch._utils", "_rebuild_parameter"): _Callable(_rebuilt_parameter),
    ("torch.nn.parameter", "Parameter"): _Callable(_rebuilt_parameter),
    ("torch", "Size"): tuple,
}
"""What stands for the names that rebuild numbers and containers. Nothing of another package is called."""

STORAGES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Types of the numbers in files of torch, by the names that they have there."""


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that imports nothing.

    Args:
        file: the file, open for reading.
        persistent: returns the object of an identifier; None if the file has no such objects.
        storage_of: returns the storage in the bytes of a file of torch, which tensors have in plain pickles; None if
            the file has no such bytes.
    """

    def __init__(
        self,
        file: BufferedIOBase,
        *,
        persistent: PersistentLoad | None = None,
        storage_of: Callable[[bytes], Storage] | None = None,
    ) -> None:
        super().__init__(file, encoding="latin1")  # strings of Python 2 may be bytes
        self._persistent = persistent
        self._storage_of = storage_of

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a name: a function of this file, or an empty class."""
        own = _OWN.get((module_name, global_name))
        if own is not None:
            return own
        if (module_name, global_name) == ("torch.storage", "_load_from_bytes") and self._storage_of is not None:
            return _Callable(self._storage_of)
        if module_name in ("torch", "torch.cuda") and global_name in STORAGES:
            return STORAGES[global_name]
        return type(global_name.rpartition(".")[2], (Recorded,), {"path": f"{module_name}.{global_name}"})

    def persistent_load(self, pid: Any) -> Any:
        """The object of an identifier.

        Raises:
            UnpicklingError: if the file has no such objects.
        """
        if self._persistent is None:
            raise pickle.UnpicklingError("the pickle refers to objects outside of it")
        return self._persistent(pid)


def plain(value: Any) -> Any:
    """A read value with tensors in place of arrays, in all its containers; objects keep their recorded state.

    Args:
        value: what `RestrictedUnpickler` has read.

    Raises:
        UnpicklingError: if an array has no numbers, or a container contains itself.
    """
    return _plain(value, ())


def _plain(value: Any, within: tuple[int, ...]) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array has no numbers")
        return value.value
    if not isinstance(value, dict | list | tuple):
        return value
    if id(value) in within:
        raise pickle.UnpicklingError("a container contains itself")
    within = (*within, id(value))
    if isinstance(value, Recorded):
        value.state = _plain(value.state, within)
        value.arguments = _plain(value.arguments, within)
        for key in list(value):
            value[key] = _plain(value[key], within)
        return value
    if isinstance(value, dict):
        return {key: _plain(item, within) for key, item in value.items()}
    return type(value)(_plain(item, within) for item in value) if type(value) in (list, tuple) else value
