"""Small games of other people's shapes, and their twins with a penalty written into the critic's turn.

A game calls `self.by_hand(score, real, fake)` where its author would add a penalty: `score` is a function of images
with all other arguments of the critic's call. Everything runs in fp64, so that equal means equal to 1e-12.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_gan.callbacks import R1, R2, GradientPenalty
from tests.toys import toy_trainer

Score: TypeAlias = Callable[[Tensor], Tensor]
ByHand: TypeAlias = Callable[[Score, Tensor, Tensor], Tensor]
"""A penalty of (score, real, fake)."""

NAMES: dict[str, Any] = {"discriminator": "D", "generator": "G"}


def slopes(score: Score, images: Tensor) -> Tensor:
    """The squared norm of the score's gradient by every image."""
    images = images.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(score(images).sum(), images, create_graph=True)
    return slope.flatten(1).square().sum(1)


def r1(score: Score, real: Tensor, fake: Tensor) -> Tensor:
    return 5.0 * slopes(score, real).mean()


def r2(score: Score, real: Tensor, fake: Tensor) -> Tensor:
    return 5.0 * slopes(score, fake).mean()


def gradient_penalty(score: Score, real: Tensor, fake: Tensor) -> Tensor:
    e = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype)
    return 10.0 * (slopes(score, real + e * (fake - real)).sqrt() - 1).square().mean()


class Generator(nn.Module):
    """Images of one channel to images of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, source: Tensor) -> Tensor:
        images: Tensor = self.conv(source).tanh()
        return images


class Critic(nn.Module):
    """4x4 images to one score."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(64, 1)

    def forward(self, image: Tensor) -> Tensor:
        score: Tensor = self.last(self.conv(image).tanh().flatten(1))
        return score


def noise_like(images: Tensor) -> Tensor:
    return torch.randn_like(images)


def adam(*networks: nn.Module) -> Optimizer:
    """Without momentum, and with an epsilon that keeps rounding of tiny gradients from becoming steps."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=0.01, betas=(0.0, 0.99), eps=1e-3)


class Game(LightningModule):
    """The critic's turn first, then the generator's. Subclasses change the turns."""

    generator_first: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G, self.D = self.make_generator(), self.make_critic()

    def make_generator(self) -> nn.Module:
        return Generator()

    def make_critic(self) -> nn.Module:
        return Critic()

    def configure_optimizers(self) -> Any:
        return [adam(self.G), adam(self.D)]

    def by_hand(self, score: Score, real: Tensor, fake: Tensor) -> Tensor | float:
        """Where the author would add a penalty."""
        return 0.0

    def fakes(self, images: Tensor) -> Tensor:
        made: Tensor = self.G(noise_like(images))
        return made

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        return self.loss(self.D(batch), self.D(fake)) + self.by_hand(self.D, batch, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(self.fakes(batch))).mean()

    @staticmethod
    def loss(real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def play(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        generator, critic = self.optimizers()  # type: ignore[attr-defined]
        if self.generator_first:
            self.play(generator, self.generator_loss(batch))
        self.play(critic, self.critic_loss(batch))
        if not self.generator_first:
            self.play(generator, self.generator_loss(batch))


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic, self.text = Critic(), nn.Linear(3, 1)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        scores: Tensor = self.critic(image) * (1 + self.text(text).tanh())
        return scores


class MatchingAware(Game):
    """Real images with wrong texts count as fakes."""

    def make_critic(self) -> nn.Module:
        return Projected()

    def critic_loss(self, batch: Any) -> Tensor:
        x, text = batch
        fake = self.fakes(x).detach()
        loss = self.loss(self.D(x, text), self.D(fake, text)) + softplus(self.D(x, text.roll(1, 0))).mean()
        return loss + self.by_hand(lambda images: self.D(images, text), x, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(self.fakes(batch[0]), batch[1])).mean()


class Items(Dataset[Any]):
    """Items of any kind."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def randoms(*shape: int, count: int = 16, seed: int = 3) -> list[Tensor]:
    """Fixed random samples."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=torch.float64, generator=random) for _ in range(count)]


IMAGES = randoms(1, 4, 4)
PAIRS = list(zip(randoms(1, 4, 4, seed=4), IMAGES, strict=True))
"""Two different images per item."""
WITH_VECTORS = list(zip(IMAGES, randoms(3, seed=5), strict=True))
"""An image and a vector per item."""


def fit(kind: type[LightningModule], items: Sequence[Any], *callbacks: Callback, **settings: Any) -> LightningModule:
    """A module after four batches of four."""
    torch.manual_seed(1)
    module = kind()
    torch.manual_seed(2)
    trainer = toy_trainer(*callbacks, **{"precision": "64-true", "limit_train_batches": 4, **settings})
    trainer.fit(module, DataLoader(Items(items), batch_size=4))
    return module


def distance(first: LightningModule, second: LightningModule) -> float:
    """Largest difference of two weights of the same name."""
    theirs = dict(second.named_parameters())
    return max((own - theirs[name]).abs().max().item() for name, own in first.named_parameters())


def twin_of(kind: type[LightningModule], penalty: ByHand) -> type[LightningModule]:
    """The same game with a penalty in the critic's turn."""
    return type(f"{kind.__name__}ByHand", (kind,), {"by_hand": lambda self, *given: penalty(*given)})


def check_equal(
    kind: type[LightningModule], items: Sequence[Any], callback: Callback, by_hand: ByHand, **settings: Any
) -> LightningModule:
    """Check that a game ends with the weights of the penalty by hand, and that these differ from those without."""
    ours, hand = fit(kind, items, callback, **settings), fit(twin_of(kind, by_hand), items, **settings)
    assert distance(ours, hand) < 1e-12
    assert distance(fit(kind, items, **settings), hand) > 1e-4
    return ours


PENALTIES: list[tuple[Any, ByHand]] = [(R1, r1), (R2, r2), (GradientPenalty, gradient_penalty)]
"""Penalties of this package, and the same by hand."""
