"""Two time-scale updates (Heusel et al. 2017, arXiv:1706.08500): what two rates do to a game, and who sets them.

Two rates alone do not make a zero-sum game converge. They let the critic be at its best answer, as seen by a generator
that moves slowly, so that a game converges whose generator would follow the best answers to the equilibrium.
"""

import cmath
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, Minimax, NonSaturating
from lightning_gan.optimizers import GANAdam
from tests.toys import toy_gan, toy_loader, toy_trainer, weights_of

# Learning rates of discriminator and generator, and Adam's betas (table 1; first moments from the authors' code).
PAPER = {
    "dcgan_celeba": (1e-5, 5e-4, [0.5, 0.999]),
    "dcgan_cifar10": (1e-4, 5e-4, [0.5, 0.999]),
    "dcgan_lsun_bedroom": (1e-5, 1e-4, [0.5, 0.999]),
    "dcgan_svhn": (1e-5, 1e-4, [0.5, 0.999]),
    "wgan_gp_cifar10": (3e-4, 1e-4, [0.0, 0.9]),
    "wgan_gp_lsun_bedroom": (3e-4, 1e-4, [0.0, 0.9]),
}


def dirac_jacobian(loss: AdversarialLoss, *, generator_rate: float, critic_rate: float, gamma: float = 0.0) -> Tensor:
    """The Dirac game's flow at its equilibrium: data at 0, a fake at theta, D(x) = psi x, and R1 = psi^2."""

    def velocity(players: Tensor) -> Tensor:
        theta, psi = players.unbind()
        real, fake = (psi * 0).view(1, 1), (psi * theta).view(1, 1)
        (by_theta,) = torch.autograd.grad(loss.generator(None, fake), theta, create_graph=True)
        cost = loss.discriminator(real, fake) + gamma / 2 * psi.square()
        (by_psi,) = torch.autograd.grad(cost, psi, create_graph=True)
        return torch.stack([-generator_rate * by_theta, -critic_rate * by_psi])

    equilibrium = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    jacobian: Tensor = torch.autograd.functional.jacobian(velocity, equilibrium)  # type: ignore[no-untyped-call]
    return jacobian


def eigenvalues(matrix: Tensor) -> list[complex]:
    values: list[complex] = torch.linalg.eigvals(matrix).tolist()
    return sorted(values, key=lambda value: (value.real, value.imag))


RATES = [(1.0, 1.0), (0.1, 0.4), (2.0, 0.5)]


@pytest.mark.parametrize(("generator_rate", "critic_rate"), RATES)
@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()], ids=lambda loss: type(loss).__name__)
def test_two_rates_alone_leave_the_dirac_game_circling(
    loss: AdversarialLoss, generator_rate: float, critic_rate: float
) -> None:
    """+-(i/2) sqrt(h_g h_d); simultaneous steps multiply the distance by sqrt(1 + h_g h_d / 4)."""
    jacobian = dirac_jacobian(loss, generator_rate=generator_rate, critic_rate=critic_rate)
    turn = math.sqrt(generator_rate * critic_rate) / 2
    assert eigenvalues(jacobian) == pytest.approx([complex(0, -turn), complex(0, turn)])
    step = eigenvalues(torch.eye(2) + jacobian)
    assert [abs(value) for value in step] == pytest.approx([math.sqrt(1 + turn**2)] * 2)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("generator_rate", "critic_rate"), RATES)
def test_with_r1_the_dirac_game_converges_at_any_two_rates(
    generator_rate: float, critic_rate: float, gamma: float
) -> None:
    """-h_d gamma / 2 +- sqrt((h_d gamma / 2)^2 - h_g h_d / 4), whose real parts are negative."""
    jacobian = dirac_jacobian(NonSaturating(), generator_rate=generator_rate, critic_rate=critic_rate, gamma=gamma)
    damping = critic_rate * gamma / 2
    root = cmath.sqrt(damping**2 - generator_rate * critic_rate / 4)
    expected = sorted([-damping - root, -damping + root], key=lambda value: (value.real, value.imag))
    assert eigenvalues(jacobian) == pytest.approx(expected, abs=1e-7)
    assert max(value.real for value in eigenvalues(jacobian)) < 0


# A game of two points in the plane. The generator's cost is <theta, w> + |theta|^2 / 20, the critic's is
# |w|^2 / 2 - <w, C theta>: its best answer is w = C theta, to which the generator's is a spiral to 0. Both costs are
# convex in the player's own point, so that 0 is a strict Nash equilibrium.
ANSWER = torch.tensor([[1.0, 2.0], [-2.0, 1.0]])
CURVATURE = 0.1


