"""Kills runs at random moments and injects faults, resumes them, and compares the end with an uninterrupted run.

    python benchmarks/soak.py                       # 50 SIGKILLs of a small DCGAN that trains on digits (`SMALL`)
    python benchmarks/soak.py --ranks 2             # the same on two processes
    python benchmarks/soak.py --faults --trials 10  # every fault of the list, 10 times

It prints Markdown tables for `docs/reliability.md`. A run is the command line `fit --resume` in a process that is
forked from this one, because imports take longer than the training of a small network. Two ranks are two such
processes with the environment variables of torchrun. The machine is Linux or macOS, and the CPU trains.
"""

import argparse
import os
import random
import re
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.callbacks import Evaluation
from lightning_gan.cli import main as command_line
from lightning_gan.cli.trainer_cli import TrainerCLI  # imported before the first fork
from lightning_gan.loop.checkpointing import newest_whole_checkpoint
from lightning_gan.loop.gan import GAN
from lightning_gan.losses import NonSaturating

SMALL = (
    "--config dcgan.yaml --config hardware/cpu.yaml --data.number_of_workers=0 --data.batch_size=8 "
    "--data.image_size=16 --trainer.limit_val_batches=2 "
    "--model.generator_width=4 --model.discriminator_width=4 --trainer.logger=false --trainer.callbacks=StopAtKimg "
    "--trainer.callbacks.total_kimg={total_kimg} --trainer.callbacks+=EMA --trainer.callbacks+=Evaluation "
    "--trainer.callbacks.extractor=lightning_gan.metrics.DigitFeatures --trainer.callbacks.fake_count=32 "
    "--trainer.callbacks.batch_size=16 --trainer.callbacks.kernel_subsets=2 --trainer.callbacks.every_kimg=0.128 "
    "--trainer.callbacks+=KimgCheckpoint --trainer.callbacks.every_kimg=0.064"
)
"""A network that is small enough for many runs, with callbacks that have states. Two ranks evaluate a batch each."""

LIMIT_SECONDS = 150.0
"""A run that takes longer than this to end after a fault counts as hung."""

Fault = Callable[[int, float], None]
"""What is done to a rank's process before it trains, given the rank's number and a random number in [0, 1)."""


def unharmed(rank: int, moment: float) -> None:
    """No fault."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The processes of a run.

    Attributes:
        processes: numbers of the processes, by rank.
        log: file with what they print.
    """

    processes: list[int]
    log: Path

    def send(self, number: int, *ranks: int) -> None:
        """Send a signal to some ranks. One that has ended already gets none."""
        for rank in ranks:
            os.kill(self.processes[rank], number)

    def codes(self) -> list[int | None]:
        """The exit codes, by rank, minus the signal's number after a signal; None for one that had to be killed."""
        end, codes = time.monotonic() + LIMIT_SECONDS, []
        for process in self.processes:
            done, status = os.waitpid(process, os.WNOHANG)
            while not done and time.monotonic() < end:
                time.sleep(0.05)
                done, status = os.waitpid(process, os.WNOHANG)
            if done:
                codes.append(os.waitstatus_to_exitcode(status))
            else:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                codes.append(None)
        return codes


def start(arguments: str, *, name: str, ranks: int, fault: Fault = unharmed) -> Run:
    """Start `fit --resume` in the working directory.

    Args:
        arguments: arguments of the command line.
        name: name of the run.
        ranks: number of processes.
        fault: what is done to each process before it trains.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moment = random.random()
    log, processes = Path(f"{name}.log"), []
    given = [*arguments.split(), f"--name={name}", "--resume", f"--trainer.devices={ranks}"]
    for rank in range(ranks):
        process = os.fork()
        if process:
            processes.append(process)
            continue
        code = 1
        try:
            with log.open("ab", buffering=0) as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            if ranks > 1:
                place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
                place |= {"GROUP_RANK": 0, "MASTER_PORT": port}
                os.environ.update({key: str(value) for key, value in place.items()})
                os.environ.update(MASTER_ADDR="127.0.0.1", TORCHELASTIC_RUN_ID="soak")
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
            fault(rank, moment)
            command_line(["fit", *given])
            code = 0
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return Run(processes=processes, log=log)


def differences(first: Path, second: Path) -> int:
    """The number of tensors and values in which two checkpoints differ.

    Lightning's counters of loops are left out. They say whether the file was written after the last batch or at the end
    of fit. A run that was killed in between has nothing to train any more when it is resumed, and writes no other file.
    """
    one, two = (torch.load(path, weights_only=True) for path in (first, second))
    for content in (one, two):
        del content["loops"], content["epoch"]
    return sum(_differ(one[key], two[key]) for key in one.keys() & two.keys()) + len(one.keys() ^ two.keys())


def _differ(first: Any, second: Any) -> int:
    if isinstance(first, Tensor):
        return int(not torch.equal(first, second))
    if isinstance(first, dict):
        return sum(_differ(first[key], second[key]) for key in first.keys() & second.keys()) + len(
            first.keys() ^ second.keys()
        )
    if isinstance(first, list | tuple):
        return sum(_differ(a, b) for a, b in zip(first, second, strict=True))
    return int(first != second)


def last_of(name: str) -> Path:
    """The path of a run's `last.ckpt`."""
    return Path("runs") / name / "checkpoints" / "last.ckpt"


