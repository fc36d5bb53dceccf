"""A callback that measures a policy's mean return and compares it with an expert, a random policy, and other runs."""

import json
import math
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from lightning_gan.callbacks.evaluation.measurement import Measurement
from lightning_gan.foreign.host import host_of
from lightning_gan.imitation.environments import Decide, Environment, play, random_policy
from lightning_gan.imitation.returns import MeanReturn, mean_return, normalised_score
from lightning_gan.imitation.stage import agent_of, stage_of
from lightning_gan.metrics.report import Better, Record

THIS = "policy"
"""Name of the trained policy among the metrics."""


class Row(NamedTuple):
    """One policy in the table: its name, and its mean return or the reason why there is none."""

    name: str
    earned: MeanReturn | str


class EpisodeReturns(Measurement):
    """Measures the mean return of whole episodes with its 95 % confidence interval, and an expert's and a random one.

    It measures while fitting and at the end, and in `validate` and `test`. The policy takes its most likely actions
    (`Agent.decide`). Returns are undiscounted sums of the environment's own rewards. The expert's returns are those of
    the data's demonstrations, if there are any. The initial state of an episode is a function of `seed` and of the
    episode's number, so that with equal seeds all policies start from the same states. Several ranks share the
    episodes.

    Results: `returns/...` in the loggers and in `trainer.callback_metrics` (a checkpoint may monitor
    `returns/policy`), `returns.json` in `trainer.default_root_dir`, and a table on the terminal.

    Args:
        every_kimg: number of thousands of transitions between measurements while fitting; None measures at the end
            only.
        episodes: number of episodes to play with the policy, and with the random policy; at least 2.
        batch_size: number of environments to step side by side on each rank; it changes only the random policy's
            results.
        compare: other runs to show in the table, as a mapping from a name to the path of that run's `returns.json`.
        seed: seed of the episodes' initial states, and of the random policy.
        name: first part of the metrics' names, and name of the JSON file.

    Raises:
        ValueError: for settings out of range, a model without a policy, or data without an environment.
    """

    def __init__(
        self,
        *,
        every_kimg: float | None = None,
        episodes: int = 100,
        batch_size: int = 16,
        compare: dict[str, str] | None = None,
        seed: int = 0,
        name: str = "returns",
    ) -> None:
        super().__init__(every_kimg=every_kimg, batch_size=batch_size, seed=seed, name=name)
        if episodes < 2:
            raise ValueError(
                f"EpisodeReturns: episodes={episodes} must be at least 2; one episode gives no confidence interval"
            )
        self.episodes = episodes
        self.compare = compare or {}
        self._random: MeanReturn | None = None

    # ------------------------------------------------------------------ the measurement

    def check(self, module: LightningModule) -> None:
        agent_of(self.title, module)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        stage_of(self.title, trainer, pl_module)
        self._random = None  # another trainer may have another environment
        if isinstance(trainer.strategy, ModelParallelStrategy):
            raise ValueError(
                "EpisodeReturns: episodes end after different numbers of steps on each rank, but sharded networks need "
                "all ranks in every forward pass; use strategy='gan_ddp', because policies are small"
            )

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        policy, data = stage_of(self.title, trainer, module)
        returns, lengths = self._played(trainer, module, data.environment, policy)
        if self._random is None:
            self._random = self._by_chance(data.environment)
        earned = {THIS: mean_return(returns), "random": self._random}
        demonstrations = data.demonstrations
        if demonstrations is not None:
            earned["expert"] = mean_return(torch.from_numpy(demonstrations.returns))
        numbers = {"episode_length": lengths.mean().item()}
        for name, (mean, interval) in earned.items():
            numbers |= {name: mean} | ({} if math.isnan(interval) else {f"{name}_interval": interval})
        if "expert" in earned:
            score = normalised_score(numbers[THIS], random=numbers["random"], expert=numbers["expert"])
            numbers |= {} if math.isnan(score) else {"normalised_score": score}
        return {
            "model": type(module).__name__,
            "environment": data.environment.as_dict(),
            "episodes": self.episodes,
            "demonstrations": 0 if demonstrations is None else len(demonstrations.lengths),
            "demonstrated_in": None if demonstrations is None else demonstrations.environment.as_dict(),
            "average": host_of(module).uses_average(trainer, ema=True),
            "seed": self.seed,
            "metrics": numbers,
        }

    def better(self) -> dict[str, Better]:
        return {THIS: "more", "normalised_score": "more"}

    def headline(self, numbers: dict[str, float]) -> str:
        score = f", normalised score {numbers['normalised_score']:.3f}" if "normalised_score" in numbers else ""
        return f"return {formatted(earned_by(THIS, numbers))}{score}"

    def _played(
        self, trainer: Trainer, module: LightningModule, environment: Environment, policy: Decide
    ) -> tuple[Tensor, Tensor]:
        """Returns the returns and the lengths of all episodes, on every rank; each rank plays its share of them."""
        mine = range(trainer.global_rank, self.episodes, trainer.world_size)
        played = play(environment, policy, numbers=mine, seed=self.seed, at_once=self.batch_size)
        both = torch.zeros(2, self.episodes, dtype=torch.float64)
        for number, episode in played.items():
            both[0, number], both[1, number] = episode.total, float(len(episode))
        if trainer.world_size > 1:
            both = trainer.strategy.reduce(both.to(module.device), reduce_op="sum").cpu()
        return both[0], both[1]

    def _by_chance(self, environment: Environment) -> MeanReturn:
        policy = random_policy(environment, seed=self.seed)
        played = play(environment, policy, numbers=range(self.episodes), seed=self.seed, at_once=self.batch_size)
        return mean_return(torch.tensor([episode.total for episode in played.values()], dtype=torch.float64))

    # ------------------------------------------------------------------ the table

    def report(self, record: Record) -> str:
        numbers = record["metrics"]
        environment = Environment(**record["environment"])
        rows = [Row(f"{record['model']} (this run)", earned_by(THIS, numbers))]
        if "expert" in numbers:
            elsewhere = Environment(**record["demonstrated_in"])
            place = "" if elsewhere == environment else f" of {elsewhere.described}"
            rows.append(Row(f"expert ({counted(record['demonstrations'])}{place})", earned_by("expert", numbers)))
        rows.append(Row("random", earned_by("random", numbers)))
        rows += [Row(name, earned_elsewhere(Path(path), environment)) for name, path in self.compare.items()]
        return returns_table(
            rows,
            title=f"{environment.described}: mean return of {counted(record['episodes'])}",
            scale=(numbers["random"], numbers["expert"]) if "normalised_score" in numbers else None,
            settings={"k transitions": record["kimg"], "seed": record["seed"], "averaged weights": record["average"]},
        )


