"""Regularizers of the game's dynamics: right player, right images, right gradient, on one rank and on two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks.regularizers.game_dynamics import (
    ConsensusOptimization,
    GameRegularizer,
    NagarajanKolter,
    SymplecticGradientAdjustment,
)
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.callbacks.regularizers.game_dynamics_worker import CASES
from tests.toys import FAST, Spy, equal, toy_gan, toy_images, toy_loader, toy_trainer, weights_of
from tests.two_ranks import assert_same_weights, largest_difference, run_on_one_and_two

ALL: list[Any] = [ConsensusOptimization, NagarajanKolter, SymplecticGradientAdjustment]


def gradients_of(module: GAN, *callbacks: Callback, batches: int = 1) -> list[tuple[str, list[Tensor]]]:
    """Every step's gradients of the player that steps, after the callbacks."""
    seen: list[tuple[str, list[Tensor]]] = []

    def see(player: str, gan: GAN) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        seen.append((player, [p.grad.clone() for p in network.parameters() if p.grad is not None]))

    trainer = toy_trainer(*callbacks, Spy(see), limit_train_batches=batches, precision="64-true")
    trainer.fit(module, toy_loader(batch_size=8, classes=module.number_of_classes))
    return seen


def still(parameters: Any) -> torch.optim.Optimizer:
    """An optimizer that does not move, so that all turns are at the same weights."""
    return torch.optim.SGD(parameters, lr=0.0)


def still_gan(*, accumulate_slices: int = 1, **settings: Any) -> GAN:
    training = Training(generator_optimizer=still, discriminator_optimizer=still, accumulate_slices=accumulate_slices)
    return toy_gan(training=training, **settings).double()


def by_hand(module: GAN, *, latents: Tensor) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """L_G and L_D of the first batch, written anew, and both players' weights."""
    real = toy_images(64)[:8].double()
    fake = module.generator(latents)
    generator_cost = softplus(-module.discriminator(fake)).mean()
    discriminator_cost = softplus(-module.discriminator(real)).mean() + softplus(module.discriminator(fake)).mean()
    return (
        generator_cost,
        discriminator_cost,
        list(module.generator.parameters()),
        list(module.discriminator.parameters()),
    )


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def latents_of_turns(module: GAN) -> dict[str, Tensor]:
    """The latents of the two turns of the first batch, caught at the generator."""
    caught: list[Tensor] = []
    handle = module.generator.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].clone()))
    toy_trainer(limit_train_batches=1, precision="64-true").fit(module, toy_loader(batch_size=8))
    handle.remove()
    return {"discriminator": caught[0], "generator": caught[1]}


@pytest.mark.parametrize("kind", ["consensus", "nagarajan_kolter", "symplectic"])
def test_the_term_is_that_of_the_turns_own_images_and_latents(kind: str) -> None:
    """The change of each player's gradient, against full Jacobians of the game written anew."""
    callbacks: dict[str, GameRegularizer] = {
        "consensus": ConsensusOptimization(gamma=3.0),
        "nagarajan_kolter": NagarajanKolter(eta=3.0),
        "symplectic": SymplecticGradientAdjustment(strength=3.0, align=False),
    }
    latents = latents_of_turns(still_gan())
    plain = dict(gradients_of(still_gan()))
    changed = dict(gradients_of(still_gan(), callbacks[kind]))
    for player in ("discriminator", "generator"):
        module = still_gan()
        generator_cost, discriminator_cost, theta, psi = by_hand(module, latents=latents[player])
        by_theta = torch.autograd.grad(generator_cost, theta, create_graph=True)
        by_psi = torch.autograd.grad(discriminator_cost, psi, create_graph=True)
        own = theta if player == "generator" else psi
        if kind == "consensus":
            number = (flat(by_theta).square().sum() + flat(by_psi).square().sum()) / 2
            expected = flat(torch.autograd.grad(number, own))
        elif kind == "nagarajan_kolter":
            number = flat(by_psi).square().sum() * (player == "generator")
            expected = flat(torch.autograd.grad(number, own))
        else:
            xi = flat([*by_theta, *by_psi])
            rows = [
                flat(torch.autograd.grad(entry, [*theta, *psi], retain_graph=True, materialize_grads=True))
                for entry in xi
            ]
            jacobian = torch.stack(rows)
            adjustment = (jacobian - jacobian.T).T @ xi.detach() / 2
            sizes = [flat(theta).numel(), flat(psi).numel()]
            expected = adjustment.split(sizes)[0 if player == "generator" else 1]
        change = flat(changed[player]) - flat(plain[player])
        torch.testing.assert_close(change, 3.0 * expected, rtol=1e-9, atol=1e-14)
        assert (expected.abs().max() > 1e-4) is not (kind == "nagarajan_kolter" and player == "discriminator")


