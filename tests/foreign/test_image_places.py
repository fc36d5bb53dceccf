"""The image among the arguments of a critic is identified, or refused until `image` names it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1
from tests.foreign.games import (
    IMAGES,
    NAMES,
    PAIRS,
    PENALTIES,
    WITH_VECTORS,
    ByHand,
    Critic,
    Game,
    Generator,
    check_equal,
    fit,
    noise_like,
    r1,
)


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic = Critic(2)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        scores: Tensor = self.critic(torch.cat([low, high], 1))
        return scores


class Upscaling(Game):
    """Super-resolution: the condition comes first."""

    limit = 2.0

    def make_critic(self) -> nn.Module:
        return Conditional()

    def fakes(self, low: Tensor) -> Tensor:
        made: Tensor = self.G(low)
        return made if self.limit > 1 else made.clamp(-self.limit, self.limit)

    def critic_loss(self, batch: Any) -> Tensor:
        low, high = batch
        fake = self.fakes(low).detach()
        return self.loss(self.D(low, high), self.D(low, fake)) + self.by_hand(lambda x: self.D(low, x), high, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(batch[0], self.fakes(batch[0]))).mean()


class Clamped(Upscaling):
    limit = 0.3


class ClampedGeneratorFirst(Clamped):
    generator_first = True


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_images_that_share_memory_with_the_generators_show_their_place(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Upscaling, PAIRS, penalty(**NAMES), by_hand)


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_the_generators_turn_shows_the_place_of_images_that_were_changed(penalty: Any, by_hand: ByHand) -> None:
    check_equal(ClampedGeneratorFirst, PAIRS, penalty(**NAMES), by_hand)


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_an_unknown_place_is_refused_and_can_be_said(penalty: Any, by_hand: ByHand) -> None:
    with pytest.raises(
        ValueError,
        match=r"which argument holds the images cannot be told; 'D' was called twice, with 0: \(low: 4x1x4x4 of the "
        r"batch, high: 4x1x4x4 of the batch\), 1: .*; the batch is a list of \(0: 4x1x4x4, 1: 4x1x4x4\); "
        r".*\(image='high'\)",
    ):
        fit(Clamped, PAIRS, penalty(**NAMES))
    check_equal(Clamped, PAIRS, penalty(image="high", **NAMES), by_hand)
    check_equal(Clamped, PAIRS, penalty(image="high", real=lambda batch: batch[1], **NAMES), by_hand)


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"R1: not every call has a tensor .* image='x'; 'D' was called twice"):
        fit(Upscaling, PAIRS, R1(image="x", **NAMES))


class Camera(nn.Module):
    """Images in a dictionary, and a camera."""

    def __init__(self) -> None:
        super().__init__()
        self.critic, self.camera = Critic(), nn.Linear(3, 1)

    def forward(self, images: dict[str, Tensor], camera: Tensor) -> Tensor:
        scores: Tensor = self.critic(images["image"]) * (1 + self.camera(camera).tanh())
        return scores


class Filmed(Game):
    change = staticmethod(lambda images: images)

    def make_critic(self) -> nn.Module:
        return Camera()

    def critic_loss(self, batch: Any) -> Tensor:
        x, camera = batch
        fake = self.change(self.fakes(x)).detach()
        loss = self.loss(self.D({"image": x}, camera), self.D({"image": fake}, camera))
        return loss + self.by_hand(lambda images: self.D({"image": images}, camera), x, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D({"image": self.change(self.fakes(batch[0]))}, batch[1])).mean()


class FilmedWithNoise(Filmed):
    change = staticmethod(lambda images: images + 0.1 * torch.randn_like(images))


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_images_are_found_in_dictionaries(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Filmed, WITH_VECTORS, penalty(**NAMES), by_hand)
    with pytest.raises(ValueError, match=r"images.image: 4x1x4x4 unknown, camera: 4x3 of the batch"):
        fit(FilmedWithNoise, WITH_VECTORS, penalty(**NAMES))
    check_equal(FilmedWithNoise, WITH_VECTORS, penalty(image="images.image", **NAMES), by_hand)


class Scales(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic = Critic()

    def forward(self, *scales: list[Tensor]) -> Tensor:
        scores: Tensor = self.critic(scales[0][0])
        return scores


class MultiScale(Game):
    def make_critic(self) -> nn.Module:
        return Scales()

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        return self.loss(self.D([batch]), self.D([fake])) + self.by_hand(lambda x: self.D([x]), batch, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D([self.fakes(batch)])).mean()


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_images_are_found_in_lists(penalty: Any, by_hand: ByHand) -> None:
    check_equal(MultiScale, IMAGES, penalty(**NAMES), by_hand)


class Guided(nn.Module):
    """Its condition was computed by the generator too."""

    def __init__(self) -> None:
        super().__init__()
        self.critic, self.style = Critic(), nn.Linear(16, 1)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        scores: Tensor = self.critic(image) * (1 + self.style(style).tanh())
        return scores


class Styled(Generator):
    def forward(self, source: Tensor) -> Any:
        style = self.conv(source).flatten(1)
        return style.view_as(source).tanh(), style


class TwoOutputs(Game):
    """The critic gets two outputs of the generator, of which one was changed."""

    def make_generator(self) -> nn.Module:
        return Styled()

    def make_critic(self) -> nn.Module:
        return Guided()

    def critic_loss(self, batch: Any) -> Tensor:
        image, style = self.G(noise_like(batch))
        image, style, own = image.detach().clamp(-0.3, 0.3), style.detach(), batch.flatten(1) / 2
        loss = self.loss(self.D(batch, own), self.D(image, style))
        return loss + self.by_hand(lambda x: self.D(x, own), batch, image)

    def generator_loss(self, batch: Any) -> Tensor:
        image, style = self.G(noise_like(batch))
        return softplus(-self.D(image.clamp(-0.3, 0.3), style)).mean()


def test_a_changed_image_beside_another_output_of_the_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="which argument holds the images cannot be told"):
        fit(TwoOutputs, IMAGES, R1(**NAMES))
    check_equal(TwoOutputs, IMAGES, R1(image="image", **NAMES), r1)
