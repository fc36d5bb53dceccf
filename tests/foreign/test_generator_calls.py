"""Penalties on latents repeat the generator's own call, or are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import ZCRDiscriminator, ZCRGenerator
from tests.foreign.games import IMAGES, NAMES, PAIRS, Game, Generator, distance, fit


class Guided(nn.Module):
    """A condition comes before the latents."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator()

    def forward(self, style: Tensor, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z + 0.5 * style)
        return images


class GuidedGame(Game):
    def make_generator(self) -> nn.Module:
        return Guided()

    def critic_loss(self, batch: Any) -> Tensor:
        style, x = batch
        z = torch.randn_like(x)
        fake = self.finish(self.G(style, z)).detach()
        loss = self.loss(self.D(x), self.D(fake))
        return loss + self.of_critic(fake, style, z)

    def generator_loss(self, batch: Any) -> Tensor:
        style, x = batch
        z = torch.randn_like(x)
        fake = self.G(style, z)
        return softplus(-self.D(fake)).mean() + self.of_generator(fake, style, z)

    def finish(self, images: Tensor) -> Tensor:
        return images

    def of_critic(self, fake: Tensor, style: Tensor, z: Tensor) -> Tensor | float:
        return 0.0

    def of_generator(self, fake: Tensor, style: Tensor, z: Tensor) -> Tensor | float:
        return 0.0


class ByHand(GuidedGame):
    def of_generator(self, fake: Tensor, style: Tensor, z: Tensor) -> Tensor:
        return -0.5 * (fake - self.G(style, z + 0.05 * torch.randn_like(z))).square().mean()


class CriticByHand(GuidedGame):
    def of_critic(self, fake: Tensor, style: Tensor, z: Tensor) -> Tensor:
        with torch.no_grad():
            stepped = self.G(style, z + 0.05 * torch.randn_like(z))
        score: Tensor = 20.0 * (self.D(fake) - self.D(stepped)).square().mean()
        return score


def test_the_latents_among_several_arguments_must_be_said() -> None:
    with pytest.raises(
        ValueError,
        match=r"ZCRGenerator: which argument holds the latents cannot be told: 'G' was called with \(style: 4x1x4x4, "
        r"z: 4x1x4x4\); say which argument they are: latents=",
    ):
        fit(GuidedGame, PAIRS, ZCRGenerator(**NAMES))
    with pytest.raises(ValueError, match="there is no latents='w'"):
        fit(GuidedGame, PAIRS, ZCRGenerator(latents="w", **NAMES))
    ours = fit(GuidedGame, PAIRS, ZCRGenerator(latents="z", weight=0.5, noise=0.05, **NAMES))
    assert distance(ours, fit(ByHand, PAIRS)) < 1e-12 < 1e-6 < distance(ours, fit(GuidedGame, PAIRS))


def test_the_critics_penalty_gets_the_same_condition() -> None:
    ours = fit(GuidedGame, PAIRS, ZCRDiscriminator(latents="z", weight=20.0, noise=0.05, **NAMES))
    assert distance(ours, fit(CriticByHand, PAIRS)) < 1e-12 < 1e-6 < distance(ours, fit(GuidedGame, PAIRS))


def test_latents_of_fakes_that_were_changed_are_refused() -> None:
    class Clamped(GuidedGame):
        def finish(self, images: Tensor) -> Tensor:
            return images.clamp(-0.5, 0.5)

    with pytest.raises(ValueError, match="the fakes of 4x1x4x4 are no output of 'G' as it is in this batch"):
        fit(Clamped, PAIRS, ZCRDiscriminator(latents="z", **NAMES))


class Twice(Game):
    """The generator makes two images in its turn."""

    def generator_loss(self, batch: Any) -> Tensor:
        fakes, latents = [], []
        for _ in range(2):
            latents.append(torch.randn_like(batch))
            fakes.append(self.G(latents[-1]))
        return torch.stack([softplus(-self.D(fake)).mean() for fake in fakes]).mean() + self.rewards(fakes, latents)

    def rewards(self, fakes: list[Tensor], latents: list[Tensor]) -> Tensor | float:
        return 0.0


class TwiceByHand(Twice):
    def rewards(self, fakes: list[Tensor], latents: list[Tensor]) -> Tensor:
        pairs = zip(fakes, latents, strict=True)
        return -torch.stack([(y - self.G(z + 0.05 * torch.randn_like(z))).square().mean() for y, z in pairs]).mean() / 2


def test_several_calls_are_refused_or_averaged() -> None:
    with pytest.raises(ValueError, match=r"'G' was called 2 times in its turn; for the mean .* mean_over_calls=True"):
        fit(Twice, IMAGES, ZCRGenerator(**NAMES))
    ours = fit(Twice, IMAGES, ZCRGenerator(mean_over_calls=True, weight=0.5, noise=0.05, **NAMES))
    assert distance(ours, fit(TwiceByHand, IMAGES)) < 1e-12 < 1e-6 < distance(ours, fit(Twice, IMAGES))


def test_images_beside_other_outputs_are_those_that_the_critic_gets() -> None:
    class Styled(Generator):
        def forward(self, source: Tensor) -> Any:
            return self.conv(source).flatten(1), super().forward(source)

    class StyledGame(Game):
        def make_generator(self) -> nn.Module:
            return Styled()

        def fakes(self, images: Tensor) -> Tensor:
            made: Tensor = self.G(torch.randn_like(images))[1]
            return made

    ours = fit(StyledGame, IMAGES, ZCRGenerator(weight=0.5, **NAMES))
    plain = fit(Game, IMAGES, ZCRGenerator(weight=0.5, **NAMES))
    assert distance(ours, plain) < 1e-12