@pytest.mark.parametrize("regularizer", ALL)
def test_every_turn_of_its_players_is_changed(regularizer: Any) -> None:
    """Weights stand still, so every batch's gradients can be compared with those of a run without the callback."""
    plain, changed = gradients_of(still_gan(), batches=3), gradients_of(still_gan(), regularizer(), batches=3)
    for (player, before), (_, after) in zip(plain, changed, strict=True):
        assert equal(before, after) is (player not in regularizer.players)


@pytest.mark.parametrize(
    "training", [Training(discriminator_turns=3), Training(discriminator_turns=2, turns_share_batch=True)]
)
def test_with_several_turns_each_term_is_of_its_own_turns_images(training: Training) -> None:
    """A game on one slice alone: the images that the regularizer looks at are those that the turn looked at."""
    looks: list[tuple[Tensor, Tensor]] = []

    class Look(GAN):
        def run_networks(self, player: Any, *inputs: Any) -> Any:
            reals, draws, _ = inputs
            looks.append((reals.images.detach().clone(), draws.latents.clone()))
            return super().run_networks(player, *inputs)

    base = toy_gan()
    module = Look(generator=base.generator, discriminator=base.discriminator, latent_dim=4, training=training)
    toy_trainer(ConsensusOptimization(gamma=1.0), limit_train_batches=3).fit(module, toy_loader(batch_size=8))
    assert len(looks) >= 8
    for turn, again in zip(looks[::2], looks[1::2], strict=True):
        assert torch.equal(turn[0], again[0])
        assert torch.equal(turn[1], again[1])


@pytest.mark.parametrize("regularizer", ALL)
def test_slices_of_a_batch_give_the_term_of_the_whole(regularizer: Any) -> None:
    whole = gradients_of(still_gan(), regularizer())
    sliced = gradients_of(still_gan(accumulate_slices=4), regularizer())
    for (_, one), (_, many) in zip(whole, sliced, strict=True):
        torch.testing.assert_close(many, one, rtol=1e-9, atol=1e-14)


def test_labels_reach_both_networks() -> None:
    plain = gradients_of(still_gan(number_of_classes=3))
    changed = gradients_of(still_gan(number_of_classes=3), ConsensusOptimization(gamma=1.0))
    assert not equal(plain[1][1], changed[1][1])


@pytest.mark.parametrize("align", [True, False])
def test_the_aligned_adjustment_is_the_plain_one_up_to_its_sign(align: bool) -> None:
    plain = gradients_of(still_gan())
    positive = gradients_of(still_gan(), SymplecticGradientAdjustment(align=False))
    other = gradients_of(still_gan(), SymplecticGradientAdjustment(align=align))
    for before, one, two in zip(plain, positive, other, strict=True):
        first, second = flat(one[1]) - flat(before[1]), flat(two[1]) - flat(before[1])
        torch.testing.assert_close(second.abs(), first.abs(), rtol=1e-6, atol=1e-12)


