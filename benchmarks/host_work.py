"""What the host does for a batch: operators, microseconds and synchronisations, of every model.

    python benchmarks/host_work.py

Where networks are small or the device is fast, the host is the bound: the time of a batch is then that of the calls and
not of the arithmetic. Networks of 4 to 8 feature maps and batches of 2 images on one thread show this on a CPU, so that
a machine without a GPU says what bounds a fast one. Operators are those that torch dispatches, in the forward passes,
the backward passes and the optimizers. A synchronisation is a number that is read from a tensor; on a GPU the host
waits for it.

The second table is the time of a whole batch of the `Trainer` beside the same step in plain torch, one after the other
in one run: a DCGAN of 8x8 pixels and 8 feature maps, whose arithmetic takes almost no time.
"""

import argparse
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from alternation import Alternate
from lightning.pytorch import Callback, Trainer
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import EMA, R1
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import (
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
from lightning_gan.optimizers import GANAdam

BATCH = 2
WARM_UP = 10
READS = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.is_nonzero.default", "aten.equal.default"}
"""Operators whose result the host needs before it goes on."""

STYLES = {"latent_dim": 8, "style_dim": 8, "mapping_layers": 8, "mapping_width": 8}
MODELS: dict[str, Callable[[], GAN]] = {
    "DCGAN": lambda: DCGAN(image_size=32, latent_dim=8, generator_width=4, discriminator_width=4),
    "ResNetGAN": lambda: ResNetGAN(latent_dim=8, generator_widths=[4] * 4, discriminator_widths=[4] * 4),
    "LayerNormResNetGAN": lambda: LayerNormResNetGAN(latent_dim=8, widths=[4] * 5),
    "SNGAN": lambda: SNGAN(latent_dim=8, generator_widths=[4] * 4, discriminator_widths=[4] * 4),
    "SAGAN": lambda: SAGAN(
        image_size=32, attention_resolution=16, latent_dim=8, generator_channels=8, discriminator_channels=8
    ),
    "BigGAN": lambda: BigGAN(
        image_size=32, attention_resolutions=(16,), generator_channels=4, discriminator_channels=4
    ),
    "BigGANDeep": lambda: BigGANDeep(
        image_size=32, attention_resolutions=(16,), generator_channels=8, discriminator_channels=8
    ),
    "R1ResNet": lambda: R1ResNet(image_size=32, latent_dim=8, label_dim=1, width=4, width_max=8),
    "PGGAN": lambda: PGGAN(image_size=32, latent_dim=8, channel_base=64, channel_max=4),
    "StyleGAN": lambda: StyleGAN(image_size=32, channel_base=64, channel_max=4, **STYLES),
    "VGAN": lambda: VGAN(image_size=32, latent_dim=8, width=4, width_max=8, code_features=8),
    "IntroVAE": lambda: IntroVAE(image_size=32, latent_dim=8, channels=[4, 4, 4]),
    "SoftIntroVAE": lambda: SoftIntroVAE(image_size=32, latent_dim=8, channels=[4, 4, 4]),
}
"""Small networks of the package's models, whose parts are as many as those of large ones."""


class Counted(TorchDispatchMode):
    """Counts the operators that are dispatched inside of the context."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        self.calls[str(function)] += 1
        return function(*arguments, **(settings or {}))


class Watch(Callback):
    """The time of every batch, and the operators of the last one."""

    def __init__(self, *, batches: int) -> None:
        self.batches = batches
        self.seconds: list[float] = []
        self.counted = Counted()
        self._began = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batches - 1:
            self.counted.__enter__()
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        seconds = time.perf_counter() - self._began
        if batch_idx == self.batches - 1:
            self.counted.__exit__(None, None, None)
        elif batch_idx >= WARM_UP:
            self.seconds.append(seconds)


def run(model: GAN, callbacks: list[Callback], *, size: int, channels: int, batch: int, batches: int) -> None:
    """Train on bytes that are in memory."""
    images = torch.randint(256, (batch * batches, channels, size, size), dtype=torch.uint8)
    labels = torch.arange(len(images)) % max(model.number_of_classes, 1)
    tensors = (images, labels) if model.number_of_classes else (images,)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10**6,
        callbacks=callbacks,
    )
    trainer.fit(model, DataLoader(TensorDataset(*tensors), batch_size=batch))


def small_dcgan() -> DCGAN:
    """A network that costs almost nothing but calls."""
    torch.manual_seed(0)
    training = Training(use_fakes_twice=False)  # as in the plain step
    return DCGAN(
        image_size=8, image_channels=1, latent_dim=16, generator_width=8, discriminator_width=8, training=training
    )


def plain_step(model: DCGAN, *, batch: int, penalized: bool) -> Callable[[], None]:
    """The same game without the package: networks, torch and nothing else."""
    generator, critic, average = model.generator.train(), model.discriminator.train(), model.generator_ema
    critic_adam, generator_adam = GANAdam(critic.parameters()), GANAdam(generator.parameters())
    images = torch.randint(256, (batch, 1, 8, 8), dtype=torch.uint8)
    trained, averaged = list(generator.parameters()), list(average.parameters())
    copied = list(zip(average.buffers(), generator.buffers(), strict=True))

    def step() -> None:
        real = (images.float() / 127.5 - 1).requires_grad_(penalized)
        with torch.no_grad():
            fake = generator(torch.randn(batch, 16))
        critic_adam.zero_grad()
        real_logits = critic(real)
        loss = softplus(-real_logits).mean() + softplus(critic(fake)).mean()
        if penalized:
            (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            loss = loss + 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()
        loss.backward()
        critic_adam.step()
        critic.requires_grad_(False)
        generator_adam.zero_grad()
        softplus(-critic(generator(torch.randn(batch, 16)))).mean().backward()
        generator_adam.step()
        critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(averaged, trained, 0.001)
            for target, source in copied:
                target.copy_(source)

    return step


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, low, high


def print_models(*, batches: int) -> None:
    """Print the operators, the time and the synchronisations of a batch of every model."""
    print(f"| model | operators | host time, us | synchronisations |\n{'|---' * 4}|")
    for name, make in MODELS.items():
        model, watch = make(), Watch(batches=batches)
        size, channels = model.hparams["image_size"], model.hparams["image_channels"]
        run(model, [EMA(), watch], size=size, channels=channels, batch=BATCH, batches=batches)
        calls, read = watch.counted.calls, sum(watch.counted.calls[one] for one in READS)
        microseconds = 1e6 * statistics.median(watch.seconds)
        print(f"| {name} | {sum(calls.values())} | {microseconds:.0f} | {read} |", flush=True)


def print_beside_plain_torch(*, pairs: int) -> None:
    """Print the time of a batch beside the same step in plain torch."""
    print(f"| 8x8 DCGAN | Trainer, us | plain torch, us | ratio | quartiles |\n{'|---' * 5}|")
    for title, penalties in (("without a penalty", []), ("R1 in every turn", [R1(gamma=1.0)])):
        alternate = Alternate(plain_step(small_dcgan(), batch=8, penalized=bool(penalties)))
        run(small_dcgan(), [*penalties, EMA(), alternate], size=8, channels=1, batch=8, batches=pairs)
        ours, plain = alternate.trainer_seconds[100:], alternate.step_seconds[100:]
        ratio, low, high = quartiles([a / b for a, b in zip(ours, plain, strict=True)])
        times = f"{1e6 * statistics.median(ours):.0f} | {1e6 * statistics.median(plain):.0f}"
        print(f"| {title} | {times} | {ratio:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=60, help="batches of each model, the last of which is counted")
    parser.add_argument("--table", choices=("models", "plain"), help="one of the tables; without it both")
    parser.add_argument("--pairs", type=int, default=1500, help="pairs of a batch and a plain step")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if arguments.table != "plain":
        print_models(batches=arguments.batches)
    if arguments.table != "models":
        print_beside_plain_torch(pairs=arguments.pairs)


if __name__ == "__main__":
    main()
