"""Soft-IntroVAE: the authors' sizes, and one batch derived again in their order, gradient by gradient."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.loop.distributed import frozen
from lightning_gan.loop.draws import Reals
from lightning_gan.models.introspective import IntrospectiveDraws, IntrospectiveScores
from lightning_gan.models.soft_introvae import SoftIntroVAE
from tests.models.introspective_steps import (
    BATCH,
    LATENT,
    SIZE,
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

# The authors' gamma_r of 1e-8 would not be seen.
WEIGHTS: dict[str, float] = {
    "reconstruction_weight": 0.6,
    "kl_weight": 0.8,
    "negative_weight": 25.0,
    "feedback_weight": 0.7,
}
SCALE = 1 / SIZE**2  # one over channels * height * width


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


def encoder_terms(played: Played) -> dict[str, Tensor]:
    """The encoder's cost in the order of the authors' training loop, term by term; the decoder must be frozen.

    The facts are from `train_soft_intro_vae` in taldatech/soft-intro-vae-pytorch (soft_intro_vae/; the bootstrap, the
    2-D and the style variant agree): the encoder reads detached reconstructions, but the error of the second
    reconstruction is taken from the first one, which is not detached.
    """
    b_rec, b_kl, b_neg, _ = WEIGHTS.values()
    latents, noise, noise_rec, noise_fake = played.noise[0]
    fakes = images_of(played.decoder, latents)
    real_code = codes_of(played.encoder, played.images)
    reconstructions = images_of(played.decoder, sampled(real_code, noise))
    evidence = torch.zeros((), dtype=torch.float64)
    for made, its_noise in ((reconstructions, noise_rec), (fakes, noise_fake)):
        code = codes_of(played.encoder, made.detach())
        again = errors(made, images_of(played.decoder, sampled(code, its_noise)))  # of each sample
        evidence = evidence + torch.exp(-2 * SCALE * (b_rec * again + b_neg * divergences(code))).mean() / 4
    return {
        "reconstruction": SCALE * b_rec * errors(played.images, reconstructions).mean(),
        "kl": SCALE * b_kl * divergences(real_code).mean(),
        "adversarial": evidence,
    }


def decoder_terms(played: Played, codes: Tensor) -> dict[str, Tensor]:
    """The decoder's cost in the order of the same loop, term by term; the encoder must be frozen.

    Codes of the decoder's images and the targets of their second reconstruction are detached.
    """
    b_rec, b_kl, _, g_r = WEIGHTS.values()
    latents, (_, _, noise_rec, noise_fake) = played.noise[0][0], played.noise[1]
    fakes, reconstructions = images_of(played.decoder, latents), images_of(played.decoder, codes)
    adversarial, feedback = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for made, its_noise in ((reconstructions, noise_rec), (fakes, noise_fake)):
        code = codes_of(played.encoder, made)
        again = errors(made.detach(), images_of(played.decoder, sampled(code, its_noise).detach()))
        adversarial = adversarial + SCALE * b_kl / 2 * divergences(code).mean()
        feedback = feedback + SCALE * g_r / 2 * b_rec * again.mean()
    return {
        "reconstruction": SCALE * b_rec * errors(played.images, reconstructions).mean(),
        "adversarial": adversarial,
        "feedback": feedback,
    }


def test_a_batch_has_the_losses_and_gradients_of_the_authors_order() -> None:
    """In the encoder's step the decoder is frozen, in the decoder's the encoder."""
    played = play(SoftIntroVAE, **WEIGHTS)
    encoder, decoder = played.encoder, played.decoder
    codes = sampled(codes_of(encoder, played.images), played.noise[0][1]).detach()

    decoder.requires_grad_(False)
    of_encoder = encoder_terms(played)
    torch.stack(list(of_encoder.values())).sum().backward()
    assert_gradients(encoder, played.gradients["discriminator"])
    assert all(parameter.grad is None for parameter in decoder.parameters())

    descend(encoder)
    encoder.requires_grad_(False)
    decoder.requires_grad_(True)
    of_decoder = decoder_terms(played, codes)
    torch.stack(list(of_decoder.values())).sum().backward()
    assert_gradients(decoder, played.gradients["generator"])

    assert of_decoder["feedback"].item() > 0
    expected = {
        **{f"discriminator/{name}": term.item() for name, term in of_encoder.items()},
        **{f"generator/{name}": term.item() for name, term in of_decoder.items()},
    }
    assert played.terms == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_term_of_both_costs_has_the_gradient_of_the_authors(seed: int) -> None:
    """To 1e-12 in double precision, on random networks with batch norm in training mode."""
    torch.manual_seed(seed)
    module = SoftIntroVAE(**SMALL, **WEIGHTS).double()
    images = torch.rand(BATCH, 1, SIZE, SIZE, dtype=torch.float64)
    noise = torch.randn(2, 4, BATCH, LATENT, dtype=torch.float64)
    played = Played(
        encoder=module.discriminator,
        decoder=module.generator,
        images=images,
        noise=(tuple(noise[0]), tuple(noise[1])),
    )
    reals = Reals(images=2 * images - 1, labels=None)
    codes = sampled(codes_of(module.discriminator, images), noise[0, 1]).detach()
    draws = IntrospectiveDraws(
        latents=noise[0, 0], labels=None, code_noise=noise[0, 1], codes=None, noises=tuple(noise[0, 2:])
    )
    with frozen(list(module.generator.parameters())):
        fake = module.fakes(draws).detach()
        ours = module.objective(module.run_networks("discriminator", reals, draws, fake))
        assert_equal_gradients(ours, encoder_terms(played), of=module.discriminator)
    draws = replace(draws, codes=codes, noises=tuple(noise[1, 2:]))
    with frozen(list(module.discriminator.parameters())):
        ours = module.objective(module.run_networks("generator", reals, draws, None))
        assert_equal_gradients(ours, decoder_terms(played, codes), of=module.generator)


def assert_equal_gradients(terms: dict[str, Tensor], expected: dict[str, Tensor], *, of: nn.Module) -> None:
    """Every term's value, and its gradient in all parameters of a network."""
    assert terms.keys() == expected.keys()
    for name, term in terms.items():
        torch.testing.assert_close(term, expected[name], rtol=1e-12, atol=1e-14)
        both = [
            torch.autograd.grad(each, list(of.parameters()), retain_graph=True, allow_unused=True)
            for each in (term, expected[name])
        ]
        for found, wanted in zip(*both, strict=True):
            assert (found is None) == (wanted is None), name
            if found is not None and wanted is not None:
                torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_the_target_of_the_second_reconstruction_passes_gradient_to_the_encoder() -> None:
    """Without it the encoder's gradient of the exponential terms would differ by a quarter and more."""
    torch.manual_seed(0)
    module = SoftIntroVAE(**SMALL, **{**WEIGHTS, "negative_weight": 0.0}).double()
    images, noise = torch.rand(BATCH, 1, SIZE, SIZE).double(), torch.randn(4, BATCH, LATENT).double()
    draws = IntrospectiveDraws(latents=noise[0], labels=None, code_noise=noise[1], codes=None, noises=tuple(noise[2:]))
    weights = list(module.discriminator.parameters())
    gradients = []
    for detached in (False, True):
        turn = module.run_networks(
            "discriminator", Reals(images=images, labels=None), draws, module.fakes(draws).detach()
        )
        scores = turn.scores
        assert isinstance(scores, IntrospectiveScores)
        if detached:
            turn = replace(turn, scores=replace(scores, reconstructions=scores.reconstructions.detach()))
        gradient = torch.autograd.grad(module.objective(turn)["adversarial"], weights, allow_unused=True)
        gradients.append(torch.cat([part.flatten() for part in gradient if part is not None]))
    assert (gradients[0] - gradients[1]).norm() > 0.25 * gradients[0].norm()


def test_warming_up_is_a_weighted_variational_autoencoder_for_both() -> None:
    """beta_rec times the error and beta_kl times the divergence, as in the same loop's first `num_vae` epochs.

    Ours are also scaled by one over the number of an image's values, unlike theirs.
    """
    played = play(SoftIntroVAE, vae_warmup_kimg=0.001, **WEIGHTS)
    real_code = codes_of(played.encoder, played.images)
    codes = sampled(real_code, played.noise[0][1])
    error = SCALE * 0.6 * errors(played.images, images_of(played.decoder, codes)).mean()
    kl = SCALE * 0.8 * divergences(real_code).mean()
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
        ({"reconstruction_weight": -0.1}, "reconstruction_weight=-0.1 must be at least 0"),
        ({"kl_weight": -0.1}, "kl_weight=-0.1"),
        ({"negative_weight": -0.1}, "negative_weight=-0.1"),
        ({"feedback_weight": -0.1}, "feedback_weight=-0.1"),
        ({"channels": None}, "image_size=8: the authors have networks for 28, 32, 64, 128, 256, 1024"),
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
