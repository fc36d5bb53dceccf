"""Soft-IntroVAE: the authors' sizes, and one batch derived again in their order, gradient by gradient."""

from typing import Any

import pytest
import torch

from lightning_gan.models.soft_introvae import SoftIntroVAE
from tests.models.introspective_steps import (
    SMALL,
    assert_gradients,
    codes_of,
    descend,
    divergences,
    errors,
    images_of,
    play,
    sampled,
)
from tests.models.training import moved_by_one_step, parameters_of
from tests.toys import equal, toy_trainer, weights_of

# The authors' gamma_r of 1e-8 would not be seen.
WEIGHTS: dict[str, float] = {
    "reconstruction_weight": 0.6,
    "kl_weight": 0.8,
    "negative_weight": 25.0,
    "feedback_weight": 0.7,
}


@pytest.mark.parametrize(
    ("settings", "encoder", "decoder"),
    [
        ({}, 3_382_848, 2_382_531),
        ({"image_size": 28, "image_channels": 1, "latent_dim": 32}, 928_512, 697_025),
        ({"image_size": 128, "latent_dim": 256}, 18_461_504, 14_121_667),
        ({"image_size": 128, "latent_dim": 128}, 16_364_096, 13_073_091),
        ({"image_size": 256, "latent_dim": 256}, 23_182_144, 18_842_307),
        ({"image_size": 1024, "latent_dim": 256}, 23_250_512, 18_806_707),
    ],
    ids=["cifar10", "mnist", "celeb128", "monsters128", "celeb256", "celeb1024"],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], encoder: int, decoder: int) -> None:
    with torch.device("meta"):
        module = SoftIntroVAE(**settings)
    assert (parameters_of(module.discriminator), parameters_of(module.generator)) == (encoder, decoder)


def test_a_batch_has_the_losses_and_gradients_of_the_authors_order() -> None:
    """In the encoder's step the decoder is frozen, in the decoder's the encoder; codes and targets are detached."""
    played = play(SoftIntroVAE, **WEIGHTS)
    b_rec, b_kl, b_neg, g_r = WEIGHTS.values()
    encoder, decoder, images = played.encoder, played.decoder, played.images
    (latents, noise, noise_rec, noise_fake), (_, _, next_noise_rec, next_noise_fake) = played.noise
    scale = 1 / 64  # one over channels * height * width

    decoder.requires_grad_(False)
    fakes = images_of(decoder, latents)
    real_code = codes_of(encoder, images)
    codes = sampled(real_code, noise)
    reconstructions = images_of(decoder, codes)
    reconstruction = scale * b_rec * errors(images, reconstructions).mean()
    kl = scale * b_kl * divergences(real_code).mean()
    evidence = torch.zeros((), dtype=torch.float64)
    for made, its_noise in ((reconstructions.detach(), noise_rec), (fakes, noise_fake)):
        code = codes_of(encoder, made)
        again = errors(made, images_of(decoder, sampled(code, its_noise)))  # of each sample
        evidence = evidence + torch.exp(-2 * scale * (b_rec * again + b_neg * divergences(code))).mean() / 4
    (reconstruction + kl + evidence).backward()
    assert_gradients(encoder, played.gradients["discriminator"])
    assert all(parameter.grad is None for parameter in decoder.parameters())

    descend(encoder)
    encoder.requires_grad_(False)
    decoder.requires_grad_(True)
    fakes, reconstructions = images_of(decoder, latents), images_of(decoder, codes.detach())
    reconstruction = scale * b_rec * errors(images, reconstructions).mean()
    adversarial, feedback = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for made, its_noise in ((reconstructions, next_noise_rec), (fakes, next_noise_fake)):
        code = codes_of(encoder, made)
        again = errors(made.detach(), images_of(decoder, sampled(code, its_noise).detach()))
        adversarial = adversarial + scale * b_kl / 2 * divergences(code).mean()
        feedback = feedback + scale * g_r / 2 * b_rec * again.mean()
    (reconstruction + adversarial + feedback).backward()
    assert_gradients(decoder, played.gradients["generator"])

    assert feedback.item() > 0
    expected = {
        "discriminator/reconstruction": reconstruction,
        "discriminator/kl": kl,
        "discriminator/adversarial": evidence,
        "generator/reconstruction": reconstruction,
        "generator/adversarial": adversarial,
        "generator/feedback": feedback,
    }
    assert played.terms == pytest.approx({name: term.item() for name, term in expected.items()}, rel=1e-9)


def test_warming_up_is_a_variational_autoencoder_for_both() -> None:
    """Error and divergence with weight 1 each, both scaled by one over the number of an image's values."""
    played = play(SoftIntroVAE, vae_warmup_kimg=0.001, **WEIGHTS)
    real_code = codes_of(played.encoder, played.images)
    codes = sampled(real_code, played.noise[0][1])
    error = errors(played.images, images_of(played.decoder, codes)).mean() / 64
    kl = divergences(real_code).mean() / 64
    (error + kl).backward()
    assert_gradients(played.encoder, played.gradients["discriminator"])
    assert_gradients(played.decoder, played.gradients["generator"])
    expected = {"discriminator/reconstruction": error, "discriminator/kl": kl, "generator/reconstruction": error}
    assert played.terms == pytest.approx({name: term.item() for name, term in expected.items()}, rel=1e-9)


def test_a_step_moves_every_parameter() -> None:
    moved = moved_by_one_step(SoftIntroVAE(**SMALL), size=8)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reconstruction_weight": -0.1}, "reconstruction_weight=-0.1 must not be negative"),
        ({"kl_weight": -0.1}, "kl_weight=-0.1"),
        ({"negative_weight": -0.1}, "negative_weight=-0.1"),
        ({"feedback_weight": -0.1}, "feedback_weight=-0.1"),
        ({"channels": None}, "image_size=8: the authors have networks for 28, 32, 128, 256, 1024"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftIntroVAE(**{**SMALL, **settings})


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = SoftIntroVAE(negative_weight=7.0, **SMALL)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = SoftIntroVAE.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert restored.negative_weight == 7.0
    assert equal(weights_of(module), weights_of(restored))
