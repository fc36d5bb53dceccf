"""The only loop: who moves when, what moves, and what a turn costs."""

from itertools import pairwise
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1, R2, ConsensusOptimization, Evaluation, SampleGrid, SampleSheets
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.losses import Hinge, Wasserstein
from lightning_gan.metrics import DigitFeatures
from lightning_gan.tensors.image_bytes import NotFiniteImagesError, from_bytes, to_bytes
from tests.penalties.turns import turn_with
from tests.toys import (
    FAST,
    Spy,
    ToyCritic,
    ToyGenerator,
    equal,
    toy_gan,
    toy_images,
    toy_loader,
    toy_trainer,
    weights_of,
)


def turns_of(module: GAN, *, batches: int, batch_size: int = 4) -> list[str]:
    turns: list[str] = []
    spy = Spy(lambda player, _: turns.append(player[0]))
    toy_trainer(spy, limit_train_batches=batches).fit(module, toy_loader(batch_size=batch_size))
    return turns


def test_the_discriminator_moves_first_and_the_players_alternate() -> None:
    assert turns_of(toy_gan(), batches=3) == list("dgdgdg")


def test_more_turns_of_the_discriminator_take_new_batches() -> None:
    assert turns_of(toy_gan(training=Training(discriminator_turns=3)), batches=7) == list("dddgdddgd")


def test_turns_can_share_one_batch_in_slices() -> None:
    assert turns_of(toy_gan(training=Training(discriminator_turns=2, turns_share_batch=True)), batches=2) == list(
        "ddgddg"
    )


def test_nobody_moves_the_other_players_weights() -> None:
    """Between two steps only the network of the player that stepped has changed."""
    module = toy_gan(training=FAST)
    seen: list[tuple[str, list[Tensor], list[Tensor]]] = []
    spy = Spy(lambda player, gan: seen.append((player, weights_of(gan.discriminator), weights_of(gan.generator))))
    toy_trainer(spy, R1(gamma=1.0), limit_train_batches=3).fit(module, toy_loader())
    for (player, critic, generator), (_, next_critic, next_generator) in pairwise(seen):
        assert equal(critic, next_critic) is (player == "generator")
        assert equal(generator, next_generator) is (player == "discriminator")


def test_the_opponent_collects_no_gradient_in_the_generators_turn() -> None:
    gradients: list[bool] = []

    class Watch(Callback):
        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            gradients.append(any(p.requires_grad for p in pl_module.discriminator.parameters()))

    toy_trainer(Watch(), limit_train_batches=2).fit(toy_gan(), toy_loader())
    assert gradients == [True, False, True, False]


def test_a_turn_takes_one_backward_whatever_penalties_are_due() -> None:
    class Count(Callback):
        backwards = 0

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            self.backwards += 1

    count = Count()
    toy_trainer(count, R1(gamma=1.0), R2(gamma=1.0), limit_train_batches=4).fit(toy_gan(), toy_loader())
    assert count.backwards == 8


def test_images_seen_counts_every_image_once() -> None:
    module = toy_gan()
    toy_trainer(limit_train_batches=5).fit(module, toy_loader(batch_size=8))
    assert (module.images_seen, module.kimg) == (40, 0.04)
    module = toy_gan(training=Training(discriminator_turns=2, turns_share_batch=True, accumulate_slices=2))
    toy_trainer(limit_train_batches=5).fit(module, toy_loader(batch_size=8))
    assert module.images_seen == 40


@pytest.mark.parametrize(
    "training", [Training(), Training(discriminator_turns=3), Training(discriminator_turns=2, turns_share_batch=True)]
)
def test_max_steps_means_batches(training: Training) -> None:
    module = toy_gan(training=training)
    trainer = toy_trainer(max_steps=6, max_epochs=-1)
    trainer.fit(module, toy_loader())
    assert (trainer.global_step, module.images_seen) == (6, 24)


