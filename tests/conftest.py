"""What holds for all tests: one thread, one seed for draws and order, and as many processes as help.

One thread, so that tests are quick side by side and give the same numbers everywhere. Every test begins with the random
generators at `--seed` (0 if it isn't given), and the same number says in which order files run, and tests in a file. A
failure says with which command the same order is repeated in one process. All of it is written here because
pytest-randomly does not know torch, and because the order must hold for some files too: a file's place depends on
the seed and its name alone, so that whatever one process ran of them runs in the same order again.
"""

import getpass
import os
import random
import tempfile
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from xdist.scheduler import LoadFileScheduling

import tests.shape_checker  # noqa: F401  (pyproject.toml names it, and jaxtyping imports `tests` alone)

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start
# Where torch itself keeps compiled code. Our trainings would else choose the user's cache folder.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}")

PIECES = 8
"""Into which a file is cut, when several processes run the fast tests: one file has two fifths of all the work."""

MOST_WORKERS = 8
"""Every worker imports and collects everything, which takes longer than what a ninth would take off the others."""


@pytest.fixture(autouse=True)
def cache_of_this_session(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to the user's cache folder, and nothing read from it."""
    folder = tmp_path_factory.getbasetemp() / "user_cache"
    monkeypatch.setattr("lightning_gan.data.checked_files.user_cache", lambda: folder)
    monkeypatch.setattr("lightning_gan.callbacks.evaluation.cached_reals.user_cache", lambda: folder)


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in the format of Inception's published one."""
    from tests.inception import write_random_inception  # imported here, because torch-fidelity takes a second

    return write_random_inception(tmp_path_factory.mktemp("inception") / "weights.pth")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="of every test's draws, and of the order of the tests")


def pytest_configure(config: pytest.Config) -> None:
    # Registered, its hooks hold for the doctests in lightning_gan/ too; a conftest's own hold for its folder alone.
    config.pluginmanager.register(DrawsAndOrder(config.getoption("seed")))


class DrawsAndOrder:
    """Every test's draws, the order of all tests, and how a failure is repeated."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.files: dict[str, None] = {}  # that this process has run tests of, in order

    def pytest_report_header(self) -> str:
        return f"seed of draws and order: {self.seed} (--seed)"

    def place(self, name: str) -> bytes:
        return sha256(f"{self.seed} {name}".encode()).digest()

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadFileScheduling | None:
        if config.option.dist != "loadfile" or config.option.markexpr == "slow":
            return None  # what a file's slow tests share takes a minute to make
        scheduler = LoadFileScheduling(config, log)
        scheduler._split_scope = self.piece
        return scheduler

    def piece(self, name: str) -> str:
        """The file of a test, and which piece of it the test is in: neighbours, because places are in order."""
        return f"{name.split('::')[0]} {self.place(name)[0] * PIECES // 256}"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: (self.place(item.nodeid.split("::")[0]), self.place(item.nodeid)))

    @pytest.hookimpl(tryfirst=True)  # before fixtures of modules, which the first test that needs them makes
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.files[item.nodeid.split("::")[0]] = None
        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        report = yield
        if report.failed:
            command = f"python -m pytest -n 0 --seed {self.seed} {' '.join(self.files)}"
            report.sections.append(("these files again, in this order, in one process", command))
        return report


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """As many as there are cores, but none where starting them takes longer than they save: for a single file.

    Half as many for slow tests, most of which start two processes.
    """
    workers = min((yield), MOST_WORKERS)
    if config.option.markexpr == "slow":
        workers //= 2
    files = {Path(argument.split("::")[0]) for argument in config.args}
    alone = len(files) == 1 and all(file.is_file() for file in files)
    return 0 if alone or workers < 2 else workers
