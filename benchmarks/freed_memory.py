"""What it costs on a CPU that freed memory is given back to the system, and how much memory it takes to keep it.

    python benchmarks/freed_memory.py

Processes with and without `lightning_gan.cli.freed_memory`, which `lightning-gan fit` uses, train the same networks one
after the other. The table has the processor time of a batch of both, the median of the ratios of neighbours with the
smallest and the largest one, and the ratio of the largest memory in use.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.cli.freed_memory import keep_freed_memory
from lightning_gan.loop.gan import GAN
from lightning_gan.models import DCGAN, PGGAN, IntroVAE, R1ResNet, StyleGAN

BATCH = 16
WARM_UP = 3
MODELS: dict[str, Callable[[], GAN]] = {
    "DCGAN": lambda: DCGAN(image_size=64, generator_width=32, discriminator_width=32),
    "R1ResNet": lambda: R1ResNet(image_size=32, width=16, width_max=128),
    "IntroVAE": lambda: IntroVAE(image_size=32, latent_dim=64, channels=[16, 32, 64]),
    "PGGAN": lambda: PGGAN(image_size=32, latent_dim=64, channel_base=256, channel_max=64),
    "StyleGAN": lambda: StyleGAN(image_size=32, latent_dim=64, style_dim=64, mapping_width=64, channel_max=64),
}


class Measure(Callback):
    """Processor time per batch in milliseconds, and the largest memory in use in MiB."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime
        if batch_idx == WARM_UP:
            self.began = seconds
        self.milliseconds = 0.0 if batch_idx <= WARM_UP else 1e3 * (seconds - self.began) / (batch_idx - WARM_UP)
        self.mebibytes = used.ru_maxrss / 1024


def train(name: str, *, keeps: bool, batches: int) -> None:
    """Train in this process, and print both numbers."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if keeps and not keep_freed_memory():
        raise SystemExit("the settings cannot be made here; the benchmark needs glibc and no MALLOC_ variables")
    model, measure = MODELS[name](), Measure()
    size = model.hparams["image_size"]
    images = torch.randint(256, (BATCH * batches, 3, size, size), dtype=torch.uint8)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[measure],
    )
    trainer.fit(model, DataLoader(TensorDataset(images), batch_size=BATCH))
    print(measure.milliseconds, measure.mebibytes)


def measured(name: str, *, keeps: bool, batches: int) -> tuple[float, float]:
    """The two numbers of a process of its own."""
    command = [sys.executable, __file__, "--model", name, "--batches", str(batches), *(["--keeps"] if keeps else [])]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    milliseconds, mebibytes = map(float, lines[-1].split())
    return milliseconds, mebibytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="pairs of processes for each model")
    parser.add_argument("--batches", type=int, default=40, help="batches of each process")
    parser.add_argument("--model", choices=MODELS, help="train this model in this process, and print two numbers")
    parser.add_argument("--keeps", action="store_true", help="with --model: keep freed memory")
    options = parser.parse_args()
    if options.model is not None:
        train(options.model, keeps=options.keeps, batches=options.batches)
        return
    print(f"| model | ms, given back | ms, kept | times as fast | memory, kept / given back |\n{'|---' * 5}|")
    for name in MODELS:
        pairs = [
            [measured(name, keeps=keeps, batches=options.batches) for keeps in (False, True)]
            for _ in range(options.pairs)
        ]
        ratios = [before[0] / after[0] for before, after in pairs]
        given, kept = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
        memory = statistics.median(after[1] / before[1] for before, after in pairs)
        spread = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {given:.1f} | {kept:.1f} | {spread} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
