"""PPO: its step derived once more, rewards that are given, and how far a rollout's judgement reaches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks import R1, SampleGrid
from lightning_gan.imitation import GAIL, PPO, VAIL, VAIRL
from lightning_gan.imitation.imitation_gan import ImitationGAN, transitions_of
from lightning_gan.imitation.policy_losses import generalized_advantages
from lightning_gan.imitation.ppo import EnvironmentReward, RecoveredReward
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.replay import Replay
from lightning_gan.imitation.transitions import Transitions
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.imitation.imitation_rows import (
    KINDS,
    OBSERVATIONS,
    loader,
    rollout,
    small,
    trained,
    training_of,
    transitions,
)
from tests.models.training import parameters_of
from tests.toys import equal, toy_trainer, weights_of


def unpacked(rows: Tensor) -> Transitions:
    return Transitions.unpacked(rows, observation_size=3, action_size=2)


# ---------------------------------------------------------------------- the step


def plain_network(sequence: nn.Sequential, inputs: Tensor) -> Tensor:
    """tanh(W x + b) twice, then W x + b, without the modules."""
    layers = [layer for layer in sequence if isinstance(layer, nn.Linear)]
    for layer in layers[:-1]:
        inputs = torch.tanh(inputs @ layer.weight.T + layer.bias)
    return inputs @ layers[-1].weight.T + layers[-1].bias


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("discrete", [False, True])
def test_the_policys_step_is_ppos(kind: type[ImitationGAN], discrete: bool) -> None:
    """A step of plain gradient descent, in double precision, against PPO's equations with torch.distributions."""
    settings: dict[str, Any] = {
        "discrete_actions": discrete,
        "proximal": ProximalObjective(
            discount=0.75, ratio_clip=0.1, value_clip=0.05, value_weight=0.3, entropy_weight=0.2
        ),
        "training": training_of(kind, generator_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
    }
    model, twin = small(kind, **settings).double(), small(kind, **settings).double()
    _, rows = next(iter(loader(1, discrete=discrete, dtype=torch.float64)))
    trained(model, precision="64-true")

    steps, policy = unpacked(rows), twin.generator
    features = plain_network(policy.actor, steps.observations)
    if discrete:
        distribution: Any = torch.distributions.OneHotCategorical(logits=features)
    else:
        deviation = 2 * torch.sigmoid(policy.actions.raw_deviation)
        distribution = torch.distributions.Independent(torch.distributions.Normal(torch.tanh(features), deviation), 1)
    ratio = torch.exp(distribution.log_prob(steps.actions) - steps.log_probabilities)
    gain = torch.min(ratio * steps.advantages, torch.clip(ratio, 0.9, 1.1) * steps.advantages)
    # In units of 1 / (1 - 0.75) = 4.
    values, old, returns = plain_network(policy.value, steps.observations)[:, 0], steps.values / 4, steps.returns / 4
    errors = torch.max((values - returns) ** 2, (old + torch.clip(values - old, -0.05, 0.05) - returns) ** 2)
    cost = -gain.mean() + 0.3 * errors.mean() - 0.2 * distribution.entropy().mean()
    assert ((ratio < 0.9) | (ratio > 1.1)).any()

    parameters = dict(policy.named_parameters())
    gradients = torch.autograd.grad(cost, list(parameters.values()))
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        torch.testing.assert_close(
            model.generator.get_parameter(name).detach(), parameter.detach() - 0.1 * gradient, rtol=0, atol=1e-12
        )


def test_terms_by_hand() -> None:
    """One transition: ratio e^0.5 clipped to 1.2, a value of 3 in place of 1 in units of 2."""
    numbers = {"terminated": 0.0, "log_probabilities": -1.0, "advantages": 2.0, "returns": 1.0, "values": 0.0}
    steps = Transitions(
        observations=torch.zeros(1, 3),
        actions=torch.zeros(1, 2),
        next_observations=torch.zeros(1, 3),
        **{name: torch.tensor([number]) for name, number in numbers.items()},
    )
    objective = ProximalObjective(discount=0.5, value_weight=0.5, entropy_weight=0.1)
    terms = objective.terms(
        steps, log_probabilities=torch.tensor([-0.5]), entropy=torch.tensor([0.7]), values=torch.tensor([3.0])
    )
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"surrogate": -2.4, "value": 0.5, "entropy": -0.07}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_policys_cost_has_no_adversarial_term(kind: type[ImitationGAN]) -> None:
    names = {name for name in trained(small(kind)) if name.startswith("generator/")}
    assert names == {"generator/surrogate", "generator/value", "generator/entropy"}


