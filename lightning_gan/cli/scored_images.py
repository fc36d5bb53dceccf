"""`test --images FOLDER --reals FOLDER`: images are measured that are there already, without a model."""

from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.option_values import asks_for_help

HELP = """images without a model:
  --images PATH --reals PATH  for test: measure the images of a folder or a zip against real images, without a model;
                        test --reals --help lists the options.
"""

OF_MODELS = ("--config", "-c", "--ckpt_path", "--weights", "--model", "--data", "--trainer", "--name", "--resume")
"""Options that belong to a model and to its run."""


def scores_images(command: str, arguments: list[str]) -> bool:
    """Whether a command line measures images without a model: `test` with `--reals`.

    Args:
        command: name of the command.
        arguments: arguments after it.

    Raises:
        CommandLineError: if `--reals` is given together with another command or with a model.
    """
    names = [argument.partition("=")[0] for argument in arguments]
    if "--reals" not in names:
        return False
    if command != "test":
        raise CommandLineError(
            f"--reals is no option of {command}; test --images FOLDER --reals FOLDER measures images"
        )
    for name in names:
        if name.split(".")[0].rstrip("+") in OF_MODELS:
            raise CommandLineError(
                f"--reals compares images without a model, and {name} is of a model; leave --reals out, and the real "
                "images are those of --images, or leave out the model"
            )
    if "--images" not in names and not asks_for_help(arguments):
        raise CommandLineError("--reals: give --images FOLDER, too, the images that are measured")
    return True


def score(arguments: list[str]) -> None:
    """Measure the images of a command line.

    Args:
        arguments: arguments after `test`.
    """
    from lightning_gan.cli.functions import call  # imported here, because they import torch
    from lightning_gan.inference.score_images import score_images

    call(score_images, ["--help"] if asks_for_help(arguments) else arguments, command="test")
