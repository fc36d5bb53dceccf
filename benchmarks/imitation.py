"""Imitation, measured: experts, imitators of ten demonstrations, and a recovered reward under other physics.

    python benchmarks/imitation.py                              # all of it, one run after another
    python benchmarks/imitation.py --environments cartpole --methods vail --seeds 0 1
    python benchmarks/imitation.py --no-transfer

Every run is fitted as a user would (`python cli.py fit --config vail.yaml ...`), in a process of its own, in
`runs/imitation_.../`; one that has written its `returns.json` is read instead of repeated, and one that was interrupted
is trained anew. The first table has the mean return of 100 episodes with the policy's likeliest actions, the same
beginnings for all, and the normalised score: 0 for random actions, 1 for an expert that PPO trained on the
environment's own reward. VAIL and GAIL learn from ten demonstrations, VAIRL from fifty. The second table has Pendulum
with other physics (`transfer.yaml`): an expert trained there, the policy of an expert from here, VAIRL's own policy,
and new ones that PPO trained there on the reward that VAIRL has recovered, without the environment's own.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = Path("runs").resolve()
EXPERTS = {"cartpole": "expert.yaml", "pendulum": "expert_pendulum.yaml"}
"""Environments, and the configurations of their experts."""
METHODS = ("vail", "gail", "vairl")
IMITATORS = {
    "cartpole": {"vail": ["vail.yaml"], "gail": ["gail.yaml"]},
    "pendulum": {
        "vail": ["vail.yaml", "data/pendulum.yaml"],
        "gail": ["gail.yaml", "data/pendulum.yaml"],
        "vairl": ["vairl.yaml"],
    },
}
"""Environments, and the configurations of those who imitate there."""
PHYSICS = {"l": 1.4}
"""How the pendulum differs in the second table, as in `transfer.yaml`."""


@dataclass(frozen=True, kw_only=True)
class Returns:
    """What a run has measured last.

    Attributes:
        mean: return of the policy.
        interval: 95 % confidence interval of it.
        random: mean return of random actions.
        minutes: training took; None where a checkpoint was only tested.
    """

    mean: float
    interval: float
    random: float
    minutes: float | None

    def score(self, expert: "Returns") -> float:
        """0 for random actions, 1 for the expert."""
        return (self.mean - self.random) / (expert.mean - self.random)

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.interval:.1f}"


def command_line(command: str, configs: list[str], name: str, *arguments: str) -> None:
    """`python cli.py COMMAND ...`, on one core."""
    line = [sys.executable, str(ROOT / "cli.py"), command]
    for config in [*configs, "hardware/cpu.yaml"]:
        line += ["--config", config]
    line += [*arguments, "--name", name, "--trainer.default_root_dir", str(RUNS / name)]
    (RUNS / name).mkdir(parents=True, exist_ok=True)
    with (RUNS / f"{name}.log").open("w") as log:
        # There, because an expert's `test` writes its demonstrations where it is run.
        subprocess.run(line, check=True, stdout=log, stderr=log, cwd=RUNS / name)


def fitted(configs: list[str], name: str, *arguments: str) -> Returns:
    """The returns of a run; it is trained now if there is none."""
    folder = RUNS / name
    if not (folder / "minutes.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        command_line("fit", configs, name, *arguments)
        (folder / "minutes.json").write_text(json.dumps((time.monotonic() - started) / 60))
    return read(folder)


def tested(configs: list[str], name: str, checkpoint: Path, *arguments: str) -> Returns:
    """The returns of a trained policy elsewhere."""
    if not (RUNS / name / "returns.json").exists():
        command_line("test", configs, name, *arguments, "--ckpt_path", str(checkpoint))
    return read(RUNS / name)


def read(folder: Path) -> Returns:
    """What a run has measured last."""
    metrics = json.loads((folder / "returns.json").read_text())[-1]["metrics"]
    minutes = folder / "minutes.json"
    return Returns(
        mean=metrics["policy"],
        interval=metrics["policy_interval"],
        random=metrics["random"],
        minutes=json.loads(minutes.read_text()) if minutes.exists() else None,
    )


def checkpoint_of(name: str) -> Path:
    """Where a run's last checkpoint is."""
    return RUNS / name / "checkpoints" / "last.ckpt"


