"""VAIL, GAIL and VAIRL: what the critic sees, what it pays, and that VAIL without its bottleneck is GAIL."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import EMA, R1, Bottleneck, GradientPenalty
from lightning_gan.imitation import GAIL, VAIL, VAIRL
from lightning_gan.imitation.imitation_gan import CodeNoise, ImitationGAN, transitions_of
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.transitions import Transitions
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.losses import LeastSquares
from lightning_gan.penalties.kl_divergence import kl_to_standard_normal
from tests.imitation.imitation_rows import (
    ACTIONS,
    OBSERVATIONS,
    loader,
    parameters_by_player,
    rollout,
    small,
    trained,
    training_of,
    transitions,
)
from tests.models.training import parameters_of
from tests.toys import equal, toy_trainer, weights_of

LEARNING = [GAIL, VAIL, VAIRL]


def maps_of(model: ImitationGAN, steps: Transitions) -> Tensor:
    """What the critic is shown."""
    return model.columns(steps)[:, :, None, None]


# ---------------------------------------------------------------------- networks


def test_parameter_counts() -> None:
    """Five columns -> 4 -> 4 -> a code of 2, and one of 3 numbers for VAIRL's two encoders; heads of 2 -> 1."""
    trunk = (5 * 4 + 4) + (4 * 4 + 4)
    assert parameters_of(small(GAIL).discriminator) == trunk + (4 * 2 + 2) + 3
    assert parameters_of(small(VAIL).discriminator) == trunk + (4 * 4 + 4) + 3
    assert parameters_of(small(VAIL, states_only=True).discriminator) == trunk - 2 * 4 + (4 * 4 + 4) + 3
    assert parameters_of(small(VAIRL).discriminator) == 2 * ((3 * 4 + 4) + (4 * 4 + 4) + (4 * 4 + 4) + 3)


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("discrete", [False, True])
def test_a_step_moves_every_parameter(kind: type[ImitationGAN], discrete: bool) -> None:
    model = small(kind, discrete_actions=discrete)
    before = {name: weight.detach().clone() for name, weight in parameters_by_player(model).items()}
    trained(model, *([] if kind is GAIL else [Bottleneck(initial_beta=0.1)]))
    still = [name for name, weight in parameters_by_player(model).items() if torch.equal(before[name], weight)]
    assert still == []


def test_states_alone_hide_the_actions() -> None:
    steps = transitions(4, seed=1)
    assert torch.equal(small(VAIL, states_only=True).columns(steps), steps.observations)
    assert torch.equal(
        small(VAIL, action_bound=9.0).columns(steps), torch.cat([steps.observations, steps.actions], dim=1)
    )


def test_what_the_environment_clips_is_no_clue() -> None:
    steps = transitions(20, seed=1)
    assert steps.actions.abs().max() > 1
    assert torch.equal(small(GAIL).columns(steps)[:, OBSERVATIONS:], steps.actions.clamp(-1, 1))


@pytest.mark.parametrize("kind", LEARNING)
def test_the_critics_inputs_are_scaled_by_the_demonstrations(kind: type[ImitationGAN]) -> None:
    model, seen = small(kind), transitions(20, seed=9)
    columns = seen.observations if kind is VAIRL else model.columns(seen)
    scale = model.discriminator.scale
    torch.testing.assert_close(scale.mean, columns.mean(0))
    torch.testing.assert_close(scale.variance, columns.var(0, correction=0))
    before = scale.mean.clone(), scale.variance.clone(), scale.count.clone()
    trained(model, batches=2)
    assert all(torch.equal(*pair) for pair in zip(before, (scale.mean, scale.variance, scale.count), strict=True))


@pytest.mark.parametrize("kind", LEARNING)
def test_imitators_without_demonstrations_are_refused(kind: type[ImitationGAN]) -> None:
    model: Any = kind(observation_size=3, action_size=2, discrete_actions=False)
    with pytest.raises(ValueError, match=f"{kind.__name__} imitates demonstrations and has none"):
        model.begin_rollout()


# ---------------------------------------------------------------------- rewards


