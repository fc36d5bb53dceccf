"""Each function of `compat.py` does to real objects what it says. A test fails when a release takes a name away."""

import copy
import ctypes
import inspect
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch._inductor.async_compile import AsyncCompile
from torch._inductor.cpp_builder import get_cpp_compiler

from lightning_gan.compat import (
    CANNOT_BE_COMPILED,
    ChoosesDirectoryEarly,
    IgnoresCheckpointSettings,
    checkpoint_of,
    clamp_all,
    compiling_backward_at_once,
    copy_all,
    do_not_count_steps,
    do_not_search_for_gpus,
    end_process_at_once,
    evaluation_loader,
    has_no_interval,
    is_compiled,
    is_torch_batch_norm,
    join_mirror,
    lerp_all,
    look_now,
    made_by_the_command_line,
    norms_of_all,
    option_names,
    record_checkpoint_of,
    replace_callback_metrics,
    save_if_best,
    send_weights_from_first_rank,
    settings_of_state_key,
    shard_over,
    skip_exchange_of_signals,
    skip_own_looks,
    skips_own_looks,
    split_hyperparameters,
    state_key_of,
    stop_compiling,
    subcommand_parser,
    tolerate_unused_parameters,
    tracing_inner_gradients,
    uncompiled,
    version_of,
    with_mirror,
    with_most_graphs,
    wrap_compiled_call,
)
from tests.toys import toy_trainer

# ---------------------------------------------------------------------- torch


def test_every_batch_normalization_of_torch_is_one_and_other_normalizations_are_none() -> None:
    norms = [nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.BatchNorm3d(2), nn.SyncBatchNorm(2), nn.LazyBatchNorm2d()]
    assert all(is_torch_batch_norm(norm) for norm in norms)
    assert not any(is_torch_batch_norm(norm) for norm in (nn.InstanceNorm2d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2)))


def test_all_tensors_move_the_given_part_of_the_way_in_place() -> None:
    tensors = [torch.zeros(2), torch.full((1, 3), 8.0)]
    ends = [torch.full((2,), 4.0), torch.zeros(1, 3)]
    lerp_all(tensors, ends, 0.25)
    assert tensors[0].tolist() == [1.0, 1.0] and tensors[1].tolist() == [[6.0, 6.0, 6.0]]
    lerp_all([], [], 0.25)


def test_all_tensors_are_clamped_in_place() -> None:
    tensors = [torch.tensor([-3.0, 0.5]), torch.tensor([[2.0]])]
    clamp_all(tensors, limit=1.0)
    assert tensors[0].tolist() == [-1.0, 0.5] and tensors[1].tolist() == [[1.0]]
    clamp_all([], limit=1.0)


def test_all_tensors_are_copied_in_place() -> None:
    tensors, sources = [torch.zeros(2), torch.zeros(1, 2)], [torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 4.0]])]
    addresses = [tensor.data_ptr() for tensor in tensors]
    copy_all(tensors, sources)
    assert [tensor.tolist() for tensor in tensors] == [source.tolist() for source in sources]
    assert [tensor.data_ptr() for tensor in tensors] == addresses
    copy_all([], [])


def squared_slope(weight: Tensor, points: Tensor) -> Tensor:
    """A gradient penalty in small: ``(d/dx sum(weight x^2))^2``."""
    (slope,) = torch.autograd.grad((weight * points.square()).sum(), points, create_graph=True)
    return slope.square().sum()


def test_changes_in_place_are_counted_for_all_views() -> None:
    tensor = torch.zeros(3)
    view, before = tensor.detach()[1:], version_of(tensor)
    tensor.add_(1)
    assert version_of(view) == version_of(tensor) == before + 1
    with torch.inference_mode():
        assert version_of(torch.zeros(3)) == 0


def test_a_compiled_network_leads_to_its_own() -> None:
    network = nn.Linear(1, 1)
    assert uncompiled(torch.compile(network)) is network and uncompiled(network) is network  # type: ignore[arg-type]


def test_compiled_networks_are_told_from_others() -> None:
    network = nn.Linear(1, 1)
    assert is_compiled(torch.compile(network)) and not is_compiled(network)  # type: ignore[arg-type]
    network.compile(backend="eager")
    assert is_compiled(network)