def test_a_weight_of_zero_changes_nothing_bit_for_bit() -> None:
    runs = []
    for callbacks in ([], [ConsensusOptimization(gamma=0.0)]):
        module = toy_gan()
        toy_trainer(*callbacks, limit_train_batches=3).fit(module, toy_loader())
        runs.append(weights_of(module))
    assert equal(*runs)


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    """Nothing is kept between batches."""

    def run(batches: int, checkpoint: Path | None) -> tuple[list[Tensor], Any]:
        module = toy_gan(training=FAST)
        trainer = toy_trainer(SymplecticGradientAdjustment(), max_epochs=batches, limit_train_batches=1)
        trainer.fit(module, toy_loader(), ckpt_path=checkpoint, weights_only=checkpoint is None)
        return weights_of(module), trainer

    whole, _ = run(4, None)
    _, trainer = run(2, None)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = run(4, tmp_path / "half.ckpt")
    assert equal(whole, resumed)


def test_its_size_is_logged_for_each_player() -> None:
    trainer = toy_trainer(ConsensusOptimization(gamma=2.0), NagarajanKolter(), limit_train_batches=2)
    trainer.fit(toy_gan(), toy_loader())
    names = {"discriminator/consensus", "generator/consensus", "generator/nagarajan_kolter"}
    assert names <= set(trainer.callback_metrics)
    assert all(trainer.callback_metrics[name] > 0 for name in names)


def test_under_mixed_precision_the_term_is_computed_in_fp32() -> None:
    dtypes: list[torch.dtype] = []

    class Watch(GAN):
        def run_networks(self, player: Any, *inputs: Any) -> Any:
            hidden = self.discriminator.conv(inputs[0].images)  # type: ignore[operator]
            dtypes.append(hidden.dtype)
            return super().run_networks(player, *inputs)

    base = toy_gan()
    module = Watch(generator=base.generator, discriminator=base.discriminator, latent_dim=4)
    toy_trainer(ConsensusOptimization(gamma=1.0), limit_train_batches=1, precision="bf16-mixed").fit(
        module, toy_loader()
    )
    assert dtypes == [torch.bfloat16, torch.float32] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConsensusOptimization(gamma=-1.0), "ConsensusOptimization: its weight -1.0"),
        (lambda: NagarajanKolter(eta=-0.5), "NagarajanKolter: its weight -0.5"),
        (lambda: SymplecticGradientAdjustment(strength=-2.0), "SymplecticGradientAdjustment: its weight -2.0"),
    ],
)
def test_negative_weights_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_that_is_no_gan_is_refused_before_it_trains() -> None:
    class Foreign(LightningModule):
        def training_step(self, batch: Any, batch_idx: int) -> None: ...

        def configure_optimizers(self) -> None: ...

    with pytest.raises(
        ValueError, match=r"Foreign is no lightning_gan.GAN, so the costs of both players are not known"
    ):
        toy_trainer(ConsensusOptimization()).fit(Foreign(), toy_loader())


# ---------------------------------------------------------------------- two ranks


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks."""
    return run_on_one_and_two("tests.callbacks.regularizers.game_dynamics_worker", tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, case: str) -> None:
    for rank in range(2):
        assert_same_weights(weights / f"1_ranks_0_{case}.pt", weights / f"2_ranks_{rank}_{case}.pt", relative=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[1:])
def test_the_regularizers_matter_in_this_comparison(weights: Path, case: str) -> None:
    none, regularized = (weights / f"1_ranks_0_{name}.pt" for name in ("none", case))
    assert largest_difference(none, regularized, within="generator") > 1e-3


@pytest.mark.slow
def test_sharded_weights_are_refused_with_the_reason(weights: Path) -> None:
    for rank in range(2):
        assert "sharding (FSDP2) hides" in (weights / f"sharded_{rank}.txt").read_text()


def test_the_default_of_consensus_is_that_of_most_of_the_authors_scripts() -> None:
    """LMescheder/TheNumericsOfGANs, folder experiments, `--reg-param`: 10 in comparison/conopt.py (with and without
    batch norm), inception_score/conopt_conv4.py (without), celebA/conopt.py and celebA/conopt0.py; 0.1 in
    inception_score/conopt_conv3.py (three layers, without)."""
    assert ConsensusOptimization().gamma == 10.0