@pytest.mark.parametrize("kind", [GAIL, VAIL])
def test_the_reward_is_the_critics_belief_at_the_mean_of_its_code(kind: type[ImitationGAN]) -> None:
    """Not at a sample: two looks pay the same, and what they pay comes from the means alone."""
    model, seen = small(kind), rollout()
    columns = model.discriminator.scale(model.columns(transitions_of(seen)))
    code = model.discriminator.code(columns) if kind is GAIL else model.discriminator.bottleneck(columns)[0]
    logits = code @ model.discriminator.output.weight.T + model.discriminator.output.bias
    model.train()
    with evaluation_mode(model.discriminator):
        first, second = model.rewards(seen), model.rewards(seen)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, softplus(logits[:, 0]).unflatten(0, (4, 3)))


def test_a_look_of_vails_critic_in_training_is_at_a_sample() -> None:
    model = small(VAIL)
    maps = maps_of(model, transitions(6, seed=1))
    assert not torch.equal(model.score(maps, None), model.score(maps, None))
    mean, log_variance = model.discriminator.bottleneck(model.discriminator.scale(maps[:, :, 0, 0]))
    noise = torch.randn(6, 2)
    by_hand = model.discriminator.output(mean + log_variance.exp().sqrt() * noise)
    torch.testing.assert_close(model.logits(maps, noise), by_hand)


def test_vairls_reward_and_logit_are_f_less_log_pi_by_the_policy_as_it_is() -> None:
    """f by hand from g, h and h' at their means; then the policy moves, and with it the logit."""
    model, steps = small(VAIRL, proximal=ProximalObjective(discount=0.7)), transitions(6, seed=1)
    critic = model.discriminator

    def potential(states: Tensor) -> Tensor:
        return critic.shaping_output(critic.bottleneck.shaping(critic.scale(states))[0])[:, 0]

    ahead = 0.7 * (1 - steps.terminated) * potential(steps.next_observations)
    f = critic.reward(steps.observations) + ahead - potential(steps.observations)
    maps = maps_of(model, steps)
    for _ in range(2):
        parameters, _ = model.generator(steps.observations)
        mean, log_deviation = parameters.chunk(2, dim=1)
        log_pi = torch.distributions.Normal(mean, log_deviation.exp()).log_prob(steps.actions).sum(1)
        torch.testing.assert_close(model.logits(maps, None)[:, 0], f - log_pi)
        with torch.no_grad():
            model.generator.actions.raw_deviation.add_(0.5)
    assert steps.terminated.any() and not steps.terminated.all()
    seen = rollout()
    relative = model.logits(maps_of(model, transitions_of(seen)), None)
    torch.testing.assert_close(model.rewards(seen), relative[:, 0].unflatten(0, (4, 3)))


def test_vairls_shaping_telescopes() -> None:
    """Along an episode that ends in a terminal state the discounted f add up to those of g less h of the start."""
    model = small(VAIRL)
    states = torch.randn(6, OBSERVATIONS)
    terminated, blank = torch.zeros(5), torch.zeros(5)
    terminated[-1] = 1
    steps = Transitions(
        observations=states[:-1],
        actions=torch.zeros(5, ACTIONS),
        next_observations=states[1:],
        terminated=terminated,
        log_probabilities=blank,
        advantages=blank,
        returns=blank,
        values=blank,
    )
    critic = model.discriminator
    discounts = 0.99 ** torch.arange(5)
    f = critic(maps_of(model, steps))[:, 0]
    start = critic.shaping_output(critic.bottleneck.shaping(critic.scale(states[:1]))[0])[0, 0]
    torch.testing.assert_close((discounts * (f - critic.reward(states[:-1]))).sum(), -start)


def test_vairls_three_codes_are_one_bottleneck() -> None:
    """The divergence of the product encoder is the sum of those of its factors."""
    model, steps = small(VAIRL), transitions(6, seed=1)
    encoder = model.discriminator.bottleneck
    joint = kl_to_standard_normal(*encoder(steps.observations, steps.next_observations))
    parts = [
        kl_to_standard_normal(*encoder.reward(steps.observations)),
        kl_to_standard_normal(*encoder.shaping(steps.observations)),
        kl_to_standard_normal(*encoder.shaping(steps.next_observations)),
    ]
    torch.testing.assert_close(joint, parts[0] + parts[1] + parts[2])


