"""Instance noise: on which inputs, how much, and when it ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.callbacks.regularizers.instance_noise import InstanceNoise
from lightning_gan.loop.gan import GAN
from lightning_gan.schedules import LinearDecay
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.callbacks.training.growing_toys import ForeignGAN, fit
from tests.foreign.games import IMAGES, Critic, Game
from tests.foreign.games import fit as fit_game
from tests.toys import equal, toy_gan, toy_loader, toy_trainer


class Host(LightningModule):
    """A module whose critic is what it is given."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.discriminator = critic.train()


class Mirror(nn.Module):
    """Scores are the images."""

    def forward(self, labels: Tensor | None, images: Tensor) -> Tensor:
        return images


def noisy(critic: nn.Module, *, standard_deviation: float = 0.5) -> InstanceNoise:
    noise = InstanceNoise(standard_deviation=standard_deviation)
    noise.on_train_start(toy_trainer(), Host(critic))
    return noise


def test_noise_has_its_standard_deviation_and_is_fresh_in_every_pass() -> None:
    torch.manual_seed(0)
    critic = nn.Identity()
    noisy(critic)
    images = torch.zeros(100, 1, 10, 10)
    first, second = critic(images), critic(images)
    assert first.std().item() == pytest.approx(0.5, rel=0.03)
    assert (first - second).std().item() == pytest.approx(0.5 * 2**0.5, rel=0.03)


def test_evaluation_sees_images_as_they_are() -> None:
    critic = nn.Identity()
    noisy(critic)
    images = torch.randn(2, 1, 2, 2)
    assert not torch.equal(critic(images), images)
    assert torch.equal(critic.eval()(images), images)


