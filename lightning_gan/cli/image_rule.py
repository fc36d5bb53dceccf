"""The rule for one's own images: how a configuration for the digits is changed for images of another size and number.

The rule is this, in which ``size`` is the side of squares in pixels. For images that are no squares, it is the side of
the square with as many pixels, ``sqrt(height width)``, so that ``size^2`` is the number of pixels:

- batch size: ``min(4096 / size, 32)`` images, at least 4, that of StyleGAN2-ADA's `auto` configuration for one GPU
  (Karras et al. 2020, arXiv:2006.06676);
- gamma of R1, and of R2 beside it: ``0.0002 size^2 / batch size``, from the same configuration;
- half-life of the averaged weights: ``batch size 10 / 32`` thousand images, from the same configuration;
- length: every image 357 times, which are StyleGAN's 25 million images for the 70,000 of FFHQ (Karras et al. 2019,
  arXiv:1812.04948), at least 5,000 images for every pixel of the size, at most 25 million;
- every other interval and schedule in thousands of images: its share of the length stays what it is for the digits. The
  last stage of a growing network begins at the same share of the length, whatever the number of stages, and no later
  if a longer training is asked for, so that a run which has ended can go on;
- ADA's and APA's probability adapts within this share, too, but within 500,000 images at most (arXiv:2006.06676), and
  ADA's groups of operations are its defaults, because the digits' are for digits;
- what compares images by the digits' feature network is left out.
"""

import math
from dataclasses import dataclass
from typing import Any

from lightning_gan.cli.configured_callbacks import ConfiguredCallback, callbacks_of
from lightning_gan.metrics.sliced_wasserstein import level_sides

LONGEST_ADAPTATION_KIMG = 500.0
"""Thousands of images in which ADA's probability can rise from 0 to 1 in its authors' trainings of any length."""

LONGEST_KIMG = 25_000.0
"""Length of StyleGAN's training on the 70,000 images of FFHQ, in thousands of images."""

TIMES_EACH_IMAGE = LONGEST_KIMG / 70.0
"""How often StyleGAN sees each image of FFHQ."""

KIMG_PER_PIXEL = 5.0
"""Least length in thousands of images for each pixel of the images' size: 160,000 images of 32 pixels."""

COMPARED_FAKES = 1000
"""Number of generated images of which the sliced Wasserstein distance is measured."""

READ_REALS = 10_000
"""Number of real images, the first ones, that metrics read; patches of more of them would fill the memory."""

PATCHES_PER_IMAGE = 16
"""Number of patches per image and level; the paper's 128 of 10,000 images of 256 pixels would take 10 GiB."""


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """What the rule follows.

    Attributes:
        image_size: height in pixels, and width if `image_width` is None.
        number_of_images: number of images.
        labels: whether the networks get classes.
        batch_size: global batch size; None follows the rule.
        total_kimg: length of the training in thousands of images; None follows the rule.
        image_width: width in pixels; None is a square.
    """

    image_size: int
    number_of_images: int
    labels: bool = False
    batch_size: int | None = None
    total_kimg: float | None = None
    image_width: int | None = None

    @property
    def pixels(self) -> int:
        """The number of pixels of an image."""
        return self.image_size * (self.image_size if self.image_width is None else self.image_width)

    @property
    def side(self) -> float:
        """The side in pixels of the square with as many pixels.

        Example:
            >>> OwnImages(image_size=32, image_width=128, number_of_images=1).side
            64.0
        """
        return math.sqrt(self.pixels)

    @property
    def chosen_batch_size(self) -> int:
        """The given batch size, or the rule's."""
        return self.batch_size if self.batch_size is not None else max(min(int(4096 / self.side), 32), 4)

    @property
    def chosen_kimg(self) -> float:
        """The given length, or the rule's, in thousands of images."""
        return self.rule_kimg if self.total_kimg is None else self.total_kimg

    @property
    def rule_kimg(self) -> float:
        """The rule's length in thousands of images.

        Example:
            >>> OwnImages(image_size=64, number_of_images=2474).rule_kimg
            884.0
            >>> OwnImages(image_size=64, number_of_images=50).rule_kimg
            320.0
        """
        wanted = TIMES_EACH_IMAGE * self.number_of_images / 1000
        return rounded(min(max(wanted, KIMG_PER_PIXEL * self.side), LONGEST_KIMG))

    @property
    def gamma(self) -> float:
        """The gamma of R1.

        Example:
            >>> OwnImages(image_size=256, number_of_images=70_000).gamma
            0.819
        """
        return rounded(0.0002 * self.pixels / self.chosen_batch_size)

    @property
    def half_life_kimg(self) -> float:
        """The half-life of the averaged weights in thousands of images."""
        return rounded(self.chosen_batch_size * 10 / 32)


