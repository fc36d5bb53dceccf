"""Small GANs on mixtures of Gaussians in the plane: the number of modes that a generator finds with each regularizer.

The mixtures, 8 Gaussians on a ring and 25 on a grid, and the measure are those of Srivastava et al. 2017,
arXiv:1705.07761, section 4.1, but the centres are in [-1, 1] and both standard deviations are 0.02. A sample is of high
quality if it is within three standard deviations of a centre, and a mode is found if it has such a sample. Points are
images of two channels and one pixel, so that the package's own loop can train these networks.
"""

import logging
import math
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_gan.callbacks import EMA, R1, R2
from lightning_gan.callbacks.regularizers.game_dynamics import ConsensusOptimization
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Latents, Logits

LATENT_DIM = 2
BATCH_SIZE = 256
WIDTH = 64
LEARNING_RATE = 0.003


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of Gaussians of equal weight in the plane.

    Attributes:
        name: name of the mixture.
        centres: coordinates of the Gaussians' centres.
        deviation: standard deviation of each Gaussian.
        batches: number of batches for which the study trains on it.
    """

    name: str
    centres: tuple[tuple[float, float], ...]
    deviation: float
    batches: int

    def draw(self, count: int, *, seed: int) -> Images:
        """Draws `count` points as images of two channels and one pixel, `count 2 1 1`."""
        generator = torch.Generator().manual_seed(seed)
        centres = torch.tensor(self.centres)
        chosen = centres[torch.randint(len(centres), (count,), generator=generator)]
        points = chosen + self.deviation * torch.randn(count, 2, generator=generator)
        return rearrange(points, "batch coordinates -> batch coordinates 1 1")


RING = Mixture(
    name="8 Gaussians on a ring",
    centres=tuple((math.cos(math.pi * k / 4), math.sin(math.pi * k / 4)) for k in range(8)),
    deviation=0.02,
    batches=1000,
)
GRID = Mixture(
    name="25 Gaussians on a grid",
    centres=tuple((x / 2, y / 2) for x in range(-2, 3) for y in range(-2, 3)),
    deviation=0.02,
    batches=3000,
)
MIXTURES = (RING, GRID)


def coverage(samples: Float[Tensor, "batch 2"], mixture: Mixture) -> tuple[int, float]:
    """Returns the number of modes found, and the share of samples within three standard deviations of a centre.

    Example:
        >>> coverage(torch.tensor([[1.0, 0.0], [1.0, 0.05], [0.0, 0.0], [-1.0, 0.01]]), RING)
        (2, 0.75)
    """
    distances, nearest = torch.cdist(samples, samples.new_tensor(mixture.centres)).min(dim=1)
    good = distances <= 3 * mixture.deviation
    return int(torch.bincount(nearest[good]).count_nonzero()), float(good.float().mean())


class MixtureGenerator(nn.Module):
    """A generator with three hidden layers; it maps latents, `batch 2`, to points, `batch 2 1 1`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENT_DIM, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, 2),
        )  # fmt: skip

    def forward(self, latents: Latents) -> Images:
        """Returns points, `batch 2 1 1`."""
        points: Tensor = self.layers(latents)
        return rearrange(points, "batch coordinates -> batch coordinates 1 1")


class MixtureCritic(nn.Module):
    """A discriminator with three hidden layers; it has no normalization, because gradient penalties do not allow it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2, WIDTH), nn.LeakyReLU(0.2),
            nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2),
            nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2),
            nn.Linear(WIDTH, 1),
        )  # fmt: skip

    def forward(self, images: Images) -> Logits:
        """Returns logits, `batch 1`, of points, `batch 2 1 1`."""
        logits: Logits = self.layers(images)
        return logits


class MixtureBatches(IterableDataset[Tensor]):
    """Endless batches of a mixture; each is a function of the seed and of its number.

    Args:
        mixture: mixture to draw from.
        seed: seed of the batches.
    """

    def __init__(self, mixture: Mixture, *, seed: int) -> None:
        self.mixture, self.seed = mixture, seed

    def __iter__(self) -> Iterator[Tensor]:
        batch = 0
        while True:
            yield self.mixture.draw(BATCH_SIZE, seed=derived_seed(self.seed, self.mixture.name, batch))
            batch += 1


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A regularizer to compare.

    Attributes:
        name: name of the regularizer.
        callbacks: callbacks to add to the trainer; they have state, so that a contender can be trained only once.
    """

    name: str
    callbacks: tuple[Callback, ...] = ()


