"""Our training step under the Trainer beside those of other projects, in one process, one after the other.

    python benchmarks/peers.py --clones FOLDER                  # every case, each in a process of its own
    python benchmarks/peers.py --clones FOLDER --case introvae  # one

FOLDER has clones that are named as on GitHub: GAN_stability, mimicry, BigGAN-PyTorch, IntroVAE, pytorch_GAN_zoo,
style-based-gan-pytorch and PyTorch-StudioGAN; cases whose clone is missing are left out, which is said. A pair is one
whole batch of ours (loading from memory, all hooks of the Trainer, both turns, the average if they have one) and one
whole step of theirs on images that are in memory. Both have networks with the same numbers of parameters, up to 0.1 %
or what `Case.difference` says. The table has the median of the ratios of the pairs with quartiles: above 1, ours is
faster. Cases whose names end in `_host` have a few feature maps and two images: they show what the host does, which is
the bound of small networks on a fast GPU.
"""

import argparse
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import torch
from alternation import Alternate
from lightning.pytorch import Trainer
from peer_growing_steps import gan_zoo, rosinality, studiogan
from peer_steps import Peer, Step, biggan, gan_stability, introvae, mimicry, plain_dcgan
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import EMA, R1
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.losses import NonSaturating
from lightning_gan.models import DCGAN, PGGAN, SNGAN, BigGAN, IntroVAE, R1ResNet, StyleGAN

GAMMA = 10.0
WARM_UP = 3
SETTINGS = {"without": 0.0, "R1 every turn": GAMMA}
"""Gamma of R1 by the name of the penalty in the table."""

rmsprop = partial(torch.optim.RMSprop, lr=1e-4, alpha=0.99, eps=1e-8)


class MakesPeer(Protocol):
    """A function of `peer_steps`."""

    def __call__(self, clones: Path, *, width: int, batch: int, gamma: float) -> Peer: ...


@dataclass(frozen=True, kw_only=True)
class Case:
    """A comparison.

    Attributes:
        clone: folder of the peer's clone; None if it needs none.
        ours: makes our model for a width.
        theirs: makes theirs.
        size: height and width of the images in pixels.
        width: number of feature maps.
        batch: number of images in a batch.
        has_average: whether they average weights.
        penalties: names of `SETTINGS`.
        difference: largest difference of the numbers of parameters, as a share of theirs.
    """

    clone: str | None
    ours: Callable[[int], GAN]
    theirs: MakesPeer
    size: int
    width: int
    batch: int
    has_average: bool
    penalties: tuple[str, ...] = ("without", "R1 every turn")
    difference: float = 0.001


def our_sngan(width: int) -> GAN:
    return SNGAN(image_size=32, generator_widths=[width] * 4, discriminator_widths=[width] * 4)


def our_sngan_with_classes(width: int) -> GAN:
    widths, training = [width] * 4, Training(uniform_labels=True)
    return SNGAN(
        image_size=32,
        number_of_classes=10,
        generator_widths=widths,
        discriminator_widths=widths,
        training=training,
    )


def our_pggan(width: int) -> GAN:
    training = Training(loss=NonSaturating())
    return PGGAN(image_size=64, latent_dim=64, channel_base=512, channel_max=width, training=training)


def our_stylegan(width: int) -> GAN:
    mapping = {"latent_dim": 64, "style_dim": 64, "mapping_layers": 4, "mapping_width": 64}
    return StyleGAN(image_size=64, channel_base=512, channel_max=width, **mapping)


def our_biggan(width: int) -> GAN:
    return BigGAN(
        image_size=32,
        number_of_classes=10,
        latent_dim=128,
        generator_channels=width,
        discriminator_channels=width,
        attention_resolutions=(),
        shared_embedding=False,
        hierarchical_latents=False,
        training=Training(one_pass=True),  # as theirs
    )


def our_r1_resnet(width: int) -> GAN:
    training = Training(generator_optimizer=rmsprop, discriminator_optimizer=rmsprop)
    return R1ResNet(image_size=32, number_of_classes=10, width=width, width_max=512, training=training)


def our_introvae(width: int) -> GAN:
    return IntroVAE(image_size=32, latent_dim=64, channels=[width, 2 * width, 4 * width])


def our_dcgan(width: int) -> GAN:
    return DCGAN(image_size=64, generator_width=width, discriminator_width=width)


