"""Critics that return features, lists and tuples, and several critics at once."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1, R2
from lightning_gan.foreign import scores
from tests.foreign.games import (
    IMAGES,
    NAMES,
    PENALTIES,
    ByHand,
    Critic,
    Game,
    adam,
    check_equal,
    fit,
    r1,
    r2,
)


class WithFeatures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic = Critic()

    def forward(self, image: Tensor) -> Any:
        features = self.critic.conv(image).tanh()
        return self.critic.last(features.flatten(1)), [features]


class Tuple(Game):
    def make_critic(self) -> nn.Module:
        return WithFeatures()

    def score(self, images: Tensor) -> Tensor:
        scores: Tensor = self.D(images)[0]
        return scores

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        return self.loss(self.score(batch), self.score(fake)) + self.by_hand(self.score, batch, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.score(self.fakes(batch))).mean()


@pytest.mark.parametrize(("penalty", "by_hand"), PENALTIES)
def test_scores_beside_features_must_be_said(penalty: Any, by_hand: ByHand) -> None:
    with pytest.raises(
        ValueError, match=r"'D' returns a tuple of \(0: 4x1, 1.0: 4x4x4x4\) and not one score .*scores.first"
    ):
        fit(Tuple, IMAGES, penalty(**NAMES))
    check_equal(Tuple, IMAGES, penalty(scores=scores.first, **NAMES), by_hand)
    head = {"discriminator": "D.critic.last", "generator": "G"}
    with pytest.raises(ValueError, match="computed by other parts of the module; name the whole network"):
        fit(Tuple, IMAGES, penalty(**head))
    with pytest.raises(ValueError, match=r"function real=... returns 4x1x4x4, but 'D.critic.last'"):
        fit(Tuple, IMAGES, penalty(real=lambda batch: batch, **head))


def test_a_number_instead_of_scores_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of which scores=\.\.\. makes a single number"):
        fit(Tuple, IMAGES, R1(scores=lambda output: output[0].mean(), **NAMES))


class PeriodCritics(nn.Module):
    """Two critics of a vocoder, called once on both, which return lists."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList([Critic(), Critic()])

    def forward(self, y: Tensor, y_hat: Tensor) -> Any:
        return [critic(y) for critic in self.critics], [critic(y_hat) for critic in self.critics]


class OneCall(Game):
    """One call on real and fake, with several critics: the penalty by hand is that of the sum of the scores."""

    def make_critic(self) -> nn.Module:
        return PeriodCritics()

    def score(self, images: Tensor) -> Tensor:
        return torch.stack([critic(images) for critic in self.D.critics]).sum(0)

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        losses = [self.loss(*own) for own in zip(*self.D(batch, fake), strict=True)]
        return torch.stack(losses).sum() + self.by_hand(self.score, batch, fake)

    def generator_loss(self, batch: Any) -> Tensor:
        return torch.stack([softplus(-own).mean() for own in self.D(batch, self.fakes(batch))[1]]).sum()


def test_a_critic_that_is_called_once_on_both_can_be_told() -> None:
    with pytest.raises(ValueError, match=r"the real images cannot be told: 'D' was called once, .* say image='y'"):
        fit(OneCall, IMAGES, R1(**NAMES))
    check_equal(OneCall, IMAGES, R1(image="y", scores=scores.first, **NAMES), r1)
    check_equal(OneCall, IMAGES, R2(image="y_hat", scores=scores.second, **NAMES), r2)


class OneCallEach(OneCall):
    """The penalty by hand is the sum over the critics."""

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch).detach()
        losses = [self.loss(*own) for own in zip(*self.D(batch, fake), strict=True)]
        return torch.stack(losses).sum() + sum(self.by_hand(critic, batch, fake) for critic in self.D.critics)


def test_a_list_of_critics_sums_the_penalties() -> None:
    critics: dict[str, Any] = {"discriminator": ["D.critics.0", "D.critics.1"], "generator": "G"}
    for penalty, by_hand in PENALTIES[:2]:
        check_equal(OneCallEach, IMAGES, penalty(**critics), by_hand)


class TwoCritics(Game):
    """Each critic has an optimizer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.E = Critic()

    def configure_optimizers(self) -> Any:
        return [adam(self.G), adam(self.D), adam(self.E)]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        generator, first, second = self.optimizers()  # type: ignore[attr-defined]
        fake = self.fakes(batch).detach()
        for critic, optimizer in ((self.D, first), (self.E, second)):
            self.play(optimizer, self.loss(critic(batch), critic(fake)) + self.by_hand(critic, batch, fake))
        self.play(generator, self.generator_loss(batch))


def test_a_list_of_critics_may_have_several_optimizers() -> None:
    both: dict[str, Any] = {"discriminator": ["D", "E"], "generator": "G"}
    check_equal(TwoCritics, IMAGES, R1(**both), r1)
    lazy = fit(TwoCritics, IMAGES, R1(every_n_turns=2, **both))

    class EverySecond(TwoCritics):
        def by_hand(self, score: Any, real: Tensor, fake: Tensor) -> Tensor | float:
            due = self.trainer.fit_loop.epoch_loop.batch_idx % 2 == 0
            return 2 * r1(score, real, fake) if due else 0.0

    hand = fit(EverySecond, IMAGES)
    assert max((a - b).abs().max().item() for a, b in zip(lazy.parameters(), hand.parameters(), strict=True)) < 1e-12