def contenders() -> list[Contender]:
    """Returns all regularizers to compare, with new callbacks."""
    return [
        Contender(name="no regularizer"),
        Contender(name="consensus, γ = 0.1", callbacks=(ConsensusOptimization(gamma=0.1),)),
        Contender(name="R1, γ = 0.02", callbacks=(R1(gamma=0.02),)),
        Contender(name="R1 + R2, γ = 0.02 each", callbacks=(R1(gamma=0.02), R2(gamma=0.02))),
    ]


@dataclass(frozen=True, kw_only=True)
class MixtureOutcome:
    """The result of one training.

    Attributes:
        mixture: mixture that the networks were trained on.
        regularizer: name of the contender.
        samples: points sampled from the generator with averaged weights.
        modes_found: number of the mixture's modes that the samples cover.
        high_quality: share of the samples within three standard deviations of a centre, in [0, 1].
    """

    mixture: Mixture
    regularizer: str
    samples: Float[Tensor, "batch 2"]
    modes_found: int
    high_quality: float


def train(
    mixture: Mixture, contender: Contender, *, batches: int, seed: int, sample_count: int = 2500
) -> MixtureOutcome:
    """Trains two small networks and samples from the generator with averaged weights.

    Args:
        mixture: mixture to train on.
        contender: regularizer to train with.
        batches: number of training batches.
        seed: seed of the weights, the data and the latents.
        sample_count: number of points to sample after training.
    """
    torch.manual_seed(derived_seed(seed, "weights"))
    optimizer = partial(GANAdam, lr=LEARNING_RATE)
    gan = GAN(
        generator=MixtureGenerator(),
        discriminator=MixtureCritic(),
        latent_dim=LATENT_DIM,
        training=Training(generator_optimizer=optimizer, discriminator_optimizer=optimizer, seed=seed),
    )
    with quiet():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=batches,
            callbacks=[*contender.callbacks, EMA(half_life_kimg=BATCH_SIZE * batches / 1000 / 40)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(gan, DataLoader(MixtureBatches(mixture, seed=seed), batch_size=None))
    samples = rearrange(
        gan.sample(*gan.draw_latents(sample_count, seed=seed)), "batch coordinates 1 1 -> batch coordinates"
    )
    modes_found, high_quality = coverage(samples, mixture)
    return MixtureOutcome(
        mixture=mixture,
        regularizer=contender.name,
        samples=samples,
        modes_found=modes_found,
        high_quality=high_quality,
    )


def compare(mixtures: tuple[Mixture, ...], *, seed: int, share_of_batches: float = 1.0) -> list[MixtureOutcome]:
    """Trains with every contender on every mixture, each in one process, because the networks cannot use several cores.

    Args:
        mixtures: mixtures to train on.
        seed: seed of every training.
        share_of_batches: share of the mixtures' number of batches to train for, in (0, 1].
    """
    trainings = [(mixture, contender) for mixture in mixtures for contender in contenders()]
    # Processes are spawned and not forked, because a fork of a process with threads may hang.
    with ProcessPoolExecutor(
        max_workers=min(len(trainings), os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        running = [
            pool.submit(train, mixture, contender, batches=max(1, round(mixture.batches * share_of_batches)), seed=seed)
            for mixture, contender in trainings
        ]
        return [training.result() for training in running]


@contextmanager
def quiet() -> Iterator[None]:
    """Turns off Lightning's messages about hardware and its warnings about loaders, inside the `with` block."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)


def table(outcomes: list[MixtureOutcome]) -> str:
    """Returns the outcomes as a Markdown table."""
    rows = ["| mixture | regularizer | modes found | samples of high quality |", "|---|---|---|---|"]
    rows += [
        f"| {outcome.mixture.name} | {outcome.regularizer} | {outcome.modes_found} of {len(outcome.mixture.centres)} "
        f"| {100 * outcome.high_quality:.1f} % |"
        for outcome in outcomes
    ]
    return "\n".join(rows)