# ---------------------------------------------------------------------- who gets which rows


def rows_of_turns(
    training: Training, *, batches: int = 1, past: int = 0, replay: Replay = Replay(size=20)
) -> tuple[dict[str, list[Tensor]], list[tuple[Tensor, Tensor]]]:
    """The policy's rows of every look, by player, and the batches, after a rollout of `past` steps."""
    model, looked = small(VAIL, training=training, replay=replay), {"discriminator": [], "generator": []}
    if past:
        model.judge(rollout(past, 1, seed=4))
    original = model.run_networks

    def look(player: Any, reals: Any, draws: Any, fake: Any) -> Any:
        looked[player].append(draws.transitions.packed())
        return original(player, reals, draws, fake)

    model.run_networks = look
    trained(model, batches=batches)
    return looked, list(loader(batches))


def test_both_players_see_the_whole_batch() -> None:
    looked, [(_, policy)] = rows_of_turns(training_of(VAIL))
    assert [len(rows) for rows in looked.values()] == [1, 1]
    assert torch.equal(looked["discriminator"][0], policy) and torch.equal(looked["generator"][0], policy)


def test_turns_that_share_a_batch_get_a_piece_each_and_the_policy_gets_as_many_as_it_asks_for() -> None:
    for multiple, expected in ((1, slice(4, 8)), (2, slice(0, 8))):
        training = training_of(VAIL, discriminator_turns=2, turns_share_batch=True, generator_batch_multiple=multiple)
        looked, [(_, policy)] = rows_of_turns(training)
        assert torch.equal(torch.cat(looked["discriminator"]), policy)
        assert [len(rows) for rows in looked["discriminator"]] == [4, 4]
        assert torch.equal(torch.cat(looked["generator"]), policy[expected])


def test_more_rows_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="generator_batch_multiple=3 needs 24 transitions of the policy"):
        rows_of_turns(training_of(VAIL, generator_batch_multiple=3))


def test_slices_together_are_the_batch() -> None:
    looked, [(_, policy)] = rows_of_turns(training_of(VAIL, accumulate_slices=2))
    for rows in looked.values():
        assert [len(piece) for piece in rows] == [4, 4]
        assert torch.equal(torch.cat(rows), policy)


def test_every_second_fake_of_the_critic_is_replayed_and_none_of_the_policys() -> None:
    """Transitions of the judged rollout, also in slices; they are drawn anew for every batch."""
    past = transitions_of(rollout(6, 1, seed=4)).observations
    looked, batches = rows_of_turns(training_of(VAIL, accumulate_slices=2), batches=2, past=6)
    fakes, own = (torch.cat(looked[player]) for player in ("discriminator", "generator"))
    policy = torch.cat([rows for _, rows in batches])
    assert torch.equal(own, policy)
    assert torch.equal(fakes[1::2], policy[1::2])
    replayed = unpacked(fakes[::2]).observations
    numbers = (replayed[:, None] == past).all(2)  # of the eight that are replayed, which of the six rows
    assert numbers.any(1).all()
    assert not torch.equal(numbers[:4], numbers[4:])