# ---------------------------------------------------------------------- the critic's turn


def without_variance(model: VAIL) -> VAIL:
    """Its codes are their means."""
    layer = model.discriminator.bottleneck[-1].parameters_of_code
    with torch.no_grad():
        layer.weight[2:] = 0
        layer.bias[2:] = -1e4
    return model


def test_vail_without_a_bottleneck_is_gail() -> None:
    """The same weights, a code without variance and beta 0: the same logits, rewards, and steps of both players."""
    vail, gail = without_variance(small(VAIL)).double(), small(GAIL).double()
    gail.generator.load_state_dict(vail.generator.state_dict())
    code = vail.discriminator.bottleneck[-1].parameters_of_code
    with torch.no_grad():
        for name, weight in gail.discriminator.named_parameters():
            source = {"code.1.weight": code.weight[:2], "code.1.bias": code.bias[:2]}
            weight.copy_(
                source[name] if name in source else vail.discriminator.get_parameter(name.replace("code", "bottleneck"))
            )
    maps = maps_of(gail, transitions(6, seed=1, dtype=torch.float64))
    before = gail.logits(maps, None)
    trained(vail, Bottleneck(beta_step_size=0.0), batches=3, precision="64-true")
    trained(gail, batches=3, precision="64-true")
    after = gail.logits(maps, None)
    assert (after - before).abs().min() > 1e-3
    noise = torch.randn(6, 2, dtype=torch.float64)
    torch.testing.assert_close(vail.logits(maps, noise), after, rtol=0, atol=1e-12)
    torch.testing.assert_close(vail.logits(maps, None), after, rtol=0, atol=1e-12)
    for (name, weight), own in zip(vail.generator.named_parameters(), gail.generator.parameters(), strict=True):
        assert torch.equal(weight, own), name


