"""Where the command line begins: which command it is, and how errors are shown."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from lightning_gan.cli.configs import shipped_configs
from lightning_gan.cli.errors import CommandLineError, did_you_mean
from lightning_gan.cli.invocation import read_invocation

TRAINER_COMMANDS = ("fit", "validate", "test")


def dynamics(arguments: list[str]) -> None:
    """Which training methods converge: tables and figures of small games."""
    from lightning_gan.dynamics.command import main as study  # here, because it imports torch

    study(arguments)


COMMANDS: dict[str, Callable[[list[str]], None]] = {"dynamics": dynamics}
"""Commands that need neither a model nor data, by name; each takes the arguments that follow it. A function in here
imports what it needs when it is called, so that the help of all others stays quick."""

HELP = """usage: lightning-gan COMMAND --config NAME.yaml [--config MORE.yaml ...] [options]

commands:
  fit       train
  validate  evaluate a checkpoint on the validation data
  test      evaluate a checkpoint: a table, and metrics.json in the folder of its run
  dynamics  which training methods converge: tables and figures of small games (no --config)

configurations (--config): a file of the working directory, or one that comes with the package:
  {configs}

options that are used most:
  --name NAME               what the run is called; it writes to runs/NAME/
  --ckpt_path last          go on from (or evaluate) the run's last checkpoint; or the path of a checkpoint
  --model.X, --data.X       any argument of the model or the data
  --trainer.X               any argument of Lightning's Trainer, --trainer.devices 2 for example
  --trainer.callbacks+=R1   one more callback; --trainer.callbacks.gamma=1 is then its argument
  --print_config            print all settings, do nothing
  --debug                   show where in the code an error comes from

more: lightning-gan fit --help;  lightning-gan fit --model.help StyleGAN
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line.

    Args:
        args: the arguments; None takes those of the process.

    Raises:
        SystemExit: with 2 if the user has to put something right, which is then on stderr in one line.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    # `class_path: my_callbacks.Mine` means a file of the working directory, also for the installed script.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    debug = "--debug" in arguments or os.environ.get("LIGHTNING_GAN_DEBUG", "0") not in ("", "0")
    try:
        run([argument for argument in arguments if argument != "--debug"])
    except Exception as error:
        message = told_in_one_line(error)
        if debug or message is None:
            raise
        print(f"lightning-gan: error: {message}", file=sys.stderr)
        sys.exit(2)


def run(arguments: list[str]) -> None:
    """Dispatch to a command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP.format(configs="\n  ".join(shipped_configs())))
        return
    if arguments[0] == "--version":
        print(f"lightning-gan {version('lightning-gan')}")
        return
    known = [*TRAINER_COMMANDS, *COMMANDS]
    # Options before the command belong to it all the same.
    position = 0
    if arguments[0].startswith("-"):
        position = next((index for index, argument in enumerate(arguments) if argument in known), 0)
    command, rest = arguments[position], arguments[:position] + arguments[position + 1 :]
    if command not in known:
        raise CommandLineError(f"{command} is none of the commands {', '.join(known)}{did_you_mean(command, known)}")
    if command in COMMANDS:
        COMMANDS[command](rest)
        return
    invocation = read_invocation(command, rest)
    from lightning_gan.cli.trainer_cli import TrainerCLI  # here, because it imports torch: seconds

    TrainerCLI(invocation)


def told_in_one_line(error: BaseException) -> str | None:
    """The message of an error that the user can put right, or None if where it comes from matters.

    That is a ValueError that this package raises itself, wherever it was called from, and what Lightning's trainer
    refuses.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CommandLineError) or type(cause).__name__ == "MisconfigurationException":
            return str(cause)
        # The parser wraps what constructors raise into a list of everything it tried.
        if isinstance(cause, ValueError) and _raised_in(cause, "lightning_gan", "lightning/pytorch/trainer"):
            return str(cause)
        cause = cause.__cause__
    return None


def _raised_in(error: BaseException, *folders: str) -> bool:
    """Whether the innermost frame of an error is in a file of one of these packages."""
    frames = traceback.extract_tb(error.__traceback__)
    path = Path(frames[-1].filename).as_posix() if frames else ""
    return any(f"/{folder}/" in path for folder in folders)
