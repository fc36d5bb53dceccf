"""Entry point of the command line: it selects the command and prints errors."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from lightning_gan.cli.commands import command_names, function_of, help_of
from lightning_gan.cli.config_listing import configs_by_kind
from lightning_gan.cli.errors import CommandLineError, did_you_mean
from lightning_gan.cli.freed_memory import keep_freed_memory
from lightning_gan.cli.invocation import read_invocation
from lightning_gan.cli.scored_images import score, scores_images
from lightning_gan.cli.told import told_in_one_line

TRAINER_COMMANDS = ("fit", "validate", "test")


HELP = """usage: lightning-gan COMMAND --config NAME.yaml [--config MORE.yaml ...] [options]

commands that train and measure:
  fit         train a model
  validate    evaluate a checkpoint on the validation data
  test        evaluate a checkpoint (the last of the run), print a table and write metrics.json to the folder of its run
              (with --images and --reals: measure images that are there already)

commands for trained models and for data (lightning-gan COMMAND --help shows their arguments):
{commands}

configurations (--config NAME): a file in the working directory, or one of those in the package, which the command
configs lists with a line on each: {kinds}

most important options:
  --name NAME               set the name of the run, which writes to runs/NAME/
  --resume                  continue the run if it has a checkpoint, and else begin it (for jobs that are restarted)
  --ckpt_path last          continue from (or evaluate) the run's last checkpoint; a path selects another checkpoint
  --model.X, --data.X       set any argument X of the model or of the data
  --trainer.X               set any argument X of Lightning's Trainer, for example --trainer.devices 2
  --CALLBACK.X              set any argument X of a configured callback, for example --R1.gamma 1
  --trainer.callbacks+=R1   add the callback R1; --trainer.callbacks.gamma=1 after it sets its argument gamma
  --print_config            print all settings and do not run the command
  --debug                   print the traceback of an error

more help: lightning-gan fit --help;  lightning-gan fit --model.help StyleGAN
"""


INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

BROKEN_PIPE = 141
"""Exit status if the program that reads the output has ended, such as `head`, as shells have it."""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line.

    Args:
        args: the command and its arguments; None takes those of the process.

    Raises:
        SystemExit: with status 2, if the user has to correct something, and `INTERRUPTED` after Ctrl-C. One line on
            stderr says what.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    # `class_path: my_callbacks.Mine` refers to a file in the working directory, also for the installed script.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    debug = "--debug" in arguments or os.environ.get("LIGHTNING_GAN_DEBUG", "0") not in ("", "0")
    try:
        run([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        if debug:
            raise
        print("lightning-gan: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        if debug:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        message = told_in_one_line(error)
        if debug or message is None:
            raise
        print(f"lightning-gan: error: {message}", file=sys.stderr)
        sys.exit(2)


def run(arguments: list[str]) -> None:
    """Print the help or the version, or run the command that the arguments name.

    Args:
        arguments: the command and its arguments. Options may stand before the command.

    Raises:
        CommandLineError: if there is no such command.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:<11} {help_of(name)}" for name in command_names())
        kinds = ", ".join(f"{kind} ({len(names)})" for kind, names in configs_by_kind().items())
        print(HELP.format(commands=commands, kinds=kinds))
        return
    if arguments[0] == "--version":
        print(f"lightning-gan {version('lightning-gan')}")
        return
    own = command_names()
    known = [*TRAINER_COMMANDS, *own]
    # Options before the command are options of the command.
    position = 0
    if arguments[0].startswith("-"):
        position = next((index for index, argument in enumerate(arguments) if argument in known), 0)
    command, rest = arguments[position], arguments[:position] + arguments[position + 1 :]
    if command not in known:
        raise CommandLineError(f"{command} is none of the commands {', '.join(known)}{did_you_mean(command, known)}")
    if command in own:
        function_of(command)(rest)
        return
    if scores_images(command, rest):
        score(rest)
        return
    invocation = read_invocation(command, rest)
    keep_freed_memory()
    from lightning_gan.cli.trainer_cli import TrainerCLI  # imported here, because it imports torch, which takes seconds

    TrainerCLI(invocation)
