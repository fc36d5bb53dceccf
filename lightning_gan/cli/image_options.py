"""The options `--images`, `--image_size`, `--image_width` and `--labels`, read without importing torch."""

from dataclasses import dataclass

from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.option_values import take_values

HELP = """own images:
  --images PATH         train on a folder or a zip of images in place of the configuration's data. A configuration for
                        the digits gets a batch size, a length, schedules, capacity and gamma that follow the size and
                        the number of the images; they are printed, and every setting can be given as usual.
  --image_size PIXELS   width and height to which the central square of each image is resized. Without it, all images
                        must be of one size, that of the first: squares, but for models with image_width.
  --image_width PIXELS  width beside --image_size, which is then the height: the largest central rectangle of these
                        proportions is resized. It is for models with image_width: StyleGAN2 and R3GAN.
  --labels              give the networks the classes: a dataset.json, or a folder for each class.
"""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """One's own images, as options give them.

    Attributes:
        path: path of a folder or a zip.
        image_size: height in pixels, and width without image_width; None takes the size of the first image.
        labels: whether the networks get the classes.
        image_width: width in pixels; None is a square.
    """

    path: str
    image_size: int | None
    labels: bool
    image_width: int | None = None


def take_image_options(options: list[str]) -> tuple[ImageOptions | None, list[str]]:
    """The images that options give, or None, and all other options.

    Args:
        options: options of a command line.

    Raises:
        CommandLineError: if an option has no value or a wrong one, or is given without `--images`.

    Example:
        >>> take_image_options(["--images", "faces", "--image_size=64", "--labels", "--model=M"])
        (ImageOptions(path='faces', image_size=64, labels=True, image_width=None), ['--model=M'])
    """
    paths, rest = take_values(options, "--images")
    sizes, rest = take_values(rest, "--image_size")
    widths, rest = take_values(rest, "--image_width")
    switches = [option for option in rest if option.partition("=")[0] == "--labels"]
    rest = [option for option in rest if option not in switches]
    if not paths:
        for given, setting in ((sizes, "image_size"), (widths, "image_width"), (switches, "labels")):
            if given:
                raise CommandLineError(f"--{setting} is for --images; give --data.{setting} for other data")
        return None, rest
    size = _pixels(sizes, option="--image_size", what="the width and height")
    width = _pixels(widths, option="--image_width", what="the width")
    if width is not None and size is None:
        raise CommandLineError(f"--image_width {width}: give --image_size, too, the height in pixels")
    values = [option.partition("=")[2].lower() or "true" for option in switches]
    if wrong := [value for value in values if value not in ("true", "false")]:
        raise CommandLineError(f"--labels={wrong[0]}: give --labels for the classes, and leave it out for none")
    labels = bool(values) and values[-1] == "true"
    return ImageOptions(
        path=paths[-1], image_size=size, labels=labels, image_width=None if width == size else width
    ), rest


def _pixels(values: list[str], *, option: str, what: str) -> int | None:
    """The last value of an option, a number of pixels; None if there is none."""
    if not values:
        return None
    if not (values[-1].isdecimal() and int(values[-1]) >= 1):
        raise CommandLineError(f"{option} {values[-1]}: give {what} in pixels, such as 64")
    return int(values[-1])