def fakes_seen(module: GAN, *, classes: int = 0) -> list[tuple[str, int, Tensor | None, Tensor | None]]:
    """Per turn of three batches of 8: the player, its number of fakes, its real and its fake labels."""
    seen: list[tuple[str, int, Tensor | None, Tensor | None]] = []

    class Look(GAN):
        def run_networks(self, player: Player, *inputs: Any) -> Turn:
            turn = super().run_networks(player, *inputs)
            seen.append((player, len(turn.fake), turn.labels, turn.fake_labels))
            return turn

    module.__class__ = Look
    toy_trainer(limit_train_batches=3).fit(module, toy_loader(batch_size=8, classes=classes))
    return seen


def test_the_generators_turn_can_make_a_multiple_of_the_batch() -> None:
    seen = fakes_seen(toy_gan(number_of_classes=3, training=Training(generator_batch_multiple=2)), classes=3)
    assert [(player, count) for player, count, *_ in seen] == [("discriminator", 8), ("generator", 16)] * 3
    for player, _, labels, fake_labels in seen:
        assert labels is not None and fake_labels is not None
        assert torch.equal(fake_labels, labels if player == "discriminator" else torch.cat([labels, labels]))
    assert [count for _, count, *_ in fakes_seen(toy_gan(training=Training(generator_batch_multiple=3)))] == [8, 24] * 3


def test_fakes_can_be_of_classes_drawn_uniformly() -> None:
    settings: dict[str, Any] = {"number_of_classes": 3, "training": Training(uniform_labels=True)}
    seen, again = (fakes_seen(toy_gan(**settings), classes=3) for _ in range(2))
    drawn = torch.cat([fake_labels for *_, fake_labels in seen if fake_labels is not None])
    assert drawn.unique().tolist() == [0, 1, 2] and drawn.dtype == torch.long
    assert any(not torch.equal(one, other) for *_, one, other in seen if one is not None and other is not None)
    assert torch.equal(drawn, torch.cat([fake_labels for *_, fake_labels in again if fake_labels is not None]))


def test_accumulated_slices_equal_one_large_batch() -> None:
    """Both latents and images are those of the whole batch, so the only difference is rounding."""
    weights = []
    for slices in (1, 8):
        module = toy_gan(training=Training(accumulate_slices=slices)).double()
        toy_trainer(R1(gamma=1.0), limit_train_batches=3, precision="64-true").fit(module, toy_loader(batch_size=16))
        weights.append(weights_of(module))
    for one, many in zip(*weights, strict=True):
        torch.testing.assert_close(one, many, rtol=0, atol=1e-7)


def test_a_batch_that_cannot_be_sliced_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 4 samples per rank cannot be cut"):
        toy_trainer(limit_train_batches=1).fit(toy_gan(training=Training(accumulate_slices=3)), toy_loader())


def test_clipping_bounds_each_players_own_gradient() -> None:
    class Norms(Callback):
        """Remembers gradients after the module's own hook, when Adam reads them."""

        norms: ClassVar[list[float]] = []
        values: ClassVar[list[float]] = []

        def on_before_zero_grad(self, trainer: Any, pl_module: GAN, optimizer: Any) -> None:
            gradients = [p.grad for p in pl_module.discriminator.parameters() if p.grad is not None]
            if gradients:
                self.norms.append(torch.stack([g.norm() for g in gradients]).norm().item())
            gradients = [p.grad for p in pl_module.generator.parameters() if p.grad is not None]
            if gradients:
                self.values.append(max(g.abs().max().item() for g in gradients))

    norms = Norms()
    module = toy_gan(training=Training(discriminator_clip_norm=1e-3, generator_clip_value=1e-4))
    toy_trainer(norms, limit_train_batches=1).fit(module, toy_loader())
    critic = [p.grad for p in module.discriminator.parameters() if p.grad is not None]
    generator = [p.grad for p in module.generator.parameters() if p.grad is not None]
    assert torch.stack([g.norm() for g in critic]).norm().item() == pytest.approx(1e-3, rel=1e-3)
    assert max(g.abs().max().item() for g in generator) == pytest.approx(1e-4)