def test_compiled_calls_can_be_wrapped_and_restored() -> None:
    network, calls = nn.Linear(1, 1), []
    assert wrap_compiled_call(network, lambda call: call) is None
    network.compile(backend="eager")

    def counted(call: Any) -> Any:
        return lambda *arguments: (calls.append(arguments), call(*arguments))[1]

    restore = wrap_compiled_call(network, counted)
    assert restore is not None
    given = torch.ones(1)
    assert torch.equal(network(given), network.forward(given)) and calls == [(given,)]
    restore()
    network(given)
    assert len(calls) == 1


def test_an_inner_gradient_does_not_break_a_compiled_graph() -> None:
    torch._dynamo.reset()
    # The backend `eager` runs the graph as it was traced, so that no compiler is needed.
    graph = tracing_inner_gradients(torch.compile(squared_slope, fullgraph=True, backend="eager"))
    weight, points = torch.tensor(3.0, requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    cost = graph(weight, points)
    assert cost.item() == pytest.approx(4 * 9 * (1 + 4))  # (2 w x)^2
    (slope,) = torch.autograd.grad(cost, weight)
    assert slope.item() == pytest.approx(8 * 3 * (1 + 4))  # 8 w x^2


@pytest.mark.parametrize("at_once", [True, False])
def test_the_backward_pass_is_compiled_in_the_first_call(at_once: bool) -> None:
    compiled: list[str] = []

    def compiler(name: str) -> Any:
        def compile_graph(graph: Any, inputs: Any) -> Any:
            compiled.append(name)
            return make_boxed_func(graph.forward)

        return compile_graph

    torch._dynamo.reset()
    backend = aot_autograd(fw_compiler=compiler("forward"), bw_compiler=compiler("backward"))
    graph = torch.compile(lambda number: number.exp().sum(), fullgraph=True, backend=backend)
    numbers = torch.zeros(2, requires_grad=True)
    cost = (compiling_backward_at_once(graph) if at_once else graph)(numbers)
    assert compiled == ["forward", "backward"][: 1 + at_once]
    cost.backward()
    assert compiled == ["forward", "backward"]
    assert numbers.grad is not None and numbers.grad.tolist() == [1.0, 1.0]


def test_a_function_may_have_as_many_graphs_as_are_allowed() -> None:
    torch._dynamo.reset()
    graph = torch.compile(lambda numbers, times: numbers * times, fullgraph=True, dynamic=False, backend="eager")
    with with_most_graphs(12):
        assert [graph(torch.ones(1), times).item() for times in range(12)] == [*range(12)]
        with pytest.raises(CANNOT_BE_COMPILED):
            graph(torch.ones(1), 12)
    with pytest.raises(CANNOT_BE_COMPILED):  # torch's own limit is lower
        graph(torch.ones(1), 12)


def test_compilers_are_ended_and_those_that_wait_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 2)
    stop_compiling()  # nothing to stop
    inlet, outlet = os.pipe()  # an empty program whose end does not come
    compiler = subprocess.Popen([get_cpp_compiler(), "-x", "c++", "-"], stdin=inlet, stderr=subprocess.DEVNULL)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running, waiting = [AsyncCompile.pool().submit(compiler.wait) for _ in range(2)], AsyncCompile.pool().submit(int)
    stop_compiling()
    assert waiting.cancelled()
    assert [task.result(timeout=120) != 0 for task in running] == [True, True]
    assert other.poll() is None
    other.communicate(b"\n", timeout=120)
    assert AsyncCompile.pool().submit(int).result(timeout=120) == 0  # the next compilation finds threads
    stop_compiling()
    os.close(inlet)
    os.close(outlet)


# ---------------------------------------------------------------------- Lightning's trainer and strategies


class TwoOptimizers(BoringModel):
    """Steps two optimizers per batch, of which the counter may see both or one."""

    def __init__(self, *, count_both: bool) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.count_both = count_both

    def training_step(self, batch: Any, batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[misc]
        if not self.count_both:
            do_not_count_steps(first)
        for optimizer in (first, second):
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch).sum())
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.001) for _ in range(2)]


@pytest.mark.parametrize(("count_both", "steps"), [(True, 6), (False, 3)])
def test_the_steps_of_one_optimizer_can_be_left_uncounted(count_both: bool, steps: int) -> None:
    trainer = toy_trainer(limit_train_batches=3, limit_val_batches=0)
    trainer.fit(TwoOptimizers(count_both=count_both), BoringDataModule())
    assert trainer.global_step == steps


