"""A replay buffer of fixed size that every row of the past is in with the same probability."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Which transitions of earlier policies a critic goes on seeing.

    A critic that sees the latest policy alone forgets what was wrong with the first ones, and in the end pays for it
    again. One whose reward is to train new policies must know the first ones best: where an expert and the policies it
    is told from act alike, there is nothing to tell, and the reward is flat.

    Args:
        size: so many are kept, each transition as likely as any other; 0 for none.
        share: of the critic's fakes, in (0, 1]; the rest are of the latest policy.
        until_kimg: transitions after so many thousands are not kept; None keeps on.

    Raises:
        ValueError: for settings out of range.
    """

    size: int = 0
    share: float = 0.5
    until_kimg: float | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size={self.size} of the replay buffer must not be negative; 0 is none")
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share} of replayed transitions must be in (0, 1]; for none set size to 0")
        if self.until_kimg is not None and self.until_kimg <= 0:
            raise ValueError(f"until_kimg={self.until_kimg} must be positive; None keeps transitions to the end")

    def keeps_at(self, transitions_seen: int) -> bool:
        """Whether transitions that happen then are kept."""
        return self.until_kimg is None or transitions_seen < 1000 * self.until_kimg

    def places(self, count: int) -> list[int]:
        """Which of `count` fakes are replayed, evenly spread: the first, and every other one for a share of 0.5.

        Example:
            >>> Replay(size=1).places(6), Replay(size=1, share=0.75).places(8)
            ([0, 2, 4], [0, 1, 2, 4, 5, 6])
        """
        return [row for row in range(count) if math.ceil((row + 1) * self.share) > math.ceil(row * self.share)]


class ReplayBuffer(nn.Module):
    """Rows of the past, each as likely to be there as any other (reservoir sampling; Vitter 1985, algorithm R).

    Args:
        size: most rows that are kept.
        columns: of a row.
    """

    rows: Tensor
    seen: Tensor

    def __init__(self, *, size: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, columns))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def keep(self, rows: Float[Tensor, "batch columns"], random: torch.Generator) -> None:
        """Let some rows take the place of others: row number n of all with probability `size / n`."""
        size, seen = len(self.rows), int(self.seen)
        numbers = torch.arange(seen, seen + len(rows))
        # A row goes to its own number while there is room, then to a random one up to it, if there is such a place.
        drawn = (torch.rand(len(rows), generator=random, dtype=torch.float64) * (numbers + 1)).long()
        places = torch.where(numbers < size, numbers, drawn)
        for row, place in zip(rows, places.tolist(), strict=True):
            if place < size:
                self.rows[place] = row
        self.seen += len(rows)

    def draw(self, count: int, random: torch.Generator) -> Float[Tensor, "{count} columns"]:
        """Rows that are kept, each as likely as any other."""
        held = min(int(self.seen), len(self.rows))
        return self.rows[torch.randint(held, (count,), generator=random).to(self.rows.device)]