class Constant(Penalty):
    """A penalty of 1 that depends on the critic, so that it has a gradient."""

    name: ClassVar[str] = "constant"
    player: ClassVar[Player] = "discriminator"

    @property
    def weight(self) -> float:
        return 0.5

    def penalty(self, turn: Turn) -> Tensor:
        return turn.fake_logits.mean() * 0 + 1


def test_a_lazy_penalty_costs_on_average_what_an_eager_one_does() -> None:
    images, logits = torch.zeros(2, 1, 1, 1), torch.zeros(2, 1)
    turn = turn_with(real_logits=logits, fake_logits=logits, real=images, fake=images)
    for every in (1, 4, 16):
        lazy = Constant(every_n_turns=every)
        cost = sum(lazy.weighted(turn).item() for _ in range(32) if lazy.is_due("discriminator"))
        assert cost == 32 * 0.5


def test_a_lazy_penalty_is_due_at_its_players_first_turn_and_every_nth_after() -> None:
    lazy = Constant(every_n_turns=3)
    due = [lazy.is_due(player) for player in ("discriminator", "generator") * 4]
    assert due == [True, False, False, False, False, False, True, False]


def test_only_inputs_that_a_due_penalty_differentiates_require_grad() -> None:
    flags: list[tuple[bool, bool]] = []

    class Look(GAN):
        def run_networks(self, player: Player, *inputs: Any) -> Turn:
            if player == "discriminator":
                reals, _, fake = inputs
                flags.append((reals.images.requires_grad, fake.requires_grad))
            return super().run_networks(player, *inputs)

    base = toy_gan()
    module = Look(generator=base.generator, discriminator=base.discriminator, latent_dim=4)
    toy_trainer(R1(gamma=1.0, every_n_turns=2), R2(gamma=1.0, every_n_turns=4), limit_train_batches=4).fit(
        module, toy_loader()
    )
    assert flags == [(True, True), (False, False), (True, False), (False, False)]


def test_terms_are_logged_by_player_and_name_without_the_lazy_factor() -> None:
    trainer = toy_trainer(Constant(every_n_turns=4), limit_train_batches=4)
    trainer.fit(toy_gan(training=Training(loss=Hinge())), toy_loader())
    assert trainer.callback_metrics["discriminator/constant"] == 0.5
    assert {"discriminator/adversarial", "generator/adversarial", "kimg"} <= set(trainer.callback_metrics)
    assert trainer.callback_metrics["step"] == 16


def test_two_penalties_of_one_name_both_count() -> None:
    trainer = toy_trainer(Constant(), Constant(every_n_turns=2), limit_train_batches=1)
    trainer.fit(toy_gan(), toy_loader())
    assert trainer.callback_metrics["discriminator/constant"] == 0.5
    assert trainer.callback_metrics["discriminator/constant_2"] == 0.5


def test_the_loss_is_the_one_given() -> None:
    trainer = toy_trainer(limit_train_batches=1)
    module = toy_gan(training=Training(loss=Wasserstein()))
    with torch.no_grad():
        module.discriminator.output.weight.zero_()  # type: ignore[union-attr]
        module.discriminator.output.bias.fill_(3.0)  # type: ignore[union-attr]
    trainer.fit(module, toy_loader())
    assert trainer.callback_metrics["discriminator/adversarial"] == 0
    assert trainer.callback_metrics["generator/adversarial"].item() == pytest.approx(-3.0, abs=0.05)


def test_two_runs_with_one_seed_are_the_same_bit_for_bit_and_another_seed_is_not() -> None:
    def run(seed: int) -> list[Tensor]:
        module = toy_gan(training=Training(seed=seed))
        torch.manual_seed(seed + 99)  # the global state before the run does not matter
        toy_trainer(R1(gamma=1.0), limit_train_batches=4).fit(module, toy_loader())
        return weights_of(module)

    assert equal(run(0), run(0))
    assert not equal(run(0), run(1))


def test_images_come_as_bytes_or_floats_alone_in_tuples_or_in_dicts() -> None:
    module = toy_gan()
    images = to_bytes(toy_images(2))
    expected = from_bytes(images)
    for batch in (images, (images, torch.zeros(2)), [images], {"image": images}, expected):
        reals = module.prepare(batch)  # type: ignore[arg-type]
        assert torch.equal(reals.images, expected)
        assert reals.labels is None


