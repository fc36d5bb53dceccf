"""What each penalty costs: a critic's turn with it beside one without, in every turn and in every 16th.

    python benchmarks/penalties.py [--width 128] [--batch 16]

The critic is WGAN-GP's residual network for 32x32 (Gulrajani et al. 2017, arXiv:1704.00028, appendix C), 128 channels
wide. A turn is the two looks, the loss, the penalty, the backward and Adam's step. Times are medians of plain and
penalised turns that alternate; a penalty in every 16th turn costs a 16th of the difference. "saved" is what autograd
keeps for the backward.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lightning_gan.callbacks import (
    BCR,
    CR,
    DRAGAN,
    R1,
    R2,
    ConsistencyTerm,
    DivergencePenalty,
    Drift,
    FiniteDifferenceR1,
    GradientPenalty,
    LeCam,
    LipschitzPenalty,
    QuadraticPotential,
    Roth,
    ZCRDiscriminator,
    ZeroCenteredGradientPenalty,
)
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.optimizers import GANAdam

LATENT = 128


class Block(nn.Module):
    """ReLU, convolution, ReLU, convolution, beside a 1x1 shortcut; half the size if asked."""

    def __init__(self, inputs: int, outputs: int, *, down: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.Dropout2d(0.2),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.down = down

    def forward(self, features: Tensor) -> Tensor:
        features = self.shortcut(features) + self.body(features)
        return avg_pool2d(features, 2) if self.down else features


class Critic(nn.Module):
    """Four blocks, 32 to 8 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, width, down=True),
            Block(width, width, down=True),
            Block(width, width, down=False),
            Block(width, width, down=False),
        )
        self.pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.output = nn.Linear(width, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.pool(self.blocks(images)))
        return logits


class Generator(nn.Module):
    """As small as can be: only the critic's turn is measured, with fakes made beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(LATENT, 3 * 32 * 32)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layer(latents).view(-1, 3, 32, 32)


def turn(model: GAN, adam: GANAdam, penalty: Penalty | None, *, batch: int) -> Callable[[], None]:
    """One critic's turn, with fixed images."""
    real = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    fake = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    latents = torch.randn(batch, LATENT)
    due = () if penalty is None else (penalty,)

    def step() -> None:
        adam.zero_grad()
        images = real.detach().requires_grad_(any(p.differentiates_real for p in due))
        terms, *_ = model.cost(
            "discriminator",
            due,
            Reals(images=images, labels=None),
            Draws(latents=latents, labels=None),
            fake.detach().requires_grad_(any(p.differentiates_fake for p in due)),
        )
        torch.stack(list(terms.values())).sum().backward()
        adam.step()

    return step


def saved_mebibytes(step: Callable[[], None]) -> float:
    """What autograd holds for the backward when it begins, each storage once."""
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(held.values()) / 2**20


def seconds_in_turns(steps: list[Callable[[], None]], *, rounds: int) -> list[float]:
    """Medians of each step's seconds; they take turns, so that a slow moment of the machine hits all of them."""
    seconds: list[list[float]] = [[] for _ in steps]
    for round_ in range(rounds + 4):
        for index, step in enumerate(steps):
            started = time.perf_counter()
            step()
            if round_ >= 4:  # the first ones warm up
                seconds[index].append(time.perf_counter() - started)
    return [statistics.median(values) for values in seconds]


def penalties() -> list[Penalty]:
    """One of each that joins the critic's turn and needs no special network."""
    return [
        R1(),
        R2(),
        FiniteDifferenceR1(),
        GradientPenalty(),
        LipschitzPenalty(),
        ZeroCenteredGradientPenalty(),
        DivergencePenalty(),
        DRAGAN(),
        Roth(),
        ConsistencyTerm(),
        Drift(),
        QuadraticPotential(),
        LeCam(),
        CR(),
        BCR(),
        ZCRDiscriminator(),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = GAN(generator=Generator(), discriminator=Critic(options.width), latent_dim=LATENT).train()
    adam = GANAdam(model.discriminator.parameters(), lr=1e-5)
    plain = turn(model, adam, None, batch=options.batch)
    plain_saved = saved_mebibytes(plain)
    print(f"critic's turn, batch {options.batch}, width {options.width}, {torch.get_num_threads()} threads")
    print(f"{'':28}{'ms':>8}{'every turn':>12}{'every 16th':>12}{'saved MiB':>11}")
    for index, penalty in enumerate(penalties()):
        penalised = turn(model, adam, penalty, batch=options.batch)
        without, with_it = seconds_in_turns([plain, penalised], rounds=options.rounds)
        if index == 0:
            print(f"{'plain':28}{1000 * without:8.0f}{1.0:11.2f}x{1.0:11.2f}x{plain_saved:11.0f}")
        ratio = with_it / without
        lazy = 1 + (ratio - 1) / 16
        saved = saved_mebibytes(penalised)
        print(f"{type(penalty).__name__:28}{1000 * with_it:8.0f}{ratio:11.2f}x{lazy:11.2f}x{saved:11.0f}", flush=True)


if __name__ == "__main__":
    main()
