"""Which errors are told in one line, and which keep their traceback."""

import errno
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lightning_gan.cli import entry, main
from lightning_gan.cli.told import told_in_one_line, told_of_building
from lightning_gan.tensors.numbers import check_at_least


class Broken(Dataset[int]):
    """A data set whose images cannot be read."""

    def __init__(self, *, is_of_user: bool) -> None:
        self.is_of_user = is_of_user

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        if self.is_of_user:
            check_at_least(1, images=0)  # stands for every ValueError of the package
        raise RuntimeError("a mistake in the code")


def raised(make: object) -> BaseException:
    """What a call raises."""
    assert callable(make)
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("No module named 'rich'", name="rich"), "pip install 'rich'"),
        (ModuleNotFoundError("No module named 'comet_ml'", name="comet_ml"), "pip install 'comet-ml'"),
        (ModuleNotFoundError("No module named 'gymnasium.envs'", name="gymnasium.envs"), "pip install 'gymnasium"),
        (ModuleNotFoundError("Requirement 'torch_xla' not met. HINT: Try `pip install -U 'torch_xla>=1.13'`"),
         "pip install 'torch-xla'"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "runs/a: No space left on device; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission denied; give a path"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--model.training.accumulate_slices"),
        (MemoryError("std::bad_alloc"), "a smaller --data.batch_size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "--data.number_of_workers"),
        (RuntimeError("No CUDA GPUs are available"), "--trainer.accelerator=cpu"),
    ],
)  # fmt: skip
def test_what_the_user_can_correct_is_one_line_with_a_remedy(error: BaseException, message: str) -> None:
    told = told_in_one_line(error)
    assert told is not None and message in told and "\n" not in told


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("of the user's code"),
        AssertionError(),
        ZeroDivisionError("float division by zero"),
        ModuleNotFoundError("No module named 'lightning_gan.none'", name="lightning_gan.none"),
    ],
)
def test_a_mistake_in_the_code_is_not(error: BaseException) -> None:
    assert told_in_one_line(error) is None


def test_an_error_of_the_package_within_a_worker_is_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking a process with threads
        ours = raised(lambda: list(DataLoader(Broken(is_of_user=True), num_workers=1)))
        bug = raised(lambda: list(DataLoader(Broken(is_of_user=False), num_workers=1)))
    assert told_in_one_line(ours) == "images=0 must be at least 1"
    assert told_in_one_line(bug) is None


def test_what_a_constructor_of_torch_refuses_is_told_and_what_passed_through_the_users_code_is_not() -> None:
    error = raised(lambda: torch.optim.SGD([torch.zeros(1)], lr=-1.0))
    assert error.__traceback__ is not None
    inside = error.with_traceback(error.__traceback__.tb_next and error.__traceback__.tb_next.tb_next)
    assert told_of_building(inside, place="model") == "model: Invalid learning rate: -1.0"
    own = raised(lambda: torch.optim.SGD([torch.zeros(1)], lr=-1.0))  # through this file, which is not installed
    assert told_of_building(own, place="model") is None


def test_the_keyboard_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "run", interrupt)
    with pytest.raises(SystemExit) as exit_:
        main(["fit"])
    assert exit_.value.code == entry.INTERRUPTED
    assert capsys.readouterr().err == "lightning-gan: interrupted\n"


def test_a_constructor_of_the_user_keeps_its_traceback(tmp_path: Path) -> None:
    Path("my_broken.py").write_text(
        "import torch\nfrom lightning.pytorch import Callback\n"
        "class Mine(Callback):\n    def __init__(self) -> None:\n        torch.zeros(-1)\n"
    )
    with pytest.raises((RuntimeError, ValueError), match="negative dimension"):
        main(["fit", "--config", "tiny.yaml", "--trainer.callbacks+=my_broken.Mine"])