def plane_jacobian(*, ratio: float) -> Tensor:
    """The flow with a critic that is `ratio` times as fast as the generator."""
    identity = torch.eye(2)
    return torch.cat(
        [torch.cat([-CURVATURE * identity, -identity], 1), ratio * torch.cat([ANSWER, -identity], 1)]
    ).double()


@pytest.mark.parametrize(("ratio", "converges"), [(0.2, False), (1.0, False), (3.0, False), (4.0, True), (50.0, True)])
def test_a_critic_that_is_fast_enough_makes_the_plane_game_stable(ratio: float, converges: bool) -> None:
    """Stable where (0.1 + r)^2 * 1.1 > 4 r: with complex numbers, l^2 + (0.1 + r) l + (1.1 - 2i) r = 0."""
    assert ((CURVATURE + ratio) ** 2 * (1 + CURVATURE) > 4 * ratio) is converges
    assert (max(value.real for value in eigenvalues(plane_jacobian(ratio=ratio))) < 0) is converges


def farthest_after_noisy_steps(*, generator_power: float, critic_power: float, steps: int = 4000) -> float:
    """Sixteen games from points at distance 1, with noise on each gradient and step sizes n^-power.

    Returns:
        the root mean square of the generators' distances from the equilibrium.
    """
    random = torch.Generator().manual_seed(0)
    theta, w = torch.randn(2, 16, 2, generator=random)
    theta = theta / theta.norm(dim=1, keepdim=True)
    for n in range(10, steps + 10):
        by_theta, by_w = torch.randn(2, 16, 2, generator=random) * 0.3
        by_theta += CURVATURE * theta + w
        by_w += w - theta @ ANSWER.T
        theta = theta - n**-generator_power * by_theta
        w = w - n**-critic_power * by_w
    return float(theta.square().sum(dim=1).mean().sqrt())


def test_noisy_games_converge_with_the_faster_critic_and_not_with_equal_rates() -> None:
    """Both pairs of step sizes sum to infinity, and their squares do not; only a(n) = o(b(n)) makes two time scales."""
    assert farthest_after_noisy_steps(generator_power=0.9, critic_power=0.6) < 0.1
    assert farthest_after_noisy_steps(generator_power=0.75, critic_power=0.75) > 10


def test_each_player_steps_with_its_own_rate() -> None:
    """Adam's first step is the rate itself, in every weight that has a gradient."""

    def slow(parameters: Any) -> GANAdam:
        return GANAdam(parameters, lr=1e-4)

    def fast(parameters: Any) -> GANAdam:
        return GANAdam(parameters, lr=3e-3)

    module = toy_gan(training=Training(generator_optimizer=slow, discriminator_optimizer=fast))
    generator, critic = weights_of(module.generator), weights_of(module.discriminator)
    trainer = toy_trainer(limit_train_batches=1)
    trainer.fit(module, toy_loader())
    assert [own.param_groups[0]["lr"] for own in trainer.optimizers] == [3e-3, 1e-4]
    for before, network, rate in ((generator, module.generator, 1e-4), (critic, module.discriminator, 3e-3)):
        moves = [(now - old).abs().max().item() for now, old in zip(weights_of(network), before, strict=True)]
        assert max(moves) == pytest.approx(rate, rel=1e-2)


def test_every_row_of_the_papers_table_is_a_fragment() -> None:
    shipped = [name for name in shipped_configs() if name.startswith("addons/ttur_")]
    assert shipped == [f"addons/ttur_{name}.yaml" for name in sorted(PAPER)]


@pytest.mark.parametrize("name", PAPER)
def test_a_fragment_gives_both_players_the_papers_optimizers(name: str) -> None:
    settings = yaml.safe_load((shipped_folder() / "addons" / f"ttur_{name}.yaml").read_text())["model"]["init_args"][
        "training"
    ]
    critic, generator, betas = PAPER[name]
    for player, rate in (("discriminator", critic), ("generator", generator)):
        assert settings[f"{player}_optimizer"] == {
            "class_path": "lightning_gan.optimizers.GANAdam",
            "init_args": {"lr": rate, "betas": betas},
        }


def test_a_fragments_rates_replace_those_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "stylegan", "--config", "addons/ttur_wgan_gp_cifar10", "--print_config"])
    assert exit_.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["training"]
    rates = [printed[f"{player}_optimizer"]["init_args"]["lr"] for player in ("discriminator", "generator")]
    assert rates == [3e-4, 1e-4]
