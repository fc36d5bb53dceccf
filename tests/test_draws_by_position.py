"""Random numbers of parts of a batch are the rows of those of the whole batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.layers.dropout import Dropout
from lightning_gan.tensors import draws_by_position as draws

CPU = torch.device("cpu")
FUNCTIONS: dict[str, Callable[[int], Tensor]] = {
    "normal": lambda rows: draws.normal((rows, 3)),
    "normal_like": lambda rows: draws.normal_like(torch.zeros(rows, 3)),
    "uniform": lambda rows: draws.uniform((rows,)),
    "uniform_like": lambda rows: draws.uniform_like(torch.zeros(rows, 1, 2)),
    "integers": lambda rows: draws.integers(-3, 4, (rows, 2), device=CPU),
    "dropout": lambda rows: draws.dropout(torch.ones(rows, 8), 0.3, training=True),
    "layer": lambda rows: Dropout(0.3)(torch.ones(rows, 8)),
}


def drawn(draw: Callable[[int], Tensor], *, parts: int, slices: int = 1) -> Tensor:
    """Two turns of twelve samples, by as many processes as there are parts."""
    found: dict[tuple[int, int], Tensor] = {}
    rows = 12 // parts // slices
    for process in range(parts):
        with draws.drawing(CPU, seed=5, first=process * slices, parts=parts * slices) as numbers:
            for turn in range(2):
                for index in range(slices):
                    numbers.begin_part(index)
                    twice = [draw(rows).reshape(rows, -1) for _ in range(2)]
                    found[turn, process * slices + index] = torch.cat(twice, dim=1)
    return torch.cat([torch.cat([found[turn, part] for part in range(parts * slices)]) for turn in range(2)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_draw_the_rows_of_the_whole(name: str) -> None:
    whole = drawn(FUNCTIONS[name], parts=1)
    assert len(whole.unique(dim=0)) > 2
    for parts, slices in ((2, 1), (3, 1), (1, 3), (2, 2)):
        assert torch.equal(drawn(FUNCTIONS[name], parts=parts, slices=slices), whole)


def test_one_process_draws_as_pytorch_does() -> None:
    torch.manual_seed(5)
    expected = torch.randn(4, 2), torch.rand(4), torch.rand(())
    with draws.drawing(CPU, seed=5, first=0, parts=1):
        found = draws.normal((4, 2)), draws.uniform((4,)), draws.uniform_for_all(CPU)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


def test_processes_agree_on_what_all_samples_share() -> None:
    def shared(process: int) -> tuple[float, float]:
        with draws.drawing(CPU, seed=5, first=process, parts=2):
            return draws.uniform_for_all(CPU).item(), draws.integer_for_all(0, 1000, CPU).item()

    assert shared(0) == shared(1)


def test_other_networks_draw_differently_on_each_process() -> None:
    def dropped(process: int) -> Tensor:
        with draws.drawing(CPU, seed=5, first=process, parts=2):
            mask: Tensor = nn.Dropout(0.5)(torch.ones(64))
            return mask

    assert not torch.equal(dropped(0), dropped(1))
    assert torch.equal(dropped(1), dropped(1))


@pytest.mark.parametrize("parts", [1, 2])
def test_a_network_can_draw_the_same_again_and_go_on(parts: int) -> None:
    def noisy(rows: int) -> Tensor:
        return draws.normal((rows, 2))

    with draws.drawing(CPU, seed=5, first=0, parts=parts) as numbers:
        numbers.begin_part(0)
        first, second = noisy(3), noisy(3)
        assert torch.equal(draws.with_same_draws(noisy)(3), first)
        third = noisy(3)
    with draws.drawing(CPU, seed=5, first=0, parts=parts):
        assert torch.equal(torch.cat([noisy(3) for _ in range(3)]), torch.cat([first, second, third]))


def test_outside_nothing_is_by_position() -> None:
    torch.manual_seed(5)
    first = draws.with_same_draws(lambda: draws.normal((2,)))()
    torch.manual_seed(5)
    assert torch.equal(first, torch.randn(2))
    torch.manual_seed(5)
    kept = draws.dropout(torch.ones(100), 0.5, training=True)
    torch.manual_seed(5)
    assert torch.equal(kept, nn.functional.dropout(torch.ones(100), 0.5))
    assert torch.equal(draws.dropout(torch.ones(3), 0.5, training=False), torch.ones(3))
