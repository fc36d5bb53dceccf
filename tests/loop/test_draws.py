"""Draws: what is cut together stays together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_gan.loop.draws import Draws, Reals, Rows, joined


@dataclass(frozen=True, kw_only=True)
class More(Draws):
    """Draws with a field of every kind."""

    noises: tuple[Tensor, ...]
    inner: Reals


def more() -> More:
    numbers = torch.arange(6.0)
    return More(
        latents=numbers[:, None],
        labels=None,
        noises=(numbers + 10, numbers + 20),
        inner=Reals(images=numbers.view(6, 1, 1, 1), labels=torch.arange(6)),
    )


def test_every_field_is_cut_at_the_same_rows() -> None:
    part = more().rows(2, 4)
    assert isinstance(part, More) and len(part) == 2 and part.labels is None
    assert part.latents.flatten().tolist() == [2, 3]
    assert [noise.tolist() for noise in part.noises] == [[12, 13], [22, 23]]
    assert part.inner.images.flatten().tolist() == [2, 3]
    assert part.inner.labels is not None and part.inner.labels.tolist() == [2, 3]


def test_chunks_in_order_are_the_whole() -> None:
    whole = more()
    for pieces in (1, 2, 3, 6):
        parts = whole.chunk(pieces)
        assert [len(part) for part in parts] == [6 // pieces] * pieces
        assert torch.equal(torch.cat([part.latents for part in parts]), whole.latents)
        assert torch.equal(torch.cat([part.noises[1] for part in parts]), whole.noises[1])


def test_all_rows_are_the_draws_themselves() -> None:
    whole = more()
    assert whole.rows(0, 6) is whole
    assert whole.chunk(1) == [whole]


def test_a_share_of_a_share_is_a_part_of_the_whole() -> None:
    assert torch.equal(more().rows(2, 6).rows(1, 3).latents, more().rows(3, 5).latents)


def test_rows_without_a_tensor_in_front_still_know_their_number() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Late(Rows):
        first: Tensor | None
        second: Tensor

    assert len(Late(first=None, second=torch.zeros(3))) == 3


def test_what_slices_leave_is_joined_in_order() -> None:
    left = joined([(torch.tensor([[1.0]]), torch.tensor([2])), (torch.tensor([[3.0]]), torch.tensor([4]))])
    assert left[0].tolist() == [[1], [3]] and left[1].tolist() == [2, 4]
    assert joined([(), ()]) == ()
