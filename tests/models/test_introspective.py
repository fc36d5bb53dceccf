"""The game of an encoder and a decoder: what one turn leaves to the other, callbacks, resuming, several ranks."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gan.callbacks import EMA, R1, ConsensusOptimization, KimgCheckpoint, SampleGrid, StopAtKimg
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.models import IntroVAE, SoftIntroVAE
from lightning_gan.models.introspective import IntrospectiveDraws, IntrospectiveGAN, IntrospectiveScores
from lightning_gan.penalties import kl_to_standard_normal
from tests.loop.test_resume import Cut, Pictures, assert_equal
from tests.models.introspective_steps import SMALL
from tests.models.training import random_loader
from tests.toys import FAST, Spy, equal, fast_adam, toy_trainer, weights_of
from tests.two_ranks import ROOT, assert_same_weights, largest_difference, run_on_one_and_two

MODELS = [IntroVAE, SoftIntroVAE]


def scores_of(turn: Turn) -> IntrospectiveScores:
    assert isinstance(turn.scores, IntrospectiveScores)
    return turn.scores


def draws_of(turn: Turn) -> IntrospectiveDraws:
    assert isinstance(turn.draws, IntrospectiveDraws)
    return turn.draws


def turns_of(model: type[IntrospectiveGAN], *, batches: int = 3, **settings: Any) -> list[Turn]:
    """Every look of some batches of 8."""
    seen: list[Turn] = []

    class Look(model):  # type: ignore[misc, valid-type]
        def run_networks(self, player: Player, *inputs: Any) -> Turn:
            turn: Turn = super().run_networks(player, *inputs)
            seen.append(turn)
            return turn

    torch.manual_seed(0)
    module = Look(**{**SMALL, "training": FAST, **settings})
    images = torch.rand(8 * batches, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=8)
    toy_trainer().fit(module, loader)
    return seen


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("training", "order"),
    [
        (FAST, "dgdgdg"),
        (replace(FAST, accumulate_slices=2), "ddggddggddgg"),
        (replace(FAST, discriminator_turns=3), "dddg"),
        (replace(FAST, discriminator_turns=2, turns_share_batch=True, accumulate_slices=2), "ddddggddddggddddgg"),
    ],
    ids=["one_each", "slices", "three_turns", "shared_batch"],
)
def test_the_decoders_turn_has_the_images_latents_and_codes_of_the_encoders_last(
    model: type[IntrospectiveGAN], training: Training, order: str
) -> None:
    """Bit for bit, slice by slice: codes of the encoder before its step, which has moved it a lot since."""
    turns = turns_of(model, training=training)
    assert "".join(turn.player[0] for turn in turns) == order
    slices = training.accumulate_slices
    for index, turn in enumerate(turns):
        if turn.player == "discriminator":
            continue
        # Behind the slices of the encoder's last turn come those of the decoder's.
        before = turns[index - slices]
        assert before.player == "discriminator"
        assert torch.equal(turn.real, before.real)
        assert torch.equal(turn.latents, before.latents)
        assert torch.equal(turn.fake, before.fake)
        assert torch.equal(scores_of(turn).reconstructions, scores_of(before).reconstructions)
        assert not torch.equal(turn.fake_logits, before.fake_logits)  # the encoder has moved
    latents = torch.cat([turn.latents for turn in turns if turn.player == "discriminator"])
    assert len(latents.unique(dim=0)) == len(latents)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_detached_where(model: type[IntrospectiveGAN]) -> None:
    """Each number's way back to the codes, to the decoder's images, and to the images it is about."""
    reaches: dict[str, dict[str, bool]] = {}

    class Look(model):  # type: ignore[misc, valid-type]
        def run_networks(self, player: Player, *inputs: Any) -> Turn:
            turn: Turn = super().run_networks(player, *inputs)
            encoder, decoder = (
                next(p for p in network.parameters() if p.dim() > 1) for network in (self.discriminator, self.generator)
            )
            both = {"encoder": encoder, "decoder": decoder}
            numbers = {
                "errors": scores_of(turn).errors,
                "of_reconstructions": scores_of(turn).reconstruction_posterior.energies,
                "of_fakes": scores_of(turn).fake_posterior.energies,
            }
            reaches[player] = {
                f"{name} to {target}": parameter.requires_grad
                and torch.autograd.grad(number.sum(), parameter, retain_graph=True, allow_unused=True)[0] is not None
                for name, number in numbers.items()
                for target, parameter in both.items()
            }
            reaches[player]["of_reconstructions to reconstructions"] = (
                scores_of(turn).reconstructions.requires_grad
                and torch.autograd.grad(
                    numbers["of_reconstructions"].sum(),
                    scores_of(turn).reconstructions,
                    retain_graph=True,
                    allow_unused=True,
                )[0]
                is not None
            )
            return turn

    toy_trainer().fit(Look(**SMALL), random_loader(size=8, count=4))
    assert reaches["discriminator"] == {
        "errors to encoder": True,
        "errors to decoder": False,
        "of_reconstructions to encoder": True,
        "of_reconstructions to decoder": False,
        "of_fakes to encoder": True,
        "of_fakes to decoder": False,
        "of_reconstructions to reconstructions": False,
    }
    assert reaches["generator"] == {
        "errors to encoder": False,
        "errors to decoder": True,
        "of_reconstructions to encoder": False,
        "of_reconstructions to decoder": True,
        "of_fakes to encoder": False,
        "of_fakes to decoder": True,
        "of_reconstructions to reconstructions": True,
    }


@pytest.mark.parametrize("model", MODELS)
def test_the_score_is_minus_the_divergence_of_an_images_code(model: type[IntrospectiveGAN]) -> None:
    torch.manual_seed(0)
    module, images = model(**SMALL).eval(), torch.randn(5, 1, 8, 8)
    mean, log_variance = module.discriminator(images)
    scores = module.score(images, None)
    assert scores.shape == (5, 1)
    torch.testing.assert_close(scores[:, 0], -kl_to_standard_normal(mean, log_variance))
    for turn in turns_of(model, batches=1):
        torch.testing.assert_close(turn.fake_logits[:, 0], -scores_of(turn).fake_posterior.energies)
        assert (turn.real_logits is None) is (turn.player == "generator")


@pytest.mark.parametrize("model", MODELS)
def test_the_warm_up_ends_after_so_many_images(model: type[IntrospectiveGAN]) -> None:
    """0.008 thousand images are two batches of four."""
    module, adversarial = model(vae_warmup_kimg=0.008, **SMALL), []
    spy = Spy(lambda player, gan: adversarial.append(gan.is_warming_up))  # type: ignore[attr-defined]
    toy_trainer(spy).fit(module, random_loader(size=8, count=16))
    assert adversarial == [True] * 4 + [False] * 4
    assert "discriminator/adversarial" in module._latest_terms


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("training", "message"),
    [
        (Training(generator_batch_multiple=2), "generator_batch_multiple=2 must be 1"),
        (Training(discriminator_turns=0), "discriminator_turns=0 leaves no codes"),
    ],
)
def test_loops_in_which_the_decoder_does_not_follow_are_refused(
    model: type[IntrospectiveGAN], training: Training, message: str
) -> None:
    with pytest.raises(ValueError, match=f"{model.__name__}: {message}"):
        model(training=training, **SMALL)


@pytest.mark.parametrize("model", MODELS)
def test_callbacks_that_look_at_both_players_alone_are_refused(model: type[IntrospectiveGAN]) -> None:
    with pytest.raises(
        ValueError, match=f"in {model.__name__} a player's turn needs results of the other player's turn"
    ):
        toy_trainer(ConsensusOptimization()).fit(model(**SMALL), random_loader(size=8))


# ---------------------------------------------------------------------- callbacks


@pytest.mark.parametrize("model", MODELS)
def test_the_averaged_decoder_moves_and_shares_no_storage(model: type[IntrospectiveGAN]) -> None:
    module = model(training=FAST, **SMALL)
    before = weights_of(module.generator_ema)
    toy_trainer(EMA(half_life_kimg=0.01)).fit(module, random_loader(size=8, count=16))
    twins = list(zip(module.generator.parameters(), module.generator_ema.parameters(), strict=True))
    assert all(not torch.equal(old, new) for old, (_, new) in zip(before, twins, strict=True))
    assert all(not torch.equal(own, average) and own.data_ptr() != average.data_ptr() for own, average in twins)
    codes = torch.randn(2, 3)
    assert not torch.equal(module.decode(codes, ema=True), module.decode(codes, ema=False))
    assert torch.equal(module.decode(codes), module.sample(codes, clipped=False))


@pytest.mark.parametrize("model", MODELS)
def test_r1_joins_the_encoders_turn_as_it_is_written(model: type[IntrospectiveGAN]) -> None:
    """Its number is that of a second, plain derivation; it changes the update; batch norm is warned of."""
    weights, penalty = [], []
    for callbacks in ([], [R1(gamma=3.0)]):
        torch.manual_seed(0)
        module = model(training=Training(discriminator_optimizer=fast_adam), **SMALL).double()
        if callbacks:
            (real,) = next(iter(random_loader(size=8, count=4)))
            real = real.double().requires_grad_()
            mean, log_variance = module.discriminator(real)
            (gradient,) = torch.autograd.grad(kl_to_standard_normal(mean, log_variance).sum(), real)
            penalty.append(1.5 * gradient.square().sum(dim=(1, 2, 3)).mean().item())
            with pytest.warns(UserWarning, match="R1: the critic has batch normalization"):
                toy_trainer(*callbacks, precision="64-true").fit(module, random_loader(size=8, count=4))
            assert module._latest_terms["discriminator/r1"].item() == pytest.approx(penalty[0], rel=1e-9)
        else:
            toy_trainer(precision="64-true").fit(module, random_loader(size=8, count=4))
        weights.append(weights_of(module.discriminator))
    assert penalty[0] > 0
    assert not equal(*weights)


@pytest.mark.parametrize("model", MODELS)
def test_samples_are_drawn_and_do_not_depend_on_each_other(model: type[IntrospectiveGAN], tmp_path: Path) -> None:
    module = model(**SMALL)
    grid = SampleGrid(rows=1, columns=2, directory=str(tmp_path))
    toy_trainer(grid).fit(module, random_loader(size=8))
    assert len(list(tmp_path.glob("*.png"))) == 2
    latents, labels = module.draw_latents(4, seed=0)
    assert labels is None and latents.shape == (4, 3)
    torch.testing.assert_close(module.sample(latents)[:2], module.sample(latents[:2]))


# ---------------------------------------------------------------------- the autoencoder


@pytest.mark.parametrize("model", MODELS)
def test_images_go_through_their_codes_and_back(model: type[IntrospectiveGAN]) -> None:
    """In evaluation mode and without noise: the mean of the code, and each image on its own."""
    torch.manual_seed(0)
    module, images = model(**SMALL), torch.rand(4, 1, 8, 8) * 2 - 1
    toy_trainer().fit(module, random_loader(size=8))
    codes = module.encode(images)
    assert codes.shape == (4, 3) and not codes.requires_grad
    assert module.discriminator.training and module.generator.training
    reconstructed = module.reconstruct(images)
    module.eval()
    torch.testing.assert_close(codes, module.discriminator(images)[0])
    torch.testing.assert_close(reconstructed, module.generator(codes))
    torch.testing.assert_close(module.reconstruct(images[:1]), reconstructed[:1])


@pytest.mark.parametrize("model", MODELS)
def test_ways_between_images_begin_and_end_at_their_reconstructions(model: type[IntrospectiveGAN]) -> None:
    torch.manual_seed(0)
    module, (first, second) = model(**SMALL), (torch.rand(2, 1, 8, 8) for _ in range(2))
    way = module.interpolate(first, second, steps=5)
    assert way.shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(way[:, 0], module.reconstruct(first))
    torch.testing.assert_close(way[:, 4], module.reconstruct(second))
    middle = (module.encode(first) + module.encode(second)) / 2
    torch.testing.assert_close(way[:, 2], module.decode(middle))
    with pytest.raises(ValueError, match="steps=1 must be at least 2"):
        module.interpolate(first, second, steps=1)


# ---------------------------------------------------------------------- resuming, several ranks


def run(folder: Path, model: type[IntrospectiveGAN], *, cut: int, resume: bool = False) -> dict[str, Any]:
    """Train to 40 images or to `cut`, from the beginning or from the last checkpoint; returns the last checkpoint."""
    torch.manual_seed(11 if resume else 5)
    module = model(
        training=FAST,
        vae_warmup_kimg=0.02,
        **SMALL,
    )
    trainer = toy_trainer(
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


@pytest.mark.parametrize("model", MODELS)
def test_a_cut_run_ends_like_a_whole_one(model: type[IntrospectiveGAN], tmp_path: Path) -> None:
    """Cut within the warm-up, and behind it."""
    whole = run(tmp_path / "whole", model, cut=40)
    for cut in (12, 28):
        run(tmp_path / str(cut), model, cut=cut)
        resumed = run(tmp_path / str(cut), model, cut=40, resume=True)
        for part in ("state_dict", "optimizer_states", "callbacks", "Pictures", "global_step"):
            assert_equal(resumed[part], whole[part], where=part)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_on_one_and_two("tests.models.introspective_worker", tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["introvae_open", "introvae_between", "introvae_warm", "soft"])
def test_two_ranks_train_like_one_process(ranks: Path, case: str) -> None:
    """Norms, hinges and the codes' noise are of the whole batch; in "between" the ranks alone would disagree."""
    assert_same_weights(ranks / f"{case}_1.pt", ranks / f"{case}_2.pt", relative=1e-10)


