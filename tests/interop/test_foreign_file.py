"""Files of other people are read as numbers; what they name is neither imported nor run."""

import io
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_gan.interop.foreign_file import ForeignFileError, is_state, read_foreign, weights_of_module
from lightning_gan.interop.restricted_pickle import Recorded, RestrictedUnpickler, plain
from tests.interop import foreign_files as files


def unpickled(data: bytes) -> Any:
    return plain(RestrictedUnpickler(io.BytesIO(data)).load())


class Hostile:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_a_pickle_names_is_recorded_and_not_run(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content = [
        Hostile(os.system, f"touch {marker}"),
        Hostile(subprocess.check_call, ["touch", str(marker)]),
        Hostile(exec, f"open({str(marker)!r}, 'w')"),
        Hostile(eval, f"open({str(marker)!r}, 'w')"),
    ]
    found = unpickled(pickle.dumps(content, protocol=protocol))
    assert not marker.exists()
    names = ["posix.system", "commands.check_call" if protocol == 2 else "subprocess.check_call"]  # 2 has old names
    assert [one.path for one in found[:2]] == names
    assert found[0].arguments == (f"touch {marker}",)
    assert pickle.loads(pickle.dumps(content[0], protocol=protocol)) == 0 and marker.exists()  # as it is meant


def test_a_module_that_is_named_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    found = unpickled(b"\x80\x02cevil_module\nThing\n)\x81}X\x01\x00\x00\x00aK\x01sb.")
    assert found.path == "evil_module.Thing" and found.state == {"a": 1}
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",  # REDUCE
        b"(S'touch ran'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch ran'\no.",  # OBJ
        b"\x80\x02cos\nsystem\nX\x09\x00\x00\x00touch ran\x85\x81.",  # NEWOBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R.",  # STACK_GLOBAL
        b"\x80\x02c__builtin__\nexec\nX\x0f\x00\x00\x00open('ran', 'w')\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x02os\x8c\x06system\x86R\x8c\x09touch ran\x85R.",
        b"\x80\x04\x8c\x05torch\x8c\x0bhub.load_x_\x93\x8c\x09touch ran\x85R.",
    ],
)
def test_no_instruction_of_a_pickle_runs_what_it_names(
    program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickletools.optimize(program)  # it is a valid pickle
    try:
        found = unpickled(program)
    except (pickle.UnpicklingError, TypeError) as error:
        assert "Recorded" in str(error) or "callable" in str(error) or "object" in str(error)
    else:
        assert isinstance(found, Recorded)
    assert not list(tmp_path.iterdir())


def test_a_pickle_cannot_change_the_functions_that_read_it() -> None:
    changes = b"\x80\x02c_codecs\nencode\n}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00xsb."
    with pytest.raises(pickle.UnpicklingError, match="changes a function"):
        unpickled(changes)


def test_a_hostile_file_in_the_shape_of_a_known_one_is_read_without_running_it(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    networks = [
        files.network({"lod": torch.tensor(0.0)}, {"resolution": Hostile(os.system, f"touch {marker}")})
        for _ in range(3)
    ]
    path = files.tensorflow_pickle(tmp_path / "network.pkl", networks, module="tfutil")
    content = read_foreign(path)
    assert (
        content[0].path == "tfutil.Network" and content[0].state["static_kwargs"]["resolution"].path == "posix.system"
    )
    torch.save({"model": Hostile(os.system, f"touch {marker}"), "epoch": 1}, tmp_path / "model.pth")
    assert read_foreign(tmp_path / "model.pth")["model"].path == "posix.system"
    assert not marker.exists()


# ---------------------------------------------------------------------- numbers

TENSORS: dict[str, Tensor] = {
    "float": torch.arange(6.0).view(2, 3),
    "transposed": torch.arange(6.0).view(2, 3).t(),
    "part": torch.arange(6.0)[2:4],
    "long": torch.tensor(7),
    "half": torch.tensor([1.5]).half(),
    "bfloat": torch.tensor([1.5]).bfloat16(),
    "bool": torch.tensor([True, False]),
    "bytes": torch.tensor([3], dtype=torch.uint8),
    "empty": torch.zeros(0, 2),
}


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_both_formats_of_torch(zipped: bool, tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    content = {
        **TENSORS,
        "first": shared[:2],
        "last": shared[2:],
        "parameter": nn.Parameter(torch.ones(2)),
        "inner": [OrderedDict(a=torch.ones(1)), ("text", 1.5, None)],
    }
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    found = read_foreign(tmp_path / "x.pt")
    assert found["inner"][1] == ("text", 1.5, None) and torch.equal(found["inner"][0]["a"], torch.ones(1))
    for name, value in content.items():
        if isinstance(value, Tensor):
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
    assert not found["parameter"].requires_grad


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_pickles(protocol: int) -> None:
    arrays = {
        "float": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big end first": np.arange(3, dtype=">f4"),
        "int": np.arange(3),
        "empty": np.zeros((0, 2)),
    }
    found = unpickled(pickle.dumps({**arrays, "number": np.float32(1.5)}, protocol=protocol))
    for name, array in arrays.items():
        assert np.array_equal(found[name].numpy(), array), name
    assert found["number"].item() == 1.5


def test_arrays_of_python_2_whose_bytes_are_text() -> None:
    """As Python 2 writes `numpy.arange(2.0)`, by hand: the bytes are a string of its own kind."""
    raw = np.arange(2.0).tobytes()
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\n"
        b"U\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw
    ) + b"tb."
    assert unpickled(data).tolist() == [0.0, 1.0]


def test_objects_and_other_kinds_of_arrays_are_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match="hold no numbers"):
        unpickled(pickle.dumps(np.array([print], dtype=object)))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(pickle.UnpicklingError, match="contains itself"):
        unpickled(pickle.dumps(loop))


def test_a_pickled_network_gives_its_state_dict(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()))
    torch.save(network, tmp_path / "x.pt")
    found = weights_of_module(read_foreign(tmp_path / "x.pt"))
    assert found.keys() == network.state_dict().keys() and is_state(found)
    assert all(torch.equal(value, found[name]) for name, value in network.state_dict().items())
    with pytest.raises(ForeignFileError, match="is no network"):
        weights_of_module(Recorded())


# ---------------------------------------------------------------------- files of other kinds


def write_zip(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "text")


def write_objects(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.array([print], dtype=object))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("text"), "is no file of numpy.savez, of torch.save, and no pickle"),
        (lambda path: path.write_bytes(b""), "is no file of numpy.savez"),
        (lambda path: path.write_bytes(b"\x80\x04\x95"), "cannot be read as weights"),
        (lambda path: path.write_bytes(b"\x80\x04P7\n."), "cannot be read as weights"),
        (lambda path: write_zip(path, "readme.txt"), "is an archive of another kind"),
        (lambda path: write_zip(path, "m/data.pkl", "m/constants.pkl"), "is an archive of another kind"),  # TorchScript
        (write_objects, "cannot be read as weights"),
    ],
)
def test_other_files_are_refused_in_one_line(make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(ForeignFileError, match=message) as error:
        read_foreign(tmp_path / "x")
    assert "\n" not in str(error.value)


def test_a_file_of_torch_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(whole[:-100])
    with pytest.raises(ForeignFileError, match="cannot be read as weights"):
        read_foreign(tmp_path / "x.pt")
