"""The interface of networks whose resolution can be set during training."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Growable(Protocol):
    """A network whose resolution can be set during training."""

    def grow(self, resolution: int, fade_in: float) -> None:
        """Set the resolution of the images that the network makes or takes.

        Args:
            resolution: height and width of the images, in pixels.
            fade_in: weight of the block of this resolution, in (0, 1]. 1 means that the block is fully faded in.
        """
