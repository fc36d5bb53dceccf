"""Penalties on the gradient's norm at points of their own, on critics whose gradients are known by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks.regularizers.gradient_penalty import (
    DRAGAN,
    R1,
    R2,
    DivergencePenalty,
    Drift,
    GradientPenalty,
    LipschitzPenalty,
    ZeroCenteredGradientPenalty,
)
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.losses import Wasserstein
from lightning_gan.penalties.gradient import gradient_at, gradient_norm
from lightning_gan.penalties.interpolation import distance_to_target, interpolated, noised
from tests.penalties.test_gradient import images_of, linear_critic, turn_of
from tests.penalties.turns import turn_with

PENALTIES = [GradientPenalty, LipschitzPenalty, ZeroCenteredGradientPenalty, DivergencePenalty, DRAGAN]


def critic_of(slope: list[float]) -> nn.Sequential:
    """D(x) = slope . x."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(len(slope), 1, bias=False))
    critic[1].weight.data = torch.tensor([slope])
    return critic


def curved_critic() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def value_and_gradients(penalty: Penalty, critic: nn.Sequential) -> list[Tensor]:
    value = penalty.weighted(turn_of(critic))
    gradients = torch.autograd.grad(value, list(critic.parameters()), allow_unused=True)
    return [value.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        (GradientPenalty(weight=10.0), 160.0, [48.0, 64.0]),  # 10 (5 - 1)^2
        (LipschitzPenalty(weight=10.0), 160.0, [48.0, 64.0]),
        (ZeroCenteredGradientPenalty(weight=10.0), 250.0, [60.0, 80.0]),  # 10 * 5^2
        (DivergencePenalty(weight=2.0, power=6.0), 31250.0, [22500.0, 30000.0]),  # 2 * 5^6
        (DRAGAN(weight=10.0), 160.0, [48.0, 64.0]),
    ],
)
def test_on_a_linear_critic_it_is_the_price_of_its_slope(penalty: Penalty, value: float, slope: list[float]) -> None:
    critic = linear_critic()  # slope (3, 4)
    weighted = penalty.weighted(turn_of(critic))
    assert weighted.item() == pytest.approx(value)
    by_weight, by_bias = torch.autograd.grad(weighted, [critic[1].weight, critic[1].bias], allow_unused=True)
    torch.testing.assert_close(by_weight, torch.tensor([slope]))
    assert by_bias is None


def test_a_slope_below_one_costs_on_two_sides_but_not_on_one() -> None:
    turn = turn_of(critic_of([0.3, 0.4]))
    assert LipschitzPenalty(weight=10.0).weighted(turn).item() == 0
    assert GradientPenalty(weight=10.0).weighted(turn).item() == pytest.approx(2.5)