def retuned(settings: dict[str, Any], images: OwnImages) -> tuple[dict[str, Any], list[str]]:
    """A configuration for the digits, changed for other images. Its data stay as they are.

    Args:
        settings: the configuration.
        images: what the rule follows.

    Returns:
        The changed configuration, and the names of callbacks that it leaves out.
    """
    trainer = dict(settings.get("trainer") or {})
    callbacks = callbacks_of(trainer.get("callbacks"))
    length = next((one.settings.get("total_kimg") for one in callbacks if one.name == "StopAtKimg"), None)
    factor = images.chosen_kimg / float(length) if isinstance(length, int | float) and length > 0 else 1.0
    left_out = [callback.name for callback in callbacks if compares_digits(callback.given)]
    kept = [_retuned_callback(one, settings, images, factor) for one in callbacks if not compares_digits(one.given)]
    if left_out and _has_levels(images):
        kept.append(_distance_of(callbacks, factor))
    if images.number_of_images > READ_REALS:
        trainer.setdefault("limit_val_batches", math.ceil(READ_REALS / images.chosen_batch_size))
    trainer["callbacks"] = kept
    return {**settings, "model": scaled(settings.get("model"), factor), "trainer": trainer}, left_out


def compares_digits(settings: Any) -> bool:
    """Whether settings name a network or a distance that was made for the digits, such as `metrics.DigitFeatures`.

    Example:
        >>> compares_digits({"class_path": "Evaluation", "init_args": {"extractor": "metrics.DigitFeatures"}})
        True
    """
    if isinstance(settings, dict):
        return any(map(compares_digits, settings.values()))
    if isinstance(settings, list):
        return any(map(compares_digits, settings))
    return isinstance(settings, str) and settings.rpartition(".")[2].startswith("Digit")


def scaled(settings: Any, factor: float) -> Any:
    """Nested settings in which every number of thousands of images (`..._kimg`) is multiplied, but for half-lives.

    Example:
        >>> scaled({"every_kimg": 10.0, "half_life_kimg": 5.0, "init_args": {"end_kimg": [1, 2]}}, 1.5)
        {'every_kimg': 15.0, 'half_life_kimg': 5.0, 'init_args': {'end_kimg': [1.5, 3.0]}}
    """
    if isinstance(settings, list):
        return [scaled(value, factor) for value in settings]
    if not isinstance(settings, dict):
        return settings
    return {
        key: _multiplied(value, factor)
        if key.endswith("_kimg") and not key.startswith("half_life")
        else scaled(value, factor)
        for key, value in settings.items()
    }


def rounded(number: float) -> float:
    """A number with three digits.

    Example:
        >>> rounded(883.57), rounded(0.02561)
        (884.0, 0.0256)
    """
    return float(f"{number:.3g}")


def _retuned_callback(callback: ConfiguredCallback, settings: dict[str, Any], images: OwnImages, factor: float) -> Any:
    if not isinstance(callback.given, dict):
        return callback.given
    arguments = scaled(callback.settings, factor)
    if callback.name in ("R1", "R2"):
        arguments["gamma"] = images.gamma
    elif callback.name == "EMA":
        arguments["half_life_kimg"] = images.half_life_kimg
    elif callback.name == "StopAtKimg":
        arguments["total_kimg"] = images.chosen_kimg
    elif callback.name == "OrthogonalGenerator" and not images.labels:
        arguments.pop("excluded", None)  # the embedding of classes, which a network without classes does not have
    elif "adaptation_kimg" in arguments:
        arguments["adaptation_kimg"] = min(arguments["adaptation_kimg"], LONGEST_ADAPTATION_KIMG)
        arguments.pop("groups", None)
    elif callback.name == "ProgressiveGrowing":
        shorter = min(images.rule_kimg / images.chosen_kimg, 1.0)
        arguments |= _growth(callback.settings, settings, images, factor * shorter)
    return {**callback.given, "init_args": arguments} if arguments else callback.given


def _growth(arguments: dict[str, Any], settings: dict[str, Any], images: OwnImages, factor: float) -> dict[str, Any]:
    """Stages that are stable and fade so long that the last one begins at the same share of the length."""
    start = arguments.get("start_resolution", 4)
    data = settings.get("data")
    digits = (data.get("init_args") or {}).get("image_size", 32) if isinstance(data, dict) else 32
    stages = [max(round(math.log2(size / start)), 1) for size in (digits, images.image_size)]
    names = [name for name in ("hold_kimg", "fade_kimg") if name in arguments]
    return {name: _multiplied(_mean(arguments[name]), factor * stages[0] / stages[1]) for name in names}


def _mean(value: Any) -> Any:
    return sum(value) / len(value) if isinstance(value, list) and value else value


def _multiplied(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_multiplied(one, factor) for one in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return rounded(value * factor) if is_number else value


def _distance_of(callbacks: list[ConfiguredCallback], factor: float) -> dict[str, Any]:
    """The sliced Wasserstein distance, as often as what it takes the place of."""
    arguments: dict[str, Any] = {"fake_count": COMPARED_FAKES, "patches_per_image": PATCHES_PER_IMAGE}
    replaced = next(callback for callback in callbacks if compares_digits(callback.given))
    if "every_kimg" in replaced.settings:
        arguments["every_kimg"] = _multiplied(replaced.settings["every_kimg"], factor)
    return {"class_path": "lightning_gan.callbacks.SlicedWasserstein", "init_args": arguments}


def _has_levels(images: OwnImages) -> bool:
    """Whether the sliced Wasserstein distance can be measured of images of this size."""
    try:
        level_sides(images.image_size, images.image_width or images.image_size)
    except ValueError:
        return False
    return True
