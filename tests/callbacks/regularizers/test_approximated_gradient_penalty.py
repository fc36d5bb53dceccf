"""Finite differences under half precision, and penalties on a part of the batch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.callbacks import R1, R2, FiniteDifferenceR1, FiniteDifferenceR2, InstanceNoise, SpectralNorm
from lightning_gan.callbacks.regularizers.gradient_penalty import PenaltyOnShare
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Turn
from lightning_gan.losses import AdversarialLoss
from lightning_gan.tensors.shapes import FakeLogits, Logits, Scalar
from tests.penalties.turns import turn_with
from tests.toys import LATENT, SIZE, Spy, ToyCritic, ToyGenerator, equal, toy_gan, toy_loader, toy_trainer

KINDS: list[type[PenaltyOnShare]] = [R1, R2, FiniteDifferenceR1, FiniteDifferenceR2]
APPROXIMATED: list[type[PenaltyOnShare]] = [FiniteDifferenceR1, FiniteDifferenceR2]


class Nothing(AdversarialLoss):
    """A game without stakes, in which only penalties move a player."""

    def discriminator(self, real_logits: Logits, fake_logits: FakeLogits) -> Scalar:
        return 0 * (real_logits.mean() + fake_logits.mean())

    def generator(self, real_logits: Logits | None, fake_logits: FakeLogits) -> Scalar:
        return 0 * fake_logits.mean()


def first_turn(penalty: Penalty, *, precision: Any) -> tuple[float, Tensor]:
    """The value of a penalty in the loop, and its gradient by all of the discriminator's weights."""
    torch.manual_seed(7)
    generator, critic = ToyGenerator(), ToyCritic()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(4)
        generator.output.weight.zero_()  # fakes that hardly depend on the precision of the generator
        generator.output.bias.normal_()
    found: list[Tensor] = []

    def remember(player: str, gan: GAN) -> None:
        if player == "discriminator":
            found.append(torch.cat([p.grad.flatten() for p in gan.discriminator.parameters() if p.grad is not None]))

    module = GAN(generator=generator, discriminator=critic, latent_dim=LATENT, training=Training(loss=Nothing()))
    trainer = toy_trainer(penalty, Spy(remember), limit_train_batches=1, precision=precision)
    trainer.fit(module, toy_loader())
    return trainer.callback_metrics[f"discriminator/{penalty.name}"].item(), found[0].clone()


@pytest.mark.parametrize("kind", APPROXIMATED)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_under_autocast_its_value_and_its_gradient_are_those_of_full_precision(
    kind: type[PenaltyOnShare], share: float
) -> None:
    full, gradient = first_turn(kind(batch_share=share), precision="32-true")
    mixed, other = first_turn(kind(batch_share=share), precision="bf16-mixed")
    assert mixed == pytest.approx(full, rel=2e-4)
    assert torch.cosine_similarity(gradient, other, dim=0) > 1 - 1e-5
    assert other.norm().item() == pytest.approx(gradient.norm().item(), rel=2e-3)