def test_one_and_two_sides_agree_where_the_slope_is_one_or_more() -> None:
    steep = critic_of([2.0, -1.0])
    for one, two in zip(
        value_and_gradients(LipschitzPenalty(), steep), value_and_gradients(GradientPenalty(), steep), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_pggans_critic_costs_the_sum_of_three_terms() -> None:
    """With D(fake) - D(real) = -1, slope 1.2 and D(real) = 2: -1 + 0.4 + 0.004."""
    turn = turn_of(critic_of([0.72, 0.96]))
    scores = replace(turn.scores, real_logits=torch.full((8, 1), 2.0), fake_logits=torch.full((8, 1), 1.0))
    turn = replace(turn, scores=scores)
    assert turn.real_logits is not None
    cost = Wasserstein().discriminator(turn.real_logits, turn.fake_logits)
    cost = cost + GradientPenalty(weight=10.0).weighted(turn) + Drift(weight=0.001).weighted(turn)
    assert cost.item() == pytest.approx(-0.596)


def test_another_target_is_divided_by_its_square() -> None:
    """PGGAN's lambda / target^2 (norm - target)^2 with target 750: 10 / 562500 (5 - 750)^2."""
    penalty = GradientPenalty(weight=10.0, target=750.0)
    assert penalty.weighted(turn_of(linear_critic())).item() == pytest.approx(10 / 562500 * 745**2)


@pytest.mark.parametrize(
    ("penalty", "slope", "objective"),
    [
        (GradientPenalty(weight=10.0), 1.05, 1.025),  # w = 1 + 1 / (2 lambda)
        (LipschitzPenalty(weight=10.0), 1.05, 1.025),
        (DivergencePenalty(weight=2.0, power=6.0), 0.60836434, 0.50697028),  # w = (1 / (k p))^(1 / (p - 1))
        (R1(gamma=10.0), 0.1, 0.05),  # w = 1 / gamma
    ],
)
def test_the_best_critic_of_two_points_a_unit_apart_has_the_known_slope(
    penalty: Penalty, slope: float, objective: float
) -> None:
    """D(x) = w x on one pixel: the objective w - penalty(w) is stationary where the penalty's derivative is 1."""
    critic = critic_of([slope]).double()
    image = torch.zeros(8, 1, 1, 1, dtype=torch.float64).requires_grad_()
    fake = image + 1
    turn = turn_with(real_logits=critic(image), fake_logits=critic(fake), real=image, fake=fake, critic=critic)
    cost = penalty.weighted(turn)
    (derivative,) = torch.autograd.grad(cost, critic[1].weight)
    assert derivative.item() == pytest.approx(1.0, abs=1e-6)
    assert slope - cost.item() == pytest.approx(objective, abs=1e-7)


def test_every_point_has_the_gradient_that_vmap_finds() -> None:
    critic = curved_critic()
    points = images_of(6)
    single = torch.func.vmap(torch.func.grad(lambda image: critic(image[None]).squeeze()))(points.detach())
    torch.testing.assert_close(gradient_at(critic, points), single)
    torch.testing.assert_close(gradient_at(critic, points.detach()), single)  # as a leaf of its own
    torch.testing.assert_close(gradient_at(critic, 1.0 * points), single)  # in the middle of a graph
    torch.testing.assert_close(gradient_norm(single), single.flatten(1).square().sum(1).sqrt())


def test_every_sample_has_its_own_point_on_its_line() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(64, 3, 4, 4), torch.randn(64, 3, 4, 4)
    positions = ((interpolated(real, fake) - real) / (fake - real)).flatten(1)
    torch.testing.assert_close(positions, positions[:, :1].expand(-1, 48), rtol=0, atol=2e-3)  # all pixels alike
    assert positions[:, 0].min() > 0 and positions[:, 0].max() < 1
    assert positions[:, 0].std() > 0.2  # uniform: 0.289


def test_points_can_be_kept_near_one_end() -> None:
    real, fake = torch.zeros(64, 1, 2, 2), torch.ones(64, 1, 2, 2)
    assert torch.equal(interpolated(real, fake, between=(0.0, 0.0)), real)
    assert torch.equal(interpolated(real, fake, between=(1.0, 1.0)), fake)
    points = interpolated(real, fake, between=(0.5, 0.75))
    assert points.min() >= 0.5 and points.max() <= 0.75


def test_batches_of_different_sizes_are_refused() -> None:
    message = r"real images have the shape \(8, 1, 2, 2\) and fakes \(6, 1, 2, 2\).*drop_last"
    with pytest.raises(ValueError, match=message):
        interpolated(torch.zeros(8, 1, 2, 2), torch.zeros(6, 1, 2, 2))


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_vanishing_gradient_gives_no_nan(kind: Callable[[], Penalty]) -> None:
    """The root of the sum of squares has an infinite slope at 0; this norm has slope 0 there."""
    critic = linear_critic()
    nn.init.zeros_(critic[1].weight)
    value, by_weight = value_and_gradients(kind(), critic)
    assert value.isfinite() and torch.equal(by_weight, torch.zeros(1, 2))
    naive = gradient_at(critic, images_of(4)).flatten(1).square().sum(1).sqrt()
    (broken,) = torch.autograd.grad(distance_to_target(naive, target=1.0).mean(), critic[1].weight)
    assert broken.isnan().all()


def test_the_gradient_scale_multiplies_the_norm() -> None:
    turn = turn_of(linear_critic(), gradient_scale=0.2)  # 5 becomes 1
    assert GradientPenalty().weighted(turn).item() == pytest.approx(0.0, abs=1e-9)
    assert DRAGAN().weighted(turn).item() == pytest.approx(0.0, abs=1e-9)
    assert ZeroCenteredGradientPenalty(weight=10.0).weighted(turn).item() == pytest.approx(10.0)
    assert DivergencePenalty(weight=2.0).weighted(turn).item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DivergencePenalty(weight=1.5, power=2.0, between=(0.0, 0.0)), R1(gamma=3.0)),
        (ZeroCenteredGradientPenalty(weight=1.5, between=(0.0, 0.0)), R1(gamma=3.0)),
        (ZeroCenteredGradientPenalty(weight=1.5, between=(1.0, 1.0)), R2(gamma=3.0)),
        (DRAGAN(weight=1.5, noise=0.0), GradientPenalty(weight=1.5, between=(0.0, 0.0))),
    ],
    ids=["wgan_div_is_r1", "zero_gp_is_r1", "zero_gp_is_r2", "dragan_is_wgan_gp"],
)
def test_relatives_coincide_at_the_ends(one: Penalty, other: Penalty) -> None:
    """Value and gradients alike, on a critic whose gradient differs from image to image."""
    for first, second in zip(
        value_and_gradients(one, curved_critic()), value_and_gradients(other, curved_critic()), strict=True
    ):
        torch.testing.assert_close(first, second)


