"""The base class of GAIL (arXiv:1606.03476), VAIL and VAIRL (arXiv:1810.00821), and of PPO (arXiv:1707.06347).

The discriminator distinguishes an expert's transitions from a policy's. The generator is the policy with its value
network. No gradient flows from the discriminator to it, because the environment is between them. The policy's turn is a
step of PPO on advantages that `judge` computes from the discriminator's output for a whole rollout. So the policy's
cost has the terms "surrogate", "value" and "entropy" instead of "adversarial".

A batch is `(expert_rows, policy_rows)`, both made by `Transitions.packed`; `Rollouts` yields such batches.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gan.imitation.policy import ActionDistribution, CategoricalActions, GaussianActions, Policy
from lightning_gan.imitation.policy_losses import generalized_advantages, normalized
from lightning_gan.imitation.proximal import ProximalObjective
from lightning_gan.imitation.replay import Replay, ReplayBuffer
from lightning_gan.imitation.transitions import Agent, Rollout, Transitions
from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import FakeImages, Images, Labels, Latents, Scalar


def transitions_of(rollout: Rollout) -> Transitions:
    """Returns the steps of a rollout, the environments of the first step first, with advantages and returns of 0."""
    return Transitions(
        observations=rearrange(
            rollout.observations, "steps environments observation -> (steps environments) observation"
        ),
        actions=rearrange(rollout.actions, "steps environments action -> (steps environments) action"),
        next_observations=rearrange(
            rollout.next_observations, "steps environments observation -> (steps environments) observation"
        ),
        terminated=rollout.terminated.flatten().to(rollout.rewards),
        log_probabilities=rollout.log_probabilities.flatten(),
        advantages=torch.zeros_like(rollout.values).flatten(),
        returns=torch.zeros_like(rollout.values).flatten(),
        values=rollout.values.flatten(),
    )


def policy_network(
    *,
    observation_size: int,
    action_size: int,
    discrete_actions: bool,
    width: int,
    action_bound: float,
    proximal: ProximalObjective,
) -> Policy:
    """Makes the policy network and the value network of a model.

    Arguments that are not listed are described in `ImitationGAN`.

    Args:
        discrete_actions: whether actions are discrete and given as one-hot rows.
        width: width of both hidden layers of each network.
        action_bound: largest absolute value of a continuous action that the environment accepts.
    """
    actions: ActionDistribution
    if discrete_actions:
        actions = CategoricalActions(action_size=action_size)
    else:
        actions = GaussianActions(action_size=action_size, bound=action_bound)
    return Policy(
        observation_size=observation_size,
        actions=actions,
        width=width,
        value_unit=proximal.value_unit,
    )


@dataclass(frozen=True, kw_only=True)
class ExpertAndPolicy(Reals):
    """A batch: the expert's transitions as the discriminator's inputs, and as many transitions of the policy.

    Attributes:
        policy: the policy's transitions.
    """

    policy: Transitions


@dataclass(frozen=True, kw_only=True)
class CodeNoise(Draws):
    """Standard normal noise for the discriminator's codes.

    Attributes:
        real_code_noise: noise of the codes of the expert's transitions, `batch code_size`; None without a bottleneck.
        fake_code_noise: noise of the codes of the policy's transitions, `batch code_size`; None without a bottleneck.
    """

    real_code_noise: Float[Tensor, "fakes code"] | None
    fake_code_noise: Float[Tensor, "fakes code"] | None


@dataclass(frozen=True, kw_only=True)
class TransitionDraws(CodeNoise):
    """The policy's transitions for one turn, and the noise for the discriminator's codes.

    Attributes:
        transitions: the policy's transitions; in a discriminator's turn some may be from earlier policies.
    """

    transitions: Transitions


class ImitationGAN(GAN, Agent):
    """A policy, and a discriminator of transitions whose output is the policy's reward.

    Subclasses define the discriminator's input (`columns`) and the rewards of a rollout (`rewards`). The discriminator
    takes `batch columns 1 1` and returns logits, `batch 1`. A discriminator with a bottleneck takes the noise of its
    code as a second argument; without this argument it uses the mean of the code.

    Args:
        policy: the generator, a policy network with its value network.
        critic: the discriminator.
        observation_size: number of values in an observation.
        action_size: number of values in a continuous action, or number of discrete actions.
        code_size: number of noise values that the discriminator's code takes for a transition; 0 without a bottleneck.
        replay: settings of the buffer of earlier policies' transitions on which the discriminator keeps training.
        proximal: settings of the policy's PPO objective.
        training: settings of training. Only the discriminator's part of its loss is used; a loss of None is the
            logistic one, eq. 1 of the first GAN paper, which GAIL uses.
    """

    makes_images: ClassVar[bool] = False
    clock_unit: ClassVar[str] = "k transitions"
    turns_are_independent: ClassVar[bool] = False

    generator: Policy
    generator_ema: Policy

    def __init__(
        self,
        *,
        policy: Policy,
        critic: nn.Module,
        observation_size: int,
        action_size: int,
        code_size: int,
        replay: Replay,
        proximal: ProximalObjective,
        training: Training,
    ) -> None:
        super().__init__(
            generator=policy,
            discriminator=critic,
            latent_dim=0,
            training=training,
        )
        self.observation_size = observation_size
        self.action_size = action_size
        self.code_size = code_size
        self.proximal = proximal
        columns = 2 * observation_size + action_size + 5
        self.replay = replay
        self.replay_buffer = ReplayBuffer(size=replay.size, columns=columns) if replay.size else None

    # ------------------------------------------------------------------ defined by subclasses

    @abstractmethod
    def columns(self, transitions: Transitions) -> Float[Tensor, "batch columns"]:
        """Returns the discriminator's inputs for some transitions."""

    @abstractmethod
    def rewards(self, rollout: Rollout) -> Float[Tensor, "steps environments"]:
        """Returns the policy's reward of each step; the discriminator is in evaluation mode when this is called."""

    # ------------------------------------------------------------------ turns

    def prepare(self, batch: Sequence[Tensor]) -> ExpertAndPolicy:  # type: ignore[override]
        """Returns the expert's transitions as the discriminator's inputs, and the policy's transitions.

        Raises:
            ValueError: if the batch does not have equal numbers of both.
        """
        expert, policy = batch
        if len(expert) != len(policy):
            raise ValueError(
                f"a batch holds {len(expert)} transitions of an expert and {len(policy)} of the policy; "
                "it needs equal numbers, as lightning_gan.imitation.Rollouts gives"
            )
        return ExpertAndPolicy(images=self._maps(self._unpacked(expert)), labels=None, policy=self._unpacked(policy))

    def draw_rows(self, count: int, random: torch.Generator) -> CodeNoise:
        """Draws the noise of the codes of real and fake transitions; there are no latents."""
        noise = torch.randn(count, 2 * self.code_size, generator=random, device=random.device)
        of_real, of_fake = torch.split(noise, self.code_size, dim=1) if self.code_size else (None, None)
        return CodeNoise(latents=noise[:, :0], labels=None, real_code_noise=of_real, fake_code_noise=of_fake)

    def draw(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> TransitionDraws:
        """Returns the policy's transitions for a turn.

        Turns that share a batch get one piece of it each. The policy's turn gets the last piece, or the last
        `generator_batch_multiple` pieces.

        Raises:
            ValueError: if the batch has fewer than `generator_batch_multiple` pieces.
        """
        noise = super().draw(player, reals, batch=batch, turn=turn, left=left)
        assert isinstance(noise, CodeNoise) and isinstance(batch, ExpertAndPolicy)
        end = min(turn + 1, self.settings.pieces) * len(reals)
        if end < len(noise):
            raise ValueError(
                f"generator_batch_multiple={self.settings.generator_batch_multiple} needs {len(noise)} transitions "
                f"of the policy and a batch has {end}; lower it to the number of turns that share a batch"
            )
        transitions = batch.policy.rows(end - len(noise), end)
        if player == "discriminator" and self.replay_buffer is not None and self.replay_buffer.seen:
            transitions = self._unpacked(self._with_replayed(transitions.packed(), self.replay_buffer, turn=turn))
        return TransitionDraws(
            latents=noise.latents,
            labels=None,
            real_code_noise=noise.real_code_noise,
            fake_code_noise=noise.fake_code_noise,
            transitions=transitions,
        )

    def _with_replayed(
        self, rows: Float[Tensor, "batch columns"], buffer: ReplayBuffer, *, turn: int
    ) -> Float[Tensor, "batch columns"]:
        """Replaces a share of the rows by rows from the buffer, evenly spread, so that each slice has this share."""
        places = self.replay.places(len(rows))
        count, ranks = len(places), self.trainer.world_size
        random = torch.Generator().manual_seed(derived_seed(self.seed, "replayed", self.images_seen, turn))
        drawn = buffer.draw(count * ranks, random)  # for all ranks; each uses its own part
        rows[places] = drawn[self.global_rank * count : (self.global_rank + 1) * count].to(rows)
        return rows

    def fakes(self, draws: Draws) -> FakeImages:
        """Returns the discriminator's inputs for the policy's transitions."""
        assert isinstance(draws, TransitionDraws)
        return self._maps(draws.transitions)

    def generate(self, latents: Latents, labels: Labels | None) -> Images:
        """Raises an error, because the fakes are transitions and not made from latents.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"the fakes of {type(self).__name__} are transitions of its policy, but a callback makes fakes from "
            "latents, which this model does not have; leave that callback out"
        )

    def score(self, images: Images, labels: Labels | None) -> Tensor:
        """Returns the logits of another forward pass, with new noise of the codes if the discriminator is training."""
        noise = None
        if self.code_size and self.discriminator.training:
            noise = torch.randn(len(images), self.code_size, dtype=images.dtype, device=images.device)
        return self.logits(images, noise)

    def logits(self, images: Images, noise: Float[Tensor, "batch code"] | None) -> Float[Tensor, "batch 1"]:
        """Returns the logits of transitions.

        Args:
            images: the discriminator's inputs, `batch columns 1 1`.
            noise: standard normal noise of the codes; None uses the means of the codes.
        """
        return full_precision(self.discriminate(images) if noise is None else self.discriminate(images, noise))

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
        assert isinstance(draws, TransitionDraws)
        if player == "generator":
            with torch.no_grad():  # the collected transitions do not depend on the policy's current weights
                return Scores(real_logits=None, fake_logits=self.logits(fake, None), critic=self.score)
        return Scores(
            real_logits=self.logits(reals.images, draws.real_code_noise),
            fake_logits=self.logits(fake, draws.fake_code_noise),
            critic=self.score,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        if turn.player == "discriminator":
            return super().objective(turn)
        assert isinstance(turn.draws, TransitionDraws)
        transitions = turn.draws.transitions
        parameters, values = self.generator(transitions.observations)
        return self.proximal.terms(
            transitions,
            log_probabilities=self.generator.actions.log_probabilities(parameters, transitions.actions),
            entropy=self.generator.actions.entropy(parameters),
            values=values,
        )

    def _maps(self, transitions: Transitions) -> Images:
        return rearrange(self.columns(transitions), "batch columns -> batch columns 1 1")

    def _unpacked(self, rows: Float[Tensor, "batch columns"]) -> Transitions:
        return Transitions.unpacked(rows, observation_size=self.observation_size, action_size=self.action_size)

    # ------------------------------------------------------------------ the agent

    def study(self, demonstrations: Transitions) -> None:
        """Does nothing; subclasses whose discriminator normalizes its inputs override it."""

    def begin_rollout(self) -> None:
        """Updates the normalization of the policy's inputs with the last rollout's observations."""
        self.generator.scale.adopt()

    @torch.no_grad()
    def act(
        self, observations: Float[Tensor, "environments observation"], noise: Float[Tensor, "environments action"]
    ) -> tuple[Float[Tensor, "environments action"], Float[Tensor, " environments"], Float[Tensor, " environments"]]:
        parameters, values = self.generator(observations)
        actions = self.generator.actions.draw(parameters, noise)
        return actions, self.generator.actions.log_probabilities(parameters, actions), values

    @torch.no_grad()
    def value(self, observations: Float[Tensor, "environments observation"]) -> Float[Tensor, " environments"]:
        values: Tensor = self.generator(observations)[1]
        return values

    @torch.no_grad()
    def judge(self, rollout: Rollout) -> Transitions:
        with evaluation_mode(self.discriminator):
            rewards = self.rewards(rollout)
        advantages = generalized_advantages(
            rewards,
            rollout.values,
            rollout.next_values,
            rollout.terminated,
            rollout.truncated,
            discount=self.proximal.discount,
            trace_decay=self.proximal.trace_decay,
        )
        transitions = transitions_of(rollout)
        self.generator.scale.observe(transitions.observations)
        judged = replace(
            transitions, advantages=normalized(advantages).flatten(), returns=(advantages + rollout.values).flatten()
        )
        if self.replay_buffer is not None and self.replay.keeps_at(self.images_seen):
            random = torch.Generator().manual_seed(derived_seed(self.seed, "kept", int(self.replay_buffer.seen)))
            self.replay_buffer.keep(judged.packed(), random)
        return judged

    @torch.no_grad()
    def decide(
        self,
        observations: Float[Tensor, "environments observation"],
        noise: Float[Tensor, "environments action"] | None = None,
    ) -> Float[Tensor, "environments action"]:
        parameters, _ = self.sampling_generator(observations)
        actions = self.generator.actions
        return actions.likeliest(parameters) if noise is None else actions.draw(parameters, noise)
