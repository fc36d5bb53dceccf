"""The auxiliary classifier: its cost by hand and written anew, each player's weights, and what penalties see of it."""

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn, tensor

from lightning_gan.callbacks.regularizers.game_dynamics import ConsensusOptimization
from lightning_gan.callbacks.regularizers.gradient_penalty import R1, GradientPenalty
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.losses import RelativisticStandard
from lightning_gan.models.auxiliary_classifier import (
    AuxiliaryClassifier,
    AuxiliaryClassifierGAN,
    classification_cost,
)
from tests.toys import (
    FAST,
    LATENT,
    Spy,
    ToyCritic,
    ToyGenerator,
    equal,
    toy_gan,
    toy_images,
    toy_loader,
    toy_trainer,
    weights_of,
)

CLASSES = 3
LABELS = tensor([0, 2, 1, 2])


class ToyClassifier(nn.Module):
    """Grey 4x4 images to a score and class logits; smooth."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 8)
        self.output = nn.Linear(8, 1 + classes)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.hidden(images.flatten(1)).tanh())
        return outputs


def classified_gan(*, weights: AuxiliaryClassifier | None = None, **settings: Any) -> AuxiliaryClassifierGAN:
    torch.manual_seed(7)
    module = AuxiliaryClassifierGAN(
        generator=ToyGenerator(classes=CLASSES),
        discriminator=ToyClassifier(classes=CLASSES),
        latent_dim=LATENT,
        number_of_classes=CLASSES,
        **settings,
    )
    if weights is not None:
        module.auxiliary_classifier = weights
    return module


def turn_of(module: AuxiliaryClassifierGAN, player: Player, *, labels: Tensor = LABELS) -> Turn:
    """A look at fixed images and latents; the fakes have other classes than the real images."""
    torch.manual_seed(1)
    latents, fake_labels = torch.randn(4, LATENT), labels.flip(0)
    fake = module.generate(latents, LABELS.flip(0)).detach().requires_grad_() if player == "discriminator" else None
    reals = Reals(images=toy_images(4).requires_grad_(), labels=labels)
    draws = Draws(latents=latents, labels=fake_labels if player == "discriminator" else LABELS.flip(0))
    return module.run_networks(player, reals, draws, fake)


def test_ignorance_costs_the_logarithm_of_the_number_of_classes() -> None:
    assert classification_cost(torch.zeros(4, CLASSES), LABELS).item() == pytest.approx(math.log(3))
    sure = torch.zeros(4, CLASSES).scatter(1, LABELS[:, None], 100.0)
    assert classification_cost(sure, LABELS).item() == 0.0
    # exp(1) / (exp(1) + 1) for the right one of two classes.
    cost = classification_cost(tensor([[1.0, 0.0]]), tensor([0]))
    assert cost.item() == pytest.approx(-math.log(math.e / (math.e + 1)))


def test_rows_of_several_classes_cost_the_sum_of_theirs() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, CLASSES)
    rows = torch.eye(CLASSES)[LABELS]
    torch.testing.assert_close(classification_cost(logits, rows), classification_cost(logits, LABELS))
    both = rows + torch.eye(CLASSES)[(LABELS + 1) % CLASSES]
    expected = classification_cost(logits, LABELS) + classification_cost(logits, (LABELS + 1) % CLASSES)
    torch.testing.assert_close(classification_cost(logits, both), expected)


def by_hand(module: AuxiliaryClassifierGAN, images: Tensor, labels: Tensor) -> Tensor:
    """``- E log p(class | image)``, written anew."""
    outputs = module.discriminator(images)[:, 1:]
    shares = outputs.exp() / outputs.exp().sum(dim=1, keepdim=True)
    return -torch.stack([shares[i, label].log() for i, label in enumerate(labels.tolist())]).mean()


def test_each_player_pays_for_classes_with_its_own_weights() -> None:
    module = classified_gan(weights=AuxiliaryClassifier(real=2.0, fake=3.0, generator=5.0))
    turn = turn_of(module, "discriminator")
    expected = 2 * by_hand(module, turn.real, LABELS) + 3 * by_hand(module, turn.fake, LABELS.flip(0))
    torch.testing.assert_close(module.objective(turn)["classification"], expected)
    turn = turn_of(module, "generator")
    torch.testing.assert_close(module.objective(turn)["classification"], 5 * by_hand(module, turn.fake, LABELS.flip(0)))


def test_the_score_is_the_first_output_whatever_the_classes() -> None:
    module = classified_gan()
    for player in ("discriminator", "generator"):
        turn = turn_of(module, player)
        assert torch.equal(turn.fake_logits, module.discriminator(turn.fake)[:, :1])
        adversarial = module.objective(turn)["adversarial"]
        score_alone = torch.autograd.grad(adversarial, module.discriminator.output.bias)[0]  # type: ignore[union-attr, arg-type]
        assert score_alone[0] != 0
        assert score_alone[1:].tolist() == [0.0] * CLASSES


def test_the_generator_learns_to_be_recognised() -> None:
    """The classification's gradient alone lowers the classification's cost."""
    module = classified_gan()
    before = module.objective(turn_of(module, "generator"))["classification"]
    parameters = list(module.generator.parameters())
    gradients = torch.autograd.grad(before, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(0.1 * gradient)
    assert module.objective(turn_of(module, "generator"))["classification"] < before


def test_labels_may_be_rows_in_a_turn() -> None:
    module = classified_gan()
    by_index = module.objective(turn_of(module, "discriminator"))
    by_rows = module.objective(turn_of(module, "discriminator", labels=torch.eye(CLASSES)[LABELS]))
    torch.testing.assert_close(by_rows, by_index)


def test_a_loss_that_compares_sees_the_real_scores_in_the_generators_turn() -> None:
    turn = turn_of(classified_gan(training=Training(loss=RelativisticStandard())), "generator")
    assert turn.real_logits is not None and turn.real_logits.shape == (4, 1)
    assert turn_of(classified_gan(), "generator").real_logits is None


def test_without_classes_it_is_a_plain_gan() -> None:
    ends = []
    for kind in (GAN, AuxiliaryClassifierGAN):
        torch.manual_seed(7)
        module = kind(
            generator=ToyGenerator(),
            discriminator=ToyCritic(),
            latent_dim=LATENT,
            training=FAST,
        )
        toy_trainer(limit_train_batches=3).fit(module, toy_loader())
        ends.append(weights_of(module))
    assert equal(*ends)
    assert not equal(ends[0], weights_of(toy_gan()))


def test_penalties_differentiate_the_score_alone() -> None:
    """Whatever the classifier's last layer holds, R1 and WGAN-GP are those of the score."""
    module = classified_gan()
    r1, wgan_gp = [], []
    for _ in range(2):
        turn = turn_of(module, "discriminator")
        r1.append(R1().penalty(turn))
        torch.manual_seed(2)  # of the points between real and fake
        wgan_gp.append(GradientPenalty().penalty(turn))
        with torch.no_grad():
            module.discriminator.output.weight[1:] += 10.0  # type: ignore[union-attr, index, operator]
    assert torch.equal(r1[0], r1[1]) and r1[0] > 0
    assert torch.equal(wgan_gp[0], wgan_gp[1])
    images = toy_images(4).requires_grad_()
    (gradient,) = torch.autograd.grad(module.discriminator(images)[:, 0].sum(), images)
    torch.testing.assert_close(r1[0], gradient.square().sum() / 4)


