"""Which inputs are real and which are fake, if there are several, and if the batch or the generator holds more."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1, R2, GradientPenalty
from tests.foreign.games import (
    IMAGES,
    NAMES,
    PAIRS,
    PENALTIES,
    WITH_VECTORS,
    ByHand,
    Game,
    Generator,
    MatchingAware,
    check_equal,
    fit,
    r1,
    r2,
)


class HandsOn(Game):
    """The generator returns its input beside the reconstruction."""

    def make_generator(self) -> nn.Module:
        class Codec(Generator):
            def forward(self, source: Tensor) -> Any:
                return {"reconstruction": super().forward(source), "input": source}

        return Codec()

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.G(batch)["reconstruction"].detach()
        return self.loss(fake=self.D(fake), real=self.D(batch)) + self.by_hand(self.D, batch, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(self.G(batch)["reconstruction"])).mean()


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_what_lies_in_the_batch_is_data_even_if_the_generator_hands_it_on(penalty: Any, by_hand: ByHand) -> None:
    check_equal(HandsOn, IMAGES, penalty(**NAMES), by_hand)


class Parts(Game):
    """Gradients are accumulated over the halves of a batch within the turn."""

    def critic_loss(self, batch: Any) -> Tensor:
        losses = []
        for half in batch.chunk(2):
            fake = self.fakes(half).detach()
            losses.append(self.loss(self.D(half), self.D(fake)) + self.by_hand(self.D, half, fake))
        return torch.stack(losses).mean()


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_several_inputs_are_refused_or_averaged(penalty: Any, by_hand: ByHand) -> None:
    with pytest.raises(ValueError, match=r"'D' was called with 2 different (real|fake) inputs in this turn"):
        fit(Parts, IMAGES, penalty(**NAMES))
    if penalty is not GradientPenalty:  # which draws its random numbers in another order
        check_equal(Parts, IMAGES, penalty(mean_over_calls=True, **NAMES), by_hand)


class Unequal(Game):
    """One real input, and two fakes."""

    def critic_loss(self, batch: Any) -> Tensor:
        fakes = [self.fakes(batch).detach() for _ in range(2)]
        return self.loss(self.D(batch), torch.cat([self.D(fake) for fake in fakes])) + sum(
            self.by_hand(self.D, batch, fake) / 2 for fake in fakes
        )


def test_one_real_input_may_stand_beside_several_fakes() -> None:
    check_equal(Unequal, IMAGES, R1(**NAMES), r1)
    with pytest.raises(ValueError, match="'D' was called with 2 different fake inputs"):
        fit(Unequal, IMAGES, R2(**NAMES))
    check_equal(Unequal, IMAGES, R2(mean_over_calls=True, **NAMES), r2)


def test_real_images_with_wrong_conditions_are_not_taken_for_the_real_ones() -> None:
    with pytest.raises(ValueError, match="'D' was called with 2 different real inputs in this turn"):
        fit(MatchingAware, WITH_VECTORS, R1(**NAMES))
    check_equal(MatchingAware, WITH_VECTORS, R1(real=0, **NAMES), r1)
    check_equal(MatchingAware, WITH_VECTORS, R2(**NAMES), r2)


class Logged(Game):
    """Scores the same images twice, for a logged accuracy."""

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        self.log("accuracy", (self.D(batch) > 0).double().mean())
        return self.loss(self.D(batch), self.D(fake)) + self.by_hand(self.D, batch, fake)


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_scores_that_are_computed_twice_count_once(penalty: Any, by_hand: ByHand) -> None:
    check_equal(Logged, IMAGES, penalty(**NAMES), by_hand)


class Offline(Game):
    """The fakes come with the batch."""

    def critic_loss(self, batch: Any) -> Tensor:
        real, fake = batch
        return self.loss(self.D(real), self.D(fake)) + self.by_hand(self.D, real, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return super().generator_loss(batch[0])


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_fakes_of_the_batch_must_be_said(penalty: Any, by_hand: ByHand) -> None:
    with pytest.raises(ValueError, match=r"cannot be told|2 different real inputs"):
        fit(Offline, PAIRS, penalty(**NAMES))
    said: dict[str, Any] = {"real": lambda batch: batch[0], "fake": lambda batch: batch[1]}
    check_equal(Offline, PAIRS, penalty(**said, **NAMES), by_hand)
    check_equal(Offline, PAIRS, penalty(real=0, fake=1, **NAMES), by_hand)


class InPlace(Game):
    """Changes the real images between the forward pass and the step."""

    copies = False

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        given = batch.clone() if self.copies else batch
        penalty = self.by_hand(self.D, given, fake)
        loss = self.loss(self.D(given), self.D(fake)) + penalty
        self.changed = given if not self.copies else batch
        return loss

    def play(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.changed.mul_(0.5)
        optimizer.step()


class InPlaceCopied(InPlace):
    copies = True


def test_images_that_were_changed_in_place_are_refused() -> None:
    with pytest.raises(ValueError, match=r"R1: the tensor of 4x1x4x4 .* as 'image' was changed in place"):
        fit(InPlace, [image.clone() for image in IMAGES], R1(**NAMES))
    check_equal(InPlaceCopied, IMAGES, R1(**NAMES), r1)
