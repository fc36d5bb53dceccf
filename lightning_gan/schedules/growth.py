"""The schedule of a growing GAN's resolution (Karras et al. 2018, arXiv:1710.10196, section 2).

It is a pure function of the number of images seen. A stage first fades its new blocks in and then trains them without a
change; the first stage has no fade. The authors order a stage the other way round (train, then fade in the next
blocks), which gives the same sequence: their `train_kimg` and `trans_kimg` are `hold_kimg` and `fade_kimg` here, and a
new resolution's batch size and learning rate apply from the first image of its fade.

The authors update the phase once in four batches (`minibatch_repeats`), this schedule before every batch. So their
phase lags by at most three batches; at 512 images per batch this is a quarter percent of a fade of 600 thousand images.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The phase of growing.

    Attributes:
        resolution: active resolution in pixels.
        fade_in: weight of the newest blocks in (0, 1]; 1 after the fade.
    """

    resolution: int
    fade_in: float


@dataclass(frozen=True, kw_only=True)
class GrowthSchedule:
    """Stages that double the resolution from `start_resolution` to `final_resolution`.

    Args:
        final_resolution: full size of the images in pixels, `start_resolution` times a power of two.
        start_resolution: size of the images in pixels at the beginning of training.
        hold_kimg: thousands of images for which each stage is trained after its fade, one number per stage or one for
            all; the last stage has no end.
        fade_kimg: thousands of images for which the new blocks of a stage fade in, one number per stage except the
            first, or one for all.
        batch_sizes: global batch size by resolution; a resolution that is not given has the data's own batch size.
        learning_rates: learning rate by resolution, for both players; a resolution that is not given has the
            optimizer's own rate.

    Raises:
        ValueError: if a size is not reachable by doubling, a list has the wrong length, or a duration is negative.

    Example:
        >>> schedule = GrowthSchedule(final_resolution=16, start_resolution=4, hold_kimg=1.0, fade_kimg=1.0)
        >>> schedule.at(1_250)
        Growth(resolution=8, fade_in=0.25)
    """

    final_resolution: int
    start_resolution: int = 4
    hold_kimg: float | list[float] = 600.0
    fade_kimg: float | list[float] = 600.0
    batch_sizes: dict[int, int] = field(default_factory=dict)
    learning_rates: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ratio = self.final_resolution / self.start_resolution
        if ratio < 1 or not math.log2(ratio).is_integer():
            raise ValueError(
                f"start_resolution={self.start_resolution} does not reach final_resolution={self.final_resolution} "
                "by doubling; give sizes such as 4 and 32"
            )
        for resolution in (*self.batch_sizes, *self.learning_rates):
            if resolution not in self.resolutions:
                raise ValueError(
                    f"resolution {resolution} is no stage of the schedule; give some of its stages, {self.resolutions}"
                )
        assert len(self.stage_starts) == len(self.resolutions)

    # The loop and the data use these several times per batch, so they are computed once. They are not fields, so that
    # copies and comparisons ignore them.

    @cached_property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions of the stages in pixels, in ascending order."""
        stages = round(math.log2(self.final_resolution / self.start_resolution)) + 1
        return tuple(self.start_resolution * 2**stage for stage in range(stages))

    @cached_property
    def fade_images(self) -> tuple[float, ...]:
        """The number of images for which each stage's blocks fade in; 0 for the first stage."""
        return (0.0, *_per_stage("fade_kimg", self.fade_kimg, stages=len(self.resolutions) - 1))

    @cached_property
    def stage_starts(self) -> tuple[float, ...]:
        """The number of images seen when each stage begins to fade in."""
        holds = _per_stage("hold_kimg", self.hold_kimg, stages=len(self.resolutions))
        lengths = [fade + hold for fade, hold in zip(self.fade_images, holds, strict=True)]
        return (0.0, *accumulate(lengths[:-1]))

    @cached_property
    def _stable(self) -> tuple[Growth, ...]:
        """The phase of every stage after its fade."""
        return tuple(Growth(resolution=resolution, fade_in=1.0) for resolution in self.resolutions)

    def at(self, images_seen: int) -> Growth:
        """Returns the phase for the batch that starts after `images_seen` images."""
        stage = bisect_right(self.stage_starts, images_seen) - 1
        passed = images_seen - self.stage_starts[stage]
        if passed >= self.fade_images[stage]:
            return self._stable[stage]
        # In the first batch of a fade the weight would be 0, and the new blocks would have no gradient: use a small
        # weight instead.
        return Growth(resolution=self.resolutions[stage], fade_in=max(passed / self.fade_images[stage], 1e-3))

    def resolution_at(self, images_seen: int) -> int:
        """Returns the active resolution in pixels after `images_seen` images."""
        return self.resolutions[bisect_right(self.stage_starts, images_seen) - 1]

    def batch_size_at(self, images_seen: int) -> int | None:
        """Returns the global batch size of the active resolution, or None for the data's own batch size."""
        return self.batch_sizes.get(self.resolution_at(images_seen))

    def learning_rate_at(self, images_seen: int) -> float | None:
        """Returns the learning rate of the active resolution, or None for the optimizer's own rate."""
        return self.learning_rates.get(self.resolution_at(images_seen))


def _per_stage(name: str, kimg: float | list[float], *, stages: int) -> list[float]:
    """Returns the number of images per stage, from thousands of images given once or per stage."""
    values = list(kimg) if isinstance(kimg, list) else [kimg] * stages
    if len(values) != stages:
        raise ValueError(f"{name}={values} has {len(values)} values for {stages} stages; give one number or {stages}")
    if any(value < 0 for value in values):
        raise ValueError(f"{name}={values} must not be negative")
    return [1000.0 * value for value in values]