def kill_often(arguments: str, *, kills: int, ranks: int) -> tuple[int, int, float]:
    """Kill a run at random moments until it has been killed so often, then let it finish.

    Returns:
        The number of kills, the number of differences at the end, and the seconds of the uninterrupted run.
    """
    begun = time.monotonic()
    assert start(arguments, name="whole", ranks=ranks).codes() == [0] * ranks, Path("whole.log").read_text()
    seconds, done = time.monotonic() - begun, 0
    while done < kills:
        run = start(arguments, name="cut", ranks=ranks)
        time.sleep(random.uniform(0.0, 1.1 * seconds))
        run.send(signal.SIGKILL, *range(ranks))
        if any(code == -signal.SIGKILL for code in run.codes()):
            done += 1
        # A run that has reached its end begins again, so that the kills meet all of it.
        if last_of("cut").exists() and differences(last_of("whole"), last_of("cut")) == 0 and done < kills:
            Path("runs/cut").rename(f"runs/finished-{done}-{time.monotonic_ns()}")
    assert start(arguments, name="cut", ranks=ranks).codes() == [0] * ranks, Path("cut.log").read_text()
    return done, differences(last_of("whole"), last_of("cut")), seconds


# ---------------------------------------------------------------------- faults


def error_in_step(failing: int) -> Fault:
    """An error in the sixth training step of one rank."""

    def fault(rank: int, moment: float) -> None:
        step, count = GAN.training_step, iter(range(1000))

        def broken(self: GAN, batch: Any, batch_idx: int) -> None:
            if rank == failing and next(count) == 5:
                raise ArithmeticError("injected error in a step")
            step(self, batch, batch_idx)

        GAN.training_step = broken  # type: ignore[method-assign]

    return fault


def error_in_evaluation(failing: int) -> Fault:
    """An error in the first evaluation of one rank, while the others evaluate."""

    def fault(rank: int, moment: float) -> None:
        if rank == failing:

            def broken(*args: Any, **settings: Any) -> None:
                raise ArithmeticError("injected error in an evaluation")

            GAN.sample = broken  # type: ignore[method-assign,assignment]

    return fault


