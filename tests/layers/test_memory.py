"""The memory: everything at first, then a fair sample of all that has been."""

import torch

from lightning_gan.layers.memory import Memory


def kept(memory: Memory, *batches: torch.Tensor, seed: int = 0) -> list[float]:
    """What is held after some rows, in order."""
    random = torch.Generator().manual_seed(seed)
    for rows in batches:
        memory.keep(rows[:, None], random)
    return memory.rows[:, 0].tolist()


def test_it_keeps_everything_while_there_is_room() -> None:
    memory = Memory(size=6, columns=1)
    assert kept(memory, torch.arange(1.0, 4.0), torch.arange(4.0, 6.0)) == [1, 2, 3, 4, 5, 0]
    assert memory.seen == 5


def test_only_what_is_held_is_drawn() -> None:
    memory = Memory(size=6, columns=1)
    kept(memory, torch.arange(1.0, 4.0))
    drawn = memory.draw(100, torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {1, 2, 3}


def test_every_row_of_the_past_is_as_likely_to_be_there_as_any_other() -> None:
    """20 rows in three batches, a memory of 5: each should be there in a quarter of many trials."""
    batches, trials = torch.arange(20.0).split([3, 10, 7]), 4000
    counts = torch.zeros(20)
    for trial in range(trials):
        held = kept(Memory(size=5, columns=1), *batches, seed=trial)
        assert len(set(held)) == 5
        counts[torch.tensor(held).long()] += 1
    # Four standard errors of a share of 4000.
    assert (counts / trials - 0.25).abs().max() < 4 * (0.25 * 0.75 / trials) ** 0.5


def test_it_is_saved() -> None:
    memory, restored = Memory(size=3, columns=1), Memory(size=3, columns=1)
    kept(memory, torch.arange(1.0, 8.0))
    restored.load_state_dict(memory.state_dict())
    assert torch.equal(restored.rows, memory.rows) and restored.seen == 7