class RemembersLoaders(BoringModel):
    """The dataloaders that evaluate, as seen from a validation step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loader = evaluation_loader(self.trainer)
        assert loader is not None
        self.seen += loader.flattened


def test_an_optimizer_does_not_load_the_library_of_gpus_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    do_not_search_for_gpus()
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"
    monkeypatch.undo()
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    do_not_search_for_gpus()
    loaded: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name, *others, **settings: loaded.append(name))
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    torch.optim.Adam([weight]).step()
    assert not loaded
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # as Lightning leaves it
    with suppress(Exception):
        torch.optim.Adam([weight]).step()
    assert loaded


def test_the_loader_that_evaluates_is_the_running_commands() -> None:
    data = [BoringDataModule(), BoringDataModule()]
    for one in data:
        one.setup("fit")
    fitted, validated = (one.val_dataloader() for one in data)
    module, trainer = RemembersLoaders(), toy_trainer(limit_train_batches=1, limit_val_batches=1)
    trainer.fit(module, data[0].train_dataloader(), fitted)
    trainer.validate(module, validated, verbose=False)
    assert [loader.dataset for loader in module.seen] == [fitted.dataset, validated.dataset]


def test_weights_of_the_first_rank_pass_through_the_process_group(tmp_path: Path) -> None:
    # Of one process, which sends to nobody; tests/loop/test_distributed.py has two with different weights.
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        module = nn.BatchNorm1d(3)
        before = {name: value.clone() for name, value in module.state_dict().items()}
        send_weights_from_first_rank(module)
    finally:
        torch.distributed.destroy_process_group()
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_ddp_is_told_to_tolerate_unused_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def wrapper(module: nn.Module, **settings: Any) -> nn.Module:
        told.update(settings)
        return module

    monkeypatch.setattr("lightning.pytorch.strategies.ddp.DistributedDataParallel", wrapper)
    strategy = DDPStrategy(parallel_devices=[torch.device("cpu")])
    tolerate_unused_parameters(strategy)
    strategy._setup_model(nn.Linear(1, 1))
    assert told["find_unused_parameters"] is True


def test_the_whole_world_is_one_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    meshes: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "lightning.pytorch.strategies.model_parallel._setup_device_mesh", lambda *sizes: meshes.append(sizes)
    )
    monkeypatch.setattr(ModelParallelStrategy, "_setup_distributed", lambda self: None)
    strategy = ModelParallelStrategy(tensor_parallel_size=1)
    toy_trainer(strategy=strategy, devices=1)
    strategy.connect(BoringModel())
    shard_over(strategy, ranks=6)
    strategy.setup_environment()
    assert meshes[0][:2] == (6, 1)  # shares of the data, then of tensors


def test_a_process_ends_at_once() -> None:
    child = os.fork()
    if not child:
        end_process_at_once(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# ---------------------------------------------------------------------- Lightning's callbacks and checkpoints


def test_a_key_has_the_class_and_the_settings() -> None:
    assert state_key_of(ModelCheckpoint(), network="netD", turns=2) == "ModelCheckpoint{'network': 'netD', 'turns': 2}"


class Remembers(CSVLogger):
    """Which callbacks have told it that they saved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.told: list[int] = []

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        self.told.append(checkpoint_callback.every)