CASES = {
    "gan_stability": Case(
        clone="GAN_stability", ours=our_r1_resnet, theirs=gan_stability, size=32, width=16, batch=32, has_average=True
    ),
    "introvae": Case(
        clone="IntroVAE",
        ours=our_introvae,
        theirs=introvae,
        size=32,
        width=16,
        batch=32,
        has_average=False,
        penalties=("without",),
    ),
    "plain_dcgan": Case(clone=None, ours=our_dcgan, theirs=plain_dcgan, size=64, width=32, batch=32, has_average=False),
    "mimicry": Case(clone="mimicry", ours=our_sngan, theirs=mimicry, size=32, width=64, batch=32, has_average=False),
    "biggan": Case(
        clone="BigGAN-PyTorch", ours=our_biggan, theirs=biggan, size=32, width=16, batch=32, has_average=True
    ),
    "gan_zoo": Case(
        clone="pytorch_GAN_zoo",
        ours=our_pggan,
        theirs=gan_zoo,
        size=64,
        width=64,
        batch=16,
        has_average=True,
        difference=0.004,  # their first layer has a bias for every pixel
    ),
    "rosinality": Case(
        clone="style-based-gan-pytorch",
        ours=our_stylegan,
        theirs=rosinality,
        size=64,
        width=64,
        batch=16,
        has_average=True,
        difference=0.11,  # in their discriminator the first convolution of a block widens, not the second
    ),
    "studiogan": Case(
        clone="PyTorch-StudioGAN",
        ours=our_sngan_with_classes,
        theirs=studiogan,
        size=32,
        width=64,
        batch=32,
        has_average=False,
    ),
    "studiogan_host": Case(
        clone="PyTorch-StudioGAN",
        ours=our_sngan_with_classes,
        theirs=studiogan,
        size=32,
        width=4,
        batch=2,
        has_average=False,
    ),
    "gan_stability_host": Case(
        clone="GAN_stability", ours=our_r1_resnet, theirs=gan_stability, size=32, width=1, batch=2, has_average=True
    ),
    "mimicry_host": Case(clone="mimicry", ours=our_sngan, theirs=mimicry, size=32, width=4, batch=2, has_average=False),
    "biggan_host": Case(
        clone="BigGAN-PyTorch", ours=our_biggan, theirs=biggan, size=32, width=1, batch=2, has_average=True
    ),
}


class AlternateFor(Alternate):
    """Alternates for so many seconds, and for four pairs at least, after those to warm up."""

    def __init__(self, step: Step, *, seconds: float) -> None:
        super().__init__(step)
        self.seconds = seconds

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        super().on_train_batch_end(trainer, *args)
        pairs = [*zip(self.trainer_seconds, self.step_seconds, strict=True)][WARM_UP:]
        trainer.should_stop |= len(pairs) >= 4 and sum(map(sum, pairs)) > self.seconds


def parameters_of(*networks: nn.Module) -> list[int]:
    """The numbers of parameters of networks."""
    return [sum(parameter.numel() for parameter in network.parameters()) for network in networks]


def compare(case: Case, clones: Path, *, gamma: float, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of batches of ours and of steps of theirs, in pairs.

    Raises:
        ValueError: if the networks have other numbers of parameters. (mimicry's critic has one bias more.)
    """
    torch.manual_seed(0)
    with redirect_stdout(StringIO()):  # theirs print while they are made
        peer = case.theirs(clones, width=case.width, batch=case.batch, gamma=gamma)
    model = case.ours(case.width)
    found = parameters_of(model.generator, model.discriminator), parameters_of(peer.generator, peer.discriminator)
    if any(abs(ours - theirs) > case.difference * theirs for ours, theirs in zip(*found, strict=True)):
        raise ValueError(f"the networks have {found[0]} and {found[1]} parameters, so that a comparison says nothing")
    alternate = AlternateFor(peer.step, seconds=seconds)
    images = torch.randint(256, (64 * case.batch, 3, case.size, case.size), dtype=torch.uint8)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*([R1(gamma=gamma)] if gamma else []), *([EMA()] if case.has_average else []), alternate],
    )
    data = TensorDataset(images, torch.arange(len(images)) % 10)
    trainer.fit(model, DataLoader(data, batch_size=case.batch, shuffle=True))
    return alternate.trainer_seconds[WARM_UP:], alternate.step_seconds[WARM_UP:]


def print_rows(name: str, clones: Path, *, seconds: float, threads: int) -> None:
    """Print a row of the table for each penalty of a case."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    case = CASES[name]
    if case.clone is not None and not (clones / case.clone).is_dir():
        print(f"{name}: left out, because {clones / case.clone} is not there", file=sys.stderr)
        return
    for penalty in case.penalties:
        ours, theirs = compare(case, clones, gamma=SETTINGS[penalty], seconds=seconds)
        low, middle, high = statistics.quantiles([b / a for a, b in zip(ours, theirs, strict=True)], n=4)
        paces = [case.batch / statistics.median(times) for times in (ours, theirs)]
        print(
            f"| {name} | {penalty} | {paces[0]:.1f} | {paces[1]:.1f} | **{middle:.2f}** | {low:.2f} to {high:.2f} | "
            f"{len(ours)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=Path, default=Path("clones"), help="folder of the peers' clones")
    parser.add_argument("--case", choices=CASES, help="one case; without it all")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of pairs for each row")
    parser.add_argument("--threads", type=int, default=1, help="threads of both")
    options = parser.parse_args()
    if options.case is not None:
        print_rows(options.case, options.clones, seconds=options.seconds, threads=options.threads)
        return
    print("| peer | penalty | ours, img/s | theirs, img/s | theirs / ours in time | quartiles | pairs |")
    print("|---" * 7 + "|", flush=True)
    for name in CASES:
        settings = ["--clones", str(options.clones), "--seconds", str(options.seconds)]
        command = [sys.executable, __file__, *settings, "--threads", str(options.threads), "--case", name]
        subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})


if __name__ == "__main__":
    main()
