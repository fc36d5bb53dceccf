"""The checkpoint that `validate` and `test` measure if the command line names none."""

import sys

from lightning_gan.cli.errors import CommandLineError


def with_last(command: str, checkpoints: list[str], options: list[str]) -> list[str]:
    """The given checkpoints, or the run's last one if `validate` or `test` is given none, which is printed.

    Without it, untrained networks would be measured into the records of a trained run. `--ckpt_path none` measures the
    weights that the model has by itself, such as imported ones.

    Args:
        command: name of the command: `fit`, `validate` or `test`.
        checkpoints: values of `--ckpt_path`, the last of which holds.
        options: all other arguments. With `--print_config` nothing is measured.

    Raises:
        CommandLineError: for `--ckpt_path none` of a training, which has no such meaning.
    """
    if checkpoints and checkpoints[-1] == "none":
        if command == "fit":
            raise CommandLineError("--ckpt_path none is for validate and test; leave it out to begin a training")
        return [*checkpoints, "null"]
    if command == "fit" or checkpoints or any(option.startswith("--print_config") for option in options):
        return checkpoints
    print(
        f"{command}: no --ckpt_path is given, so that the run's last checkpoint is measured (--ckpt_path none measures "
        "the model without a checkpoint)",
        file=sys.stderr,
    )
    return ["last"]
