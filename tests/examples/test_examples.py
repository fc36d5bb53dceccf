"""Every example runs, and its callbacks do what the same penalties do if they are written into its training step."""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan import callbacks as ours
from lightning_gan import real
from lightning_gan.foreign import scores
from tests.examples.written_penalties import EXAMPLES, Cost, EveryNth, of_each_sub_critic, slope
from tests.toys import toy_trainer

FOLDER = Path(__file__).parents[2] / "examples"


def example_named(name: str) -> ModuleType:
    """A fresh import of an example."""
    spec = spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def penalties_of(callbacks: Sequence[Callback]) -> list[Callback]:
    return [callback for callback in callbacks if isinstance(callback, ours.Penalty)]


def trained(
    name: str,
    choose: Any = lambda callbacks: callbacks,
    *,
    by_hand: list[Cost] | None = None,
) -> LightningModule:
    """The module of an example after a few batches in double precision.

    Args:
        name: name of the example.
        choose: function that returns which of the example's callbacks are used, or others.
        by_hand: penalties that are written into the critic's loss.
    """
    example, facts = example_named(name), EXAMPLES[name]
    for constant, value in (facts.constants or {}).items():
        setattr(example, constant, value)
    torch.manual_seed(7)
    module = facts.module(example, by_hand=by_hand)
    torch.manual_seed(11)
    loader: DataLoader[Any] = DataLoader(getattr(example, facts.data)(4 * facts.batches), batch_size=4)
    trainer = toy_trainer(*choose(example.callbacks()), max_epochs=facts.epochs, precision="64-true")
    trainer.fit(module, loader)
    return module


@cache
def trained_as_it_is(name: str) -> LightningModule:
    """The module of an example with its own callbacks. It is trained once."""
    return trained(name)


def without_penalties(callbacks: Sequence[Callback]) -> list[Callback]:
    return [callback for callback in callbacks if callback not in penalties_of(callbacks)]


def error(first: LightningModule, second: LightningModule) -> float:
    """Largest difference of any two weights."""
    return max((a - b).abs().max().item() for a, b in zip(first.parameters(), second.parameters(), strict=True))


