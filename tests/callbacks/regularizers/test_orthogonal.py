"""Orthogonal regularization of a named network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lightning_gan.callbacks.regularizers.orthogonal import (
    OrthogonalDiscriminator,
    OrthogonalGenerator,
    OrthogonalPenalty,
)
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.penalties.orthogonality import off_diagonal_orthogonality, orthogonality
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.penalties.turns import turn_of
from tests.toys import equal, toy_gan, toy_loader, toy_trainer


def ready(penalty: OrthogonalPenalty, module: Any) -> OrthogonalPenalty:
    penalty.setup(toy_trainer(), module, "fit")
    return penalty


def value_of(penalty: OrthogonalPenalty) -> float:
    nothing = torch.zeros(1, 1, 1, 1)
    turn = turn_of(
        penalty.player, critic=lambda x: x.flatten(1), generator=lambda z: nothing, real=nothing, latents=nothing[0, 0]
    )
    return penalty.weighted(turn).item()


def test_it_is_beta_times_the_sum_over_all_weights_but_biases() -> None:
    module = toy_gan()
    critic = module.discriminator
    parts = [critic.conv.weight, critic.output.weight]  # type: ignore[union-attr]
    off_diagonal = sum(off_diagonal_orthogonality(weight).item() for weight in parts)  # type: ignore[arg-type]
    plain = sum(orthogonality(weight).item() for weight in parts)  # type: ignore[arg-type]
    assert value_of(ready(OrthogonalDiscriminator(beta=0.5), module)) == pytest.approx(0.5 * off_diagonal)
    both = OrthogonalDiscriminator(beta=0.5, off_diagonal=False, every_n_turns=4)
    assert value_of(ready(both, module)) == pytest.approx(2 * plain)


def test_excluded_layers_do_not_count() -> None:
    module = toy_gan(number_of_classes=3)
    generator = module.generator
    parts = [generator.hidden.weight, generator.output.weight]  # type: ignore[union-attr]
    expected = sum(off_diagonal_orthogonality(weight).item() for weight in parts)  # type: ignore[arg-type]
    penalty = ready(OrthogonalGenerator(beta=1.0, excluded=("embedding",)), module)
    assert value_of(penalty) == pytest.approx(expected)


def test_filters_of_transposed_and_of_spectrally_normalized_layers_are_found() -> None:
    module = toy_gan()
    module.generator.hidden = nn.ConvTranspose2d(2, 3, 2)
    module.generator.output = nn.Embedding(4, 2)
    expected = off_diagonal_orthogonality(module.generator.hidden.weight.transpose(0, 1)).item()
    spectrally_normalized(module.generator.hidden)
    penalty = ready(OrthogonalGenerator(beta=1.0, generator="generator.hidden"), module)
    assert value_of(penalty) == pytest.approx(expected)


@pytest.mark.parametrize("penalty", [OrthogonalDiscriminator, OrthogonalGenerator])
def test_it_moves_its_own_player_and_is_due_at_that_players_turns(penalty: Any) -> None:
    own = penalty.player
    assert [penalty().is_due(player) for player in ("discriminator", "generator")] == [
        own == "discriminator",
        own == "generator",
    ]
    plain = moved_by(module=fast_gan(), batches=1)
    regular = moved_by(penalty(beta=10.0), module=fast_gan(), batches=1)
    assert not equal(plain[own], regular[own])
    if own == "generator":  # the discriminator has moved before it
        assert equal(plain["discriminator"], regular["discriminator"])


def test_training_makes_filters_orthogonal() -> None:
    module, penalty = fast_gan(), OrthogonalDiscriminator(beta=100.0)
    before = value_of(ready(penalty, module))
    toy_trainer(penalty, limit_train_batches=16).fit(module, toy_loader())
    assert value_of(penalty) < before / 10


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(lambda: OrthogonalGenerator(beta=1.0, every_n_turns=3), tmp_path)


def test_bad_settings_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"OrthogonalDiscriminator: its weight -1\.0"):
        OrthogonalDiscriminator(beta=-1.0)
    with pytest.raises(ValueError, match=r"OrthogonalGenerator\(generator=\.\.\.\): GAN has no network 'netG'"):
        ready(OrthogonalGenerator(generator="netG"), toy_gan())
    with pytest.raises(ValueError, match=r"excluded='shared' is no weight of 'generator'; .* are hidden\.weight"):
        ready(OrthogonalGenerator(excluded=("shared",)), toy_gan())
    with pytest.raises(ValueError, match="has no weights of two or more dimensions"):
        ready(OrthogonalDiscriminator(excluded=("conv", "output.weight")), toy_gan())
