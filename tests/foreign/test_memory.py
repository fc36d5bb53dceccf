"""Penalties keep no graphs, and leave buffers to the module."""

import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1, R2, GradientPenalty, LeCam, ZCRGenerator
from lightning_gan.layers.buffers import unmoved_buffers
from tests.foreign.games import IMAGES, NAMES, Critic, Game, check_equal, distance, fit, r1

ALIVE = [0]


class Saved:
    """An activation that autograd has saved, and counts while it is alive."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()
        ALIVE[0] += self.tensor.nbytes

    def __del__(self) -> None:
        ALIVE[0] -= self.tensor.nbytes


class FiveTurns(Game):
    """Five turns of the critic for one batch, on fakes that nothing else keeps."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        _, critic = self.optimizers()  # type: ignore[attr-defined]
        self.bytes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            for _ in range(5):
                fake = self.G(torch.randn(4, 1, 40, 40, dtype=torch.float64)).detach()[:, :, :4, :4]
                self.play(critic, self.loss(self.D(batch), self.D(fake)))
                self.bytes.append(ALIVE[0])


@pytest.mark.parametrize("penalty", [R1, R2, GradientPenalty, LeCam])
def test_no_graph_of_the_generator_outlives_its_turn(penalty: Any) -> None:
    gc.collect()
    plain = fit(FiveTurns, IMAGES, limit_train_batches=1).bytes
    gc.collect()
    ours = fit(FiveTurns, IMAGES, penalty(**NAMES), limit_train_batches=1).bytes
    assert plain == ours == [ours[0]] * 5


class Normalized(Game):
    """PyTorch's tutorial: fakes are made once per batch, the critic comes first, and both have batch normalization."""

    def make_generator(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Tanh(), nn.Conv2d(2, 1, 1))

    def make_critic(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> None:
        generator, critic = self.optimizers()  # type: ignore[attr-defined]
        fake = self.fakes(batch)
        self.play(critic, self.loss(self.D(batch), self.D(fake.detach())) + self.by_hand(self.D, batch, fake.detach()))
        self.play(generator, softplus(-self.D(fake)).mean() + self.of_generator())

    def of_generator(self) -> Tensor | float:
        return 0.0


@pytest.mark.filterwarnings("ignore:R1. the critic has batch normalization")
def test_batch_normalization_in_both_networks_is_no_obstacle() -> None:
    module = check_equal(Normalized, IMAGES, R1(**NAMES), r1)
    plain = fit(Normalized, IMAGES)
    for name, buffer in module.named_buffers():
        assert name.endswith("tracked") is torch.equal(buffer, dict(plain.named_buffers())[name]), name


def test_a_penalty_that_runs_a_generator_with_batch_normalization_equals_that_by_hand() -> None:
    """By hand the second forward pass would move the running statistics; training does not use them."""
    kept: dict[str, Tensor] = {}

    class Latents(Normalized):
        def fakes(self, images: Tensor) -> Tensor:
            kept["latents"] = torch.randn_like(images)
            made: Tensor = self.G(kept["latents"])
            return made

    class Rewarded(Latents):
        def of_generator(self) -> Tensor:
            latents = kept["latents"]
            first = self.G(latents)
            return -0.5 * (first - self.G(latents + 0.05 * torch.randn_like(latents))).square().mean()

    ours = fit(Latents, IMAGES, ZCRGenerator(weight=0.5, **NAMES))
    hand = fit(Rewarded, IMAGES)
    assert distance(ours, hand) < 1e-12 < 1e-6 < distance(ours, fit(Latents, IMAGES))


def test_the_networks_own_buffers_are_theirs_again() -> None:
    module = fit(Normalized, IMAGES)
    before = {name: (id(buffer), buffer._version) for name, buffer in module.named_buffers()}
    with unmoved_buffers(module.G, module.D):
        module.D(torch.randn(4, 1, 4, 4, dtype=torch.float64))
    assert {name: (id(buffer), buffer._version) for name, buffer in module.named_buffers()} == before


def test_a_shared_buffer_has_one_copy() -> None:
    first, second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    second.running_mean = first.running_mean
    with unmoved_buffers(first, second):
        assert second.running_mean is first.running_mean
        first(torch.randn(4, 2))
    assert torch.equal(second.running_mean, torch.zeros(2))  # type: ignore[arg-type]


def test_the_critic_keeps_no_hooks() -> None:
    module = fit(Game, IMAGES, R1(**NAMES))
    assert isinstance(module.D, Critic) and not module.D._forward_pre_hooks
