"""A memory of fixed size that every row of the past is in with the same probability."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Memory(nn.Module):
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
