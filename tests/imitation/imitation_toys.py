"""A small agent that every test can train in milliseconds, and demonstrations for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_gan.imitation import Rollouts
from lightning_gan.imitation.demonstrations import Demonstrations
from lightning_gan.imitation.environments import Actions, Environment, Observations, play
from lightning_gan.imitation.transitions import Agent, Rollout, Transitions
from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import Player, Turn
from tests.toys import FAST


class ToyPolicy(nn.Module):
    """Observations to an action's logits or mean, and to a value in the last column."""

    def __init__(self, *, observations: int, actions: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(observations, width)
        self.output = nn.Linear(width, actions + 1)

    def forward(self, observations: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.hidden(observations).tanh())
        return outputs


class ToyReward(nn.Module):
    """Packed transitions, as images of one pixel, to a logit that looks at observations and actions."""

    def __init__(self, *, observations: int, actions: int) -> None:
        super().__init__()
        self.seen = observations + actions
        self.layer = nn.Linear(self.seen, 1)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.layer(rows[:, : self.seen, 0, 0])
        return logits


class ToyAgent(GAN, Agent):
    """A policy gradient on rewards of the environment plus those of the critic; it writes down how it was called."""

    makes_images = False

    def __init__(
        self, *, observation_size: int = 4, action_size: int = 2, discrete_actions: bool = True, width: int = 8
    ) -> None:
        super().__init__(
            generator=ToyPolicy(observations=observation_size, actions=action_size, width=width),
            discriminator=ToyReward(observations=observation_size, actions=action_size),
            latent_dim=1,
            training=FAST,
        )
        self.observation_size = observation_size
        self.action_size = action_size
        self.discrete_actions = discrete_actions
        self.register_buffer("scale", torch.ones(observation_size))
        self.register_buffer("rollouts_begun", torch.zeros((), dtype=torch.int64))
        self.calls: list[str] = []
        self.judged: list[Rollout] = []
        self.weights_at_rollout: list[Tensor] = []

    # ------------------------------------------------------------------ the agent

    def study(self, demonstrations: Transitions) -> None:
        self.calls.append("study")
        self.scale.copy_(demonstrations.observations.std(0) + 0.1)

    def begin_rollout(self) -> None:
        self.calls.append("begin_rollout")
        self.rollouts_begun += 1
        self.weights_at_rollout.append(self.generator.output.weight.detach().clone())

    def _outputs(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.generator(observations / self.scale)
        return outputs[:, :-1], outputs[:, -1]

    def _log_probabilities(self, outputs: Tensor, actions: Tensor) -> Tensor:
        if self.discrete_actions:
            return (outputs.log_softmax(1) * actions).sum(1)
        return torch.distributions.Normal(outputs, 1.0).log_prob(actions).sum(1)

    def act(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs, values = self._outputs(observations)
        if self.discrete_actions:
            # Gumbel's trick: the largest of logits with such noise is distributed as their softmax.
            chosen = (outputs - (-noise.log()).log()).argmax(1)
            actions = nn.functional.one_hot(chosen, self.action_size).to(outputs)
        else:
            actions = outputs + torch.special.ndtri(noise)
        return actions, self._log_probabilities(outputs, actions), values

    def value(self, observations: Tensor) -> Tensor:
        return self._outputs(observations)[1]

    def judge(self, rollout: Rollout) -> Transitions:
        self.judged.append(rollout)

        def rows(tensor: Tensor) -> Tensor:
            return tensor.flatten(0, 1)

        lasting = (~rollout.terminated).to(rollout.values)
        returns = rows(rollout.rewards + 0.9 * lasting * rollout.next_values)
        # Of its own random numbers too: what a run draws elsewhere must not matter.
        advantages = returns - rows(rollout.values) + 0.01 * torch.randn(len(returns)).to(returns)
        return Transitions(
            observations=rows(rollout.observations),
            actions=rows(rollout.actions),
            next_observations=rows(rollout.next_observations),
            terminated=rows(rollout.terminated).to(returns),
            log_probabilities=rows(rollout.log_probabilities),
            advantages=advantages,
            returns=returns,
            values=rows(rollout.values),
        )

    def decide(self, observations: Tensor, noise: Tensor | None = None) -> Tensor:
        policy = self.sampling_generator
        outputs: Tensor = policy(observations / self.scale)[:, :-1]
        if not self.discrete_actions:
            return outputs if noise is None else outputs + torch.special.ndtri(noise)
        if noise is not None:
            outputs = outputs - (-noise.log()).log()
        return nn.functional.one_hot(outputs.argmax(1), self.action_size).to(outputs)

    # ------------------------------------------------------------------ the game

    def prepare(self, batch: Any) -> Reals:
        expert_rows, policy_rows = batch
        return Reals(images=expert_rows[:, :, None, None], labels=policy_rows)

    def draw(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Draws:
        assert reals.labels is not None
        return Draws(latents=reals.labels, labels=None)

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return latents[:, :, None, None]

    def score(self, images: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.discriminator(images)
        return logits

    def objective(self, turn: Turn) -> dict[str, Tensor]:
        if turn.player == "discriminator":
            return super().objective(turn)
        steps = Transitions.unpacked(turn.latents, observation_size=self.observation_size, action_size=self.action_size)
        outputs, values = self._outputs(steps.observations)
        log_probabilities = self._log_probabilities(outputs, steps.actions)
        return {
            "policy": -(steps.advantages * log_probabilities).mean(),
            "value": (values - steps.returns).square().mean(),
        }


def lean(observations: Observations) -> Actions:
    """A CartPole expert of sorts: pushes to where the pole falls."""
    right = (observations[:, 2] + 0.5 * observations[:, 3] > 0).astype(int)
    actions: Actions = np.eye(2)[right]
    return actions


def toy_demonstrations(
    path: Path, *, episodes: int = 3, decide: Callable[[Observations], Actions] = lean, **settings: Any
) -> Demonstrations:
    """Episodes of `lean` in CartPole of at most 40 steps, also written to `path`."""
    environment = Environment(id="CartPole-v1", options={"max_episode_steps": 40}, **settings)
    played = play(environment, decide, numbers=range(episodes), seed=0)
    demonstrations = Demonstrations.of_episodes(environment, list(played.values()))
    demonstrations.save(path)
    return demonstrations


def toy_rollouts(**settings: Any) -> Rollouts:
    """CartPole, two environments of twelve steps, shown twice in batches of eight."""
    defaults: dict[str, Any] = {
        "number_of_environments": 2,
        "steps_per_rollout": 12,
        "epochs_per_rollout": 2,
        "batch_size": 8,
    }
    return Rollouts(**{**defaults, **settings})