def earned_by(name: str, numbers: dict[str, float]) -> MeanReturn:
    """Reads a policy's mean return from the metrics of a record."""
    return MeanReturn(numbers[name], numbers.get(f"{name}_interval", math.nan))


def earned_elsewhere(path: Path, environment: Environment) -> MeanReturn | str:
    """Reads the last mean return from another run's `returns.json`, or returns the reason why it cannot be compared.

    Args:
        path: path of the file.
        environment: environment of this run.
    """
    if not path.exists():
        return f"not trained yet: python cli.py fit --config {path.parent.name}.yaml"
    try:
        records: list[Record] = json.loads(path.read_text())
        latest = records[-1]
        elsewhere = Environment(**latest["environment"])
        earned = earned_by(THIS, latest["metrics"])
    except (ValueError, KeyError, TypeError, IndexError):
        return f"{path} holds no returns"
    return earned if elsewhere == environment else f"{formatted(earned)}, but in {elsewhere.described}"


def formatted(earned: MeanReturn) -> str:
    """Formats a mean return with its interval.

    Example:
        >>> formatted(MeanReturn(487.34, 8.06)), formatted(MeanReturn(-0.5, math.nan))
        ('487.3 ± 8.1', '-0.5')
    """
    return f"{earned.mean:.1f}" if math.isnan(earned.interval) else f"{earned.mean:.1f} ± {earned.interval:.1f}"


def counted(episodes: int) -> str:
    """Returns "1 episode" or, for other numbers, such as "2 episodes"."""
    return "1 episode" if episodes == 1 else f"{episodes} episodes"


def returns_table(rows: list[Row], *, title: str, scale: tuple[float, float] | None, settings: dict[str, Any]) -> str:
    """Returns a table of policies as aligned plain text, with normalised scores if there is a scale.

    Args:
        rows: the policies.
        title: the first line.
        scale: mean returns of the random policy and of the expert; None leaves the scores out.
        settings: names and values of settings to show in the last line.

    Example:
        >>> rows = [Row("VAIL", MeanReturn(75.0, 2.0)), Row("GAIL", "not trained yet")]
        >>> print(returns_table(rows, title="CartPole-v1", scale=(50.0, 100.0), settings={"seed": 0}))
        CartPole-v1
        policy      return  score
        VAIL    75.0 ± 2.0   0.50
        GAIL    not trained yet
        (± 95 % confidence interval of the mean; score 0 random, 1 expert; seed 0)
    """
    returns = [formatted(row.earned) for row in rows if isinstance(row.earned, MeanReturn)]
    left = max(len(row.name) for row in [*rows, Row("policy", "")])
    right = max(map(len, ["return", *returns]))
    lines = [title, f"{'policy':<{left}}  {'return':>{right}}" + ("  score" if scale else "")]
    for row in rows:
        if isinstance(row.earned, str):
            lines.append(f"{row.name:<{left}}  {row.earned}")
            continue
        line = f"{row.name:<{left}}  {formatted(row.earned):>{right}}"
        if scale:
            score = normalised_score(row.earned.mean, random=scale[0], expert=scale[1])
            line += f"  {score:5.2f}"
        lines.append(line)
    notes = ["± 95 % confidence interval of the mean", *(["score 0 random, 1 expert"] if scale else [])]
    notes += [f"{name} {value}" for name, value in settings.items()]
    return "\n".join([*lines, *textwrap.wrap(f"({'; '.join(notes)})", width=100)])
