"""Decides which errors the user can correct, and tells them in one line. All others keep their traceback."""

import errno
import re
import sysconfig
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from pickle import UnpicklingError

from lightning_gan.cli.errors import CommandLineError

_PACKAGE = Path(__file__).parent.parent.as_posix()
_TRAINER = "lightning/pytorch/trainer"
_NO_GPU = "trainer.accelerator=gpu: torch finds no GPU on this machine; give --trainer.accelerator=cpu or auto"


def told_in_one_line(error: BaseException) -> str | None:
    """The message of an error that the user can correct, in one line, or None for an error that needs its traceback.

    The user can correct a `CommandLineError`, a `ValueError` that this package or Lightning's trainer raises, a
    `MisconfigurationException`, a missing package, a file that cannot be read or written, and a lack of memory.

    Args:
        error: the error that ended a command. Its causes are looked at too, because the parser raises errors of its
            own in place of those of constructors.
    """
    for cause in causes_of(error):
        message = _told(cause)
        if message is not None:
            return one_line(message)
    return None


def told_of_building(error: BaseException, *, place: str) -> str | None:
    """The message of an error in a constructor that was called with the user's settings.

    The constructors of torch, Lightning and others say in their own words what is wrong with a setting. An error that
    is raised in a file of this package, or that passed through a file of the user, is one of the code.

    Args:
        error: the error.
        place: section of the settings that was being built, such as `model`.

    Returns:
        The message in one line, or None for an error that needs its traceback.
    """
    told = told_in_one_line(error)
    if told is not None:
        return told
    innermost = list(causes_of(error))[-1]
    files = [Path(frame.filename).as_posix() for frame in traceback.extract_tb(innermost.__traceback__)]
    if not files or files[-1].startswith(_PACKAGE) or not all(map(_is_installed, files)):
        return None
    named = re.findall(r"class_path='([\w.]+)'|given class_path '([\w.]+)'", str(error))
    owner = next((first or second for first, second in named), "").rsplit(".", 1)[-1]
    return one_line(f"{place}: {f'{owner}: ' if owner else ''}{innermost}")


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, the error that it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def one_line(message: str) -> str:
    """A message without line breaks.

    Example:
        >>> one_line("first\\n  second")
        'first second'
    """
    return " ".join(message.split())


def _told(error: BaseException) -> str | None:
    """The message of one error without its causes, or None."""
    kind, text = type(error).__name__, str(error)
    if isinstance(error, CommandLineError):
        return text
    if kind == "MisconfigurationException":
        return _NO_GPU if "No supported gpu backend found" in text else text
    if found := re.search(r"Found more than one stateful callback of type `(\w+)`", text):
        return f"trainer.callbacks: {found[1]} is given twice with the same settings; remove one of them"
    if " in DataLoader worker process " in text:
        return _told_by_worker(text)
    if isinstance(error, ImportError):
        return _missing_package(error)
    if isinstance(error, ValueError) and raised_in(error, _PACKAGE, _TRAINER):
        return text
    if isinstance(error, UnpicklingError):
        # torch's own message proposes to run the code in the file, which is dangerous.
        return "the file is no checkpoint of a training: it contains objects that are no tensors or plain data"
    if isinstance(error, OSError):
        return _unusable_file(error)
    if kind == "OutOfMemoryError" or (isinstance(error, RuntimeError) and "out of memory" in text):
        return (
            "the device has too little memory; give a larger --model.training.accumulate_slices, which cuts each turn "
            "into parts with the same result, or a smaller --data.batch_size"
        )
    if isinstance(error, MemoryError):
        return f"this machine has too little memory ({text}); give a smaller --data.batch_size or smaller networks"
    if isinstance(error, RuntimeError) and text.startswith("DataLoader worker"):
        return f"a process that reads data ended ({text}); give a smaller --data.number_of_workers, such as 0"
    if isinstance(error, RuntimeError) and re.search(r"No CUDA GPUs|CUDA driver|no NVIDIA driver|CUDA error", text):
        return f"the GPU cannot be used ({text.splitlines()[0]}); give --trainer.accelerator=cpu to train without it"
    return None


def raised_in(error: BaseException, *folders: str) -> bool:
    """Whether the innermost frame of an error's traceback is in a file in one of these folders."""
    frames = traceback.extract_tb(error.__traceback__)
    path = Path(frames[-1].filename).as_posix() if frames else ""
    return any(path.startswith(f"{folder}/") or f"/{folder}/" in path for folder in folders)


def _is_installed(path: str) -> bool:
    """Whether a file belongs to this package, to an installed package or to Python, and not to the user."""
    if path.startswith((_PACKAGE, "<")):
        return True
    paths = sysconfig.get_paths()
    return any(path.startswith(Path(paths[name]).as_posix()) for name in ("purelib", "platlib", "stdlib"))


def _told_by_worker(text: str) -> str | None:
    """The message of an error in a process that reads data. It arrives as text, with the traceback in it."""
    lines = [line for line in text.splitlines() if line.strip()]
    files = re.findall(r'^ *File "([^"]+)", line', text, flags=re.MULTILINE)
    kind, _, message = lines[-1].partition(": ")
    is_of_user = kind.rsplit(".", 1)[-1] in ("ValueError", "OSError", "FileNotFoundError", "PermissionError")
    return message if is_of_user and files and Path(files[-1]).as_posix().startswith(_PACKAGE) else None


def _missing_package(error: ImportError) -> str | None:
    """Which package is missing, and how it is installed."""
    text = str(error)
    patterns = (
        r"pip install (?:-U |--upgrade )?[`'\"]*([\w.\[\]-]+)",
        r"Requirement [`'\"]+([\w.-]+)",
        r"(?:Module not found:|No module named|The) [`'\"]+([\w.-]+)",
    )
    found = next((match for pattern in patterns if (match := re.search(pattern, text))), None)
    name = found[1] if found else error.name if isinstance(error, ModuleNotFoundError) else None
    if name is None:
        return None
    name = name.split(".")[0].replace("_", "-")
    if name == "lightning-gan":
        return None  # a module of this package is missing, which no installation of another one repairs
    return f"the package {name} is not installed; install it with: pip install '{_requirement(name)}'"


def _requirement(name: str) -> str:
    """The requirement of a package as pip reads it: with the version that an extra of this package asks for."""
    try:
        listed = requires("lightning-gan") or []
    except PackageNotFoundError:
        listed = []
    for requirement in listed:
        wanted = requirement.partition(";")[0].strip()
        if re.match(r"[\w.-]+", wanted)[0].replace("_", "-").lower() == name.lower() and "==" not in wanted:  # type: ignore[index]
            return wanted
    return name


def _unusable_file(error: OSError) -> str | None:
    if error.strerror is None:
        return None
    path = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}{error.strerror}; make room, and continue with --ckpt_path last"
    return f"{path}{error.strerror}; give a path that can be used"
