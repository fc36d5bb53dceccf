"""Images per second and memory of whole training batches, per model and size.

    python benchmarks/throughput.py                 # every model at its paper's size
    python benchmarks/throughput.py --model stylegan --sizes 64 128 256 512 1024 --batch 32 16 8 4 2 --precision bf16

A batch is the discriminator's and the generator's turn in the loop of `GAN`, with the penalties that the paper has in
every turn, on random bytes that are in memory already. Every model is measured with its paper's widths, in a process of
its own, in small batches on a CPU. The growing ones, by --model and --sizes, have the authors' widths on CUDA, and on a
CPU narrow networks and small sizes, which only show that the command works. The tables are Markdown.
"""

import argparse
import math
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1, Bottleneck, Drift, GradientPenalty
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import (
    ALI,
    DCGAN,
    PGGAN,
    SAGAN,
    SNGAN,
    VGAN,
    BigGAN,
    BigGANDeep,
    IntroVAE,
    LayerNormResNetGAN,
    R1ResNet,
    ResNetGAN,
    SoftIntroVAE,
    StyleGAN,
)
from lightning_gan.models.ali_tables import CelebATables

WARM_UP = 2
"""Batches that are not counted; the first of them compiles."""

MODELS: dict[str, Callable[[int, dict[str, Any], Training], tuple[GAN, list[Callback]]]] = {
    "pggan": lambda size, widths, training: (
        PGGAN(image_size=size, **widths, training=training),
        [GradientPenalty(weight=10.0, target=1.0), Drift(weight=0.001)],
    ),
    "stylegan": lambda size, widths, training: (
        StyleGAN(image_size=size, **widths, training=training),
        [R1(gamma=10.0)],
    ),
}
"""Model and the paper's penalties by name, made for an image size, with widths and training settings."""


Maker = Callable[[Training], tuple[GAN, list[Callback]]]

PAPERS: dict[str, tuple[int, Maker]] = {
    "DCGAN": (64, lambda training: (DCGAN(image_size=64, training=training), [])),
    "WGAN-GP, CIFAR-10": (
        32,
        lambda training: (
            ResNetGAN(image_size=32, number_of_classes=10, training=training),
            [GradientPenalty(weight=10.0)],
        ),
    ),
    "WGAN-GP, 64": (
        64,
        lambda training: (LayerNormResNetGAN(image_size=64, training=training), [GradientPenalty(weight=10.0)]),
    ),
    "R1, LSUN": (256, lambda training: (R1ResNet(image_size=256, training=training), [R1(gamma=20.0)])),
    "SNGAN, CIFAR-10": (32, lambda training: (SNGAN(image_size=32, number_of_classes=10, training=training), [])),
    "SNGAN, ImageNet": (128, lambda training: (SNGAN(image_size=128, number_of_classes=1000, training=training), [])),
    "SAGAN": (128, lambda training: (SAGAN(image_size=128, number_of_classes=1000, training=training), [])),
    "BigGAN": (128, lambda training: (BigGAN(image_size=128, number_of_classes=1000, training=training), [])),
    "BigGAN-deep": (128, lambda training: (BigGANDeep(image_size=128, number_of_classes=1000, training=training), [])),
    "PGGAN": (256, lambda training: MODELS["pggan"](256, {}, training)),
    "StyleGAN": (256, lambda training: MODELS["stylegan"](256, {}, training)),
    "VGAN": (
        128,
        lambda training: (
            VGAN(image_size=128, width=64, width_max=1024, code_features=1024, training=training),
            [Bottleneck(information_constraint=0.2, beta_step_size=1e-5)],
        ),
    ),
    "IntroVAE": (256, lambda training: (IntroVAE(image_size=256, training=training), [])),
    "Soft-IntroVAE": (256, lambda training: (SoftIntroVAE(image_size=256, training=training), [])),
    "ALI": (64, lambda training: (ALI(image_size=64, architecture=CelebATables(), training=training), [])),
}
"""Models as in their papers: the size of the images, and how they are made."""