def expert_of(environment: str) -> Returns:
    """PPO on the environment's own reward."""
    return fitted([EXPERTS[environment]], f"imitation_expert_{environment}", "--seed_everything=1")


def imitator_of(method: str, environment: str, *, seed: int) -> Returns:
    """A method on the demonstrations that come with the package."""
    name = f"imitation_{method}_{environment}_{seed}"
    return fitted(IMITATORS[environment][method], name, f"--seed_everything={seed}")


def print_imitators(environments: list[str], methods: list[str], seeds: list[int]) -> None:
    """The first table."""
    print("| environment | policy | seed | return | score | minutes |")
    print("|---|---|---|---|---|---|")
    for environment in environments:
        expert = expert_of(environment)
        print(f"| {environment} | random | | {expert.random:.1f} | 0.00 | |")
        print(f"| {environment} | expert (PPO) | 1 | {expert} | 1.00 | {expert.minutes:.1f} |", flush=True)
        for method in methods:
            if method not in IMITATORS[environment]:
                continue
            scores = []
            for seed in seeds:
                run = imitator_of(method, environment, seed=seed)
                scores.append(run.score(expert))
                row = f"| {environment} | {method.upper()} | {seed} | {run} | {scores[-1]:.2f} | {run.minutes:.1f} |"
                print(row, flush=True)
            mean = sum(scores) / len(scores)
            print(f"| {environment} | {method.upper()}, mean | | | {mean:.2f} | |", flush=True)


def print_transfer(seeds: list[int]) -> None:
    """The second table."""
    physics = ["--data.physics", json.dumps(PHYSICS)]
    changed = ", ".join(f"{name} = {number}" for name, number in PHYSICS.items())
    expert_of("pendulum")
    expert = fitted([EXPERTS["pendulum"]], "imitation_expert_changed", *physics, "--seed_everything=1")
    elsewhere = tested(
        [EXPERTS["pendulum"]], "imitation_expert_elsewhere", checkpoint_of("imitation_expert_pendulum"), *physics
    )
    print(f"\n| Pendulum-v1 with {changed} | seed | return | score |")
    print("|---|---|---|---|")
    print(f"| random | | {expert.random:.1f} | 0.00 |")
    print(f"| expert, trained there (PPO) | 1 | {expert} | 1.00 |")
    print(f"| expert of l = 1 | 1 | {elsewhere} | {elsewhere.score(expert):.2f} |", flush=True)
    for seed in seeds:
        imitator_of("vairl", "pendulum", seed=seed)
        source = checkpoint_of(f"imitation_vairl_pendulum_{seed}")
        policy = tested(["vairl.yaml"], f"imitation_vairl_changed_{seed}", source, *physics)
        print(f"| VAIRL's policy | {seed} | {policy} | {policy.score(expert):.2f} |", flush=True)
        reward = f"--model.reward.init_args.checkpoint={source}"
        new = fitted(["transfer.yaml"], f"imitation_transfer_{seed}", *physics, reward, f"--seed_everything={seed}")
        print(f"| new policy on VAIRL's reward | {seed} | {new} | {new.score(expert):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environments", nargs="*", choices=list(EXPERTS), default=list(EXPERTS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--transfer", action=argparse.BooleanOptionalAction, default=True, help="the second table")
    arguments = parser.parse_args()
    if arguments.environments:
        print_imitators(arguments.environments, arguments.methods, arguments.seeds)
    if arguments.transfer:
        print_transfer(arguments.seeds)


if __name__ == "__main__":
    main()
