"""What holds for all tests: one thread, so that they are quick side by side and give the same numbers everywhere."""

import os

import torch

import tests.shape_checker  # noqa: F401  (pyproject.toml names it, and jaxtyping imports `tests` alone)

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start