class Clock(Callback):
    """Seconds of every batch, with the device's work done."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._began = now(trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self.seconds.append(now(trainer) - self._began)


def now(trainer: Trainer) -> float:
    """The time, once the device has finished what it was given."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_per_batch(
    model: GAN, callbacks: list[Callback], *, resolution: int, batch: int, batches: int, precision: str = "fp32"
) -> list[float]:
    """Train on random images and time the batches after the first few."""
    clock = Clock()
    images = torch.randint(256, (batch, model.hparams["image_channels"], resolution, resolution), dtype=torch.uint8)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        precision={"fp32": "32-true", "bf16": "bf16-mixed"}[precision],  # type: ignore[arg-type]
        max_epochs=WARM_UP + batches,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1000,
        callbacks=[*callbacks, clock],
    )
    labels = torch.arange(batch) % max(model.number_of_classes, 1)
    trainer.fit(model, DataLoader(TensorDataset(images, labels), batch_size=batch))
    return clock.seconds[WARM_UP:]


def peak_gibibytes() -> float:
    """Of the GPU's allocator, reset for each row; on a CPU of this whole process since it began."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def quiet() -> None:
    """No warnings and none of Lightning's lines between the rows of a table."""
    import logging

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def measure_paper(name: str, *, batch: int, batches: int, precision: str, compile: bool) -> None:
    """Print the row of one model at its paper's size."""
    size, make = PAPERS[name]
    torch.manual_seed(0)
    model, penalties = make(Training(compile=compile))
    seconds = statistics.median(
        seconds_per_batch(model, penalties, resolution=size, batch=batch, batches=batches, precision=precision)
    )
    millions = [
        sum(p.numel() for p in network.parameters()) / 1e6 for network in (model.generator, model.discriminator)
    ]
    print(
        f"| {name} | {size} | {millions[0]:.1f} / {millions[1]:.1f} | {batch} | {batch / seconds:.2f} | "
        f"{1000 * seconds:.0f} | {peak_gibibytes():.2f} |",
        flush=True,
    )


def measure_papers(*, batch: int, batches: int, precision: str, compile: bool) -> None:
    """Print the table of all of them. Each has a process of its own, whose memory is its own."""
    print("| model | size | G / D, million | batch | img/s | ms per batch | peak GiB |\n|---|---|---|---|---|---|---|")
    for name in PAPERS:
        options = ["--batch", str(batch), "--batches", str(batches), "--precision", precision]
        command = [sys.executable, __file__, "--paper", name, *options, *(["--compile"] if compile else [])]
        sys.stdout.flush()
        subprocess.run(command, check=True)


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, help="a growing model, at --sizes")
    parser.add_argument("--paper", choices=PAPERS, help="the row of one model at its paper's size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024] if cuda else [16, 32])
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[32, 16, 8, 4, 2] if cuda else [4], help="one, or per size"
    )
    parser.add_argument("--batches", type=int, default=20 if cuda else 3, help="batches that are timed")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channel-base", type=int, default=8192 if cuda else 512)
    parser.add_argument("--channel-max", type=int, default=512 if cuda else 32)
    options = parser.parse_args()
    batch_sizes = options.batch * len(options.sizes) if len(options.batch) == 1 else options.batch
    if len(batch_sizes) != len(options.sizes):
        parser.error(f"--batch has {len(options.batch)} numbers for {len(options.sizes)} sizes; give one, or one each")
    quiet()
    if options.paper is not None:
        measure_paper(
            options.paper,
            batch=options.batch[0],
            batches=options.batches,
            precision=options.precision,
            compile=options.compile,
        )
        return
    where = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{options.model or 'every model'}, {options.precision}{', compiled' if options.compile else ''}, {where}\n")
    if options.model is None:
        measure_papers(
            batch=options.batch[0], batches=options.batches, precision=options.precision, compile=options.compile
        )
        return
    print("| size | batch | img/s | ms per batch | peak GiB |\n|---|---|---|---|---|")
    for size, batch in zip(options.sizes, batch_sizes, strict=True):
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        torch.manual_seed(0)
        widths = {"channel_base": options.channel_base, "channel_max": options.channel_max}
        model, penalties = MODELS[options.model](size, widths, Training(compile=options.compile))
        seconds = statistics.median(
            seconds_per_batch(
                model, penalties, resolution=size, batch=batch, batches=options.batches, precision=options.precision
            )
        )
        assert math.isfinite(seconds)
        print(
            f"| {size} | {batch} | {batch / seconds:.1f} | {1000 * seconds:.1f} | {peak_gibibytes():.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