def test_the_scores_of_autocast_would_be_useless() -> None:
    """More than four times the value, from scores around 3; the penalty computes its own."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 1))
    critic[3].bias.data.add_(3)
    images, noise = torch.randn(2, 256, 1, 4, 4)
    exact = ((critic(images + 0.01 * noise) - critic(images)) / 0.01).square().mean().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = ((critic(images + 0.01 * noise).float() - critic(images).float()) / 0.01).square().mean().item()
        turn = turn_with(
            real_logits=critic(images), fake_logits=critic(images), real=images, fake=images, critic=critic
        )
        torch.manual_seed(1)
        penalties = [FiniteDifferenceR1(gamma=2.0).weighted(turn), FiniteDifferenceR2(gamma=2.0).weighted(turn)]
    assert rounded > 4 * exact
    assert [penalty.item() for penalty in penalties] == pytest.approx([exact, exact], rel=0.3)


def critics_turn(critic: Callable[[Tensor], Tensor], *, count: int = 6) -> Turn:
    random = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, count, 1, 2, 2, generator=random).requires_grad_()
    return turn_with(real_logits=critic(real), fake_logits=critic(fake), real=real, fake=fake, critic=critic)


def small_critic() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_is_the_penalty_of_the_first_samples_alone(kind: type[PenaltyOnShare]) -> None:
    """Of six samples a share of 0.4 is three: ceil(2.4)."""
    critic = small_critic()
    turn, gradients = critics_turn(critic), []
    first = turn_with(
        real_logits=critic(turn.real[:3]), fake_logits=critic(turn.fake[:3]), real=turn.real[:3], fake=turn.fake[:3]
    )
    first = turn_with(
        real_logits=critic(first.real), fake_logits=critic(first.fake), real=first.real, fake=first.fake, critic=critic
    )
    for penalty, of in [(kind(batch_share=0.4), turn), (kind(), first)]:
        torch.manual_seed(3)
        value = penalty.weighted(of)
        by_weight = torch.autograd.grad(value, critic[1].weight, retain_graph=True)  # type: ignore[index]
        gradients.append((value.detach(), *by_weight))
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-5)  # differences of fp32 scores


def test_the_mean_is_over_the_share() -> None:
    """D(x) = (3 x1 + 4 x2)^2 / 2 has the squared slope 25 (3 x1 + 4 x2)^2: 0 at the first sample, 25 at the second."""
    real = torch.tensor([[0.0, 0.0], [1 / 3, 0.0], [9.0, 9.0], [9.0, 9.0]]).view(4, 1, 1, 2).requires_grad_()

    def critic(images: Tensor) -> Tensor:
        return (images.flatten(1) @ torch.tensor([[3.0], [4.0]])).square() / 2

    turn = turn_with(real_logits=critic(real), fake_logits=critic(real), real=real, fake=real, critic=critic)
    for kind in (R1, R2):
        assert kind(gamma=2.0, batch_share=0.5).weighted(turn).item() == pytest.approx(12.5)
        assert kind(gamma=2.0, batch_share=0.01).weighted(turn).item() == 0  # at least one sample


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_share_costs_no_further_forward_pass_than_before(kind: type[PenaltyOnShare]) -> None:
    critic, calls = small_critic(), []
    turn = critics_turn(critic)
    critic.register_forward_hook(lambda module, arguments, output: calls.append(len(output)))
    kind().weighted(turn)
    assert calls == ([6] if kind in APPROXIMATED else [])
    calls.clear()
    kind(batch_share=0.5).weighted(turn)
    assert calls == [3]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_the_first_samples_go_along_with_a_share(kind: type[PenaltyOnShare]) -> None:
    module = toy_gan(number_of_classes=3)
    trainer = toy_trainer(kind(batch_share=0.3), limit_train_batches=2)
    trainer.fit(module, toy_loader(classes=3))
    assert trainer.callback_metrics[f"discriminator/{kind.name}"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_gets_no_gradient(kind: type[PenaltyOnShare]) -> None:
    module, penalty = toy_gan(), kind(batch_share=0.5)
    reals = Reals(images=torch.randn(4, 1, SIZE, SIZE).requires_grad_(), labels=None)
    draws = Draws(latents=torch.randn(4, LATENT), labels=None)
    with torch.no_grad():
        fake = module.fakes(draws)
    turn = module.run_networks("discriminator", reals, draws, fake.requires_grad_())
    penalty.weighted(turn).backward()
    assert all(parameter.grad is None for parameter in module.generator.parameters())
    assert any(parameter.grad is not None for parameter in module.discriminator.parameters())


def test_in_its_mean_the_second_is_r2() -> None:
    torch.manual_seed(0)
    critic = small_critic().double()
    fake = torch.randn(1, 1, 2, 2, dtype=torch.float64).expand(20_000, 1, 2, 2).clone().requires_grad_()
    logits = critic(fake)
    turn = turn_with(real_logits=None, fake_logits=logits, real=fake, fake=fake, critic=critic)
    exact = R2(gamma=2.0).weighted(turn).item()
    # (u.w)^2 has the standard deviation sqrt(2) ||w||^2, which is 1 % of the mean over 20,000 directions.
    assert FiniteDifferenceR2(gamma=2.0, step=1e-4).weighted(turn).item() == pytest.approx(exact, rel=0.04)


def test_a_share_of_one_is_bit_for_bit_what_it_was() -> None:
    def weights(penalty: Penalty) -> list[Tensor]:
        module = toy_gan()
        toy_trainer(penalty, limit_train_batches=3).fit(module, toy_loader())
        return [parameter.detach() for parameter in module.parameters()]

    for kind in KINDS:
        assert equal(weights(kind()), weights(kind(batch_share=1.0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, -0.25, 1.5, float("nan")])
def test_shares_that_are_none_are_refused(kind: type[PenaltyOnShare], share: float) -> None:
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: batch_share={share} must be above 0 and at most 1; "):
        kind(batch_share=share)


@pytest.mark.parametrize("kind", [FiniteDifferenceR1, FiniteDifferenceR2])
def test_a_step_that_is_none_is_refused(kind: Callable[..., Penalty]) -> None:
    with pytest.raises(ValueError, match=r"step=-0.1 must be positive; 0.01 suits"):
        kind(step=-0.1)


@pytest.mark.parametrize("kind", APPROXIMATED)
def test_noise_that_differs_between_the_two_passes_is_refused(kind: type[PenaltyOnShare]) -> None:
    def fit(*callbacks: Callback) -> None:
        toy_trainer(*callbacks, limit_train_batches=1).fit(toy_gan(), toy_loader())

    message = (
        rf"^{kind.__name__}: InstanceNoise\(network='discriminator'\) adds other noise to each of the two images, "
    )
    with pytest.raises(ValueError, match=message):
        fit(kind(), InstanceNoise(standard_deviation=0.1))
    fit(kind(), InstanceNoise(network="discriminator.conv"))
    fit(kind(), InstanceNoise(standard_deviation=0.0))


NORMALIZATIONS: list[Callable[[nn.Linear], Any]] = [spectrally_normalized, nn.utils.parametrizations.spectral_norm]


@pytest.mark.parametrize("kind", APPROXIMATED)
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_the_power_iteration_does_not_move_between_the_two_passes(
    kind: type[PenaltyOnShare], normalize: Callable[[nn.Linear], Any]
) -> None:
    """The value is R1's of the weights of one pass, while the singular vectors are still far from those of the weight.

    A difference of the scores of two passes' weights would be many times larger.
    """
    torch.manual_seed(0)
    linear = nn.Linear(SIZE * SIZE, 1)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, SIZE * SIZE), linear)
    normalize(critic[1])  # type: ignore[arg-type]
    with torch.no_grad():
        critic[1].parametrizations["weight"].original.copy_(torch.randn(16, 16))  # type: ignore[index, union-attr]
    critic[1].bias.data.add_(10)  # type: ignore[operator, union-attr]
    module = GAN(generator=ToyGenerator(), discriminator=critic, latent_dim=LATENT, training=Training(loss=Nothing()))
    penalty = kind(gamma=2.0)
    trainer = toy_trainer(penalty, limit_train_batches=0)
    trainer.fit(module, toy_loader())
    penalty.on_fit_start(trainer, module)
    images = torch.randn(1, 1, SIZE, SIZE).expand(4000, -1, -1, -1)
    module.train()
    scores = critic(images)
    turn = turn_with(real_logits=scores, fake_logits=scores, real=images, fake=images, critic=critic)
    value = penalty.weighted(turn).item()
    exact = (linear.weight @ critic.eval()[1].weight).square().sum().item()  # type: ignore[operator]
    assert value == pytest.approx(exact, rel=0.1)  # the mean of 4,000 squares of normal numbers
    critic.train()
    penalty._has_computed_weights = False
    assert penalty.weighted(turn).item() > 10 * exact


def test_spectral_normalization_by_hooks_is_refused_with_what_works() -> None:
    module = toy_gan()
    nn.utils.spectral_norm(module.discriminator.output)  # type: ignore[arg-type]
    message = (
        r"^FiniteDifferenceR1: torch\.nn\.utils\.spectral_norm of the discriminator's layer 'output' changes .*; use"
    )
    with pytest.raises(ValueError, match=message):
        toy_trainer(FiniteDifferenceR1(), limit_train_batches=1).fit(module, toy_loader())
    nn.utils.remove_spectral_norm(module.discriminator.output)  # type: ignore[arg-type]
    toy_trainer(FiniteDifferenceR1(), SpectralNorm(), limit_train_batches=1).fit(module, toy_loader())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_other_arguments_of_the_whole_batch_are_refused(kind: type[PenaltyOnShare]) -> None:
    """One image and four conditions would silently be four scores."""
    conditions = torch.randn(4, 1)

    def score(images: Tensor) -> Tensor:
        return images.flatten(1).sum(dim=1, keepdim=True) * conditions

    message = rf"^{kind.__name__}: batch_share=0\.25 is 1 images, but the discriminator returned 4 scores, .*; set it"
    with pytest.raises(ValueError, match=message):
        kind(batch_share=0.25).scores_of(torch.randn(1, 1, 2, 2), score)
    assert len(kind().scores_of(torch.randn(4, 1, 2, 2), score)) == 4
