"""The real images of a batch, for callbacks that compare or show them.

The batches of a `GAN` are images, or images and labels. In the batches of any other module the images are understood,
named by the user, or refused; and so is the range of their values.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from lightning_gan.foreign.structures import structure_text, tensors_of

TOLERANCE = 0.1
"""How far values may be outside of their range, as a share of it. Resized images exceed it by a few percent."""

SMALLEST_SHARE = 0.01
"""Smallest share of a stated range that the values of a batch fill; bytes / 255 fill 1/255 of the range [0, 255]."""

REAL = "real=, a function of the batch that returns the real images"


@dataclass(frozen=True, kw_only=True)
class RealSettings:
    """What the user states about the real images.

    Args:
        asker: name of the callback, for error messages.
        real: function that takes the real images out of a batch; None takes the only tensor with four dimensions.
        value_range: lowest and highest value of float images; None is [-1, 1], and in a module that is no `GAN` the
            first batch is checked for it.

    Raises:
        ValueError: for a range that is not two finite numbers in ascending order.
    """

    asker: str
    real: Callable[[Any], Tensor] | None = None
    value_range: Sequence[float] | None = None

    def __post_init__(self) -> None:
        limits = self.value_range
        if limits is None:
            return
        if len(limits) != 2 or not all(map(math.isfinite, limits)) or limits[0] >= limits[1]:
            raise ValueError(
                f"{self.asker}: value_range={list(limits)} must be the lowest and the highest value of the real "
                "images, such as [0, 1]"
            )


def images_of(batch: Any, *, asker: str = "Evaluation") -> Tensor:
    """Returns the images of a batch, `batch channels height width`: its first tensor with four dimensions.

    Args:
        batch: a tensor, or nested lists, tuples and mappings of tensors.
        asker: name of the callback, for the error message.

    Raises:
        ValueError: if the batch holds no such tensor.
    """
    for tensor in tensors_of(batch):
        if tensor.dim() == 4:
            return tensor
    raise ValueError(
        f"{asker}: no images [batch, channels, height, width] in a batch of type {type(batch).__name__}; "
        "let the dataloader yield an image tensor, or a list, tuple or mapping with one"
    )


class RealImages(ABC):
    """Takes the real images out of batches."""

    def __init__(self, settings: RealSettings) -> None:
        self.settings = settings

    @abstractmethod
    def images(self, batch: Any) -> Tensor:
        """The real images of a batch, `batch channels height width`, uint8 or float in about [-1, 1].

        Raises:
            ValueError: if they cannot be told, or their values are not in the range.
        """

    @property
    @abstractmethod
    def is_checked(self) -> bool:
        """Whether the images of the first batch are checked."""

    @abstractmethod
    def check_first(self, images: Tensor, *, fakes: Tensor | None, grows: bool) -> None:
        """Check the images of the first batch, before time is lost.

        Args:
            images: result of `images`.
            fakes: some generated images; None if there are none to compare with.
            grows: whether the size of generated images changes during training.

        Raises:
            ValueError: if their values are obviously not in the range, or they do not look like the generated ones.
        """

    @final
    def _scaled(self, images: Tensor) -> Tensor:
        lowest, highest = self._limits
        if images.dtype == torch.uint8 or (lowest, highest) == (-1.0, 1.0):
            return images
        return (images - lowest) * (2 / (highest - lowest)) - 1

    @final
    @property
    def _limits(self) -> tuple[float, float]:
        lowest, highest = self.settings.value_range or (-1.0, 1.0)
        return lowest, highest


@final
class OwnReals(RealImages):
    """The real images of a `GAN`, whose data modules and training loop have checked them already."""

    @property
    def is_checked(self) -> bool:
        return False

    def images(self, batch: Any) -> Tensor:
        real = self.settings.real
        return self._scaled(images_of(batch, asker=self.settings.asker) if real is None else real(batch))

    def check_first(self, images: Tensor, *, fakes: Tensor | None, grows: bool) -> None:
        """Do nothing."""


@final
class ForeignReals(RealImages):
    """The real images of a module that is not a `GAN`."""

    @property
    def is_checked(self) -> bool:
        return True

    def images(self, batch: Any) -> Tensor:
        images = self._found(batch)
        if images.dtype != torch.uint8:
            self._check_range(images)
        return self._scaled(images)

    def check_first(self, images: Tensor, *, fakes: Tensor | None, grows: bool) -> None:
        if images.dtype != torch.uint8 and len(images):
            self._check_spread(images)
        if fakes is None:
            return
        real, fake = list(images.shape[1:]), list(fakes.shape[1:])
        if real != fake and not (grows and real[0] == fake[0]):
            raise ValueError(
                f"{self.settings.asker}: the real images of a batch are {real}, the generated images {fake} (channels, "
                f"height, width); give {REAL} in the shape of the generated ones"
            )

    def _found(self, batch: Any) -> Tensor:
        asker, real = self.settings.asker, self.settings.real
        if real is not None:
            images = real(batch)
            if isinstance(images, Tensor) and images.dim() == 4:
                return images
            got = f"a tensor {list(images.shape)}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
            raise ValueError(f"{asker}: real returned {got}; it must return images [batch, channels, height, width]")
        found = [tensor for tensor in tensors_of(batch) if tensor.dim() == 4]
        if len(found) == 1:
            return found[0]
        problem = "several tensors that may be" if found else "no tensor with four dimensions that may be"
        raise ValueError(f"{asker}: the batch has {problem} the real images, a {structure_text(batch)}; give {REAL}")

    def _check_range(self, images: Tensor) -> None:
        asker, (lowest, highest) = self.settings.asker, self._limits
        if not images.is_floating_point():
            raise ValueError(f"{asker}: the real images are {images.dtype}; give {REAL} as uint8 or float")
        if not len(images):
            return
        smallest, largest = images.min().item(), images.max().item()
        slack = TOLERANCE * (highest - lowest)
        if not (lowest - slack <= smallest and largest <= highest + slack):  # this refuses NaN, too
            raise ValueError(
                f"{asker}: the real images have values from {smallest:g} to {largest:g}, which is not in "
                f"[{lowest:g}, {highest:g}]; give {self._remedy(smallest, largest)}"
            )

    def _check_spread(self, images: Tensor) -> None:
        """Refuses images, already scaled to [-1, 1], that lie in another range than the stated or assumed one."""
        smallest, largest = images.min().item(), images.max().item()
        if self.settings.value_range is None:
            if smallest >= 0:
                raise ValueError(
                    f"{self.settings.asker}: the real images have values from {smallest:g} to {largest:g}, which does "
                    "not look like [-1, 1]; give value_range=[0, 1] if this is their range, or value_range=[-1, 1] to "
                    "keep them as they are"
                )
        elif 0 < largest - smallest < 2 * SMALLEST_SHARE:
            lowest, highest = self._limits
            first, last = (lowest + (value + 1) / 2 * (highest - lowest) for value in (smallest, largest))
            raise ValueError(
                f"{self.settings.asker}: the real images have values from {first:.3g} to {last:.3g}, which does not "
                f"look like value_range=[{lowest:g}, {highest:g}]; give {self._remedy(first, last)}"
            )

    def _remedy(self, smallest: float, largest: float) -> str:
        for lowest, highest in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if lowest - TOLERANCE <= smallest and largest <= highest + TOLERANCE:
                return f"value_range=[{lowest:g}, {highest:g}] if this is their range, or another value_range"
        return "value_range=[lowest, highest] of your images, or real=, a function of the batch that returns them in it"