class AveragedByHand(Callback):
    """``average = decay average + (1 - decay) weights`` after every batch of four."""

    def __init__(self, paths: Sequence[str], half_life_images: float) -> None:
        self.paths = paths
        self.decay = 2 ** (-4 / half_life_images)
        self.averages: list[Tensor] = []

    def weights(self, module: LightningModule) -> list[Tensor]:
        return [p.detach().clone() for path in self.paths for p in module.get_submodule(path).parameters()]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.averages = self.weights(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        weights = self.weights(pl_module)
        self.averages = [self.decay * a + (1 - self.decay) * w for a, w in zip(self.averages, weights, strict=True)]


def test_every_example_is_known_here_or_has_a_test_of_its_own() -> None:
    own = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")} - {"examples"}
    assert {path.stem for path in FOLDER.glob("*.py")} == EXAMPLES.keys() | own


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_has_at_most_150_lines_and_says_what_to_change(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 150
    documentation = ast.get_docstring(ast.parse(text))
    assert documentation is not None
    for words in ("The game:", "Added from this package:", "To change for a real project:"):
        assert words in documentation


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs_says_what_came_out_and_leaves_no_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example_named(name).main(EXAMPLES[name].shortest)
    assert capsys.readouterr().out.strip()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EXAMPLES)
def test_callbacks_give_the_weights_of_penalties_by_hand(name: str) -> None:
    with_callbacks = trained_as_it_is(name)
    assert error(with_callbacks, trained(name, without_penalties, by_hand=EXAMPLES[name].costs())) < 1e-9


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_penalty_has_an_effect(name: str) -> None:
    with_callbacks = trained_as_it_is(name)
    count = len(penalties_of(example_named(name).callbacks()))
    assert count == len(EXAMPLES[name].costs())
    for left_out in range(count):

        def others(callbacks: Sequence[Callback], left_out: int = left_out) -> list[Callback]:
            return [callback for callback in callbacks if callback is not penalties_of(callbacks)[left_out]]

        assert error(with_callbacks, trained(name, others)) > 1e-4


@pytest.mark.parametrize("name", EXAMPLES)
def test_averaged_weights_are_those_of_the_formula(name: str) -> None:
    facts = EXAMPLES[name]
    by_hand = AveragedByHand(facts.averaged, facts.half_life_images)
    emas: list[Any] = []

    def add(callbacks: Sequence[Callback]) -> list[Callback]:
        emas.extend(callback for callback in callbacks if isinstance(callback, ours.EMA))
        return [*callbacks, by_hand]

    module = trained(name, add)
    latest = by_hand.weights(module)
    with emas[0].applied(module):
        averaged = by_hand.weights(module)
    assert max((a - b).abs().max().item() for a, b in zip(averaged, by_hand.averages, strict=True)) < 1e-12
    assert max((a - b).abs().max().item() for a, b in zip(averaged, latest, strict=True)) > 1e-4


# ---------------------------------------------------------------------- what the docstrings say of other settings


def test_the_vocoder_may_name_its_sub_critics_instead() -> None:
    paths = [f"mpd.{n}" for n in range(3)] + [f"mrd.{n}" for n in range(2)]
    r1 = ours.R1(gamma=0.1, every_n_turns=2, discriminator=paths, scores=scores.first)
    by_callback = trained("vocoder", lambda callbacks: [r1])
    assert error(by_callback, trained("vocoder", lambda _: [], by_hand=[EveryNth(2, of_each_sub_critic)])) < 1e-9


def test_the_vocoder_may_use_finite_differences() -> None:
    settings: dict[str, Any] = {"discriminator": ["mpd", "mrd"], "image": "y", "scores": scores.first}
    by_callback = trained("vocoder", lambda _: [ours.FiniteDifferenceR1(gamma=0.1, **settings)])

    def by_hand(module: Any, y: Tensor, y_hat: Tensor) -> Tensor:
        costs = []
        for bank in (module.mpd, module.mrd):
            moved = y + 0.01 * torch.randn_like(y)
            pairs = zip(bank(moved, y_hat)[0], bank(y, y_hat)[0], strict=True)
            difference = torch.stack([(far - near).flatten(1).sum(1) for far, near in pairs]).sum(0)
            costs.append((difference / 0.01).pow(2).mean())
        return 0.05 * torch.stack(costs).sum()

    assert error(by_callback, trained("vocoder", lambda _: [], by_hand=[by_hand])) < 1e-9


def test_the_noised_critic_may_have_exact_penalties_by_the_numbers_of_its_calls() -> None:
    names: dict[str, Any] = {"discriminator": "critic", "generator": "student", "image": "x_t"}
    exact = [ours.R1(gamma=0.2, real=0, **names), ours.R2(gamma=0.2, fake=1, **names)]
    by_callback = trained("diffusion_distillation", lambda _: exact)

    def by_hand(module: Any, real_t: Tensor, fake_t: Tensor, t: Tensor) -> Tensor:
        def critic(x_t: Tensor) -> Tensor:
            scores: Tensor = module.critic(x_t, t)
            return scores

        return 0.1 * (slope(critic, real_t) + slope(critic, fake_t))

    by_hand_weights = trained("diffusion_distillation", lambda _: [], by_hand=[by_hand])
    assert error(by_callback, by_hand_weights) < 1e-9


def test_pairs_of_pix2pix_cannot_be_told_without_a_number() -> None:
    with pytest.raises(ValueError, match="R1: the real images cannot be told: 'netD' was called twice"):
        trained("pix2pix", lambda _: [ours.R1(discriminator="netD", generator="netG")])


def test_pairs_of_pix2pix_may_be_marked_instead() -> None:
    """With a mark, the order of the calls need not be known."""
    r1 = ours.R1(gamma=0.1, every_n_turns=2, discriminator="netD", generator="netG")

    def marked(module: Any, fake_pair: Tensor, real_pair: Tensor) -> float:
        real(real_pair)
        return 0.0

    assert error(trained("pix2pix", lambda _: [r1], by_hand=[marked]), trained_as_it_is("pix2pix")) == 0


def test_batch_normalization_in_the_critic_of_the_dcgan_is_warned_about() -> None:
    example = example_named("stable_dcgan")
    module = example.DCGAN(critic_norm=nn.BatchNorm2d)
    loader: DataLoader[Any] = DataLoader(example.blobs(8), batch_size=4)
    with pytest.warns(UserWarning, match="R1: the critic has batch normalization"):
        toy_trainer(example.callbacks()[0]).fit(module, loader)


# ---------------------------------------------------------------------- the command line


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs_from_the_command_line_within_a_minute(name: str, tmp_path: Path) -> None:
    begin = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert time.perf_counter() - begin < 60
    assert run.stdout.strip()
    assert not list(tmp_path.iterdir())
