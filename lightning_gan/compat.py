"""Every name that torch, Lightning and jsonargparse keep private and this package uses, each behind one function.

A private name may change in any release. Each docstring says what the function does and why no public name does it. All
of them were seen to work with torch 2.14, Lightning 2.6.0 and 2.6.6, and jsonargparse 4.53.
`tests/test_compat.py` uses each function on real objects and fails when a release takes its name away; therefore
`pyproject.toml` bounds these packages from above. No other file of the package may use such a name, which
`tests/test_private_names.py` checks.
"""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# ---------------------------------------------------------------------- torch


def is_torch_batch_norm(module: nn.Module) -> bool:
    """Whether a module is one of torch's batch normalizations, of any dimension, synchronized or not, or derived.

    Their common base class has only a private name, and other people's layers are derived from it directly.
    """
    return isinstance(module, _BatchNorm)


@torch.no_grad()
def lerp_all(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """``tensor = tensor + weight * (end - tensor)`` for every tensor, in place, in one operation for all of them.

    torch's own optimizers use these operations on lists; public functions take one tensor, which is many times slower
    for networks of many small parameters.

    Args:
        tensors: what is changed; empty lists are allowed.
        ends: as many tensors of the same shapes.
        weight: in [0, 1]; 1 copies exactly.
    """
    if tensors:
        torch._foreach_lerp_(list(tensors), list(ends), weight)


@torch.no_grad()
def clamp_all(tensors: Sequence[Tensor], *, limit: float) -> None:
    """Clamp every number to [-limit, limit], in place, in two operations for all tensors; see `lerp_all` for why.

    Args:
        tensors: what is changed; an empty list is allowed.
        limit: not negative.
    """
    if tensors:
        torch._foreach_clamp_min_(list(tensors), -limit)
        torch._foreach_clamp_max_(list(tensors), limit)


@torch.no_grad()
def copy_all(tensors: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy every source into its tensor, in place, in one operation for all of them; see `lerp_all` for why.

    Args:
        tensors: what is changed; empty lists are allowed.
        sources: as many tensors of the same shapes.
    """
    if tensors:
        torch._foreach_copy_(list(tensors), list(sources))


def tracing_inner_gradients(compiled: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A compiled function in whose graph `torch.autograd.grad` may stand, as gradient penalties need.

    Without `torch._dynamo.config.trace_autograd_ops` the inner gradient breaks the graph. The setting has no public
    name. Gradients of such graphs are correct from torch 2.11 on.

    Args:
        compiled: what `torch.compile` returned.
    """
    patched: Callable[Arguments, Result] = torch._dynamo.config.patch(trace_autograd_ops=True)(compiled)
    return patched


# ---------------------------------------------------------------------- Lightning's trainer and strategies


def do_not_count_steps(optimizer: LightningOptimizer) -> None:
    """Stop an optimizer's steps from advancing `trainer.global_step`, until the next batch.

    Under manual optimization the steps of all optimizers count, so that `max_steps` would mean half as many batches for
    two players. Lightning hangs its counter on two private hooks at the start of each batch and has no setting for it.

    Args:
        optimizer: one of `LightningModule.optimizers()`.
    """
    optimizer._on_before_step = optimizer._on_after_step = _do_nothing


def _do_nothing() -> None:
    """In place of an optimizer's hook that counts a global step."""


def evaluation_loader(trainer: Trainer) -> CombinedLoader | None:
    """The dataloaders that the running command evaluates with: in `fit` those of validation; None if it has none yet.

    The public `trainer.val_dataloaders` may be those of an earlier fit while `validate` runs.

    Raises:
        RuntimeError: if the trainer neither fits, validates nor tests.
    """
    return trainer._evaluation_loop._combined_loader


def send_weights_from_first_rank(module: nn.Module) -> None:
    """Give every rank the first rank's parameters and buffers, in few messages, as `DistributedDataParallel` does.

    PyTorch does this only within that wrapper, which `gan_ddp` does not use.
    """
    _sync_module_states(module)


def tolerate_unused_parameters(strategy: DDPStrategy) -> None:
    """Let DDP look for parameters that a backward did not reach, although the strategy was made without that.

    It takes effect if the strategy has not wrapped its module yet. The arguments for the wrapper are public only in the
    strategy's constructor, which has been called by whoever made the trainer.
    """
    strategy._ddp_kwargs["find_unused_parameters"] = True


def shard_over(strategy: ModelParallelStrategy, *, ranks: int) -> None:
    """Set over how many ranks FSDP2 shards parameters and divides data; effective before `setup_environment`.

    Publicly it is an argument of the constructor, which is called before the number of processes is known.
    """
    strategy._data_parallel_size = ranks


# ---------------------------------------------------------------------- Lightning's callbacks and checkpoints


def state_key_of(callback: Callback, **settings: object) -> str:
    """The key under which checkpoints keep a callback's state: its class and the given settings.

    Lightning describes this function for callbacks of which a trainer may have several, but under a private name. The
    keys are written into checkpoints, so that a format of our own could not read earlier ones.

    Example:
        >>> state_key_of(Callback(), network="generator")
        "Callback{'network': 'generator'}"
    """
    return callback._generate_state_key(**settings)


def save_as_checkpoint_of(callback: ModelCheckpoint, trainer: Trainer, path: str) -> None:
    """Save a checkpoint as Lightning's own triggers do: remember that it was saved, and tell the loggers of it.

    The public `trainer.save_checkpoint` does neither.

    Args:
        callback: whose checkpoint it is.
        trainer: what is saved.
        path: the file to write.
    """
    callback._save_checkpoint(trainer, path)


class ChoosesDirectoryEarly(ModelCheckpoint):
    """A checkpoint callback that is asked for its directory before Lightning looks for the last checkpoint in it.

    Lightning looks for what `ckpt_path="last"` means before it calls `setup`, where callbacks choose their directory,
    and asks them by a private method.
    """

    def choose_directory(self, trainer: Trainer) -> None:
        """Set `dirpath`, if it is None. May be called several times."""

    def _find_last_checkpoints(self, trainer: Trainer) -> set[str]:
        self.choose_directory(trainer)
        return super()._find_last_checkpoints(trainer)


def made_by_the_command_line() -> bool:
    """Whether a module that is being constructed is constructed by `LightningCLI`, from plain data.

    `save_hyperparameters` then saves these data in place of the constructor's arguments. Nothing public says so.
    """
    return _given_hyperparameters.get() is not None


def split_hyperparameters(saved: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The class of a checkpoint's module, or None if no `LightningCLI` made it, and the settings it was made with.

    `LightningCLI` keeps the class under a key with an underscore among the hyperparameters, which only
    `load_from_checkpoint` reads.

    Args:
        saved: `hyper_parameters` of a checkpoint.

    Example:
        >>> split_hyperparameters({"_class_path": "models.Mine", "_instantiator": "cli", "width": 4})
        ('models.Mine', {'width': 4})
        >>> split_hyperparameters({"width": 4})
        (None, {'width': 4})
    """
    settings = {name: value for name, value in saved.items() if not name.startswith("_")}
    return saved.get("_class_path"), settings


# ---------------------------------------------------------------------- the command line


class IgnoresCheckpointSettings(LightningCLI):
    """A command line that does not read settings from the checkpoint of `--ckpt_path`.

    Lightning reads them after everything else, so that they would win over what the user gave, and has no public
    setting against it.
    """

    def _parse_ckpt_path(self) -> None:
        """Nothing."""


def subcommand_parser(command_line: LightningCLI, command: str) -> LightningArgumentParser:
    """The parser of one command, such as `fit`.

    Publicly a command line has only the parser of all commands, which does not give its parts away.

    Raises:
        KeyError: if there is no such command.
    """
    return command_line._parser(command)


def option_names(parser: LightningArgumentParser) -> list[str]:
    """Every option of a parser by its dotted name, `trainer.max_epochs`, to find the one that a user has mistyped.

    Parsers print their options and keep the list to themselves.
    """
    # Options of the form `==` are jsonargparse's own.
    return [action.dest for action in parser._actions if "==" not in action.dest]
