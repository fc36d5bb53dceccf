"""The bottleneck's price of information, and the looks it listens to."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.callbacks.bottleneck import Bottleneck
from lightning_gan.callbacks.consistency import BCR
from lightning_gan.gan import GAN
from lightning_gan.layers.bottleneck import GaussianCode, reparametrized
from lightning_gan.loop import Loop
from lightning_gan.penalties.bottleneck import kl_to_standard_normal
from tests.callbacks.regularizers import assert_resumes, moved_by
from tests.toys import LATENT, SIZE, ToyGenerator, equal, fast_adam, toy_loader, toy_trainer


class BottleneckCritic(nn.Module):
    """Images to a code, and a sample of it to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = GaussianCode(SIZE * SIZE, 3)
        self.output = nn.Linear(3, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(reparametrized(*self.bottleneck(images.flatten(1))))
        return logits


def bottleneck_gan(*, accumulate_slices: int = 1) -> GAN:
    torch.manual_seed(7)
    return GAN(
        generator=ToyGenerator(),
        discriminator=BottleneckCritic(),
        latent_dim=LATENT,
        generator_optimizer=fast_adam,
        discriminator_optimizer=fast_adam,
        loop=Loop(accumulate_slices=accumulate_slices),
    )


def tight() -> Bottleneck:
    """Its price is felt at once."""
    return Bottleneck(information_constraint=0.0, beta_step_size=1.0)


class Betas(Callback):
    """The price before every step of a player."""

    def __init__(self, penalty: Bottleneck) -> None:
        self.penalty = penalty
        self.betas: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.betas.append(self.penalty.beta.item())


def test_it_is_the_price_times_the_divergence_of_real_and_fake_in_the_turns_own_looks() -> None:
    module, penalty = bottleneck_gan(), tight()
    penalty.setup(toy_trainer(), module, "fit")
    penalty.state.fill_(2.0)
    real, fake = torch.randn(2, 4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    turn = module.train().look(
        "discriminator", real=real, labels=None, latents=torch.zeros(4, LATENT), fake=fake, fake_labels=None
    )
    module.score(real + 1, None)  # another penalty looks again: not counted
    encoder: Any = module.discriminator.bottleneck
    divergences = kl_to_standard_normal(*encoder.forward(torch.cat([real, fake]).flatten(1)))
    torch.testing.assert_close(penalty.weighted(turn), 2 * divergences.mean())


def test_the_price_rises_after_each_of_the_discriminators_turns_and_rests_in_the_generators() -> None:
    penalty = tight()
    betas = Betas(penalty)
    trainer = toy_trainer(penalty, betas, limit_train_batches=3)
    trainer.fit(bottleneck_gan(), toy_loader())
    steps = betas.betas
    assert steps[0] == 0 < steps[1] == steps[2] < steps[3] == steps[4] < steps[5] == penalty.beta.item()
    assert trainer.callback_metrics["discriminator/bottleneck_beta"].item() == steps[5]


def test_without_a_constraint_the_price_stays_zero() -> None:
    penalty = Bottleneck(information_constraint=math.inf, beta_step_size=1.0)
    plain, free = moved_by(module=bottleneck_gan()), moved_by(penalty, module=bottleneck_gan())
    assert penalty.beta == 0
    assert all(equal(plain[player], free[player]) for player in plain)


def test_it_moves_the_discriminator_once_there_is_a_price() -> None:
    plain, regular = (moved_by(*penalties, module=bottleneck_gan()) for penalties in ([], [tight()]))
    assert not equal(plain["discriminator"], regular["discriminator"])
    penalty = tight()
    assert [penalty.is_due(player) for player in ("discriminator", "generator")] == [True, False]


def test_other_penalties_looks_and_slices_do_not_confuse_it() -> None:
    """The price after one batch is the divergence of that batch, whatever else is looked at."""
    prices = []
    for before, after, slices in [([], [], 1), ([BCR(largest_shift=1)], [R1(gamma=1.0)], 1), ([], [], 2)]:
        penalty = tight()
        module = bottleneck_gan(accumulate_slices=slices)
        toy_trainer(*before, penalty, *after, limit_train_batches=1).fit(module, toy_loader())
        prices.append(penalty.beta.item())
    assert prices == pytest.approx([prices[0]] * 3)


def test_it_stops_listening_when_the_fit_ends() -> None:
    module = bottleneck_gan()
    moved_by(tight(), module=module)
    assert not module.discriminator.bottleneck._forward_hooks  # type: ignore[union-attr]


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(tight, tmp_path, make=bottleneck_gan)


def test_bad_settings_and_encoders_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"information_constraint=-1\.0"):
        Bottleneck(information_constraint=-1.0)
    with pytest.raises(ValueError, match=r"beta_step_size=-1\.0"):
        Bottleneck(beta_step_size=-1.0)
    for encoder, message in [
        ("discriminator.encoder", "has no network 'discriminator.encoder'"),
        ("discriminator.output", r"returns a Tensor instead of \(mean, log_variance\)"),
        ("generator.hidden", "returns a Tensor"),
        ("generator_ema", "was not called for real and for fake images"),
    ]:
        with pytest.raises(ValueError, match=message):
            moved_by(Bottleneck(encoder=encoder), module=bottleneck_gan())
