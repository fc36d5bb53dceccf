"""Modules with labels, with penalties on the generator, and with vectors instead of images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks.regularizers.gradient_penalty import R1, R2, GradientPenalty
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.foreign.structures import tensors_of
from lightning_gan.loop.turn import Player, Turn
from tests.toys import LATENT, ToyCritic, ToyGenerator, toy_images, toy_trainer


@dataclass
class Sample:
    image: Tensor


def test_tensors_are_found_in_batches_of_any_kind() -> None:
    one, two, three = torch.zeros(1), torch.ones(1), torch.ones(2)
    assert list(tensors_of({"a": [one, ("text", 3)], "b": Sample(image=two), "c": (three, None)})) == [one, two, three]


# ---------------------------------------------------------------------- modules with other networks


class Conditional(LightningModule):
    """A conditional game: real images have the batch's labels, fakes have others."""

    def __init__(self, *, by_hand: str = "") -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = ToyGenerator(classes=3), ToyCritic(classes=3)
        self.by_hand = by_hand

    def training_step(self, batch: Any, batch_idx: int) -> None:
        d, g = self.optimizers()  # type: ignore[attr-defined]
        real, labels = batch
        other = (labels + 1) % 3
        latents = torch.randn(len(real), LATENT)
        fake = self.generator(latents, labels=other)
        d.zero_grad()
        loss = self.discriminator(fake.detach(), labels=other).mean() - self.discriminator(real, labels=labels).mean()
        if self.by_hand in ("real", "fake"):
            x = (real if self.by_hand == "real" else fake).detach().requires_grad_()
            logits = self.discriminator(x, labels=labels if self.by_hand == "real" else other)
            (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
            loss = loss + slope.flatten(1).square().sum(1).mean()
        self.manual_backward(loss)
        d.step()
        g.zero_grad()
        loss = -self.discriminator(fake, labels=other).mean()
        if self.by_hand == "generator":
            loss = loss + self.generator(latents, labels=other).square().mean()
        self.manual_backward(loss)
        g.step()

    def configure_optimizers(self) -> list[Any]:
        return [torch.optim.SGD(network.parameters(), lr=0.05) for network in (self.discriminator, self.generator)]


@dataclass(kw_only=True, eq=False)
class SmallImages(Penalty):
    """A penalty on the generator."""

    name: ClassVar[str] = "small"
    player: ClassVar[Player] = "generator"

    weight: float = 1.0

    def penalty(self, turn: Turn) -> Tensor:
        assert turn.fake.requires_grad
        return turn.fake.square().mean()


def trained(module: LightningModule, *penalties: Penalty) -> list[Tensor]:
    data = TensorDataset(toy_images(16), torch.arange(16) % 3)
    torch.manual_seed(5)
    toy_trainer(*penalties, limit_train_batches=4).fit(module, DataLoader(data, batch_size=4))
    return [parameter.detach() for parameter in module.parameters()]


def conditional(by_hand: str = "") -> Conditional:
    torch.manual_seed(3)
    return Conditional(by_hand=by_hand)


@pytest.mark.parametrize(
    ("by_hand", "penalty"), [("real", R1(gamma=2.0)), ("fake", R2(gamma=2.0)), ("generator", SmallImages())]
)
def test_labels_go_with_their_images_and_generators_can_be_penalized(by_hand: str, penalty: Penalty) -> None:
    ours, theirs = trained(conditional(), penalty), trained(conditional(by_hand))
    plain = trained(conditional())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert any((one - other).abs().max() > 1e-3 for one, other in zip(ours, plain, strict=True))


class Flat(LightningModule):
    """Critic and generator of vectors, under automatic optimization."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = nn.Linear(2, 16).requires_grad_(False), nn.Linear(16, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        flat = batch[0].flatten(1)
        cost: Tensor = self.discriminator(self.generator(torch.randn(4, 2))).mean() - self.discriminator(flat).mean()
        return cost

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.discriminator.parameters(), lr=0.0)


def test_a_critic_of_vectors_gets_vectors() -> None:
    module = Flat()
    shapes: list[tuple[int, ...]] = []
    module.discriminator.register_forward_hook(lambda _, inputs, output: shapes.append(tuple(inputs[0].shape)))
    trained(module, R1(gamma=2.0), GradientPenalty(weight=1.0))
    assert set(shapes) == {(4, 16)}
    slope = module.discriminator.weight.square().sum()
    torch.testing.assert_close(module.trainer.callback_metrics["discriminator/r1"], slope.detach())