@pytest.mark.parametrize("kind", LEARNING)
def test_the_critics_turn_is_the_logistic_loss_of_both_looks(kind: type[ImitationGAN]) -> None:
    """A step of plain gradient descent in double precision, derived again here, with the turn's own noise."""
    model = small(
        kind, training=training_of(kind, discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    ).double()
    expert, policy = next(iter(loader(1, dtype=torch.float64)))
    noises: list[tuple[Tensor | None, Tensor | None]] = []
    original = model.draw_rows

    def noted(count: int, random: torch.Generator) -> CodeNoise:
        drawn = original(count, random)
        noises.append((drawn.real_code_noise, drawn.fake_code_noise))
        return drawn

    model.draw_rows = noted
    twin = small(kind).double()
    trained(model, precision="64-true")
    looks = [maps_of(twin, Transitions.unpacked(rows, observation_size=3, action_size=2)) for rows in (expert, policy)]
    codes = [None if noise is None else noise.double() for noise in noises[0]]
    real, fake = (twin.logits(maps, noise) for maps, noise in zip(looks, codes, strict=True))
    loss = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
    parameters = dict(twin.discriminator.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        torch.testing.assert_close(
            model.discriminator.get_parameter(name).detach(), parameter.detach() - 0.1 * gradient, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("kind", LEARNING)
def test_each_players_turn_moves_its_own_network(kind: type[ImitationGAN]) -> None:
    """Two critic turns per turn of the policy: after one batch only the critic has moved, after two both have."""
    for batches, policy_moves in ((1, False), (2, True)):
        model = small(kind, training=training_of(kind, discriminator_turns=2))
        before = weights_of(model.generator), weights_of(model.discriminator)
        trained(model, batches=batches)
        assert equal(before[0], weights_of(model.generator)) is not policy_moves
        assert not equal(before[1], weights_of(model.discriminator))
    model = small(kind, training=training_of(kind, discriminator_turns=0))
    before = weights_of(model.generator), weights_of(model.discriminator)
    trained(model)
    assert not equal(before[0], weights_of(model.generator))
    assert equal(before[1], weights_of(model.discriminator))


@pytest.mark.parametrize("kind", LEARNING)
def test_penalties_on_the_critics_gradient_work(kind: type[ImitationGAN]) -> None:
    terms = trained(small(kind), R1(gamma=1.0), GradientPenalty(weight=1.0))
    assert terms["discriminator/r1"] > 0 and terms["discriminator/wgan_gp"] > 0


def test_r1_is_the_gradient_by_what_the_critic_sees() -> None:
    """GAIL's, by differences."""
    model = small(GAIL).double()
    expert, _ = next(iter(loader(1, dtype=torch.float64)))
    maps = maps_of(model, Transitions.unpacked(expert, observation_size=3, action_size=2))
    slopes = [
        (model.logits(maps + step, None) - model.logits(maps - step, None))[:, 0] / 2e-5
        for step in (1e-5 * torch.eye(5, dtype=torch.float64))[:, None, :, None, None]
    ]
    by_hand = torch.stack(slopes).square().sum(0).mean().item()
    terms = trained(model, R1(gamma=2.0), precision="64-true")
    assert terms["discriminator/r1"] == pytest.approx(by_hand, rel=1e-6)


def test_another_loss_of_the_critic_can_be_chosen() -> None:
    steps = small(VAIL, training=training_of(VAIL, loss=LeastSquares()))
    assert trained(steps)["discriminator/adversarial"] != trained(small(VAIL))["discriminator/adversarial"]


@pytest.mark.parametrize("kind", [VAIL, VAIRL])
def test_beta_follows_the_divergence_of_the_critics_turn_alone(kind: type[ImitationGAN]) -> None:
    """One turn from beta 0.3: the divergence of both looks, by hand, and not that of the policy's turn."""
    expert, policy = next(iter(loader(1, dtype=torch.float64)))
    model, bottleneck = (
        small(kind).double(),
        Bottleneck(information_constraint=0.05, beta_step_size=0.1, initial_beta=0.3),
    )
    looks = [Transitions.unpacked(rows, observation_size=3, action_size=2) for rows in (expert, policy)]
    critic = model.discriminator
    divergences = []
    for look in looks:
        if kind is VAIL:
            codes = critic.bottleneck(critic.scale(model.columns(look)))
        else:
            codes = critic.bottleneck(critic.scale(look.observations), critic.scale(look.next_observations))
        divergences.append(kl_to_standard_normal(*codes).mean().item())
    terms = trained(model, bottleneck, precision="64-true")
    divergence = sum(divergences) / 2
    assert terms["discriminator/bottleneck"] == pytest.approx(0.3 * divergence)
    assert bottleneck.beta.item() == pytest.approx(max(0.3 + 0.1 * (divergence - 0.05), 0.0))


# ---------------------------------------------------------------------- checkpoints and averages


@pytest.mark.parametrize("kind", LEARNING)
def test_it_can_be_loaded_without_being_told_its_settings(kind: type[ImitationGAN], tmp_path: Path) -> None:
    model = small(kind)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = kind.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(model), weights_of(restored))


def test_the_averaged_policy_decides() -> None:
    model, observations = small(VAIL), torch.randn(7, OBSERVATIONS)
    trained(model, EMA(half_life_kimg=10.0), batches=3)
    averaged = model.generator.actions.likeliest(model.generator_ema(observations)[0])
    assert torch.equal(model.decide(observations), averaged)
    assert not torch.equal(averaged, model.generator.actions.likeliest(model.generator(observations)[0]))
    storages = {p.untyped_storage().data_ptr() for p in model.generator.parameters()}
    assert storages.isdisjoint(p.untyped_storage().data_ptr() for p in model.generator_ema.parameters())


def test_without_an_average_the_policy_in_training_decides() -> None:
    model, observations = small(VAIL), torch.randn(7, OBSERVATIONS)
    trained(model, batches=3)
    expected = model.generator.actions.likeliest(model.generator(observations)[0])
    assert torch.equal(model.decide(observations), expected)
    assert tensor(expected.shape).tolist() == [7, ACTIONS]