class OwnCheckpoint(ChoosesDirectoryEarly):
    """Saves into a directory that it chooses by itself."""

    every = 7

    def __init__(self, folder: Path) -> None:
        super().__init__(save_top_k=0, save_last=True, every_n_train_steps=0, every_n_epochs=0)
        self.folder = folder

    def choose_directory(self, trainer: Trainer) -> None:
        self.dirpath = str(self.folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.choose_directory(trainer)
        super().setup(trainer, pl_module, stage)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        path = f"{self.dirpath}/last.ckpt"
        trainer.strategy.save_checkpoint(checkpoint_of(trainer, weights_only=False), path)
        record_checkpoint_of(self, trainer, path)


def one_batch(*callbacks: Any, **settings: Any) -> Trainer:
    return toy_trainer(*callbacks, limit_train_batches=1, limit_val_batches=0, enable_checkpointing=True, **settings)


def test_a_checkpoint_is_written_and_loggers_hear_of_it(tmp_path: Path) -> None:
    logger = Remembers(tmp_path)
    one_batch(OwnCheckpoint(tmp_path / "own"), logger=logger).fit(BoringModel(), BoringDataModule())
    assert (tmp_path / "own" / "last.ckpt").is_file() and logger.told == [7]


def test_lightning_exchanges_no_signals_before_a_batch(tmp_path: Path) -> None:
    trainer = one_batch()
    loop = trainer.fit_loop.epoch_loop
    before = loop._broadcast_sigterm_tensor
    skip_exchange_of_signals(trainer)
    assert "_broadcast_sigterm_tensor" in inspect.getsource(type(loop).advance)
    assert loop._broadcast_sigterm_tensor is not before and loop._broadcast_sigterm_tensor() is None


def test_last_is_looked_for_in_a_directory_that_the_callback_chooses_by_itself(tmp_path: Path) -> None:
    one_batch(OwnCheckpoint(tmp_path / "own")).fit(BoringModel(), BoringDataModule())
    resumed = one_batch(OwnCheckpoint(tmp_path / "own"), max_epochs=2)
    resumed.fit(BoringModel(), BoringDataModule(), ckpt_path="last")
    assert resumed.ckpt_path == str(tmp_path / "own" / "last.ckpt") and resumed.global_step == 2


class FromTheCommandLine(BoringModel):
    """Remembers who made it, and saves its argument."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.width = width
        self.by_command_line = made_by_the_command_line()


def command_line(*arguments: str, kind: type[LightningCLI] = LightningCLI, folder: Path) -> LightningCLI:
    """One that fits for one batch on construction."""
    trainer = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_steps": 1,
        "limit_val_batches": 0,
        "default_root_dir": str(folder),
    }
    return kind(
        FromTheCommandLine,
        BoringDataModule,
        subclass_mode_model=True,
        trainer_defaults=trainer,
        save_config_callback=None,
        seed_everything_default=False,
        args=["fit", *arguments],
    )


MODEL = f"--model={__name__}.FromTheCommandLine"


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning warns when arguments are given to it and to the process, which here are pytest's."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])


def test_a_module_knows_whether_the_command_line_makes_it(tmp_path: Path) -> None:
    made = command_line(MODEL, folder=tmp_path).model
    assert isinstance(made, FromTheCommandLine) and made.by_command_line
    assert not FromTheCommandLine().by_command_line


def test_a_checkpoint_of_the_command_line_says_its_class_and_settings(tmp_path: Path) -> None:
    made = command_line(MODEL, "--model.width=5", folder=tmp_path)
    made.trainer.save_checkpoint(tmp_path / "made.ckpt")
    saved = torch.load(tmp_path / "made.ckpt", weights_only=True)["hyper_parameters"]
    assert split_hyperparameters(saved) == (f"{__name__}.FromTheCommandLine", {"width": 5})


# ---------------------------------------------------------------------- the command line


@pytest.mark.parametrize(("kind", "width"), [(LightningCLI, 5), (IgnoresCheckpointSettings, 6)])
def test_what_is_given_wins_over_the_checkpoint_only_where_this_is_asked_for(
    tmp_path: Path, kind: type[LightningCLI], width: int
) -> None:
    made = command_line(MODEL, "--model.width=5", folder=tmp_path)
    made.trainer.save_checkpoint(tmp_path / "made.ckpt")
    arguments = [MODEL, "--model.width=6", f"--ckpt_path={tmp_path / 'made.ckpt'}"]
    again = command_line(*arguments, kind=kind, folder=tmp_path).model
    assert isinstance(again, FromTheCommandLine) and again.width == width


def test_a_commands_parser_lists_its_options(tmp_path: Path) -> None:
    made = command_line(MODEL, folder=tmp_path)
    options = option_names(subcommand_parser(made, "fit"))
    assert {"trainer.max_epochs", "model"} <= set(options)
    assert "ckpt_path" in options and "ckpt_path" in option_names(subcommand_parser(made, "test"))
    assert not any("==" in option for option in options)
    assert "trainer.max_epochs" not in option_names(made.parser)  # of all commands: why the command's own is needed


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, True), ({"every_n_epochs": 2}, False), ({"every_n_train_steps": 5}, False)],
)
def test_a_checkpoint_callback_without_an_interval_is_known(settings: dict[str, Any], expected: bool) -> None:
    assert has_no_interval(ModelCheckpoint(**settings)) == expected
    assert not has_no_interval(ModelCheckpoint(train_time_interval=timedelta(seconds=1)))


class LogsInTraining(BoringModel):
    """Logs the number of each batch."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        self.log("number", float(batch_idx))
        return super().training_step(batch, batch_idx)


class Looks(Callback):
    """Lets other callbacks look after the second batch."""

    def __init__(self, checkpoint: ModelCheckpoint, stopping: EarlyStopping) -> None:
        self.checkpoint, self.stopping = checkpoint, stopping

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        if arguments[-1] == 1:
            save_if_best(self.checkpoint, trainer)
            look_now(self.stopping, trainer)


def test_callbacks_look_only_when_they_are_told_to(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(dirpath=tmp_path, monitor="number", filename="{number}", save_last=True)
    stopping = EarlyStopping(monitor="number", patience=1, mode="max")
    for callback in (checkpoint, stopping):
        assert not skips_own_looks(callback)
        skip_own_looks(callback)
        assert skips_own_looks(callback) and skips_own_looks(copy.deepcopy(callback))
    looks = Looks(checkpoint, stopping)
    limits = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1}
    trainer = toy_trainer(looks, checkpoint, stopping, enable_checkpointing=True, **limits)
    trainer.fit(LogsInTraining(), BoringDataModule())
    assert {path.name for path in tmp_path.iterdir()} == {"number=1.0.ckpt", "last.ckpt"}
    assert stopping.best_score == 1.0 and stopping.wait_count == 0


def test_numbers_that_were_logged_do_not_come_back(tmp_path: Path) -> None:
    class Replaces(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            replace_callback_metrics(trainer, {"number": 7.0})
            self.seen = float(trainer.callback_metrics["number"])

    replaces = Replaces()
    trainer = toy_trainer(replaces, max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(LogsInTraining(), BoringDataModule())
    assert replaces.seen == trainer.callback_metrics["number"] == 7.0


# ---------------------------------------------------------------------- the package pytorch_lightning


class MirroredTimer:
    """What `pytorch_lightning.callbacks.timer.Timer` is to `Timer`: a class of the same name that is another class."""

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        raise AssertionError("methods remain those of the callback's own class")


class Watch(Timer):
    """A callback that derives from one of Lightning's."""

    def __init__(self, seconds: int) -> None:
        super().__init__(interval="step")
        self.seconds = seconds
        join_mirror(self, Timer)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> type:
    """A package `pytorch_lightning` that is imported, with a `Timer`."""
    module = ModuleType("pytorch_lightning.callbacks.timer")
    vars(module)["Timer"] = MirroredTimer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return MirroredTimer


def test_without_the_mirror_package_a_class_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pytorch_lightning.callbacks.timer", raising=False)
    assert with_mirror(Timer) == (Timer,)
    assert type(Watch(3)) is Watch


def test_a_callback_joins_the_mirrored_class_and_keeps_its_methods_and_its_name(mirror: type) -> None:
    assert with_mirror(Timer) == (Timer, mirror)
    watch = Watch(3)
    assert isinstance(watch, mirror) and isinstance(watch, Watch)
    assert watch.on_fit_start.__func__ is Timer.on_fit_start
    assert state_key_of(watch, a=1) == "Watch{'a': 1}" == state_key_of(Callback(), a=1).replace("Callback", "Watch")


def test_a_callback_that_has_joined_is_copied_and_pickled(mirror: type) -> None:
    for again in (copy.deepcopy(Watch(3)), pickle.loads(pickle.dumps(Watch(3)))):
        assert isinstance(again, mirror) and isinstance(again, Watch) and again.seconds == 3


def test_settings_are_read_back_from_a_key() -> None:
    for settings in ({"generator": "net.G"}, {"generator": ["encoder", "decoder"], "seed": 1}, {}):
        assert settings_of_state_key(state_key_of(Callback(), **settings)) == settings
    assert settings_of_state_key("ModelCheckpoint{broken") == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_norms_of_all_are_those_of_each_in_single_precision(dtype: torch.dtype) -> None:
    tensors = [torch.tensor([3.0, 4.0], dtype=dtype), torch.full((4,), 5e4, dtype=dtype), torch.zeros(0, dtype=dtype)]
    norms = norms_of_all([*tensors, torch.tensor([torch.nan, 1.0], dtype=dtype), torch.tensor(-torch.inf, dtype=dtype)])
    assert norms.dtype == torch.float32 and norms[3].isnan() and norms[4].isinf()
    torch.testing.assert_close(norms[:3], torch.tensor([5.0, 1e5, 0.0]), rtol=1e-2, atol=0.0)
