"""The game of pairs: every gradient written anew, what counts as constant, who is refused, and codes in between."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import (
    BCR,
    CR,
    EMA,
    R1,
    R2,
    ConsensusOptimization,
    FiniteDifferenceR1,
    GradientPenalty,
    KimgCheckpoint,
    LearningRate,
    SampleGrid,
    StopAtKimg,
    ZCRGenerator,
)
from lightning_gan.loop.draws import Reals
from lightning_gan.loop.settings import Training
from lightning_gan.losses import (
    FGAN,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    PearsonChiSquared,
    RelativisticStandard,
    Wasserstein,
)
from lightning_gan.models.adversarial_inference import AdversarialInference, InferenceDraws
from lightning_gan.schedules import ExponentialDecay
from tests.loop.test_resume import Cut, assert_equal
from tests.models.adversarial_inference_worker import MODELS, STRATEGIES, Pictures, untrained
from tests.models.inference_toys import LinearPairCritic, toy_inference
from tests.toys import FAST, LATENT, Spy, equal, toy_images, toy_loader, toy_trainer, weights_of
from tests.two_ranks import assert_same_weights, run_on_one_and_two


def moving(parameters: Any) -> torch.optim.Optimizer:
    """Plain descent, which is easily written anew."""
    return torch.optim.SGD(parameters, lr=0.1)


def still(parameters: Any) -> torch.optim.Optimizer:
    """An optimizer that does not move, so that both turns are at the same weights."""
    return torch.optim.SGD(parameters, lr=0.0)


class Recorder:
    """The inputs of the networks, and the gradients of both players' first steps, after the callbacks."""

    def __init__(self, module: AdversarialInference, *callbacks: Callback, batches: int = 1) -> None:
        self.latents: list[Tensor] = []
        self.noise: list[Tensor] = []
        self.gradients: dict[str, list[Tensor]] = {}
        self.weights: dict[str, list[Tensor]] = {}
        handles = [
            module.generator.generator.register_forward_pre_hook(
                lambda _, given: self.latents.append(given[0].clone())
            ),
            module.generator.encoder.register_forward_pre_hook(lambda _, given: self.noise.append(given[1].clone())),
        ]
        toy_trainer(*callbacks, Spy(self._see), limit_train_batches=batches, precision="64-true").fit(
            module, toy_loader()
        )
        for handle in handles:
            handle.remove()

    def _see(self, player: str, module: Any) -> None:
        network = module.discriminator if player == "discriminator" else module.generator
        self.gradients.setdefault(player, [parameter.grad.clone() for parameter in network.parameters()])
        self.weights.setdefault(player, weights_of(network))


REAL = toy_images()[:4].double()


