"""What a compiled training says, and that it goes on eagerly where it cannot be compiled. test_compile.py compiles."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import R1
from lightning_gan.compat import CANNOT_BE_COMPILED
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.toys import FAST, LATENT, ToyCritic, ToyGenerator, toy_loader, toy_trainer, weights_of


def cannot(*arguments: Any) -> Any:
    """What torch.compile returns for a network that it cannot trace."""
    raise CANNOT_BE_COMPILED[0]("\nUnsupported: Tensor.item\n  a hint of several lines")


def gan(*, compiles: bool) -> GAN:
    torch.manual_seed(2)
    training = Training(
        compile=compiles,
        generator_optimizer=FAST.generator_optimizer,
        discriminator_optimizer=FAST.discriminator_optimizer,
    )
    return GAN(
        generator=ToyGenerator(classes=0), discriminator=ToyCritic(classes=0), latent_dim=LATENT, training=training
    )


def trained(module: GAN) -> list[Tensor]:
    toy_trainer(R1(gamma=1.0, every_n_turns=2), limit_train_batches=5, max_epochs=1).fit(module, toy_loader())
    return weights_of(module.discriminator)


def test_a_network_that_cannot_be_traced_is_trained_eagerly_and_this_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eager = trained(gan(compiles=False))
    monkeypatch.setattr(torch, "compile", lambda function, **settings: cannot)
    with pytest.warns(
        UserWarning, match=r"turn with r1 on 4x1x4x4 cannot be compiled \(Unsupported: Tensor\.item\); .*goes on"
    ) as told:
        compiled = trained(gan(compiles=True))
    assert sum("cannot be compiled" in str(warning.message) for warning in told) == 1
    assert all(torch.equal(one, two) for one, two in zip(compiled, eager, strict=True))


def test_each_kind_of_turn_is_named_once_with_its_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compiled(function: Any, **settings: Any) -> Any:
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        trained(gan(compiles=True))
    lines = [record.message for record in caplog.records if "turn" in record.message]
    turns = ["the discriminator's turn with r1", "the generator's turn", "the discriminator's turn"]
    assert lines == [
        line
        for turn in turns
        for line in (
            f"compiling {turn} on 4x1x4x4; this may take minutes, and is done once for each kind of turn",
            f"compiled {turn} on 4x1x4x4 in 0 s",
        )
    ]
