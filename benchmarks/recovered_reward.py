"""The reward that VAIRL has recovered on Pendulum, drawn beside the environment's own.

    python benchmarks/recovered_reward.py runs/vairl/checkpoints/last.ckpt recovered_reward.png

Both are functions of the angle and of the velocity (the environment's own without its small cost of torque); each has
its own unit. The correlation over the grid is printed: a reward may be right for a policy and yet differ where neither
the expert nor the first policies went.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch

from lightning_gan.imitation.ppo import vairl_from

POINTS = 101


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    critic = vairl_from(arguments.checkpoint).discriminator.eval()
    angles, velocities = torch.meshgrid(
        torch.linspace(-torch.pi, torch.pi, POINTS), torch.linspace(-8, 8, POINTS), indexing="xy"
    )
    states = torch.stack([angles.cos(), angles.sin(), velocities], dim=-1).reshape(-1, 3)
    recovered = critic.reward(states).reshape(POINTS, POINTS)
    own = -(angles.square() + 0.1 * velocities.square())
    correlation = torch.corrcoef(torch.stack([recovered.flatten(), own.flatten()]))[0, 1]
    print(f"correlation of the two over the grid: {correlation:.2f}")
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    for panel, reward, title in zip(panels, (own, recovered), ("the environment's own", "recovered"), strict=True):
        drawn = panel.pcolormesh(angles.rad2deg(), velocities, reward, shading="auto", rasterized=True)
        panel.set(title=title, xlabel="angle from upright, degrees", xticks=range(-180, 181, 90))
        figure.colorbar(drawn, ax=panel)
    panels[0].set_ylabel("angular velocity, rad/s")
    figure.savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