def test_bytes_survive_a_round_trip() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(from_bytes(every)), every)
    assert (from_bytes(every).min(), from_bytes(every).max()) == (-1, 1)


def test_a_conditional_game_gives_labels_to_both_networks() -> None:
    module = toy_gan(number_of_classes=3)
    before = weights_of(module.generator.embedding)  # type: ignore[arg-type]
    toy_trainer(limit_train_batches=2).fit(module, toy_loader(classes=3))
    assert not equal(before, weights_of(module.generator.embedding))  # type: ignore[arg-type]
    latents = torch.zeros(2, 4)
    first, second = module.sample(latents, torch.tensor([0, 1]))
    assert not torch.equal(first, second)


def test_missing_labels_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="the batch holds no labels"):
        toy_trainer(limit_train_batches=1).fit(toy_gan(number_of_classes=3), toy_loader())


def test_wrong_labels_are_refused_by_name() -> None:
    module = toy_gan(number_of_classes=3)
    with pytest.raises(ValueError, match=r"label 3 is outside of 0\.\.2"):
        module.sample(torch.zeros(2, 4), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="give a label per sample"):
        module.sample(torch.zeros(2, 4))


def test_labels_of_a_wrong_shape_or_range_are_refused_before_the_first_step() -> None:
    module, images = toy_gan(number_of_classes=3), toy_images(4)
    for labels, message in (
        (torch.zeros(4, 1, dtype=torch.long), r"labels of shape \(4, 1\) do not fit 4 images of 3 classes"),
        (torch.zeros(3, dtype=torch.long), r"labels of shape \(3,\)"),
        (torch.tensor([0, 1, 2, 7]), r"label 7 is outside of 0\.\.2"),
    ):
        with pytest.raises(ValueError, match=message):
            module.prepare((images, labels))


def test_samples_depend_on_seed_and_count_alone() -> None:
    module = toy_gan(number_of_classes=3)
    latents, labels = module.draw_latents(5, seed=1)
    torch.manual_seed(123)
    again, _ = module.draw_latents(5, seed=1)
    assert torch.equal(latents, again)
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0, 1]
    assert not torch.equal(latents, module.draw_latents(5, seed=2)[0])


def test_an_image_depends_on_its_seed_and_number_and_not_on_the_number_of_images() -> None:
    module = toy_gan(number_of_classes=3)
    images = module.sample(7, seed=5)
    assert torch.equal(images, module.sample(7, seed=5))
    torch.testing.assert_close(images[:2], module.sample(2, seed=5))
    torch.testing.assert_close(images[4:], module.sample(*(rows[4:] for rows in module.draw_latents(7, seed=5))))
    assert not torch.allclose(images, module.sample(7, seed=6))
    all_of_one = module.sample(3, torch.tensor([2, 2, 2]), seed=5)
    torch.testing.assert_close(all_of_one[2], images[2])
    assert not torch.allclose(all_of_one[0], images[0])


def test_samples_are_clipped_and_finite() -> None:
    module = toy_gan()
    with torch.no_grad():
        module.generator.output.weight.mul_(100.0)
    images, raw = module.sample(16), module.sample(16, clipped=False)
    assert raw.abs().max() > 2
    assert torch.equal(images, raw.clamp(-1, 1))
    with torch.no_grad():
        module.generator.output.bias[3] = torch.inf
    with pytest.raises(NotFiniteImagesError, match="16 of 16 images"):
        module.sample(16)
    assert module.sample(16, clipped=False).isinf().any()