def test_three_of_four_fakes_are_replayed_if_that_is_their_share() -> None:
    looked, [(_, policy)] = rows_of_turns(training_of(VAIL), past=6, replay=Replay(size=20, share=0.75))
    [fakes] = looked["discriminator"]
    assert torch.equal(fakes[3::4], policy[3::4])
    past = transitions_of(rollout(6, 1, seed=4)).observations
    others = unpacked(fakes[[0, 1, 2, 4, 5, 6]]).observations
    assert (others[:, None] == past).all(2).any(1).all()


def test_transitions_are_kept_until_then() -> None:
    model = small(VAIL, replay=Replay(size=20, until_kimg=0.012))
    for seen, kept in ((0, 6), (11, 12), (12, 12), (500, 12)):
        model.images_seen = seen
        model.judge(rollout(6, 1, seed=seen))
        assert model.replay_buffer.seen == kept


def test_nothing_is_replayed_before_the_first_rollout() -> None:
    looked, [(_, policy)] = rows_of_turns(training_of(VAIL))
    assert torch.equal(looked["discriminator"][0], policy)


def test_batches_need_as_many_rows_of_either() -> None:
    with pytest.raises(ValueError, match="3 transitions of an expert and 2 of the policy"):
        small(GAIL).prepare((transitions(3, seed=0).packed(), transitions(2, seed=0).packed()))


# ---------------------------------------------------------------------- judging


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollout_is_judged_by_the_models_reward(kind: type[ImitationGAN]) -> None:
    model, seen = small(kind, proximal=ProximalObjective(discount=0.8, trace_decay=0.6)), rollout()
    advantages = generalized_advantages(
        model.rewards(seen),
        seen.values,
        seen.next_values,
        seen.terminated,
        seen.truncated,
        discount=0.8,
        trace_decay=0.6,
    )
    judged = model.judge(seen)
    torch.testing.assert_close(judged.returns, (advantages + seen.values).flatten())
    centred = advantages - advantages.mean()
    torch.testing.assert_close(judged.advantages, (centred / centred.square().mean().sqrt()).flatten())
    # The environments of the first step first.
    assert torch.equal(judged.observations[:3], seen.observations[0])
    assert torch.equal(judged.terminated, seen.terminated.flatten().float())
    assert torch.equal(judged.log_probabilities.unflatten(0, (4, 3)), seen.log_probabilities)


def test_judging_leaves_the_critics_mode_and_draws_nothing() -> None:
    model = small(VAIL)
    state = torch.get_rng_state()
    model.judge(rollout())
    assert model.discriminator.training and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_changes_with_the_next_rollout_and_not_while_it_is_trained(kind: type[ImitationGAN]) -> None:
    """What `act` recorded is what training computes again, until `begin_rollout`; only then the scale moves."""
    model, seen = small(kind), rollout()
    observations = seen.observations[0]
    actions, log_probabilities, values = model.act(observations, torch.rand(3, 2))
    model.judge(seen)
    parameters, again = model.generator(observations)
    assert torch.equal(model.generator.actions.log_probabilities(parameters, actions), log_probabilities)
    assert torch.equal(again, values) and torch.equal(model.value(observations), values)
    model.begin_rollout()
    assert model.generator.scale.count == 12
    torch.testing.assert_close(model.generator.scale.mean, seen.observations.mean((0, 1)))
    assert not torch.equal(model.generator(observations)[1], values)


# ---------------------------------------------------------------------- rewards that are given


def test_the_environments_own_reward_is_scaled() -> None:
    seen = rollout()
    assert torch.equal(small(PPO).rewards(seen), seen.rewards)
    assert torch.equal(small(PPO, reward=EnvironmentReward(scale=0.1)).rewards(seen), 0.1 * seen.rewards)


def test_entropy_is_paid_for_with_the_environments_own_reward() -> None:
    seen = rollout()
    reward = EnvironmentReward(scale=2.0, entropy_weight=0.5)
    torch.testing.assert_close(reward(seen), 2 * seen.rewards - 0.5 * seen.log_probabilities)
    with pytest.raises(ValueError, match=r"entropy_weight=-0\.1 must not be negative"):
        EnvironmentReward(entropy_weight=-0.1)


