"""What compilation costs and what it gains on a CPU: StyleGAN, SNGAN and DCGAN with R1 in every fourth turn.

    python benchmarks/compilation.py

The networks are those of `configs/sngan.yaml` and `dcgan.yaml`, and a StyleGAN, at 32x32, on one thread. Each model is
trained in several processes:

- With an empty cache of compiled code: the seconds of each kind of turn.
- With the cache that this has filled: the seconds of each kind again. Then batches in fours, compiled and eager in
  turns, of the same training: the ratio of neighbours, with quartiles.
- Twenty batches compiled, and the same twenty batches eager: how far the weights are from each other, as a part of how
  far they have come, in fp64 and in fp32. Beside the latter stands the same of two eager trainings, of which one has
  begun with weights that are changed by one in ten million: what rounding alone becomes within twenty batches.

Noise comes from torch's own generator throughout (`fallback_random`), so that compiled and eager turns draw the same.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from lightning_gan.callbacks import EMA, R1
from lightning_gan.data import Digits
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import DCGAN, SNGAN, StyleGAN
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors import draws_by_position

BATCH = 32
INTERVAL = 4
"""R1 is due in every turn of this number, so that as many batches have one of each kind of turn."""
WARM_UP = 2 * INTERVAL
AGREEMENT_BATCHES = 20
ROUNDING = 1e-7
"""Relative change of each weight, about half the distance of neighbouring numbers in fp32."""


def adam(parameters: Any) -> GANAdam:
    return GANAdam(parameters, lr=0.0002, betas=(0.0, 0.9))


MODELS: dict[str, Callable[[Training], GAN]] = {
    "StyleGAN": lambda training: StyleGAN(
        image_size=32,
        image_channels=1,
        latent_dim=64,
        style_dim=64,
        mapping_layers=4,
        mapping_width=64,
        channel_base=256,
        channel_max=64,
        training=training,
    ),
    "SNGAN": lambda training: SNGAN(
        image_size=32,
        image_channels=1,
        latent_dim=64,
        generator_widths=[64, 48, 32, 32],
        discriminator_widths=[32, 32, 32, 32],
        training=training,
    ),
    "DCGAN": lambda training: DCGAN(
        image_size=32,
        image_channels=1,
        latent_dim=100,
        generator_width=32,
        discriminator_width=32,
        training=training,
    ),
}


class Kinds(logging.Handler):
    """The seconds of each kind of turn, from what the training says."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._began = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line.startswith("compiling the "):
            self._began = time.perf_counter()
        elif line.startswith("compiled the "):
            turn = line.removeprefix("compiled the ").partition(" on ")[0]
            self.seconds[turn] = time.perf_counter() - self._began


class Alternate(Callback):
    """After the warm-up, computes the turns of every other group of batches eagerly, and times all groups."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._costs = (pl_module._play_cost, pl_module.cost)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % INTERVAL == 0:
            group = max(batch_idx - WARM_UP, 0) // INTERVAL
            pl_module._play_cost = self._costs[group % 2]
            self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        batch_idx = args[-1]
        if batch_idx >= WARM_UP and (batch_idx + 1) % INTERVAL == 0:
            self.seconds.append(time.perf_counter() - self._began)


def made(name: str, *, compiles: bool = False) -> GAN:
    torch.manual_seed(0)
    return MODELS[name](Training(compile=compiles, generator_optimizer=adam, discriminator_optimizer=adam))


def train(model: GAN, *callbacks: Callback, batches: int, precision: Any = "32-true") -> dict[str, Tensor]:
    """The weights after some batches."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=batches,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10**6,
        callbacks=[R1(gamma=1.0, every_n_turns=INTERVAL), EMA(), *callbacks],
    )
    trainer.fit(model, Digits(labels=False, batch_size=BATCH))
    return {name: weight.detach().double() for name, weight in model.named_parameters()}


def kinds_and_groups(name: str, *, batches: int) -> dict[str, Any]:
    """The seconds of each kind of turn with its compilation, and of the groups of batches."""
    kinds, alternate = Kinds(), Alternate()
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addHandler(kinds)
    train(made(name, compiles=True), alternate, batches=batches)
    return {"kinds": kinds.seconds, "groups": alternate.seconds}


def agreement(name: str, *, precision: str) -> dict[str, Any]:
    """The differences of the weights from those of an eager training, for each network, as parts of the movement."""
    draws_by_position._present = lambda: None  # compiled turns do not draw by position, so that here none does
    start = {key: weight.detach().double() for key, weight in made(name).named_parameters()}
    changed = made(name)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.mul_(1 + ROUNDING * torch.randn_like(weight))
    eager, compiled, nearby = (
        train(model, batches=AGREEMENT_BATCHES, precision=precision)
        for model in (made(name), made(name, compiles=True), changed)
    )

    def distance(network: str, one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
        names = [name for name in one if name.startswith(f"{network}.")]
        return sum((one[name] - two[name]).square().sum().item() for name in names) ** 0.5

    return {
        network: {
            "compiled": distance(network, compiled, eager) / distance(network, eager, start),
            "changed": distance(network, nearby, eager) / distance(network, eager, start),
        }
        for network in ("generator", "discriminator")
    }


def in_process(*arguments: str, cache: Path) -> dict[str, Any]:
    """What this file prints in a process of its own, with a folder for compiled code."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    command = [sys.executable, __file__, *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(finished.stderr[-3000:])
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--pairs", type=int, default=12, help="pairs of four compiled and four eager batches")
    parser.add_argument("--kinds", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--agreement", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch._inductor.config.fallback_random = True
    if options.kinds:
        print(json.dumps(kinds_and_groups(options.kinds, batches=options.batches)))
        return
    if options.agreement:
        print(json.dumps(agreement(options.agreement, precision=options.precision)))
        return
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder)
            cold = in_process("--kinds", name, "--batches", "2", cache=cache)
            batches = str(WARM_UP + 2 * INTERVAL * options.pairs)
            warm = in_process("--kinds", name, "--batches", batches, cache=cache)
            double, single = (
                in_process("--agreement", name, "--precision", precision, cache=cache)
                for precision in ("64-true", "32-true")
            )
        print(f"\n{name}, {BATCH} images of 32x32\n")
        print(f"| turn | first compilation, s | from the cache, s |\n{'|---' * 3}|")
        for turn, seconds in cold["kinds"].items():
            print(f"| {turn} | {seconds:.1f} | {warm['kinds'][turn]:.1f} |")
        groups = warm["groups"]
        ratios = [eager / compiled for compiled, eager in zip(groups[::2], groups[1::2], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        milliseconds = [1000 * statistics.median(groups[place::2]) / INTERVAL for place in (0, 1)]
        print(
            f"\n{milliseconds[0]:.0f} ms a batch compiled, {milliseconds[1]:.0f} ms eager: {middle:.2f} times as fast "
            f"({low:.2f} to {high:.2f}, {len(ratios)} pairs)"
        )
        for network in ("generator", "discriminator"):
            print(
                f"{network} after {AGREEMENT_BATCHES} batches, as parts of how far it came: compiled is "
                f"{double[network]['compiled']:.1e} from eager in fp64, {single[network]['compiled']:.1e} in fp32; "
                f"eager from changed weights {single[network]['changed']:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