@pytest.mark.slow
def test_ranks_that_ask_their_own_mean_would_train_otherwise(ranks: Path) -> None:
    """The case above tests the mean over ranks: without it the encoder ends elsewhere."""
    own, one = ranks / "introvae_between_own_mean_2.pt", ranks / "introvae_between_1.pt"
    assert largest_difference(own, one, within="discriminator") > 1e-4


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.models.introspective_compile_worker"]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return results


@pytest.mark.slow
@pytest.mark.parametrize(("case", "graphs"), [("introvae", 2), ("slices", 2), ("warmup", 4), ("soft", 2)])
def test_each_players_cost_is_one_graph_with_the_gradients_of_eager(
    compiled: dict[str, Any], case: str, graphs: int
) -> None:
    """Three batches; what the encoder's turn leaves behind comes out of its graph. Warming up is another cost."""
    assert compiled[case]["graphs"] == graphs
    assert compiled[case]["breaks"] == 0
    assert compiled[case]["largest_relative_error"] < 1e-9


def noise_of(turn: Turn) -> Tensor:
    return torch.cat(draws_of(turn).noises)


def test_noise_of_codes_made_again_is_new_in_each_turn() -> None:
    turns = turns_of(SoftIntroVAE, batches=2)
    assert [len(draws_of(turn).noises) for turn in turns] == [2] * 4
    rows = torch.cat([noise_of(turn) for turn in turns])
    assert len(rows.unique(dim=0)) == len(rows)