def nan_in_loss(failing: int) -> Fault:
    """A loss of one rank is NaN from a random batch on."""

    def fault(rank: int, moment: float) -> None:
        loss, count = NonSaturating.generator, iter(range(10_000))

        def broken(self: NonSaturating, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
            found = loss(self, real_logits, fake_logits)
            return found * torch.nan if rank == failing and next(count) >= _batch_of(moment) else found

        NonSaturating.generator = broken  # type: ignore[method-assign]

    return fault


def nan_in_tensors(change: Callable[[GAN], None], failing: int) -> Fault:
    """Something of the module is made NaN before one random batch of one rank."""

    def fault(rank: int, moment: float) -> None:
        step, count = GAN.training_step, iter(range(10_000))

        def broken(self: GAN, batch: Any, batch_idx: int) -> None:
            if rank == failing and next(count) == _batch_of(moment):
                change(self)
            step(self, batch, batch_idx)

        GAN.training_step = broken  # type: ignore[method-assign]

    return fault


def nan_in_gradient(module: GAN) -> None:
    """One gradient of the discriminator is NaN, once."""
    parameter = next(module.discriminator.parameters())
    handle = parameter.register_hook(lambda gradient: [handle.remove(), gradient * torch.nan][1])


def nan_in_weight(module: GAN) -> None:
    """One weight of the generator is NaN."""
    weight = next(module.generator.parameters())
    with torch.no_grad():
        weight[(0,) * weight.dim()] = torch.nan


def nan_in_pixel(module: GAN) -> None:
    """The generator's next batch of images contains one NaN."""

    def spoil(generator: nn.Module, given: Any, images: Tensor) -> Tensor:
        handle.remove()
        images = images.clone()
        images[0, 0, 0, 0] = torch.nan
        return images

    handle = module.generator.register_forward_hook(spoil)


def nan_in_evaluation(failing: int) -> Fault:
    """All images that one rank's evaluations generate contain NaN."""

    def fault(rank: int, moment: float) -> None:
        sample = GAN.sample
        if rank == failing:
            GAN.sample = lambda *given, **settings: sample(*given, **settings) * torch.nan  # type: ignore[method-assign,assignment]

    return fault


def _batch_of(moment: float) -> int:
    """One of the batches 2 to 17. A run of 0.32 kimg has 40 batches on one rank, and 20 on two."""
    return 2 + int(moment * 16)


def kill_in_save(rank: int, moment: float) -> None:
    """The first rank is killed by SIGKILL when half of its third checkpoint is written."""
    save, count = torch.save, iter(range(1000))

    def half(content: Any, file: Any) -> None:
        if next(count) == 2:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(content, file)

    torch.save = half


def full_disk(rank: int, moment: float) -> None:
    """No file can be larger than 20 kB, so that no checkpoint can be written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@dataclass(frozen=True, kw_only=True)
class Injection:
    """A fault, and what it has to end with.

    Attributes:
        title: the fault in words.
        codes: exit codes of the ranks that are right.
        fault: what is done to each process before it trains.
        says: regular expression of what the processes print.
        signals: signal and ranks it is sent to at a random moment after the first checkpoint.
        flips: whether a bit of `last.ckpt` is flipped after the run has been stopped by SIGTERM.
        before: whether the run is stopped by SIGTERM first, and the fault is injected into the run that goes on.
    """

    title: str
    codes: tuple[int, ...]
    fault: Fault = unharmed
    says: str = ""
    signals: tuple[int, tuple[int, ...]] | None = None
    flips: bool = False
    before: bool = False


NUMBERS: dict[str, Callable[[int], Fault]] = {
    "NaN in a loss": nan_in_loss,
    "NaN in a gradient": partial(nan_in_tensors, nan_in_gradient),
    "NaN in a weight": partial(nan_in_tensors, nan_in_weight),
    "NaN in a generated pixel": partial(nan_in_tensors, nan_in_pixel),
    "NaN in the images of evaluations": nan_in_evaluation,
}
"""Numbers that are not finite, each as a function of the rank that has them."""
NOT_FINITE = "is nan|not finite|NaN"
ONE_RANK = (
    Injection(title="SIGTERM", codes=(75,), signals=(signal.SIGTERM, (0,))),
    Injection(title="SIGINT", codes=(130,), signals=(signal.SIGINT, (0,))),
    Injection(title="SIGKILL", codes=(-9,), signals=(signal.SIGKILL, (0,))),
    Injection(title="SIGKILL in a save", codes=(-9,), fault=kill_in_save),
    *(Injection(title=title, codes=(2,), says=NOT_FINITE, fault=fault(0)) for title, fault in NUMBERS.items()),
    Injection(title="disk full, before the next save", codes=(2,), fault=full_disk, before=True),
    Injection(title="one bit of last.ckpt flipped", codes=(0,), flips=True, before=True),
)
TWO_RANKS = (
    Injection(title="SIGTERM to rank 0 of 2", codes=(75,), signals=(signal.SIGTERM, (0,))),
    Injection(title="SIGTERM to rank 1 of 2", codes=(75,), signals=(signal.SIGTERM, (1,))),
    Injection(title="SIGTERM to both of 2", codes=(75,), signals=(signal.SIGTERM, (0, 1))),
    Injection(title="SIGKILL of rank 0 of 2", codes=(-9, 1), signals=(signal.SIGKILL, (0,))),
    Injection(title="SIGKILL of rank 1 of 2", codes=(-9, 1), signals=(signal.SIGKILL, (1,))),
    Injection(title="error in a step of rank 0 of 2", codes=(1,), fault=error_in_step(0)),
    Injection(title="error in a step of rank 1 of 2", codes=(1,), fault=error_in_step(1)),
    Injection(title="error in an evaluation of rank 1 of 2", codes=(1,), fault=error_in_evaluation(1)),
    Injection(title="SIGKILL of rank 0 of 2 in a save", codes=(-9, 1), fault=kill_in_save),
    *(
        Injection(title=f"{title} of rank {rank} of 2", codes=(1, 2), says=NOT_FINITE, fault=fault(rank))
        for title, fault in NUMBERS.items()
        for rank in (0, 1)
    ),
)
"""Faults by the number of ranks. Of `codes`, each rank has to end with one."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one fault.

    Attributes:
        hung: whether a process had to be killed.
        wrong: whether a process ended with another exit code than it should, or did not name the fault.
        lost: whether the whole checkpoint that was there before the fault has gone.
        differences: number of differences of the resumed run's end from that of an uninterrupted run.
        seconds: seconds from the signal, or from the start, to the end of all processes.
    """

    hung: bool
    wrong: bool
    lost: bool
    differences: int
    seconds: float


def inject(injection: Injection, arguments: str, *, ranks: int, name: str) -> Trial:
    """Run until the fault ends the run, resume it, and compare its end with that of the run `whole`."""
    checkpoints = last_of(name).parent
    if injection.before:
        run = start(arguments, name=name, ranks=ranks)
        _wait_for_checkpoint(name)
        run.send(signal.SIGTERM, 0)
        assert run.codes() == [75] * ranks, run.log.read_text()
    if injection.flips:
        content = bytearray(last_of(name).read_bytes())
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        last_of(name).write_bytes(content)
    run = start(arguments, name=name, ranks=ranks, fault=injection.fault)
    begun = time.monotonic()
    if injection.signals is not None:
        _wait_for_checkpoint(name)
        time.sleep(random.uniform(0.0, 0.5))
        begun = time.monotonic()
        run.send(injection.signals[0], *injection.signals[1])
    codes = run.codes()
    seconds = time.monotonic() - begun
    said = re.search(injection.says, run.log.read_text()) is not None
    had_one = any(checkpoints.glob("*.ckpt"))
    lost = had_one and newest_whole_checkpoint(checkpoints).path is None
    # An error in the first evaluation comes again if no fault is taken away; without the fault the run goes to its end.
    assert start(arguments, name=name, ranks=ranks).codes() == [0] * ranks, run.log.read_text()
    return Trial(
        hung=None in codes,
        wrong=any(code not in injection.codes for code in codes if code is not None) or not said,
        lost=lost,
        differences=differences(last_of("whole"), last_of(name)),
        seconds=seconds,
    )


def _wait_for_checkpoint(name: str) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not last_of(name).exists() and time.monotonic() < end:
        time.sleep(0.05)


def table_of_faults(injections: tuple[Injection, ...], arguments: str, *, ranks: int, trials: int) -> None:
    """Print a row for each fault."""
    assert start(arguments, name="whole", ranks=ranks).codes() == [0] * ranks, Path("whole.log").read_text()
    for index, injection in enumerate(injections):
        found = [inject(injection, arguments, ranks=ranks, name=f"fault-{index}-{trial}") for trial in range(trials)]
        counts = [sum(values) for values in zip(*((t.hung, t.wrong, t.lost) for t in found), strict=True)]
        equal = sum(trial.differences == 0 for trial in found)
        slowest = max(trial.seconds for trial in found)
        print(
            f"| {injection.title} | {trials} | {' | '.join(map(str, counts))} | {equal} | {slowest:.0f} |", flush=True
        )


def main() -> None:
    assert Evaluation and TrainerCLI  # imported for the processes that are forked
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="number of SIGKILLs")
    parser.add_argument("--ranks", type=int, default=1, help="number of processes of a run")
    parser.add_argument("--faults", action="store_true", help="the list of faults in place of the kills")
    parser.add_argument("--trials", type=int, default=10, help="trials of every fault")
    parser.add_argument("--only", default="", help="regular expression of the faults that are tried, all by default")
    parser.add_argument("--total-kimg", type=float, default=0.64, help="length of a run, in thousands of images")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--arguments", default=SMALL, help="arguments of the command line")
    given = parser.parse_args()
    arguments = given.arguments.replace("{total_kimg}", str(given.total_kimg))
    torch.set_num_threads(1)
    random.seed(given.seed)
    os.chdir(tempfile.mkdtemp(prefix="soak-"))
    print(f"working in {os.getcwd()}", file=sys.stderr)
    if given.faults:
        columns = "trials | hung | wrong exit code or message | checkpoint lost | equal at the end | slowest end, s"
        print(f"| fault | {columns} |")
        print("|---|---|---|---|---|---|---|")
        injections = ONE_RANK if given.ranks == 1 else TWO_RANKS
        injections = tuple(injection for injection in injections if re.search(given.only, injection.title))
        table_of_faults(injections, arguments, ranks=given.ranks, trials=given.trials)
        return
    kills, different, seconds = kill_often(arguments, kills=given.kills, ranks=given.ranks)
    print("| ranks | SIGKILLs | tensors and values that differ at the end | seconds of an uninterrupted run |")
    print("|---|---|---|---|")
    print(f"| {given.ranks} | {kills} | {different} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
