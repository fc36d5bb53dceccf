"""Averages of any length after training: against those that were tracked, resumed runs, and the command."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks import EMA, PowerFunctionEMA, load_reconstructed_weights, reconstructed_ema
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of
from tests.two_ranks import run_on_one_and_two


class Past(Callback):
    """Keeps the generator's weights of every batch."""

    def __init__(self, name: str = "generator") -> None:
        self.name = name
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        network = pl_module.get_submodule(self.name)
        self.weights.append({name: own.detach().clone() for name, own in network.named_parameters()})


def tracked(past: Past, *, width: float, batches: int) -> dict[str, Tensor]:
    """The average of a relative width as the definition says it: a batch from a to b counts ``b^(g+1) - a^(g+1)``."""
    exponent = next(
        g / 1000 for g in range(10**6) if math.sqrt((g / 1000 + 1) / (g / 1000 + 3)) / (g / 1000 + 2) < width
    )
    shares = [((b + 1) ** (exponent + 1) - b ** (exponent + 1)) / batches ** (exponent + 1) for b in range(batches)]
    return {
        name: sum(share * weights[name].double() for share, weights in zip(shares, past.weights, strict=False))  # type: ignore[misc]
        for name in past.weights[0]
    }


@torch.no_grad()
def far(ours: dict[str, Tensor], theirs: dict[str, Tensor], past: Past) -> float:
    """Distance of two averages, relative to how far training has moved the weights."""
    moved = sum(float((past.weights[-1][name] - past.weights[0][name]).square().sum()) for name in theirs)
    apart = sum(float((ours[name].double() - theirs[name]).square().sum()) for name in theirs)
    return math.sqrt(apart / moved)


def test_tracked_averages_are_what_the_definition_says(tmp_path: Path) -> None:
    past = Past()
    fit(growing_gan(), past, PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=80)
    (first, second) = sorted(tmp_path.iterdir())
    assert [first.name, second.name] == ["kimg_000000.040.pt", "kimg_000000.080.pt"]
    for file, batches in ((first, 10), (second, 20)):
        content = torch.load(file, weights_only=True)
        assert content["images_seen"] == 4 * batches
        for width, average in zip((0.05, 0.1), content["averages"], strict=True):
            expected = tracked(past, width=width, batches=batches)
            assert far(average, expected, past) < 1e-3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Past, Path]:
    """The weights of 300 batches, and the folder of their 30 files."""
    past, folder = Past(), tmp_path_factory.mktemp("averages")
    fit(growing_gan(), past, PowerFunctionEMA(every_kimg=0.04, dirpath=str(folder)), images=1200)
    return past, folder


@pytest.mark.parametrize("width", [0.04, 0.075, 0.15, 0.25])
def test_a_reconstruction_is_within_a_percent_of_an_average_that_was_tracked(
    width: float, trained: tuple[Past, Path]
) -> None:
    past, folder = trained
    made = reconstructed_ema(folder, relative_width=width)
    assert (made.images_seen, made.files) == (1200, 30)
    expected = tracked(past, width=width, batches=300)
    assert far(made.tensors, expected, past) < 0.01
    assert far(past.weights[-1], expected, past) > 0.02  # the last weights are further away


def test_an_average_can_end_earlier_than_training(trained: tuple[Past, Path]) -> None:
    past, folder = trained
    half = reconstructed_ema(folder, relative_width=0.08, kimg=0.8)
    assert (half.images_seen, half.files) == (800, 20)
    assert far(half.tensors, tracked(past, width=0.08, batches=200), past) < 0.01


def test_training_is_as_it_is_without_it(tmp_path: Path) -> None:
    alone, saving = toy_gan(), toy_gan()
    toy_trainer(EMA(), limit_train_batches=3).fit(alone, toy_loader())
    toy_trainer(EMA(), PowerFunctionEMA(dirpath=str(tmp_path)), limit_train_batches=3).fit(saving, toy_loader())
    assert equal(weights_of(alone), weights_of(saving))


def test_a_resumed_run_saves_the_same_averages(tmp_path: Path) -> None:
    def saving(name: str) -> PowerFunctionEMA:
        return PowerFunctionEMA(every_kimg=0.008, dirpath=str(tmp_path / name))

    whole = fit(growing_gan(), saving("whole"), images=24)
    fit(growing_gan(), saving("cut"), images=12, save=tmp_path / "cut.ckpt")
    fit(growing_gan(), saving("cut"), images=20)  # a run that does not go on: its files are set aside
    assert (tmp_path / "cut" / "kimg_000000.016.pt").is_file()
    assert_same_state(whole, fit(growing_gan(), saving("cut"), images=24, resume=tmp_path / "cut.ckpt"))
    names = [path.name for path in sorted((tmp_path / "whole").glob("*.pt"))]
    assert names == ["kimg_000000.008.pt", "kimg_000000.016.pt", "kimg_000000.024.pt"]
    for name in names[1:]:
        one, two = (torch.load(tmp_path / run / name, weights_only=True) for run in ("whole", "cut"))
        for ours, theirs in zip(one["averages"], two["averages"], strict=True):
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    # Files of runs that do not go on are kept, however many there are.
    fit(growing_gan(), saving("cut"), images=24, resume=tmp_path / "cut.ckpt")
    last = torch.load(tmp_path / "cut" / "kimg_000000.024_of_earlier_run_1.pt", weights_only=True)
    assert last["images_seen"] == 24
    kept = sorted(path.name for path in (tmp_path / "cut").glob("kimg_000000.016*"))
    assert kept == ["kimg_000000.016.pt", *(f"kimg_000000.016_of_earlier_run_{number}.pt" for number in (1, 2))]
    assert reconstructed_ema(tmp_path / "cut", relative_width=0.1).files == 3