def test_nothing_but_the_policy_is_trained() -> None:
    model = small(PPO)
    assert parameters_of(model.discriminator) == 0
    before = weights_of(model.generator)
    trained(model)
    assert not any(torch.equal(*pair) for pair in zip(before, weights_of(model.generator), strict=True))


def saved(model: GAN, path: Path) -> str:
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path, weights_only=True)
    return str(path)


def test_a_recovered_reward_is_vairls_g_and_stays_so(tmp_path: Path) -> None:
    source = small(VAIRL, proximal=ProximalObjective(discount=0.8))
    reward = RecoveredReward(checkpoint=saved(source, tmp_path / "vairl.ckpt"), scale=2.0)
    model, seen = small(PPO, reward=reward), rollout()
    g = source.discriminator.reward(transitions_of(seen).observations).unflatten(0, (4, 3))
    torch.testing.assert_close(model.rewards(seen), 2 * g.detach())
    before = weights_of(model.discriminator)
    trained(model, batches=3)
    assert equal(before, weights_of(model.discriminator))
    assert not any(parameter.requires_grad for parameter in model.discriminator.parameters())


def test_a_recovered_reward_looks_at_states_alone(tmp_path: Path) -> None:
    reward = RecoveredReward(checkpoint=saved(small(VAIRL), tmp_path / "vairl.ckpt"))
    first, second = rollout(seed=1), rollout(seed=2)
    mixed = type(first)(**{**vars(second), "observations": first.observations})
    assert torch.equal(reward(first), reward(mixed))
    assert not torch.equal(reward(first), reward(second))


@pytest.mark.parametrize("size", [0, 7])
def test_a_recovered_reward_does_not_ask_what_was_replayed(tmp_path: Path, size: int) -> None:
    source = small(VAIRL, replay=Replay(size=size))
    reward, seen = RecoveredReward(checkpoint=saved(source, tmp_path / "vairl.ckpt")), rollout()
    g = source.discriminator.reward(transitions_of(seen).observations).unflatten(0, (4, 3))
    torch.testing.assert_close(reward(seen), g.detach())


def test_a_recovered_reward_comes_from_a_checkpoint_of_vairl(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*nowhere\.ckpt; train a VAIRL"):
        RecoveredReward(checkpoint=str(tmp_path / "nowhere.ckpt"))
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"text\.ckpt is no checkpoint of a VAIRL"):
        RecoveredReward(checkpoint=str(tmp_path / "text.ckpt"))
    with pytest.raises(ValueError, match=r"vail\.ckpt is no checkpoint of a VAIRL"):
        RecoveredReward(checkpoint=saved(small(VAIL), tmp_path / "vail.ckpt"))


# ---------------------------------------------------------------------- refusals


def test_a_critic_that_is_not_there_takes_no_turns() -> None:
    with pytest.raises(ValueError, match=r"discriminator_turns=1: PPO's reward is given"):
        small(PPO, training=Training(discriminator_turns=1))
    with pytest.raises(ValueError, match="R1 regularizes the discriminator, which takes no turns"):
        trained(small(PPO), R1())


@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_about_images_are_refused(kind: type[ImitationGAN]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} makes no images"):
        trained(small(kind), SampleGrid(every_kimg=1.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discount": 1.0}, r"discount=1\.0"),
        ({"trace_decay": 1.5}, r"trace_decay=1\.5"),
        ({"ratio_clip": 0.0}, r"ratio_clip=0\.0"),
        ({"value_clip": -1.0}, r"value_clip=-1\.0"),
        ({"entropy_weight": -0.1}, r"entropy_weight=-0\.1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProximalObjective(**settings)


def test_observations_have_the_size_that_was_named() -> None:
    assert small(PPO).decide(torch.zeros(2, OBSERVATIONS)).shape == (2, 2)
