"""CR, bCR and zCR: whom they move, what costs nothing, and their signs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks import ProgressiveGrowing
from lightning_gan.callbacks.regularizers import consistency_regularization
from lightning_gan.callbacks.regularizers.consistency_regularization import BCR, CR, ZCRDiscriminator, ZCRGenerator
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.models.stylegan import Epilogue, StyleGAN, SynthesisParts
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.callbacks.regularizers.test_regularizers_in_foreign_modules import ForeignStyleGAN
from tests.models.training import random_loader
from tests.penalties.turns import turn_of
from tests.toys import LATENT, SIZE, equal, toy_loader, toy_trainer

SHIFT = {"largest_shift": 1}
PENALTIES: list[Callable[[], Penalty]] = [
    lambda: CR(**SHIFT),
    lambda: BCR(**SHIFT),
    lambda: ZCRDiscriminator(noise=0.5),
    lambda: ZCRGenerator(noise=0.5, weight=5.0),
]
NAMES = ["CR", "BCR", "ZCRDiscriminator", "ZCRGenerator"]


def turn(
    player: Player = "discriminator",
    *,
    critic: Callable[[Tensor], Tensor] = lambda images: images[:, :, 0, 0],
    generator: Callable[[Tensor], Tensor] = lambda latents: latents.view(-1, 1, 2, 3),
) -> Turn:
    random = torch.Generator().manual_seed(0)
    return turn_of(
        player,
        critic=critic,
        generator=generator,
        real=torch.randn(64, 1, 2, 3, generator=random),
        latents=torch.randn(64, 6, generator=random).requires_grad_(player == "generator"),
    )


def test_a_constant_critic_loses_nothing() -> None:
    constant = turn(critic=lambda images: torch.zeros_like(images[:, 0, 0, :1]))
    for penalty in (CR(**SHIFT), BCR(largest_shift=1), ZCRDiscriminator()):
        assert penalty.penalty(constant) == 0


def test_bcr_without_its_fake_part_is_cr() -> None:
    values = []
    for penalty in (CR(weight=3.0, **SHIFT), BCR(real_weight=3.0, fake_weight=0.0, **SHIFT)):
        torch.manual_seed(5)
        values.append(penalty.weighted(turn()).item())
    assert values[0] == values[1] > 0


def test_bcr_adds_the_fakes_with_their_own_weight() -> None:
    values = []
    for weights in [(2.0, 3.0), (2.0, 0.0), (0.0, 3.0)]:
        torch.manual_seed(5)
        penalty = BCR(real_weight=weights[0], fake_weight=weights[1], largest_shift=1)
        values.append(penalty.weighted(turn()).item())
    assert values[0] == pytest.approx(values[1] + values[2])


def test_gradients_flow_through_both_looks() -> None:
    """With D = w * pixel, both scores grow with w: the penalty is w^2 times a constant."""
    slope = torch.tensor(2.0, requires_grad=True)
    cost = CR(**SHIFT).penalty(turn(critic=lambda images: slope * images[:, :, 0, 0]))
    (gradient,) = torch.autograd.grad(cost, slope)
    assert gradient.item() == pytest.approx(cost.item())  # d(w^2 c)/dw = 2 w c, and w = 2


def test_a_step_of_nothing_costs_and_earns_nothing() -> None:
    assert ZCRDiscriminator(noise=0.0).penalty(turn()) == 0
    assert ZCRGenerator(noise=0.0).penalty(turn("generator")) == 0


def test_the_generators_part_is_a_reward_that_joins_with_a_minus() -> None:
    """G(z) = z: the mean squared step is the noise's variance."""
    reward = ZCRGenerator(weight=0.5, noise=2.0).weighted(turn("generator"))
    assert reward.item() == pytest.approx(-0.5 * 4.0, rel=0.15)


def test_the_discriminators_part_sees_the_same_step_through_the_critic() -> None:
    cost = ZCRDiscriminator(weight=20.0, noise=2.0).weighted(turn(critic=lambda images: 3 * images[:, :, 0, 0]))
    assert cost.item() == pytest.approx(20 * 9 * 4.0, rel=0.4)


def test_the_generator_feels_nothing_of_the_discriminators_part() -> None:
    scale = torch.ones((), requires_grad=True)
    slope = torch.ones((), requires_grad=True)
    cost = ZCRDiscriminator().penalty(
        turn(
            critic=lambda images: slope * images[:, :, 0, 0],
            generator=lambda latents: scale * latents.view(-1, 1, 2, 3),
        )
    )
    assert torch.autograd.grad(cost, [scale, slope], allow_unused=True)[0] is None


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_it_moves_its_own_player_in_that_players_turns(penalty: Callable[[], Penalty]) -> None:
    own = penalty().player
    plain = moved_by(module=fast_gan(), batches=1)
    regular = moved_by(penalty(), module=fast_gan(), batches=1)
    assert not equal(plain[own], regular[own])
    if own == "generator":
        assert equal(plain["discriminator"], regular["discriminator"])
    lazy = penalty()
    lazy.every_n_turns = 2
    players: list[Player] = ["discriminator", "generator"] * 2
    assert [lazy.is_due(player) for player in players] == [player == own for player in players[:2]] + [False] * 2


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_it_survives_a_resume(tmp_path: Path, penalty: Callable[[], Penalty]) -> None:
    assert_resumes(penalty, tmp_path)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (CR, {"weight": -1.0}, r"CR: its weight -1\.0"),
        (CR, {"largest_shift": -1}, "CR: largest_shift=-1"),
        (BCR, {"fake_weight": -2.0}, r"BCR: real_weight=10\.0 and fake_weight=-2\.0"),
        (ZCRGenerator, {"weight": -0.5}, r"ZCRGenerator: its weight -0\.5"),
        (ZCRDiscriminator, {"noise": -0.1}, r"ZCRDiscriminator: noise=-0\.1"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**settings)


