"""A replay buffer of fixed size that holds each past row with the same probability."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Settings of the buffer of earlier policies' transitions on which the discriminator keeps training.

    A discriminator that is trained on the latest policy alone may give high rewards again to mistakes of the first
    policies. If the reward is to train new policies, as in VAIRL, the transitions of the first policies matter most:
    where the expert and the policy act alike, the discriminator cannot distinguish them, and the reward is flat.

    Args:
        size: number of transitions in the buffer; it holds each past transition with the same probability. 0 means no
            buffer.
        share: share of the discriminator's fakes that come from the buffer, in (0, 1]; the rest are the latest
            policy's.
        until_kimg: number of thousands of transitions after which no more are added; None adds them to the end.

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
        """Returns whether transitions are added to the buffer after `transitions_seen` transitions of training."""
        return self.until_kimg is None or transitions_seen < 1000 * self.until_kimg

    def places(self, count: int) -> list[int]:
        """Returns which of `count` fakes come from the buffer, evenly spread: with share 0.5 every second one.

        Example:
            >>> Replay(size=1).places(6), Replay(size=1, share=0.75).places(8)
            ([0, 2, 4], [0, 1, 2, 4, 5, 6])
        """
        return [row for row in range(count) if math.ceil((row + 1) * self.share) > math.ceil(row * self.share)]


class ReplayBuffer(nn.Module):
    """A buffer that holds each past row with the same probability (reservoir sampling; Vitter 1985, algorithm R).

    Args:
        size: largest number of rows in the buffer.
        columns: number of columns of a row.
    """

    rows: Tensor
    seen: Tensor

    def __init__(self, *, size: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, columns))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def keep(self, rows: Float[Tensor, "batch columns"], random: torch.Generator) -> None:
        """Adds rows to the buffer; once it is full, the n-th row of all replaces another with probability `size / n`.

        Args:
            rows: new rows.
            random: generator of the random numbers, on the CPU.
        """
        size, seen = len(self.rows), int(self.seen)
        numbers = torch.arange(seen, seen + len(rows))
        # While there is room, row n goes to place n. Later it goes to a random place up to n, if that place exists.
        drawn = (torch.rand(len(rows), generator=random, dtype=torch.float64) * (numbers + 1)).long()
        places = torch.where(numbers < size, numbers, drawn)
        for row, place in zip(rows, places.tolist(), strict=True):
            if place < size:
                self.rows[place] = row
        self.seen += len(rows)

    def draw(self, count: int, random: torch.Generator) -> Float[Tensor, "{count} columns"]:
        """Draws `count` rows from the buffer with replacement, each with the same probability."""
        held = min(int(self.seen), len(self.rows))
        return self.rows[torch.randint(held, (count,), generator=random).to(self.rows.device)]