def test_calling_a_module_samples_it() -> None:
    """So that `Trainer.predict` makes images of latents, with and without labels."""
    module, conditional = toy_gan(), toy_gan(number_of_classes=3)
    for each in (module, conditional):
        latents, labels = each.draw_latents(5, seed=0)
        arguments = [latents] if labels is None else [latents, labels]
        data = DataLoader(TensorDataset(*arguments), batch_size=5)
        predicted = toy_trainer().predict(each, data)
        assert predicted is not None
        torch.testing.assert_close(predicted[0], each.sample(5))
        torch.testing.assert_close(predicted[0], each(*arguments))


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (torch.zeros(3, 5), r"latents have the shape \[3, 5\], but GAN takes a number of images or \[batch, 4\]"),
        (0, "a count of 0 samples must be at least 1"),
    ],
)
def test_latents_of_another_shape_are_refused(latents: Tensor | int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy_gan().sample(latents)


def test_sampling_leaves_the_generator_in_training() -> None:
    module = toy_gan().train()
    module.sample(*module.draw_latents(2, seed=0), ema=False)
    assert module.generator.training
    assert not module.generator_ema.training


def test_a_model_without_truncation_refuses_it() -> None:
    with pytest.raises(ValueError, match=r"no truncation trick; truncation=0.7"):
        toy_gan().sample(torch.zeros(1, 4), truncation=0.7)


def test_a_discriminator_without_turns_stays_as_it_is_and_the_generator_has_one_with_every_batch() -> None:
    module = toy_gan(training=Training(discriminator_turns=0))
    before = weights_of(module.discriminator)
    assert turns_of(module, batches=3) == list("ggg")
    assert equal(weights_of(module.discriminator), before)


def test_a_penalty_of_a_discriminator_without_turns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"R1 regularizes the discriminator, which takes no turns"):
        toy_trainer(R1(gamma=1.0)).fit(toy_gan(training=Training(discriminator_turns=0)), toy_loader())


class GameOfNumbers(GAN):
    """A game whose fakes are no images, and whose generator's turn needs the discriminator's."""

    makes_images = False
    turns_are_independent = False


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (SampleGrid(), "SampleGrid: GameOfNumbers makes no images"),
        (SampleSheets(), "SampleSheets: GameOfNumbers makes no images"),
        (Evaluation(extractor=DigitFeatures()), "Evaluation: GameOfNumbers makes no images"),
        (ConsensusOptimization(), "ConsensusOptimization computes both players' costs again"),
    ],
)
def test_callbacks_that_make_no_sense_in_a_game_are_refused_with_the_reason(callback: Callback, message: str) -> None:
    module = GameOfNumbers(generator=ToyGenerator(), discriminator=ToyCritic(), latent_dim=4)
    with pytest.raises(ValueError, match=message):
        toy_trainer(callback).fit(module, toy_loader())


def test_networks_that_cannot_grow_are_named() -> None:
    with pytest.raises(ValueError, match="ToyGenerator cannot grow"):
        toy_gan().grow(4, 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discriminator_turns": -1}, "discriminator_turns=-1"),
        ({"accumulate_slices": -1}, "accumulate_slices=-1"),
        ({"generator_batch_multiple": 0}, "generator_batch_multiple=0"),
        ({"generator_clip_norm": 0.0}, "generator_clip_norm=0.0"),
        ({"discriminator_clip_value": -2.0}, r"discriminator_clip_value=-2.0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**settings)


@pytest.mark.parametrize(("settings", "message"), [({"every_n_turns": 0}, "every_n_turns=0"), ({"gamma": -1.0}, "R1")])
def test_bad_penalties_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        R1(**settings)


def test_bf16_trains_with_logits_and_losses_in_fp32() -> None:
    dtypes: list[torch.dtype] = []

    class Look(GAN):
        def objective(self, turn: Turn) -> dict[str, Tensor]:
            assert turn.real_logits is not None or turn.player == "generator"
            dtypes.extend([turn.fake_logits.dtype, turn.fake.dtype])
            return super().objective(turn)

    base = toy_gan()
    module = Look(generator=base.generator, discriminator=base.discriminator, latent_dim=4)
    before = weights_of(module)
    trainer = toy_trainer(R1(gamma=1.0), limit_train_batches=2, precision="bf16-mixed")
    trainer.fit(module, toy_loader())
    assert set(dtypes) == {torch.float32}
    assert not equal(before, weights_of(module))
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())
