"""VGAN: sizes of the published networks, the sample that a turn sees images through, and the price of information."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import leaky_relu

from lightning_gan.callbacks import EMA, R1, Bottleneck, KimgCheckpoint, SampleGrid, StopAtKimg
from lightning_gan.loop.draws import Reals
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.losses import RelativisticStandard
from lightning_gan.models.vgan import VGAN, CodeMap, Discriminator
from lightning_gan.penalties import squared_gradient_norm
from tests.loop.test_resume import Cut, Pictures, assert_equal
from tests.models.training import moved_by_one_step, parameters_of, random_loader, trained
from tests.models.vgan_compiled_worker import CASES
from tests.models.vgan_worker import STRATEGIES
from tests.toys import FAST, equal, toy_trainer, weights_of
from tests.two_ranks import ROOT, assert_same_weights, run_on_one_and_two

SMALL: dict[str, Any] = {
    "image_size": 8,
    "image_channels": 1,
    "latent_dim": 4,
    "label_dim": 3,
    "code_features": 5,
    "width": 2,
    "width_max": 4,
}


def small_vgan(**settings: Any) -> VGAN:
    torch.manual_seed(7)
    return VGAN(**{**SMALL, "training": FAST, **settings})


def look(module: VGAN, player: Player, *, count: int = 3) -> Turn:
    """A turn at fixed images, with the noise of a fixed seed."""
    real, fake = torch.randn(2, count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = module.draw_rows(count, torch.Generator().manual_seed(1))
    given = fake if player == "discriminator" else None
    return module.train().run_networks(player, Reals(images=real.requires_grad_(), labels=None), draws, given)


@pytest.mark.parametrize(
    ("settings", "generator", "discriminator"),
    [
        ({"image_size": 32, "width": 32, "width_max": 256, "code_features": 256}, 1_700_196, 779_361),
        ({"image_size": 128, "code_features": 1024}, 33_277_636, 31_167_169),
        ({"image_size": 256, "code_features": 1024}, 52_154_052, 50_043_585),
        ({"image_size": 1024, "width": 16, "width_max": 512, "code_features": 512}, 18_810_036, 17_230_513),
    ],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        module = VGAN(label_dim=1, **settings)
    assert parameters_of(module.generator) == generator
    assert parameters_of(module.discriminator) == discriminator


@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_moves_every_parameter(classes: int) -> None:
    module = small_vgan(number_of_classes=classes)
    moved = moved_by_one_step(module, Bottleneck(initial_beta=0.1), R1(), size=8, classes=classes)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


def test_the_averaged_generator_moves_and_shares_no_storage() -> None:
    module = small_vgan()
    before = weights_of(module.generator_ema)
    trained(module, EMA(half_life_kimg=0.004), size=8)
    assert not equal(before, weights_of(module.generator_ema))
    assert not equal(weights_of(module.generator), weights_of(module.generator_ema))
    own = {parameter.data_ptr() for parameter in module.generator.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in module.generator_ema.parameters())


@torch.no_grad()
def test_a_code_has_the_deviation_whose_logarithm_the_second_convolution_gives() -> None:
    code = CodeMap(channels=2, code_features=3)
    mean, log_variance = code(torch.randn(2, 2, 4, 4))
    assert mean.shape == log_variance.shape == (2, 3, 4, 4)
    code.log_deviation.weight.zero_()
    assert code.log_deviation.bias is not None
    code.log_deviation.bias.fill_(0.25)
    _, log_variance = code(torch.randn(2, 2, 4, 4))
    torch.testing.assert_close((0.5 * log_variance).exp(), torch.full((2, 3, 4, 4), 0.25).exp())


@torch.no_grad()
def test_logits_are_linear_in_the_rectified_sample_of_the_code() -> None:
    discriminator, images, noise = small_vgan().discriminator, torch.randn(2, 1, 8, 8), torch.randn(2, 5, 4, 4)
    mean, log_variance = discriminator.bottleneck(discriminator.features(images))
    code = mean + torch.exp(log_variance / 2) * noise
    expected = leaky_relu(code, 0.2).flatten(1) @ discriminator.output.weight.T + discriminator.output.bias
    torch.testing.assert_close(discriminator(images, None, noise), expected)


@torch.no_grad()
def test_without_noise_it_samples_in_training_and_takes_the_mean_in_evaluation() -> None:
    discriminator, images = small_vgan().discriminator, torch.randn(2, 1, 8, 8)
    assert not torch.equal(discriminator(images), discriminator(images))
    discriminator.eval()
    assert torch.equal(discriminator(images), discriminator(images))
    assert torch.equal(discriminator(images), discriminator(images, None, torch.zeros(2, 5, 4, 4)))


@torch.no_grad()
def test_real_and_fake_images_are_seen_through_the_noise_that_was_drawn() -> None:
    module = small_vgan()
    draws = module.draw_rows(3, torch.Generator().manual_seed(1))
    of_fake, of_real = draws.fake_code_noise, draws.real_code_noise
    assert draws.latents.shape == (3, 4) and of_fake.shape == of_real.shape == (3, 5, 4, 4)
    turn = look(module, "discriminator")
    assert turn.real_logits is not None
    torch.testing.assert_close(turn.real_logits, module.discriminator(turn.real, None, of_real))
    torch.testing.assert_close(turn.fake_logits, module.discriminator(turn.fake, None, of_fake))
    torch.testing.assert_close(turn.latents, draws.latents)
    assert not torch.allclose(of_fake, of_real)


@torch.no_grad()
def test_penalties_that_look_again_see_through_the_real_images_noise() -> None:
    turn = look(small_vgan(), "discriminator")
    assert turn.real_logits is not None
    assert torch.equal(turn.critic(turn.real, None), turn.real_logits)
    assert turn.critic(torch.cat([turn.real, turn.real]), None).shape == (6, 1)
    assert torch.equal(turn.generator(turn.latents, None), small_vgan().generator(turn.latents))


def test_r1_differentiates_the_logit_that_was_sampled() -> None:
    module = small_vgan()
    turn = look(module, "discriminator")
    noise = module.draw_rows(3, torch.Generator().manual_seed(1)).real_code_noise
    images = turn.real.detach().requires_grad_()
    expected = squared_gradient_norm(module.discriminator(images, None, noise), images).mean()
    torch.testing.assert_close(R1(gamma=20.0).weighted(turn), 10 * expected)
    other = squared_gradient_norm(module.discriminator(images, None, -noise), images).mean()
    assert not torch.isclose(expected, other)


@torch.no_grad()
def test_the_generators_turn_samples_as_in_the_authors_code_or_takes_the_papers_mean() -> None:
    sampled, mean = (look(small_vgan(generator_sees_mean=sees), "generator") for sees in (False, True))
    assert torch.equal(sampled.fake, mean.fake)
    module = small_vgan(generator_sees_mean=True)
    torch.testing.assert_close(mean.fake_logits, module.discriminator.eval()(mean.fake))
    assert not torch.allclose(sampled.fake_logits, mean.fake_logits)
    # The discriminator's turn samples either way.
    turns = [look(small_vgan(generator_sees_mean=sees), "discriminator") for sees in (False, True)]
    assert torch.equal(turns[0].fake_logits, turns[1].fake_logits)


def test_relative_losses_see_the_real_images_in_both_turns() -> None:
    module = small_vgan(training=replace(FAST, loss=RelativisticStandard()), generator_sees_mean=True)
    turn = look(module, "generator")
    assert turn.real_logits is not None
    torch.testing.assert_close(turn.real_logits, module.discriminator.eval()(turn.real))


def test_the_bottlenecks_term_is_the_price_of_a_positions_divergence_over_real_and_fake() -> None:
    module, penalty = small_vgan(), Bottleneck(initial_beta=0.5)
    penalty.setup(toy_trainer(), module, "fit")
    turn = look(module, "discriminator")
    discriminator: Discriminator = module.discriminator
    halves = []
    for images in (turn.real, turn.fake):
        # Not the module itself, which the penalty listens to.
        code = CodeMap.forward(discriminator.bottleneck, discriminator.features(images))
        mean, log_variance = (part.double() for part in code)
        per_position = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1)
        assert per_position.shape == (3, 4, 4)
        halves.append(per_position.mean())
    expected = 0.5 * (halves[0] + halves[1]) / 2
    torch.testing.assert_close(penalty.weighted(turn).double(), expected, rtol=1e-5, atol=0)


class Seen(Bottleneck):
    """Keeps every turn's logits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.logits: list[Tensor] = []

    def penalty(self, turn: Turn) -> Tensor:
        self.logits.append(turn.fake_logits.detach())
        return super().penalty(turn)


