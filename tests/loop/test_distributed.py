"""Distributed means equal: two gloo ranks end with the weights of one process."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn

from lightning_gan.loop import distributed
from lightning_gan.loop.distributed import GANDDPStrategy, average_gradients, means_over_ranks
from tests.loop.distributed_worker import CASES, STRATEGIES
from tests.two_ranks import assert_same_weights, largest_difference, run_on_one_and_two


def test_only_gradients_that_exist_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks with the same gradients, of which the other one's are three times as large: the mean is twice ours."""
    sent: list[int] = []

    def all_reduce(flat: Tensor) -> None:
        sent.append(flat.numel())
        flat *= 4

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "BUCKET_NUMBERS", 100)
    network = nn.ModuleList([nn.Linear(4, 4), nn.Linear(9, 9), nn.Linear(100, 100), nn.Conv2d(4, 2, 3)])
    network[3].to(memory_format=torch.channels_last)
    for index in (0, 1, 3):
        for parameter in network[index].parameters():
            parameter.grad = torch.randn_like(parameter)
    before = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    average_gradients(SingleDeviceStrategy(torch.device("cpu")), network)
    assert sent == []
    average_gradients(GANDDPStrategy(), network)
    assert sum(sent) == (16 + 4) + (81 + 9) + (72 + 2)
    assert max(sent) <= 100
    for parameter, old in zip(network.parameters(), before, strict=True):
        if old is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, 2 * old)


def test_means_come_in_the_order_and_the_shapes_of_the_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "BUCKET_NUMBERS", 10)
    shapes, types = [(2, 3), (), (4,), (2, 10), (1,)], [torch.float32] * 3 + [torch.float64] * 2
    tensors = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape, dtype in zip(shapes, types, strict=True)]
    pairs = list(means_over_ranks(tensors, reduce=lambda flat: 3 * flat))
    assert [sum(tensor.numel() for tensor in bucket) for bucket, _ in pairs] == [7, 4, 20, 1]
    means = [mean for _, means in pairs for mean in means]
    assert not any(mean.requires_grad for mean in means)
    for tensor, mean in zip(tensors, means, strict=True):
        torch.testing.assert_close(mean, 3 * tensor.detach())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks under each strategy."""
    return run_on_one_and_two("tests.loop.distributed_worker", tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, strategy: str, case: str) -> None:
    """Networks and EMA alike; the penalties' effect is billions of times larger than that."""
    assert_same_weights(weights / f"auto_{case}.pt", weights / f"{strategy}_{case}.pt", relative=1e-12)


@pytest.mark.slow
def test_the_penalties_matter_in_this_comparison(weights: Path) -> None:
    for first, second in combinations(CASES, 2):
        files = [weights / f"auto_{case}.pt" for case in (first, second)]
        assert largest_difference(*files, within="blocks") > 1e-3


@pytest.mark.slow
def test_fsdp2_cannot_differentiate_twice_without_the_loops_guard(weights: Path) -> None:
    for rank in range(2):
        assert "storage" in (weights / f"unguarded_{rank}.txt").read_text()