@pytest.mark.parametrize("by_name", [False, True])
def test_only_the_first_floating_point_argument_is_noisy(by_name: bool) -> None:
    critic = Mirror()
    noisy(critic)
    labels, images = torch.ones(2, dtype=torch.int64), torch.zeros(2, 1, 2, 2)
    score = critic(labels=labels, images=images) if by_name else critic(labels, images)
    assert score.abs().min() > 0 and torch.equal(labels, torch.ones(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="called without floating-point images"):
        critic(labels, images.long())


def test_r1_beside_it_differentiates_by_the_image_before_the_noise() -> None:
    """D = x^2 / 2 of a noisy x: the gradient by the clean one is clean plus noise."""

    class Square(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            self.seen = images
            return images.square() / 2

    critic = Square()
    noisy(critic)
    images = torch.randn(3, 1, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images)
    assert torch.equal(gradient, critic.seen) and not torch.equal(gradient, images)
    moved_by(InstanceNoise(), R1(gamma=1.0), module=fast_gan())


def test_it_is_annealed_by_images_seen() -> None:
    noise = InstanceNoise(standard_deviation=0.4, schedule=LinearDecay(end_kimg=1.0))
    assert [noise.noise.sigma_at(seen) for seen in (0, 250, 1000, 2000)] == pytest.approx([0.4, 0.3, 0.0, 0.0])
    assert InstanceNoise(standard_deviation=0.4).noise.sigma_at(10**9) == 0.4
    trained = InstanceNoise(standard_deviation=0.4, schedule=LinearDecay(end_kimg=0.016))
    toy_trainer(trained, limit_train_batches=3).fit(toy_gan(), toy_loader())
    assert trained.noise.sigma.item() == pytest.approx(0.2)  # the third batch began after 8 images


def test_it_changes_the_update_of_both_players() -> None:
    plain, moved = moved_by(module=fast_gan()), moved_by(InstanceNoise(), module=fast_gan())
    assert not any(equal(plain[player], moved[player]) for player in plain)


def test_noise_of_nothing_changes_nothing() -> None:
    plain = moved_by(module=fast_gan())
    still = moved_by(InstanceNoise(standard_deviation=0.0), module=fast_gan())
    assert all(equal(plain[player], still[player]) for player in plain)


def test_after_the_fit_the_critic_is_as_before() -> None:
    module = fast_gan()
    toy_trainer(InstanceNoise(), limit_train_batches=1).fit(module, toy_loader())
    assert not module.discriminator._forward_pre_hooks and not len(module.image_transforms)


def test_an_exception_takes_the_noise_away_too() -> None:
    class Breaks(GAN):
        def finish_batch(self) -> None:
            raise RuntimeError("broken")

    toys = fast_gan()
    module = Breaks(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
    with pytest.raises(RuntimeError, match="broken"):
        toy_trainer(InstanceNoise(), limit_train_batches=1).fit(module, toy_loader())
    assert not module.discriminator._forward_pre_hooks and not len(module.image_transforms)


def test_foreign_critics_get_noise_too() -> None:
    plain, moved = ForeignGAN(), ForeignGAN()
    fit(plain, images=8)
    torch.manual_seed(0)
    fit(moved, InstanceNoise(network="netD", schedule=LinearDecay(end_kimg=1.0)), images=8)
    assert not torch.equal(plain.netD.fine.weight, moved.netD.fine.weight)


@pytest.mark.parametrize("first", [True, False])
def test_a_foreign_modules_r1_knows_images_behind_the_noise(first: bool) -> None:
    """It recognizes real images by their storage, which noise would hide, and adds no noise to noise."""
    r1 = R1(gamma=1.0, discriminator="netD", generator="netG")
    noise = InstanceNoise(network="netD")
    plain, regular = ForeignGAN(), ForeignGAN()
    fit(plain, images=8)
    fit(regular, *([noise, r1] if first else [r1, noise]), images=8)
    assert not torch.equal(plain.netD.fine.weight, regular.netD.fine.weight)


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(lambda: InstanceNoise(schedule=LinearDecay(end_kimg=0.02)), tmp_path)


def test_bad_settings_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"standard_deviation=-0\.1 must not be negative"):
        InstanceNoise(standard_deviation=-0.1)
    with pytest.raises(ValueError, match="has no network 'netD'"):
        toy_trainer(InstanceNoise(network="netD")).fit(toy_gan(), toy_loader())


# ---------------------------------------------------------------------- critics with several arguments


class Seen(Game):
    """Keeps what the first layer of the critic was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.D.conv.register_forward_pre_hook(lambda _, given: self.seen.append(given[0].detach()))  # type: ignore[union-attr]


class PairCritic(Critic):
    def forward(self, y: Tensor, y_hat: Tensor) -> Any:  # type: ignore[override]
        return super().forward(y), super().forward(y_hat)


class PairGame(Seen):
    """A critic that is called once on real and generated images."""

    def make_critic(self) -> nn.Module:
        return PairCritic()

    def critic_loss(self, batch: Any) -> Tensor:
        return self.loss(*self.D(batch, self.fakes(batch).detach()))

    def generator_loss(self, batch: Any) -> Tensor:
        score: Tensor = self.D(batch, self.fakes(batch))[1]
        return -score.mean()


def noise_on(kind: type[Seen], items: Any, **settings: Any) -> list[float]:
    """The standard deviation of the noise on both inputs of the critic's first turn."""
    plain = fit_game(kind, items, limit_train_batches=1).seen
    noisy = fit_game(
        kind, items, InstanceNoise(standard_deviation=0.5, network="D", **settings), limit_train_batches=1
    ).seen
    return [float((one - other).std()) for one, other in zip(noisy[:2], plain[:2], strict=True)]


def test_both_images_of_one_call_get_noise() -> None:
    with pytest.raises(
        ValueError,
        match=r"InstanceNoise: network='D' was called with \(y: 4x1x4x4, y_hat: 4x1x4x4\), which does not tell which",
    ):
        noise_on(PairGame, IMAGES)
    assert all(0.3 < deviation < 0.7 for deviation in noise_on(PairGame, IMAGES, image=["y", "y_hat"]))
    assert noise_on(PairGame, IMAGES, image="y")[1] == 0
    with pytest.raises(ValueError, match=r"which has no image=\['x'\]; name all arguments"):
        noise_on(PairGame, IMAGES, image="x")


def test_integer_labels_beside_the_images_need_no_names() -> None:
    class Labelled(Critic):
        def forward(self, label: Tensor, image: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(image)

    class LabelledGame(Seen):
        def make_critic(self) -> nn.Module:
            return Labelled()

        def critic_loss(self, batch: Any) -> Tensor:
            label = torch.zeros(len(batch), dtype=torch.int64)
            return self.loss(self.D(label, batch), self.D(label, self.fakes(batch).detach()))

        def generator_loss(self, batch: Any) -> Tensor:
            score: Tensor = self.D(torch.zeros(len(batch), dtype=torch.int64), self.fakes(batch))
            return -score.mean()

    assert all(0.3 < deviation < 0.7 for deviation in noise_on(LabelledGame, IMAGES))
