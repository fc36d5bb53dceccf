"""The replay buffer: everything at first, then a fair sample of all that has been."""

import pytest
import torch

from lightning_gan.imitation.replay import Replay, ReplayBuffer


def kept(buffer: ReplayBuffer, *batches: torch.Tensor, seed: int = 0) -> list[float]:
    """What is held after some rows, in order."""
    random = torch.Generator().manual_seed(seed)
    for rows in batches:
        buffer.keep(rows[:, None], random)
    return buffer.rows[:, 0].tolist()


def test_it_keeps_everything_while_there_is_room() -> None:
    buffer = ReplayBuffer(size=6, columns=1)
    assert kept(buffer, torch.arange(1.0, 4.0), torch.arange(4.0, 6.0)) == [1, 2, 3, 4, 5, 0]
    assert buffer.seen == 5


def test_only_what_is_held_is_drawn() -> None:
    buffer = ReplayBuffer(size=6, columns=1)
    kept(buffer, torch.arange(1.0, 4.0))
    drawn = buffer.draw(100, torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {1, 2, 3}


def test_every_row_of_the_past_is_as_likely_to_be_there_as_any_other() -> None:
    """20 rows in three batches, a buffer of 5: each should be there in a quarter of many trials."""
    batches, trials = torch.arange(20.0).split([3, 10, 7]), 4000
    counts = torch.zeros(20)
    for trial in range(trials):
        held = kept(ReplayBuffer(size=5, columns=1), *batches, seed=trial)
        assert len(set(held)) == 5
        counts[torch.tensor(held).long()] += 1
    # Four standard errors of a share of 4000.
    assert (counts / trials - 0.25).abs().max() < 4 * (0.25 * 0.75 / trials) ** 0.5


def test_it_is_saved() -> None:
    buffer, restored = ReplayBuffer(size=3, columns=1), ReplayBuffer(size=3, columns=1)
    kept(buffer, torch.arange(1.0, 8.0))
    restored.load_state_dict(buffer.state_dict())
    assert torch.equal(restored.rows, buffer.rows) and restored.seen == 7


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.875, 1.0])
def test_every_piece_of_the_fakes_has_its_share(share: float) -> None:
    places = Replay(size=1, share=share).places(400)
    assert places == sorted(set(places)) and set(places) <= set(range(400))
    for count in (1, 7, 40, 400):
        first = sum(place < count for place in places)
        assert first == pytest.approx(share * count, abs=1)
        assert Replay(size=1, share=share).places(count) == places[:first]


def test_transitions_are_kept_until_a_time() -> None:
    assert all(Replay(size=1).keeps_at(seen) for seen in (0, 10**9))
    assert [Replay(size=1, until_kimg=0.6).keeps_at(seen) for seen in (0, 599, 600)] == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": -1}, "size=-1 of the replay buffer must not be negative"),
        ({"share": 0.0}, r"share=0\.0 of replayed transitions must be in \(0, 1\]"),
        ({"share": 1.5}, r"share=1\.5"),
        ({"until_kimg": 0.0}, r"until_kimg=0\.0 must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Replay(**settings)  # type: ignore[arg-type]