def images_turn(*shape: int) -> Turn:
    """A turn of images of one shape, and a critic of anything."""
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    return turn_of(
        critic=lambda given: given.flatten(1)[:, :1],
        generator=lambda latents: images,
        real=images,
        latents=torch.zeros(4, 1),
    )


@pytest.mark.parametrize("kind", [CR, BCR])
def test_inputs_that_are_no_images_and_channels_in_the_last_place_are_refused(kind: Callable[..., Penalty]) -> None:
    name = kind.__name__  # type: ignore[attr-defined]
    for largest_shift in (0, 4):
        with pytest.raises(
            ValueError, match=rf"^{name}: the discriminator's input has 16 features and is no image .*$"
        ):
            kind(largest_shift=largest_shift).penalty(images_turn(16, 1, 1))
    with pytest.raises(ValueError, match=rf"^{name}: .* has 8 channels of 8x3 pixels, as if its channels were last; "):
        kind(largest_shift=1).penalty(images_turn(8, 8, 3))


@pytest.mark.parametrize("shape", [(3, 8, 8), (16, 4, 4), (1, 6, 2), (4, 2, 3)])
def test_small_images_and_maps_of_many_features_are_images(shape: tuple[int, ...]) -> None:
    for kind in (CR, BCR):
        assert kind(largest_shift=1).penalty(images_turn(*shape)) > 0


def test_a_module_whose_critic_takes_vectors_is_refused_in_its_first_turn() -> None:
    class Flat(ForeignStyleGAN):
        def __init__(self) -> None:
            super().__init__()
            self.netG = nn.Linear(LATENT, SIZE * SIZE)  # type: ignore[assignment]

        def training_step(self, batch: Any, batch_idx: int) -> None:
            super().training_step((batch[0].flatten(1),), batch_idx)

    for kind in (CR, BCR):
        with pytest.raises(ValueError, match=f"{kind.__name__}: .* 16 features and is no image"):
            penalty = kind(largest_shift=0, discriminator="netD", generator="netG")
            toy_trainer(penalty, limit_train_batches=1).fit(Flat(), toy_loader())


# ---------------------------------------------------------------------- noise inputs, and growing networks


def styled() -> StyleGAN:
    """A small StyleGAN that draws noise inputs and mixes styles."""
    torch.manual_seed(3)
    return StyleGAN(
        image_size=8,
        image_channels=1,
        latent_dim=8,
        style_dim=8,
        mapping_width=8,
        mapping_layers=2,
        channel_base=32,
        channel_max=4,
        parts=SynthesisParts(),
    )


@pytest.mark.parametrize("kind", [ZCRDiscriminator, ZCRGenerator])
def test_both_images_get_the_same_noise_and_styles(kind: type[Penalty]) -> None:
    """Without a step in latent space nothing differs, although the generator draws noise and mixes styles."""
    values = []
    for noise in (0.0, 0.5):
        module = styled()
        for layer in module.generator.modules():  # at the start the noise has the weight 0
            if isinstance(layer, Epilogue):
                nn.init.ones_(layer.noise_weight)  # type: ignore[arg-type]
        trainer = toy_trainer(kind(noise=noise), limit_train_batches=2)  # type: ignore[call-arg]
        trainer.fit(module, random_loader(size=8))
        values.append(float(trainer.callback_metrics[f"{kind.player}/zcr"]))
    assert values[0] == 0 != values[1]


@pytest.mark.parametrize("kind", [CR, BCR])
def test_the_shift_is_relative_to_the_full_size_while_networks_grow(kind: type[Penalty]) -> None:
    shifts: list[int] = []
    penalty = kind(largest_shift=4)  # type: ignore[call-arg]
    growing = ProgressiveGrowing(start_resolution=4, hold_kimg=0.004, fade_kimg=0.004)
    module = styled()
    original = consistency_regularization.randomly_flipped_and_shifted

    def noted(images: Tensor, *, largest_shift: int) -> Tensor:
        shifts.append(largest_shift)
        return original(images, largest_shift=largest_shift)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consistency_regularization, "randomly_flipped_and_shifted", noted)
        toy_trainer(growing, penalty, limit_train_batches=4).fit(module, random_loader(size=8, count=16))
    assert set(shifts) == {2, 4} and shifts[0] == 2