def scores(module: AdversarialInference, latents: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """D(x, E(x)) and D(G(z), z), all in the graph."""
    codes = module.generator.encoder(REAL, noise)
    return module.discriminator(REAL, codes), module.discriminator(module.generator.generator(latents), latents)


def test_both_turns_descend_the_gradients_of_the_papers() -> None:
    """Every gradient of one step: the critic's, then that of generator and encoder at the critic that has moved."""
    module = toy_inference(training=Training(generator_optimizer=moving, discriminator_optimizer=moving)).double()
    twin = toy_inference().double()
    seen = Recorder(module)
    assert [row.shape for row in (*seen.latents, *seen.noise)] == [(4, LATENT)] * 4
    assert not torch.equal(seen.latents[0], seen.latents[1])  # each turn has draws of its own

    real, fake = scores(twin, seen.latents[0], seen.noise[0])
    critic = list(twin.discriminator.parameters())
    expected = torch.autograd.grad(softplus(-real).mean() + softplus(fake).mean(), critic)
    torch.testing.assert_close(seen.gradients["discriminator"], list(expected), rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        for weight, gradient in zip(critic, expected, strict=True):
            weight -= 0.1 * gradient

    real, fake = scores(twin, seen.latents[1], seen.noise[1])
    both = list(twin.generator.parameters())
    expected = torch.autograd.grad(softplus(real).mean() + softplus(-fake).mean(), both)
    torch.testing.assert_close(seen.gradients["generator"], list(expected), rtol=1e-12, atol=1e-14)
    assert all(gradient.any() for gradient in expected)
    with torch.no_grad():
        for weight, gradient in zip(both, expected, strict=True):
            weight -= 0.1 * gradient
    for ours, theirs in zip(module.generator.parameters(), both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("loss", "cost"),
    [
        (Wasserstein(), lambda real, fake: real.mean() - fake.mean()),
        (Hinge(), lambda real, fake: real.mean() - fake.mean()),
        (LeastSquares(), lambda real, fake: (real.square() / 2 + (fake - 1).square() / 2).mean()),
        (RelativisticStandard(), lambda real, fake: softplus(real - fake).mean()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_generator_and_encoder_follow_other_objectives(loss: AdversarialLoss, cost: Any) -> None:
    module = toy_inference(
        training=Training(loss=loss, generator_optimizer=still, discriminator_optimizer=still)
    ).double()
    seen = Recorder(module)
    expected = torch.autograd.grad(
        cost(*scores(module, seen.latents[1], seen.noise[1])), list(module.generator.parameters())
    )
    torch.testing.assert_close(seen.gradients["generator"], list(expected))


def test_exchanging_real_and_fake_pairs_exchanges_the_players_costs() -> None:
    """Swapped targets: what generator and encoder minimise is the critic's cost of the exchanged scores."""
    module = toy_inference()
    draws = InferenceDraws(latents=torch.randn(4, LATENT), labels=None, code_noise=torch.randn(4, LATENT))
    turn = module.run_networks("generator", Reals(images=toy_images(4), labels=None), draws, None)
    assert turn.real_logits is not None
    swapped = NonSaturating().discriminator(turn.fake_logits, turn.real_logits)
    torch.testing.assert_close(module.objective(turn)["adversarial"], swapped)


@pytest.mark.parametrize("penalty", [R1(gamma=4.0), R2(gamma=4.0)], ids=["r1", "r2"])
def test_gradient_penalties_hold_the_code_fixed(penalty: Callback) -> None:
    """With D = w . x + v . z it is gamma/2 ||w||^2, though the code E(x) changes with the image."""
    gradients = []
    for callbacks in ((), (penalty,)):
        torch.manual_seed(1)  # of the critic
        module = toy_inference(
            critic=LinearPairCritic(), training=Training(generator_optimizer=still, discriminator_optimizer=still)
        ).double()
        gradients.append(Recorder(module, *callbacks).gradients["discriminator"])
    plain, changed = gradients
    weights = module.discriminator.of_image.weight
    torch.testing.assert_close(changed[0] - plain[0], 4.0 * weights.detach())
    assert torch.equal(changed[1], plain[1])
    name = "r1" if isinstance(penalty, R1) else "r2"
    torch.testing.assert_close(module._latest_terms[f"discriminator/{name}"], 2.0 * weights.square().sum().detach())


@pytest.mark.parametrize(
    "penalty",
    [GradientPenalty(), FiniteDifferenceR1(), CR(largest_shift=1), BCR(largest_shift=1)],
    ids=lambda penalty: type(penalty).__name__,
)
def test_penalties_that_look_at_images_without_codes_are_refused_at_the_first_turn(penalty: Callback) -> None:
    module = toy_inference()
    with pytest.raises(
        ValueError, match=r"the discriminator of AdversarialInference scores pairs .* remove that callback"
    ):
        toy_trainer(penalty).fit(module, toy_loader())
    assert module.images_seen == 0


def test_penalties_on_the_generator_alone_work() -> None:
    module = toy_inference()
    toy_trainer(ZCRGenerator(), limit_train_batches=2).fit(module, toy_loader())
    assert module._latest_terms["generator/zcr"] != 0


def test_consensus_optimization_differentiates_both_costs() -> None:
    """Its change of the gradient, against the game written anew."""
    settings: dict[str, Any] = {"training": Training(generator_optimizer=still, discriminator_optimizer=still)}
    module = toy_inference(**settings).double()
    plain = Recorder(module)
    changed = Recorder(toy_inference(**settings).double(), ConsensusOptimization(gamma=2.0))
    for turn, player in enumerate(("discriminator", "generator")):
        real, fake = scores(module, plain.latents[turn], plain.noise[turn])
        generator_cost = softplus(real).mean() + softplus(-fake).mean()
        discriminator_cost = softplus(-real).mean() + softplus(fake).mean()
        theta, psi = list(module.generator.parameters()), list(module.discriminator.parameters())
        by_theta = torch.autograd.grad(generator_cost, theta, create_graph=True)
        by_psi = torch.autograd.grad(discriminator_cost, psi, create_graph=True)
        size = torch.stack([gradient.square().sum() for gradient in (*by_theta, *by_psi)]).sum() / 2
        expected = torch.autograd.grad(2.0 * size, theta if player == "generator" else psi)
        for now, before, change in zip(changed.gradients[player], plain.gradients[player], expected, strict=True):
            torch.testing.assert_close(now - before, change)


def test_an_image_keeps_its_noise_when_there_are_several_fakes_for_it() -> None:
    """Rows i * multiple: what one process draws for an image, the rank that has the image draws too."""
    module = toy_inference()
    draws = InferenceDraws(latents=torch.randn(8, LATENT), labels=None, code_noise=torch.randn(8, LATENT))
    turn = module.run_networks("generator", Reals(images=toy_images(4), labels=None), draws, None)
    codes = module.generator.encoder(toy_images(4), draws.code_noise[[0, 2, 4, 6]])
    assert turn.real_logits is not None
    torch.testing.assert_close(turn.real_logits, module.discriminator(toy_images(4), codes))
    assert turn.fake.shape[0] == turn.fake_logits.shape[0] == 8
    assert torch.equal(turn.latents, draws.latents)
    toy_trainer(limit_train_batches=1).fit(toy_inference(training=Training(generator_batch_multiple=2)), toy_loader())


def test_slices_of_a_turn_add_up_to_the_whole_turn() -> None:
    ends = []
    for slices in (1, 2):
        module = toy_inference(
            training=Training(
                generator_optimizer=moving,
                discriminator_optimizer=moving,
                accumulate_slices=slices,
                generator_batch_multiple=2,
            ),
        ).double()
        toy_trainer(limit_train_batches=3, precision="64-true").fit(module, toy_loader())
        ends.append(weights_of(module))
    for whole, sliced in zip(*ends, strict=True):
        torch.testing.assert_close(whole, sliced, rtol=1e-12, atol=1e-14)


def test_the_average_follows_generator_and_encoder_in_storage_of_its_own() -> None:
    module = toy_inference(training=FAST)
    before = weights_of(module.generator_ema)
    toy_trainer(EMA(half_life_kimg=0.01), limit_train_batches=4).fit(module, toy_loader())
    live = dict(module.generator.named_parameters())
    averages = dict(module.generator_ema.named_parameters())
    assert live.keys() == averages.keys()
    assert {name.split(".")[0] for name in live} == {"generator", "encoder"}
    for (name, average), old in zip(averages.items(), before, strict=True):
        assert not torch.equal(average, old)
        assert not torch.equal(average, live[name])
        assert average.data_ptr() != live[name].data_ptr()
    images = toy_images(4)
    assert not torch.allclose(module.encode(images), module.encode(images, ema=False))
    assert torch.equal(module.encode(images), module.generator_ema.encoder(images))


def test_codes_are_the_means_and_decoding_them_is_sampling() -> None:
    module = toy_inference()
    images = toy_images(3)
    codes = module.encode(images)
    assert torch.equal(codes, module.generator.encoder(images, None))
    assert torch.equal(module.reconstruct(images), module.sample(codes))
    way = module.interpolate(images[:1], images[1:2], steps=3)
    torch.testing.assert_close(way[:, 1], module.decode((codes[:1] + codes[1:2]) / 2))
    assert not codes.requires_grad
    assert module.generator.training


def test_sample_grids_are_drawn(tmp_path: Path) -> None:
    module = toy_inference()
    toy_trainer(SampleGrid(directory=str(tmp_path)), EMA(), limit_train_batches=1).fit(module, toy_loader())
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_classes_and_objectives_without_a_mirror_are_refused() -> None:
    with pytest.raises(ValueError, match="number_of_classes=10: AdversarialInference does not use labels"):
        toy_inference(number_of_classes=10)
    with pytest.raises(ValueError, match="FGAN has no neutral score, which an encoder's cost needs"):
        toy_inference(training=Training(loss=FGAN(divergence=PearsonChiSquared())))


def test_labels_of_the_data_are_ignored() -> None:
    ends = []
    for classes in (0, 3):
        module = toy_inference()
        toy_trainer(limit_train_batches=3).fit(module, toy_loader(classes=classes))
        ends.append(weights_of(module))
    assert equal(*ends)


def run(model: str, folder: Path, *, cut: int = 40, resume: bool = False) -> dict[str, Any]:
    """Train until `cut` images, from the beginning or from the last checkpoint; returns the final checkpoint."""
    module = untrained(model)
    torch.manual_seed(11 if resume else 5)  # what the global generator was is no matter
    trainer = toy_trainer(
        R1(gamma=1.0, every_n_turns=3),
        LearningRate(schedules=[ExponentialDecay(start_kimg=0.01, end_kimg=0.04)]),
        EMA(half_life_kimg=0.02),
        StopAtKimg(total_kimg=0.04),
        KimgCheckpoint(every_kimg=1.0),
        Cut(cut),
        default_root_dir=str(folder),
        enable_checkpointing=True,
        max_epochs=-1,
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(module, Pictures(), ckpt_path=str(last) if resume else None)
    checkpoint: dict[str, Any] = torch.load(last, weights_only=True)
    return checkpoint


@pytest.mark.filterwarnings("ignore:R1. the critic has batch normalization")
@pytest.mark.parametrize("model", [*MODELS, "ali_with_dropout"])
def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path, model: str) -> None:
    """Bit for bit: latents, the encoder's noise, dropout, running statistics, ALI's mean image."""
    whole = run(model, tmp_path / "whole")
    run(model, tmp_path / "cut", cut=16)
    resumed = run(model, tmp_path / "cut", resume=True)
    for part in ("state_dict", "optimizer_states", "callbacks", "Pictures", "global_step"):
        assert_equal(resumed[part], whole[part], where=part)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every run's weights: one process, and two ranks under each strategy."""
    return run_on_one_and_two("tests.models.adversarial_inference_worker", tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model", MODELS)
def test_two_ranks_end_with_the_weights_of_one_process(weights: Path, strategy: str, model: str) -> None:
    """Networks, running statistics, EMA and reconstructions; with R1 and two fakes for each image."""
    assert_same_weights(weights / f"auto_{model}.pt", weights / f"{strategy}_{model}.pt", relative=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model", MODELS)
def test_two_ranks_measure_what_one_process_does(weights: Path, strategy: str, model: str) -> None:
    """Of all images, each once; codes are compared in fp32."""
    alone, together = (
        json.loads((weights / f"{kind}_{model}" / "metrics.json").read_text())[-1] for kind in ("auto", strategy)
    )
    assert alone["real_count"] == 24
    assert set(alone["metrics"]) >= {"reconstruction_error", "code_neighbours", "pixel_neighbours"}
    assert together.pop("metrics") == pytest.approx(alone.pop("metrics"), rel=1e-6)
    del together["weights"], alone["weights"]  # hashes; the last digits differ, because sums have another order
    assert together == alone
