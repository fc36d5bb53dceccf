"""IntroVAE: the authors' sizes, and one batch derived again in their order, gradient by gradient."""

from typing import Any

import pytest
import torch

from lightning_gan.models.introspective_networks import AsIntroVAEWasRun
from lightning_gan.models.introvae import IntroVAE
from tests.models.introspective_steps import (
    SMALL,
    Played,
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

WEIGHTS: dict[str, float] = {"reconstruction_weight": 0.3, "kl_weight": 0.8, "negative_weight": 0.5}


@pytest.mark.parametrize(
    ("settings", "encoder", "decoder"),
    [
        ({}, 22_711_456, 16_190_819),
        ({"channels": [64, 128, 256, 512, 512, 512]}, 27_376_960, 20_939_459),
        ({"image_size": 1024}, 27_445_328, 20_903_859),
    ],
    ids=["run_256", "class_default", "run_1024"],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], encoder: int, decoder: int) -> None:
    with torch.device("meta"):
        module = IntroVAE(**settings)
    assert (parameters_of(module.discriminator), parameters_of(module.generator)) == (encoder, decoder)


@pytest.mark.parametrize(
    ("settings", "encoder", "decoder"),
    [
        ({}, 22_973_600, 16_452_963),
        ({"channels": [64, 128, 256, 512, 512, 512]}, 27_901_248, 21_463_747),
        ({"image_size": 1024}, 27_969_616, 21_428_147),
    ],
    ids=["run_256", "class_default", "run_1024"],
)
def test_with_extra_convolutions_they_are_those_of_the_authors_command_line(
    settings: dict[str, Any], encoder: int, decoder: int
) -> None:
    with torch.device("meta"):
        module = IntroVAE(learned_shortcuts=AsIntroVAEWasRun(), **settings)
    assert (parameters_of(module.discriminator), parameters_of(module.generator)) == (encoder, decoder)


def derive(played: Played, *, margin: float, weights: dict[str, float] = WEIGHTS) -> dict[str, float]:
    """The authors' step: the decoder keeps its gradient of the encoder's backward. Checks every gradient on the way."""
    w_rec, w_kl, w_neg = weights.values()
    encoder, decoder, images = played.encoder, played.decoder, played.images
    latents, noise = played.noise[0]
    fakes = images_of(decoder, latents)
    real_code = codes_of(encoder, images)
    codes = sampled(real_code, noise)
    reconstructions = images_of(decoder, codes)
    kl_rec = divergences(codes_of(encoder, reconstructions.detach())).mean()
    kl_fake = divergences(codes_of(encoder, fakes.detach())).mean()
    reconstruction, kl = w_rec * errors(images, reconstructions).mean(), w_kl * divergences(real_code).mean()
    hinges = w_kl * w_neg / 2 * (torch.relu(margin - kl_rec) + torch.relu(margin - kl_fake))
    (reconstruction + kl + hinges).backward()
    assert_gradients(encoder, played.gradients["discriminator"])

    descend(encoder)
    # What the authors keep with retain_graph is made again, because the encoder's weights have moved in place.
    again, fakes = images_of(decoder, codes.detach()), images_of(decoder, latents)
    torch.testing.assert_close(again, reconstructions)
    adversarial = (
        w_kl / 2 * (divergences(codes_of(encoder, again)).mean() + divergences(codes_of(encoder, fakes)).mean())
    )
    adversarial.backward()  # on top of what the encoder's backward has left in the decoder
    assert_gradients(decoder, played.gradients["generator"])
    return {
        "discriminator/reconstruction": reconstruction.item(),
        "discriminator/kl": kl.item(),
        "discriminator/adversarial": hinges.item(),
        "generator/reconstruction": reconstruction.item(),
        "generator/adversarial": adversarial.item(),
        "kl_rec": kl_rec.item(),
        "kl_fake": kl_fake.item(),
    }


def test_a_batch_has_the_losses_and_gradients_of_the_authors_order() -> None:
    """With both hinges open, none, and either one alone: a batch's mean decides."""
    found = derive(play(IntroVAE, margin=120.0, **WEIGHTS), margin=120.0)
    between = (found["kl_rec"] + found["kl_fake"]) / 2
    assert abs(found["kl_rec"] - found["kl_fake"]) > 1e-4
    for margin in (120.0, 0.0, between):
        played = play(IntroVAE, margin=margin, **WEIGHTS)
        expected = derive(played, margin=margin)
        assert {name: expected[name] for name in played.terms} == pytest.approx(played.terms, rel=1e-9)
        assert (expected["discriminator/adversarial"] > 0) is (margin > 0)


def test_without_a_margin_the_encoder_is_a_variational_autoencoders() -> None:
    """Divergences are not negative, so the hinges are closed."""
    plain, none = (play(IntroVAE, **{**WEIGHTS, **other}) for other in ({"margin": 0.0}, {"negative_weight": 0.0}))
    assert plain.terms["discriminator/adversarial"] == 0
    for name, gradient in plain.gradients["discriminator"].items():
        torch.testing.assert_close(gradient, none.gradients["discriminator"][name], rtol=0, atol=0)


def test_warming_up_is_a_variational_autoencoder_for_both() -> None:
    """Error and divergence with weight 1 each; of the second the decoder has no part."""
    played = play(IntroVAE, vae_warmup_kimg=0.001, **WEIGHTS)
    noise = played.noise[0][1]
    real_code = codes_of(played.encoder, played.images)
    error = errors(played.images, images_of(played.decoder, sampled(real_code, noise))).mean()
    kl = divergences(real_code).mean()
    (error + kl).backward()
    assert_gradients(played.encoder, played.gradients["discriminator"])
    assert_gradients(played.decoder, played.gradients["generator"])
    expected = {"discriminator/reconstruction": error, "discriminator/kl": kl, "generator/reconstruction": error}
    assert played.terms == pytest.approx({name: term.item() for name, term in expected.items()}, rel=1e-9)


def test_a_step_moves_every_parameter() -> None:
    moved = moved_by_one_step(IntroVAE(**SMALL), size=8)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": -1.0}, "margin=-1.0 must be at least 0"),
        ({"reconstruction_weight": -0.1}, "reconstruction_weight=-0.1"),
        ({"kl_weight": -0.1}, "kl_weight=-0.1"),
        ({"negative_weight": -0.1}, "negative_weight=-0.1"),
        ({"vae_warmup_kimg": -1.0}, "vae_warmup_kimg=-1.0"),
        ({"channels": None}, "image_size=8: the authors have networks for 32, 64, 128, 256, 1024"),
        ({"channels": [2, 2, 2, 2]}, r"channels=\[2, 2, 2, 2\] do not fit image_size=8"),
        ({"channels": []}, r"channels=\[\] do not fit"),
        ({"channels": [0, 2]}, r"channels=\[0, 2\] do not fit"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IntroVAE(**{**SMALL, **settings})


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = IntroVAE(margin=7.0, **SMALL)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = IntroVAE.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert restored.margin == 7.0
    assert equal(weights_of(module), weights_of(restored))
