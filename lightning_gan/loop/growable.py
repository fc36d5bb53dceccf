"""Networks whose resolution can be set while they train."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Growable(Protocol):
    """A network whose resolution can be set while it trains."""

    def grow(self, resolution: int, fade_in: float) -> None:
        """Emit or take images of `resolution`; its newest blocks count with weight `fade_in` in (0, 1], 1 = stable."""
