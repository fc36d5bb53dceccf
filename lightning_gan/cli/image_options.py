"""The options `--images`, `--image_size` and `--labels`, read without importing torch."""

from dataclasses import dataclass

from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.option_values import take_values

HELP = """own images:
  --images PATH         train on a folder or a zip of images in place of the configuration's data. A configuration for
                        the digits gets a batch size, a length, schedules, capacity and gamma that follow the size and
                        the number of the images; they are printed, and every setting can be given as usual.
  --image_size PIXELS   width and height to which the central square of each image is resized. Without it, all images
                        must be squares of one size, that of the first.
  --labels              give the networks the classes: a dataset.json, or a folder for each class.
"""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """One's own images, as options give them.

    Attributes:
        path: path of a folder or a zip.
        image_size: width and height in pixels; None takes the size of the first image.
        labels: whether the networks get the classes.
    """

    path: str
    image_size: int | None
    labels: bool


def take_image_options(options: list[str]) -> tuple[ImageOptions | None, list[str]]:
    """The images that options give, or None, and all other options.

    Args:
        options: options of a command line.

    Raises:
        CommandLineError: if an option has no value or a wrong one, or is given without `--images`.

    Example:
        >>> take_image_options(["--images", "faces", "--image_size=64", "--labels", "--model=M"])
        (ImageOptions(path='faces', image_size=64, labels=True), ['--model=M'])
    """
    paths, rest = take_values(options, "--images")
    sizes, rest = take_values(rest, "--image_size")
    switches = [option for option in rest if option.partition("=")[0] == "--labels"]
    rest = [option for option in rest if option not in switches]
    if not paths:
        for given, setting in ((sizes, "image_size"), (switches, "labels")):
            if given:
                raise CommandLineError(f"--{setting} is for --images; give --data.{setting} for other data")
        return None, rest
    size = sizes[-1] if sizes else None
    if size is not None and not (size.isdecimal() and int(size) >= 1):
        raise CommandLineError(f"--image_size {size}: give the width and height in pixels, such as 64")
    values = [option.partition("=")[2].lower() or "true" for option in switches]
    if wrong := [value for value in values if value not in ("true", "false")]:
        raise CommandLineError(f"--labels={wrong[0]}: give --labels for the classes, and leave it out for none")
    labels = bool(values) and values[-1] == "true"
    return ImageOptions(path=paths[-1], image_size=None if size is None else int(size), labels=labels), rest