def test_noise_is_a_function_of_the_seed_and_of_the_images_seen() -> None:
    runs = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        penalty = Seen()
        module = small_vgan(training=replace(FAST, seed=seed))
        torch.manual_seed(state)  # what the global generator was is no matter
        toy_trainer(penalty, limit_train_batches=2).fit(module, random_loader(size=8))
        runs.append(penalty.logits)
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])


def test_grids_of_samples_are_drawn(tmp_path: Path) -> None:
    trained(small_vgan(number_of_classes=3), SampleGrid(rows=2, directory=str(tmp_path)), size=8, classes=3)
    assert len(list(tmp_path.glob("*.png"))) == 2


def run(folder: Path, *, cut: int = 32, resume: bool = False) -> dict[str, Any]:
    """Train until `cut` of 32 images, from the beginning or from the last checkpoint; returns the final checkpoint."""
    module = small_vgan(training=replace(FAST, discriminator_turns=2, turns_share_batch=True))
    torch.manual_seed(11 if resume else 5)
    trainer = toy_trainer(
        Bottleneck(information_constraint=0.05, beta_step_size=1.0, initial_beta=0.1),
        R1(gamma=1.0, every_n_turns=3),
        EMA(half_life_kimg=0.02),
        StopAtKimg(total_kimg=0.032),
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


def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path) -> None:
    """Networks, optimizers and the price of information, bit for bit."""
    whole = run(tmp_path / "whole")
    cut = run(tmp_path / "cut", cut=12)
    resumed = run(tmp_path / "cut", resume=True)
    for part in ("state_dict", "optimizer_states", "callbacks", "global_step"):
        assert_equal(resumed[part], whole[part], where=part)
    betas = [next(v["beta"] for k, v in c["callbacks"].items() if k.startswith("Bottleneck")) for c in (cut, whole)]
    assert betas[0] != betas[1] != 0.1


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = VGAN(number_of_classes=3, generator_sees_mean=True, **SMALL)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored: LightningModule = VGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert isinstance(restored, VGAN) and restored.generator_sees_mean
    assert equal(weights_of(module), weights_of(restored))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 24}, "image_size=24 must be a power of two"),
        ({"width": 5}, "width=5 must not be above width_max=4"),
        ({"code_features": 0}, "code_features=0 must be at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_vgan(**settings)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the weights of one process, and of two ranks under each strategy."""
    return run_on_one_and_two("tests.models.vgan_worker", tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_are_one_process(weights: Path, strategy: str) -> None:
    """The code's noise is that of the whole batch, and the price follows the divergence of all ranks."""
    assert_same_weights(weights / "auto.pt", weights / f"{strategy}.pt", relative=1e-12)
    assert abs(torch.load(weights / "auto.pt", weights_only=True)["beta"] - 0.1) > 0.01


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("compiled") / "results.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.models.vgan_compiled_worker", str(file)]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_turn_with_its_bottleneck_is_one_graph_with_eagers_gradients(
    compiled: dict[str, dict[str, Any]], case: str
) -> None:
    """Over three turns, between which the price moves."""
    result = compiled[case]
    assert (result["graphs"], result["breaks"]) == (1, 0)
    assert max(result["errors"]) < 1e-5
    assert max(result["term_errors"]) < 1e-5
    assert all(ours == pytest.approx(eager) for eager, ours in result["betas"])
    if case != "vgan_generator":
        assert abs(result["betas"][2][0] - result["betas"][0][0]) > 0.01
