"""Augmentation with a given probability, and DiffAugment: who sees it, when, and what penalties differentiate by."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks import R1, AdaptiveAugmentation, Augmentation, DiffAugment
from lightning_gan.callbacks.regularizers.augmentation import AugmentationPipeline
from lightning_gan.callbacks.regularizers.discriminator_transform import DiscriminatorTransform
from lightning_gan.foreign import transformed_network
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.transforms import ImageTransform
from lightning_gan.losses import RelativisticStandard
from lightning_gan.schedules import Cosine, LinearDecay, RampUp
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.foreign.games import IMAGES, Critic, Game
from tests.foreign.games import fit as fit_game
from tests.toys import FAST, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer

CALLBACKS: dict[str, Callable[[], Callback]] = {
    "fixed": lambda: Augmentation(probability=0.7),
    "rising": lambda: Augmentation(probability=0.9, schedule=RampUp(kimg=0.02)),
    "diff_augment": lambda: DiffAugment(),
}


@pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS)
def test_it_changes_the_update_of_both_players(make: Callable[[], Callback]) -> None:
    plain, moved = moved_by(module=fast_gan()), moved_by(make(), module=fast_gan())
    assert not any(equal(plain[player], moved[player]) for player in plain)


def test_probability_zero_changes_nothing() -> None:
    plain, still = moved_by(module=fast_gan()), moved_by(Augmentation(probability=0.0), module=fast_gan())
    for player in plain:  # the draws of the pipeline leave latents and noise as they are
        assert equal(plain[player], still[player])


class Shown(nn.Module):
    """Scores of images, which are kept with the player whose turn it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        scores: Tensor = self.weight * images.square().flatten(1).sum(1, keepdim=True)
        return scores


def test_real_and_fake_images_are_augmented_in_both_turns_and_not_in_evaluation() -> None:
    def seen(*callbacks: Callback) -> list[Tensor]:
        torch.manual_seed(7)
        module = GAN(generator=ToyGenerator(), discriminator=Shown(), latent_dim=4, training=FAST)
        toy_trainer(*callbacks, limit_train_batches=1).fit(module, toy_loader())
        assert isinstance(module.discriminator, Shown)
        return module.discriminator.seen

    plain, augmented = seen(), seen(DiffAugment())
    assert len(plain) == len(augmented) == 3  # real images, fakes, and fakes in the generator's turn
    assert all(not torch.equal(own, other) for own, other in zip(plain, augmented, strict=True))
    module = toy_gan()
    callback = DiffAugment()
    callback.on_train_start(toy_trainer(), module)
    images = torch.randn(4, 1, 4, 4)
    assert not torch.equal(module.discriminate(images), module.discriminator(images))
    module.discriminator.eval()
    assert torch.equal(module.discriminate(images), module.discriminator(images))
    callback.teardown(toy_trainer(), module, "fit")
    assert not len(module.image_transforms)


class Doubled(ImageTransform):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * images


class Doubling(DiscriminatorTransform):
    def __init__(self) -> None:
        super().__init__(transform=Doubled(), network="discriminator", image=None)


def test_r1_differentiates_by_the_image_in_front_of_the_augmentation() -> None:
    """With D(y) = w y^2 / 2 of y = 2 x, the gradient by x is 4 w x, and that by y would be 2 w x."""
    norms: list[Tensor] = []
    reals: list[Tensor] = []

    class Heard(R1):
        def penalty(self, turn: Any) -> Tensor:
            value: Tensor = super().penalty(turn)
            norms.append(value.detach())
            reals.append(turn.real.detach())
            return value

    torch.manual_seed(7)
    module = GAN(generator=ToyGenerator(), discriminator=Shown(), latent_dim=4, training=FAST)
    toy_trainer(Doubling(), Heard(gamma=1.0), limit_train_batches=1).fit(module, toy_loader())
    # Shown scores w y^2 with w = 0.5, so that the gradient by x is 4 x.
    expected = (4 * reals[0]).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(norms[0], expected)


def test_the_schedule_is_a_factor_of_images_seen() -> None:
    callback = Augmentation(probability=0.8, schedule=LinearDecay(end_kimg=0.016))
    toy_trainer(callback, limit_train_batches=3).fit(toy_gan(), toy_loader())
    assert callback.pipeline.p.item() == pytest.approx(0.4)  # the third batch began after 8 images


def test_the_probability_may_rise_along_a_cosine_and_not_become_negative() -> None:
    callback = Augmentation(probability=0.5, schedule=Cosine(first=0.0, last=1.0, end_kimg=0.016))
    toy_trainer(callback, limit_train_batches=3).fit(toy_gan(), toy_loader())
    assert callback.pipeline.p.item() == pytest.approx(0.25)  # half-way, after 8 images
    falling = Augmentation(probability=0.5, schedule=Cosine(first=1.0, last=-1.0, end_kimg=0.008))
    with pytest.raises(ValueError, match=r"schedule is -1 at 0\.008 kimg, and a factor of a probability must"):
        toy_trainer(falling, limit_train_batches=3).fit(toy_gan(), toy_loader())


@pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS)
def test_it_survives_a_resume(make: Callable[[], Callback], tmp_path: Path) -> None:
    assert_resumes(make, tmp_path)


@pytest.mark.parametrize("make", [lambda: Augmentation(probability=0.9, network="D"), lambda: DiffAugment(network="D")])
def test_foreign_modules_are_augmented_beside_their_r1(make: Callable[[], Callback]) -> None:
    r1 = R1(discriminator="D", generator="G")
    plain, regular = fit_game(Game, IMAGES), fit_game(Game, IMAGES, make(), r1)
    assert all(weight.isfinite().all() for weight in regular.parameters())
    assert not equal([*plain.parameters()], [*regular.parameters()])


def test_relativistic_losses_can_be_augmented_with_a_given_probability() -> None:
    class Relativistic(GAN):
        default_loss = RelativisticStandard

    toys = fast_gan()
    module = Relativistic(generator=toys.generator, discriminator=toys.discriminator, latent_dim=4)
    toy_trainer(Augmentation(probability=0.3), limit_train_batches=1).fit(module, toy_loader())


def test_bad_settings_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"Augmentation: probability=1\.5 must be between 0 and 1"):
        Augmentation(probability=1.5)
    with pytest.raises(ValueError, match="colour, shift and cutout are all false; leave the callback out"):
        DiffAugment(colour=False, shift=False, cutout=False)
    with pytest.raises(ValueError, match=r"Augmentation\(network=\.\.\.\): GAN has no network 'netD'"):
        toy_trainer(Augmentation(probability=0.5, network="netD")).fit(toy_gan(), toy_loader())


def test_half_precision_rounds_the_result_and_not_the_resampling() -> None:
    images = torch.rand(64, 3, 8, 8).bfloat16()
    pipeline = AugmentationPipeline(groups=AugmentationGroups(filter=1.0, noise=1.0), probability=0.9)

    def seen(own: Tensor) -> Tensor:
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result: Tensor = pipeline(own)
        return result

    assert torch.equal(seen(images), seen(images.float()).bfloat16())
    assert seen(images.float()).dtype == torch.float32


def test_groups_are_those_that_were_asked_for() -> None:
    callback = Augmentation(probability=1.0, groups=AugmentationGroups(blit=0.0, geometry=0.0, colour=0.0, cutout=1.0))
    callback.on_train_start(toy_trainer(), module := toy_gan())
    images = torch.ones(8, 1, 4, 4)
    (transform,) = module.image_transforms
    assert set(transform(images).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("network", ["generator", "generator_ema"])
def test_networks_of_a_gan_that_are_no_discriminator_are_refused_before_the_first_batch(network: str) -> None:
    text = rf"DiffAugment: network='{network}' is no part of the discriminator of GAN.*leave it out"
    with pytest.raises(ValueError, match=text):
        toy_trainer(DiffAugment(network=network)).fit(toy_gan(), toy_loader())
    with pytest.raises(ValueError, match=rf"AdaptiveAugmentation: discriminator='{network}' is no part of the"):
        toy_trainer(AdaptiveAugmentation(discriminator=network)).fit(toy_gan(), toy_loader())


def test_an_empty_path_is_no_network() -> None:
    with pytest.raises(ValueError, match=r"DiffAugment\(network=\.\.\.\): GAN has no network ''; its networks are"):
        toy_trainer(DiffAugment(network="")).fit(toy_gan(), toy_loader())


class Spare(Game):
    """Has a critic that its step does not call before the batch with the number `first`."""

    def __init__(self, first: int | None = None) -> None:
        super().__init__()
        self.second, self.first = Critic(), first

    def training_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.first:
            self.second(batch)
        super().training_step(batch, batch_idx)


def test_a_network_that_no_training_step_calls_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = r"DiffAugment: network='second' was not called in training mode in {} batches, so that no image was"
    with pytest.warns(UserWarning, match=text.format(3)):  # at the end
        fit_game(Spare, IMAGES, DiffAugment(network="second"), limit_train_batches=3)
    fit_game(partial(Spare, first=0), IMAGES, DiffAugment(network="second"), limit_train_batches=3)
    monkeypatch.setattr(transformed_network, "BATCHES_BEFORE_WARNING", 2)
    with pytest.warns(UserWarning, match=text.format(2)) as found:
        fit_game(partial(Spare, first=3), IMAGES, DiffAugment(network="second"))
    assert sum("DiffAugment" in str(warning.message) for warning in found) == 1