def test_other_widths_in_a_resumed_run_are_refused(tmp_path: Path) -> None:
    folder = str(tmp_path)
    fit(growing_gan(), PowerFunctionEMA(dirpath=folder), images=12, save=tmp_path / "cut.ckpt")
    with pytest.raises(ValueError, match=r"relative_widths=\[0.2\] are \[0.05, 0.1\] in the checkpoint"):
        other = PowerFunctionEMA(relative_widths=(0.2,), dirpath=folder)
        fit(growing_gan(), other, images=24, resume=tmp_path / "cut.ckpt")


def test_a_callback_that_comes_later_says_so(tmp_path: Path) -> None:
    fit(growing_gan(), images=12, save=tmp_path / "cut.ckpt")
    with pytest.warns(UserWarning, match=r"PowerFunctionEMA begins after 0.012 kimg"):
        fit(growing_gan(), PowerFunctionEMA(dirpath=str(tmp_path)), images=24, resume=tmp_path / "cut.ckpt")


def test_it_works_in_a_module_that_is_no_gan(tmp_path: Path) -> None:
    past, module = Past("netG"), ForeignGAN()
    fit(module, past, PowerFunctionEMA(every_kimg=0.04, generator="netG", dirpath=str(tmp_path)), images=400)
    live = weights_of(module.netG)
    made = load_reconstructed_weights(module, tmp_path, relative_width=0.15)
    assert far(dict(module.netG.named_parameters()), tracked(past, width=0.15, batches=100), past) < 0.01
    assert made.generator == "netG" and not equal(live, weights_of(module.netG))


def test_a_gan_keeps_its_weights_and_gets_another_average(tmp_path: Path) -> None:
    module = growing_gan()
    fit(module, PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=200)
    live = weights_of(module.generator)
    assert not module.averaged
    made = load_reconstructed_weights(module, tmp_path, relative_width=0.1)
    assert module.averaged and equal(live, weights_of(module.generator))
    for name, weight in module.generator_ema.named_parameters():
        assert torch.equal(weight, made.tensors[name])


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no averages of PowerFunctionEMA"):
        reconstructed_ema(tmp_path, relative_width=0.1)
    fit(growing_gan(), PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=80)
    with pytest.raises(ValueError, match=r"kimg=0.05: .* give one from 0.04 to 0.08, such as 0.04"):
        reconstructed_ema(tmp_path, relative_width=0.1, kimg=0.05)
    with pytest.raises(ValueError, match=r"is not the same in"):
        load_reconstructed_weights(toy_gan(), tmp_path, relative_width=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relative_widths": (0.3,)}, "relative_width=0.3 must be above 0 and below"),
        ({"relative_widths": ()}, "must be different numbers"),
        ({"relative_widths": (0.1, 0.1)}, "must be different numbers"),
        ({"every_kimg": 0.0}, "PowerFunctionEMA: every_kimg=0.0 is less than one image"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PowerFunctionEMA(**settings)


@pytest.mark.slow
def test_two_ranks_and_sharded_ones_save_the_averages_of_one_process_also_after_a_resume(tmp_path: Path) -> None:
    folder = run_on_one_and_two("tests.callbacks.training.power_function_ema_worker", tmp_path)
    names = sorted(path.name for path in (folder / "auto").glob("*.pt"))
    assert names == ["kimg_000000.016.pt", "kimg_000000.032.pt", "kimg_000000.048.pt"]
    for run in ("gan_ddp", "gan_fsdp", "auto_resumed", "gan_ddp_resumed", "gan_fsdp_resumed"):
        for name in names:
            one, two = (torch.load(folder / part / name, weights_only=True) for part in ("auto", run))
            assert one["images_seen"] == two["images_seen"]
            for ours, theirs in zip(one["averages"], two["averages"], strict=True):
                assert ours.keys() == theirs.keys()
                for key in ours:
                    torch.testing.assert_close(theirs[key], ours[key], rtol=0, atol=1e-12)
    # What each rank read when the training of another module had ended, while the first rank wrote slowly.
    assert [(folder / f"other_{rank}.txt").read_text() for rank in (0, 1)] == ["2", "2"]
    made = [reconstructed_ema(folder / run, relative_width=0.15).tensors for run in ("auto", "gan_fsdp")]
    assert all(torch.allclose(made[0][name], made[1][name], atol=1e-9) for name in made[0])
