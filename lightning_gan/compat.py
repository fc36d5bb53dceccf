"""All private names of torch, Lightning and jsonargparse that this package uses, each behind one function.

A private name may change in any release. Each docstring says what the function does and why no public name does it.
All of them were tested with torch 2.14, Lightning 2.6.0 and 2.6.6 and jsonargparse 4.53. `tests/test_compat.py` calls
each function on real objects and fails when a release removes a name; `pyproject.toml` therefore sets upper bounds for
these packages. `tests/test_private_names.py` checks that no other file of the package uses a private name.
"""

import ast
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from typing import Any, ParamSpec, TypeVar
from weakref import proxy

import psutil
import torch
import torch._functorch.config as functorch_config
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
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
    """Whether a module is a batch normalization of torch, of any dimension, synchronized or not, or a subclass of one.

    The common base class of these layers has only a private name, and layers of other packages derive from it directly.
    """
    return isinstance(module, _BatchNorm)


@torch.no_grad()
def lerp_all(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Compute ``tensor = tensor + weight * (end - tensor)`` for every tensor, in place, in one operation for all.

    torch's own optimizers use such operations on lists. The public functions take one tensor at a time, which is many
    times slower for networks with many small parameters.

    Args:
        tensors: tensors that are changed in place. The list may be empty.
        ends: tensors of the same number and shapes as `tensors`.
        weight: interpolation weight in [0, 1]. 1 copies `ends` exactly.
    """
    if tensors:
        torch._foreach_lerp_(list(tensors), list(ends), weight)


@torch.no_grad()
def clamp_all(tensors: Sequence[Tensor], *, limit: float) -> None:
    """Clamp every element of every tensor to [-limit, limit], in place, in two operations for all tensors.

    The public functions take one tensor at a time, which is many times slower for many small tensors.

    Args:
        tensors: tensors that are changed in place. The list may be empty.
        limit: largest absolute value, at least 0.
    """
    if tensors:
        torch._foreach_clamp_min_(list(tensors), -limit)
        torch._foreach_clamp_max_(list(tensors), limit)


@torch.no_grad()
def copy_all(tensors: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy every source into the tensor at the same position, in place, in one operation for all tensors.

    The public functions take one tensor at a time, which is many times slower for many small tensors.

    Args:
        tensors: tensors that are changed in place. The list may be empty.
        sources: tensors of the same number and shapes as `tensors`.
    """
    if tensors:
        torch._foreach_copy_(list(tensors), list(sources))


@torch.no_grad()
def norms_of_all(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of every tensor in fp32, `tensors`, in few operations for all.

    It is not finite where an element is not. A norm above 3.4e38 is infinite too. The public functions take one tensor
    at a time, or add the norms up.

    Args:
        tensors: tensors of any floating-point dtypes and shapes, on one device. The list must not be empty.
    """
    if any(tensor.dtype == torch.float64 for tensor in tensors):  # torch does not narrow doubles to fp32 on the way
        return torch.stack([norm.float() for norm in torch._foreach_norm(list(tensors))])
    return torch.stack(torch._foreach_norm(list(tensors), 2, dtype=torch.float32))


CANNOT_BE_COMPILED: tuple[type[Exception], ...] = (
    torch._dynamo.exc.TorchDynamoException,
    torch._dynamo.exc.FailOnRecompileLimitHit,
)
"""What `torch.compile` raises for what it cannot trace or compile: the base class of most of it, and the error of a
function that was compiled too many times. Both have only private names."""


def tracing_inner_gradients(compiled: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The compiled function, with `torch.autograd.grad` allowed inside of its graph, as gradient penalties need it.

    Without `torch._dynamo.config.trace_autograd_ops` the inner gradient breaks the graph. The setting has no public
    name. Gradients of such graphs are correct from torch 2.11 on.

    Args:
        compiled: function that `torch.compile` returned.
    """
    patched: Callable[Arguments, Result] = torch._dynamo.config.patch(trace_autograd_ops=True)(compiled)
    return patched


def compiling_backward_at_once(compiled: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The compiled function, whose backward pass is compiled in its first call, and not when it first runs.

    Otherwise an error of its compilation would be raised by the backward pass, and on a GPU in another thread, which
    signals do not reach. The setting `force_non_lazy_backward_lowering` has no public name.

    Args:
        compiled: function that `torch.compile` returned.
    """
    patched: Callable[Arguments, Result] = functorch_config.patch(force_non_lazy_backward_lowering=True)(compiled)
    return patched


def with_most_graphs(limit: int) -> AbstractContextManager[None]:
    """Context manager that sets how many graphs `torch.compile` may make of one function; by itself it makes 8.

    The argument `recompile_limit` of `torch.compile` cannot be changed later, and torch 2.11 does not have it.

    Args:
        limit: number of graphs, at least 1.
    """
    patched: AbstractContextManager[None] = torch._dynamo.config.patch(recompile_limit=limit)
    return patched


def stop_compiling() -> None:
    """End the C++ compilers that `torch.compile` has started in threads, and start none of those that wait.

    When a signal has ended a compilation, Python would otherwise wait for all of them before the process ends. No
    public function knows them.
    """
    from torch._inductor.async_compile import AsyncCompile
    from torch._inductor.cpp_builder import get_cpp_compiler

    if not AsyncCompile.pool.cache_info().currsize:
        return  # no thread has compiled anything
    AsyncCompile.pool().shutdown(wait=False, cancel_futures=True)
    AsyncCompile.pool.cache_clear()  # the next compilation makes a new one
    try:
        compiler = os.path.basename(get_cpp_compiler())
    except RuntimeError:
        return  # there is no compiler
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if child.name() == compiler:
                child.terminate()


def version_of(tensor: Tensor) -> int:
    """The number of changes in place of a tensor, of its views and of what it was detached from.

    autograd counts them to refuse outdated tensors. PyTorch explains the counter in its notes on autograd, but has only
    a private name for it.
    """
    return 0 if tensor.is_inference() else tensor._version


def uncompiled(network: nn.Module) -> nn.Module:
    """The network that `torch.compile` has wrapped, or the network itself if it has not.

    The wrapper's `forward` does not have the names of the arguments, and it has no public attribute for the network.
    """
    return network._orig_mod if isinstance(network, torch._dynamo.OptimizedModule) else network


def is_compiled(network: nn.Module) -> bool:
    """Whether the calls of a network are compiled, by `torch.compile(network)` or by its method `compile`."""
    return uncompiled(network) is not network or network._compiled_call_impl is not None


def wrap_compiled_call(
    network: nn.Module, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[], None] | None:
    """Wrap the compiled call of a network whose method `compile` was called.

    Hooks of such a network are compiled with it, so that they can only do what can be compiled. No public function
    observes its calls from outside.

    Args:
        network: network whose calls are wrapped.
        wrap: function that returns the new call, given the compiled one.

    Returns:
        Function that restores the compiled call, or None if the network is not compiled in this way.
    """
    compiled = network._compiled_call_impl
    if compiled is None:
        return None
    network._compiled_call_impl = wrap(compiled)

    def restore() -> None:
        network._compiled_call_impl = compiled

    return restore


# ---------------------------------------------------------------------- Python


def end_process_at_once(code: int) -> None:
    """End this process from any thread, also while its main thread waits in a function of another language.

    Python documents `os._exit` for this, although its name begins like a private one. `sys.exit` ends only a thread.

    Args:
        code: exit code of the process.
    """
    os._exit(code)


# ---------------------------------------------------------------------- Lightning's trainer and strategies


def do_not_search_for_gpus() -> None:
    """Stops torch from loading NVIDIA's management library in every step of an optimizer, where there is no GPU.

    Lightning sets `PYTORCH_NVML_BASED_CUDA_CHECK` when it is imported, so that a search for GPUs does not start CUDA
    before processes are forked. Adam searches in every step, and without a GPU the result is not remembered: a step of
    a small network takes up to twice as long. Without a GPU there is no CUDA to start.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def do_not_count_steps(optimizer: LightningOptimizer) -> None:
    """Stop the steps of an optimizer from increasing `trainer.global_step`, until the next batch.

    Under manual optimization Lightning counts the steps of all optimizers, so that with two players `max_steps` would
    stop after half as many batches. Lightning sets two private hooks for this count at the start of each batch, and has
    no setting for it.

    Args:
        optimizer: one of the optimizers that `LightningModule.optimizers()` returns.
    """
    optimizer._on_before_step = optimizer._on_after_step = _do_nothing


def _do_nothing() -> None:
    """Replace a private hook."""


def evaluation_loader(trainer: Trainer) -> CombinedLoader | None:
    """The dataloaders that the running command evaluates with, or None if they have not been set up.

    In `fit` these are the validation dataloaders. The public `trainer.val_dataloaders` may still be those of an earlier
    `fit` while `validate` runs.

    Raises:
        RuntimeError: if the trainer is not running `fit`, `validate` or `test`.
    """
    return trainer._evaluation_loop._combined_loader


def send_weights_from_first_rank(module: nn.Module) -> None:
    """Copy the first rank's parameters and buffers to every rank, in few messages, as `DistributedDataParallel` does.

    PyTorch does this only inside of that wrapper, which the strategy `gan_ddp` does not use.
    """
    _sync_module_states(module)


def tolerate_unused_parameters(strategy: DDPStrategy) -> None:
    """Turn on `find_unused_parameters` in a DDP strategy that was constructed without it.

    It takes effect only if the strategy has not wrapped its module yet. Publicly the wrapper's arguments can be set
    only in the strategy's constructor, which has already been called when the trainer exists.
    """
    strategy._ddp_kwargs["find_unused_parameters"] = True


def shard_over(strategy: ModelParallelStrategy, *, ranks: int) -> None:
    """Set over how many ranks FSDP2 shards parameters and divides data. Call it before `setup_environment`.

    Publicly it is an argument of the constructor, which is called before the number of processes is known.

    Args:
        strategy: FSDP2 strategy that is changed.
        ranks: number of ranks.
    """
    strategy._data_parallel_size = ranks


# ---------------------------------------------------------------------- Lightning's callbacks and checkpoints


def state_key_of(callback: Callback, **settings: object) -> str:
    """The key under which checkpoints store a callback's state: the name of its class and the given settings.

    Lightning documents this function for callbacks of which a trainer may have several, but its name is private. The
    keys are part of existing checkpoints, so that a different format could not read them.

    Example:
        >>> state_key_of(Callback(), network="generator")
        "Callback{'network': 'generator'}"
    """
    return callback._generate_state_key(**settings)


def settings_of_state_key(state_key: str) -> dict[str, Any]:
    """The settings in a key that `state_key_of` has made; an empty dictionary for a key in another format.

    Lightning has no function for this direction. Checkpoints contain the keys, and not the settings alone.

    Example:
        >>> settings_of_state_key("Callback{'network': 'generator'}")
        {'network': 'generator'}
        >>> settings_of_state_key("Callback")
        {}
    """
    _, brace, inside = state_key.partition("{")
    try:
        settings = ast.literal_eval(brace + inside)
    except (SyntaxError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def checkpoint_of(trainer: Trainer, *, weights_only: bool) -> dict[str, Any]:
    """What a checkpoint of the trainer's present state contains. Every rank has to call it.

    The public `trainer.save_checkpoint` also writes the file and then waits for all ranks. If the first rank cannot
    write, the others wait for ever.

    Args:
        trainer: trainer whose state is returned.
        weights_only: True leaves out the states of callbacks and optimizers.
    """
    return trainer._checkpoint_connector.dump_checkpoint(weights_only)


def record_checkpoint_of(callback: ModelCheckpoint, trainer: Trainer, path: str) -> None:
    """Record that a `ModelCheckpoint` has saved, as Lightning does, and notify the loggers.

    The public `trainer.save_checkpoint` does neither.

    Args:
        callback: callback that the checkpoint belongs to.
        trainer: trainer whose state was saved.
        path: path of the file that was written.
    """
    callback._last_global_step_saved = trainer.global_step
    callback._last_checkpoint_saved = path
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.after_save_checkpoint(proxy(callback))


def skip_exchange_of_signals(trainer: Trainer) -> None:
    """Stop Lightning from telling all ranks before every batch whether the first one has received SIGTERM.

    It waits for the device each time. It has no public setting to turn this off.

    Args:
        trainer: trainer that trains on several ranks.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _do_nothing  # type: ignore[method-assign]


def has_no_interval(callback: ModelCheckpoint) -> bool:
    """Whether a `ModelCheckpoint` was constructed without an interval of steps, of time or of several epochs.

    It then looks at the end of every epoch or validation. Publicly only the number of epochs can be read.
    """
    steps, time = callback._every_n_train_steps, callback._train_time_interval
    return steps == 0 and time is None and callback.every_n_epochs == 1


def skip_own_looks(callback: ModelCheckpoint | EarlyStopping) -> None:
    """Stop a callback from looking at its monitored number at the ends of epochs and of validations.

    Both callbacks ask a private method whether to skip a look. Publicly there is no moment at which they never look.

    Args:
        callback: callback that is changed, as long as it exists.
    """
    if isinstance(callback, with_mirror(ModelCheckpoint)):
        callback._should_skip_saving_checkpoint = _skip  # type: ignore[method-assign]
    else:
        callback._should_skip_check = _skip  # type: ignore[method-assign, union-attr]


def skips_own_looks(callback: ModelCheckpoint | EarlyStopping) -> bool:
    """Whether `skip_own_looks` was called for a callback."""
    return _skip in (vars(callback).get("_should_skip_saving_checkpoint"), vars(callback).get("_should_skip_check"))


def _skip(trainer: Trainer) -> bool:
    """Skip every look of a callback's own."""
    return True


def save_if_best(callback: ModelCheckpoint, trainer: Trainer) -> None:
    """Let a `ModelCheckpoint` look at its monitored number now, and save a checkpoint if it is one of the best.

    With `save_last` it then also saves the last checkpoint. Publicly a callback looks only inside of Lightning's hooks.

    Args:
        callback: callback that looks.
        trainer: trainer whose state is saved.
    """
    candidates = callback._monitor_candidates(trainer)
    before = callback._last_checkpoint_saved
    callback._save_topk_checkpoint(trainer, candidates)
    if callback._last_checkpoint_saved != before:
        callback._save_last_checkpoint(trainer, candidates)


def look_now(callback: EarlyStopping, trainer: Trainer) -> None:
    """Let an `EarlyStopping` look at its monitored number now. It sets `trainer.should_stop`, the same on all ranks.

    Publicly a callback looks only inside of Lightning's hooks.

    Args:
        callback: callback that looks.
        trainer: trainer that is told to stop.
    """
    callback._run_early_stopping_check(trainer)


def replace_callback_metrics(trainer: Trainer, numbers: Mapping[str, float]) -> None:
    """Set numbers in `trainer.callback_metrics` where a module cannot log, as in the hook `on_train_end`.

    `callback_metrics` would overwrite them with values that were logged before, which only have a private name.

    Args:
        trainer: trainer that is changed.
        numbers: new values by name.
    """
    if (results := trainer._results) is not None:
        for key in [key for key in results if key.partition(".")[2] in numbers]:
            del results[key]
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in numbers.items()})


def forget_logged(trainer: Trainer) -> None:
    """Let the loggers not get the numbers once more that were logged in earlier batches.

    In the batch after which training stops, Lightning gives the loggers the latest value of every number, whether or
    not it was logged in this batch. They are kept under a private name. `trainer.callback_metrics` still has them.

    Args:
        trainer: trainer that is about to stop.
    """
    if (results := trainer._results) is not None:
        values = dict(trainer.callback_metrics)
        for key in [key for key, result in results.items() if result.meta.on_step and not result.meta.on_epoch]:
            del results[key]
        trainer.callback_metrics.update(values)


class ChoosesDirectoryEarly(ModelCheckpoint):
    """A checkpoint callback that chooses its directory before Lightning searches it for the last checkpoint.

    Lightning finds the checkpoint of `ckpt_path="last"` before it calls `setup`, in which callbacks choose their
    directory, and it does so by a private method of the callback.
    """

    def choose_directory(self, trainer: Trainer) -> None:
        """Set `dirpath` if it is None. Subclasses override it; it may be called several times."""

    def last_checkpoints(self, found: set[str]) -> set[str]:
        """The checkpoints of which `ckpt_path="last"` takes the newest. Subclasses override it.

        Args:
            found: paths that Lightning finds by their names.
        """
        return found

    def _find_last_checkpoints(self, trainer: Trainer) -> set[str]:
        self.choose_directory(trainer)
        return self.last_checkpoints(super()._find_last_checkpoints(trainer))


def made_by_the_command_line() -> bool:
    """Whether `LightningCLI` is constructing the present module, from plain data (numbers, strings, dictionaries).

    In this case `save_hyperparameters` saves the plain data and not the constructor's arguments. No public function
    tells the two cases apart.
    """
    return _given_hyperparameters.get() is not None


def split_hyperparameters(saved: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The class path of a checkpoint's module (None if `LightningCLI` did not construct it), and its hyperparameters.

    `LightningCLI` stores the class path among the hyperparameters, under a key that begins with an underscore and that
    only `load_from_checkpoint` reads.

    Args:
        saved: the entry `hyper_parameters` of a checkpoint.

    Example:
        >>> split_hyperparameters({"_class_path": "models.Mine", "_instantiator": "cli", "width": 4})
        ('models.Mine', {'width': 4})
        >>> split_hyperparameters({"width": 4})
        (None, {'width': 4})
    """
    settings = {name: value for name, value in saved.items() if not name.startswith("_")}
    return saved.get("_class_path"), settings


# ---------------------------------------------------------------------- the package pytorch_lightning


def with_mirror(kind: type[Result]) -> tuple[type[Result], ...]:
    """A class of `lightning.pytorch`, and that of the same name in `pytorch_lightning` if this package is imported.

    The package `lightning` brings along the package `pytorch_lightning` with the same files. Its classes are other
    classes, so that an object of one package is no instance of a class of the other one. This package never imports
    `pytorch_lightning`.

    Args:
        kind: class of `lightning.pytorch`.

    Example:
        >>> from lightning.pytorch.callbacks import Timer
        >>> {kind.__name__ for kind in with_mirror(Timer)}
        {'Timer'}
    """
    module = sys.modules.get(kind.__module__.replace("lightning.pytorch", "pytorch_lightning", 1))
    mirror = None if module is None else vars(module).get(kind.__name__)
    return (kind,) if mirror is None else (kind, mirror)


def join_mirror(callback: Callback, kind: type[Callback]) -> None:
    """Make a callback an instance of the class of `pytorch_lightning` that mirrors `kind`, if that package is imported.

    The `Trainer` of that package adds its own progress bar and its own `ModelCheckpoint`, unless its callbacks contain
    an instance of its own classes. It has no setting that names a callback of another class as the replacement. All
    methods remain those of the callback's own class. Call it at the end of the constructor.

    Args:
        callback: callback that is changed.
        kind: class of `lightning.pytorch` that the callback derives from.
    """
    own: type = type(callback)
    mirrors: tuple[type, ...] = with_mirror(kind)[1:]
    for mirror in mirrors:
        callback.__class__ = _joined(own, mirror)


@cache
def _joined(own: type, mirror: type) -> type:
    """A class of both, with the name of `own`, under which checkpoints contain its state."""

    def reduce(self: Callback, protocol: object) -> tuple[Any, ...]:  # because pickle finds `own` under this name
        return _made_joined, (own, mirror), self.__dict__

    names = {"__module__": own.__module__, "__qualname__": own.__qualname__, "__doc__": own.__doc__}
    return type(own.__name__, (own, mirror), {**names, "__reduce_ex__": reduce})


def _made_joined(own: type, mirror: type) -> object:
    """An instance of the class of both, without attributes."""
    return object.__new__(_joined(own, mirror))


# ---------------------------------------------------------------------- the command line


class IgnoresCheckpointSettings(LightningCLI):
    """A command line that does not read settings from the checkpoint of `--ckpt_path`.

    Lightning reads them last, so that they would replace the settings that the user gave. It has no public setting to
    turn this off.
    """

    def _parse_ckpt_path(self) -> None:
        """Do nothing."""


def subcommand_parser(command_line: LightningCLI, command: str) -> LightningArgumentParser:
    """The parser of one command, such as `fit`.

    Publicly a command line has only the parser of all commands, from which the parser of one command cannot be read.

    Args:
        command_line: the command line.
        command: name of the command.

    Raises:
        KeyError: if there is no such command.
    """
    return command_line._parser(command)


def option_names(parser: LightningArgumentParser) -> list[str]:
    """The dotted names of all options of a parser, such as `trainer.max_epochs`, to suggest one for a mistyped option.

    Publicly a parser can only print its options.
    """
    # Options whose names contain `==` are internal to jsonargparse.
    return [action.dest for action in parser._actions if "==" not in action.dest]
