"""Noised, concatenated and offline images, which marks, numbers and functions of the batch tell apart."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan import fake as mark_fake
from lightning_gan import real as mark_real
from lightning_gan.callbacks import R1, R2, FiniteDifferenceR1
from tests.foreign.games import (
    IMAGES,
    NAMES,
    PAIRS,
    PENALTIES,
    WITH_VECTORS,
    ByHand,
    Critic,
    Game,
    MatchingAware,
    check_equal,
    fit,
    r1,
    randoms,
)


class Timed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic = Critic(2)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        scores: Tensor = self.critic(torch.cat([x_t, (t / 10).view(-1, 1, 1, 1).expand_as(x_t)], 1))
        return scores


class Diffusion(Game):
    """Both sides are noised in the step."""

    marks = False

    def make_critic(self) -> nn.Module:
        return Timed()

    def noised(self, x: Tensor, t: Tensor) -> Tensor:
        return x + (t / 10).view(-1, 1, 1, 1) * torch.randn_like(x)

    def critic_loss(self, batch: Any) -> Tensor:
        t = torch.randint(1, 9, (len(batch),)).to(batch)
        fake, real = self.noised(self.fakes(batch).detach(), t), self.noised(batch, t)
        scored = self.D(mark_real(real), t), self.D(mark_fake(fake), t)
        return self.loss(*scored) + self.by_hand(lambda x: self.D(x, t), real, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        t = torch.randint(1, 9, (len(batch),)).to(batch)
        return softplus(-self.D(self.noised(self.fakes(batch), t), t)).mean()


class Unmarked(Diffusion):
    def critic_loss(self, batch: Any) -> Tensor:
        t = torch.randint(1, 9, (len(batch),)).to(batch)
        fake, real = self.noised(self.fakes(batch).detach(), t), self.noised(batch, t)
        return self.loss(self.D(real, t), self.D(fake, t)) + self.by_hand(lambda x: self.D(x, t), real, fake)


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_noised_images_are_marked_or_numbered(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Diffusion, IMAGES, penalty(**NAMES), by_hand)
    check_equal(Unmarked, IMAGES, penalty(image="x_t", real=0, fake=1, **NAMES), by_hand)
    with pytest.raises(ValueError, match="cannot be told"):
        fit(Unmarked, IMAGES, penalty(image="x_t", **NAMES))
    with pytest.raises(ValueError, match="returns images that the discriminator was not called with in this turn"):
        fit(Unmarked, IMAGES, penalty(image="x_t", real=lambda batch: batch, **NAMES))
    with pytest.raises(ValueError, match="there is no call 2"):
        fit(Unmarked, IMAGES, penalty(image="x_t", real=2, fake=2, **NAMES))


def test_an_approximated_penalty_gets_the_same_time() -> None:
    """For a linear critic in one dimension the finite difference is exact in expectation; here it must only be used."""
    module = fit(Diffusion, IMAGES, FiniteDifferenceR1(gamma=10.0, **NAMES))
    assert float(module.trainer.callback_metrics["discriminator/finite_difference_r1"]) > 0


class WithText(MatchingAware):
    """A critic of an image and a text."""

    def critic_loss(self, batch: Any) -> Tensor:
        x, text = batch
        fake = self.fakes(x).detach()
        loss = self.loss(self.D(x, text), self.D(fake, text))
        return loss + self.by_hand(lambda own: self.D(x, own), text, fake)


def finite_difference(score: Any, real: Tensor, fake: Tensor) -> Tensor:
    moved = score(real + 0.01 * torch.randn_like(real)) - score(real)
    penalty: Tensor = 5.0 * (moved / 0.01).square().mean()
    return penalty


def test_every_argument_of_a_critic_can_be_penalized() -> None:
    """R1 and its approximation by the text, as by the condition of a diffusion GAN."""
    check_equal(WithText, WITH_VECTORS, R1(image="text", real=0, **NAMES), r1)
    penalty = FiniteDifferenceR1(gamma=10.0, step=0.01, image="text", real=0, **NAMES)
    check_equal(WithText, WITH_VECTORS, penalty, finite_difference)


class Concatenated(Game):
    """Real and fake in one batch; `mark` says how they are marked."""

    mark = "before"

    def critic_loss(self, batch: Any) -> Tensor:
        n = len(batch)
        fake = self.fakes(batch).detach()
        marked = self.mark == "before"
        both = torch.cat([mark_real(batch), mark_fake(fake)] if marked else [batch, fake])
        if self.mark == "rows":
            mark_real(both[:n]), mark_fake(both[n:])
        scored = self.D(both)
        return self.loss(scored[:n], scored[n:]) + self.by_hand(self.D, batch, fake)


class ConcatenatedRows(Concatenated):
    mark = "rows"


class ConcatenatedUnmarked(Concatenated):
    mark = ""


def test_images_that_are_concatenated_are_no_call_of_their_own() -> None:
    with pytest.raises(
        ValueError, match=r"if both are in this call, mark them .* discriminator\(torch.cat\(\[real\(x\)"
    ):
        fit(ConcatenatedUnmarked, IMAGES, R1(**NAMES))
    with pytest.raises(ValueError, match=r"real=0 and fake=0 name the same images; 'D' was called twice.*torch.cat"):
        fit(Unmarked, IMAGES, R1(image="x_t", real=0, fake=0, **NAMES))


@pytest.mark.parametrize(("penalty", "which"), [(R1, "real"), (R2, "fake")])
def test_a_call_with_as_many_as_batch_and_fakes_together_is_not_of_one_kind(penalty: Any, which: str) -> None:
    message = rf"{which}=0 names a call with 8 samples, as many as the batch and the generator's output have together; "
    with pytest.raises(ValueError, match=message + r".*the batch is a Tensor of 4x.*; mark rows of images that are"):
        fit(ConcatenatedUnmarked, IMAGES, penalty(**{which: 0}, **NAMES))


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_concatenated_images_can_be_marked(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Concatenated, IMAGES, penalty(**NAMES), by_hand)
    check_equal(ConcatenatedRows, IMAGES, penalty(**NAMES), by_hand)
    with pytest.raises(ValueError, match="cannot be told: 'D' was called once"):
        fit(ConcatenatedUnmarked, IMAGES, penalty(**NAMES))
    if penalty is R1:
        check_equal(ConcatenatedUnmarked, IMAGES, R1(real=lambda batch: batch, **NAMES), r1)


class ConcatenatedTexts(MatchingAware):
    """Rows of concatenated images go with rows of concatenated texts."""

    rows = True

    def critic_loss(self, batch: Any) -> Tensor:
        x, text = batch
        fake, texts = self.fakes(x).detach(), torch.cat([text, text.roll(1, 0)])
        n = len(x)
        if self.rows:
            both = torch.cat([x, fake])
            mark_real(both[:n]), mark_fake(both[n:])
        else:
            both = torch.cat([mark_real(x), mark_fake(fake)])
        scored = self.D(both, texts)
        penalty = self.by_hand(lambda images: self.D(images, texts[:n]), x, fake)
        return self.loss(scored[:n], scored[n:]) + penalty


class ConcatenatedLoose(ConcatenatedTexts):
    rows = False


def test_marked_rows_go_with_their_conditions() -> None:
    check_equal(ConcatenatedTexts, WITH_VECTORS, R1(**NAMES), r1)
    with pytest.raises(ValueError, match=r"which has further arguments.*mark rows.*real\(both\[:4\]\)"):
        fit(ConcatenatedLoose, WITH_VECTORS, R1(image="image", **NAMES))


class Translation(Game):
    """Condition and image are concatenated along the channels."""

    marks = True

    def make_critic(self) -> nn.Module:
        return Critic(2)

    def critic_loss(self, batch: Any) -> Tensor:
        a, b = batch
        real, fake = torch.cat([a, b], 1), torch.cat([a, self.G(a)], 1).detach()
        if self.marks:
            mark_real(real), mark_fake(fake)
        return self.loss(self.D(real), self.D(fake)) + self.by_hand(self.D, real, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(torch.cat([batch[0], self.G(batch[0])], 1))).mean()


class TranslationUnmarked(Translation):
    marks = False


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_translations_can_be_marked_numbered_or_told(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Translation, PAIRS, penalty(**NAMES), by_hand)
    check_equal(TranslationUnmarked, PAIRS, penalty(real=0, fake=1, **NAMES), by_hand)
    check_equal(TranslationUnmarked, PAIRS, penalty(real=lambda batch: torch.cat(batch, 1), **NAMES), by_hand)
    with pytest.raises(ValueError, match=r"function real=... returns 4x1x4x4, but 'D' was called twice"):
        fit(TranslationUnmarked, PAIRS, penalty(real=lambda batch: batch[1], **NAMES))


class ChannelsLast(Game):
    """The batch has channels last; the critic gets channels first."""

    def critic_loss(self, batch: Any) -> Tensor:
        images = batch.permute(0, 3, 1, 2).contiguous()
        fake = self.fakes(images).detach()
        return self.loss(self.D(images), self.D(fake)) + self.by_hand(self.D, images, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return super().generator_loss(batch.permute(0, 3, 1, 2))


def test_channels_last_images_are_not_reshaped() -> None:
    items = randoms(4, 4, 1)
    check_equal(ChannelsLast, items, R1(**NAMES), r1)
    with pytest.raises(ValueError, match="returns 4x4x4x1, but 'D' was called twice"):
        fit(ChannelsLast, items, R1(real=lambda batch: batch, **NAMES))
    check_equal(ChannelsLast, items, R1(real=lambda batch: batch.permute(0, 3, 1, 2), **NAMES), r1)