def test_dragans_noise_is_one_sided_and_follows_the_batchs_spread() -> None:
    torch.manual_seed(0)
    real = 3 * torch.randn(4096, 1, 4, 4)
    move = noised(real, noise=0.5) - real
    assert move.min() > -1e-5
    assert move.max() <= 0.5 * real.std() + 1e-5
    # Two independent uniform factors: a quarter of the largest noise on average.
    assert move.mean().item() == pytest.approx(0.125 * real.std().item(), rel=0.05)
    shares = move.flatten(1).mean(1)  # and the first factor is the sample's own
    assert shares.std() > 0.2 * shares.max()


def test_drift_is_the_mean_square_of_the_real_scores() -> None:
    turn = turn_of(linear_critic())
    turn = replace(turn, scores=replace(turn.scores, real_logits=torch.tensor([1.0, -3.0, 0.0, 2.0] * 2)))
    assert Drift(weight=0.1).weighted(turn).item() == pytest.approx(0.35)


def test_points_are_scored_with_the_real_labels() -> None:
    labels = torch.arange(8)
    seen: list[Tensor] = []

    def critic(images: Tensor, given: Tensor) -> Tensor:
        seen.append(given)
        return images.flatten(1).sum(1)

    turn = turn_of(linear_critic())
    reals, scores = replace(turn.reals, labels=labels), replace(turn.scores, critic=critic)
    turn = replace(turn, reals=reals, scores=scores)
    GradientPenalty().penalty(turn)
    assert [given.tolist() for given in seen] == [labels.tolist()]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: GradientPenalty(weight=-1.0), "weight -1.0 must not be negative"),
        (lambda: GradientPenalty(target=0.0), "target=0.0 must be positive"),
        (lambda: LipschitzPenalty(between=(1.0, 0.0)), r"between=\(1.0, 0.0\)"),
        (lambda: DivergencePenalty(power=1.0), "power=1.0 must be above 1"),
        (lambda: DRAGAN(noise=-0.5), "noise=-0.5 must not be negative"),
        (lambda: Drift(every_n_turns=0), "every_n_turns=0 must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: Callable[[], Penalty], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings()


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_probability_is_at_most_a_quarter_of_that_of_the_logit(seed: int) -> None:
    """Their ratio is ``s(D) (1 - s(D))``. 0-GP's authors penalize the first (htt210/GeneralizationAndStabilityInGANs:
    `cal_gradpen` of a `Discriminator` that ends in a sigmoid, LAMBDA 500 in GradientPenaltiesGANImage.py and 10 in
    GradientPenaltiesGAN.py), this package the second."""
    critic, points = curved_critic(), images_of(6, seed=seed)
    by_logit = gradient_norm(gradient_at(critic, points))
    by_probability = gradient_norm(gradient_at(lambda images: critic(images).sigmoid(), points))
    probability = critic(points).sigmoid().flatten()
    torch.testing.assert_close(by_probability / by_logit, probability * (1 - probability))
    assert (by_probability <= by_logit / 4).all()
    assert ZeroCenteredGradientPenalty().weight == 10.0