def gradients_of(module: GAN, *callbacks: Callback) -> dict[str, list[Tensor]]:
    """The gradients of both players' first steps, after the callbacks."""
    seen: dict[str, list[Tensor]] = {}

    def see(player: str, gan: GAN) -> None:
        network = gan.discriminator if player == "discriminator" else gan.generator
        seen[player] = [p.grad.clone() for p in network.parameters() if p.grad is not None]

    toy_trainer(*callbacks, Spy(see), limit_train_batches=1, precision="64-true").fit(
        module, toy_loader(batch_size=4, classes=CLASSES)
    )
    return seen


def still(parameters: Any) -> torch.optim.Optimizer:
    """An optimizer that does not move, so that both turns are at the same weights."""
    return torch.optim.SGD(parameters, lr=0.0)


def test_consensus_counts_the_cost_of_classes_of_both_players() -> None:
    """Its change of the gradient, against the game written anew."""
    settings: dict[str, Any] = {"training": Training(generator_optimizer=still, discriminator_optimizer=still)}
    module = classified_gan(**settings).double()
    latents: list[Tensor] = []
    handle = module.generator.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0].clone()))
    plain = gradients_of(module)
    handle.remove()
    changed = gradients_of(classified_gan(**settings).double(), ConsensusOptimization(gamma=2.0))
    labels = torch.arange(4) % CLASSES
    for player, drawn in zip(("discriminator", "generator"), latents, strict=True):
        fake, real = module.generator(drawn, labels), toy_images(64)[:4].double()
        classes = by_hand(module, fake, labels)
        scores = module.discriminator(fake)[:, 0], module.discriminator(real)[:, 0]
        generator_cost = nn.functional.softplus(-scores[0]).mean() + classes
        discriminator_cost = (
            (nn.functional.softplus(scores[0]) + nn.functional.softplus(-scores[1])).mean()
            + classes
            + by_hand(module, real, labels)
        )
        theta, psi = list(module.generator.parameters()), list(module.discriminator.parameters())
        by_theta = torch.autograd.grad(generator_cost, theta, create_graph=True)
        by_psi = torch.autograd.grad(discriminator_cost, psi, create_graph=True)
        size = torch.stack([gradient.square().sum() for gradient in (*by_theta, *by_psi)]).sum() / 2
        expected = torch.autograd.grad(2.0 * size, theta if player == "generator" else psi)
        for now, before, change in zip(changed[player], plain[player], expected, strict=True):
            torch.testing.assert_close(now - before, change)


def test_its_cost_is_logged_for_both_players() -> None:
    trainer = toy_trainer(limit_train_batches=1)
    trainer.fit(classified_gan(), toy_loader(classes=CLASSES))
    assert {"discriminator/classification", "generator/classification"} <= set(trainer.callback_metrics)


@pytest.mark.parametrize("name", ["real", "fake", "generator"])
def test_negative_weights_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=-1.0 must not be negative"):
        AuxiliaryClassifier(**{name: -1.0})
