"""Averages of several lengths are measured in any module, and the best one stays in it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.callbacks import PowerFunctionEMA, load_best_reconstructed_weights, reconstructed_ema
from tests.callbacks.training.growing_toys import ForeignGAN, fit, growing_gan
from tests.toys import equal, weights_of

WIDTHS = [0.05, 0.1, 0.2]


def distance_to(folder: Path, module: Any, path: str) -> float:
    """Of the network from the average of the width 0.1: 0 if that is in it."""
    wanted = reconstructed_ema(folder, relative_width=0.1).tensors
    network = module.get_submodule(path)
    return sum(float((own.detach() - wanted[name]).abs().sum()) for name, own in network.named_parameters())


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_the_best_average_is_left_in_the_generator_of_another_module(tmp_path: Path, higher_is_better: bool) -> None:
    module = ForeignGAN()
    fit(module, PowerFunctionEMA(every_kimg=0.04, generator="netG", dirpath=str(tmp_path)), images=400)
    swept = load_best_reconstructed_weights(
        module,
        tmp_path,
        relative_widths=WIDTHS,
        measure=lambda: distance_to(tmp_path, module, "netG"),
        higher_is_better=higher_is_better,
    )
    assert list(swept.values) == WIDTHS and swept.values[0.1] == 0 < min(swept.values[0.05], swept.values[0.2])
    assert swept.relative_width == (max(swept.values, key=swept.values.__getitem__) if higher_is_better else 0.1)
    expected = reconstructed_ema(tmp_path, relative_width=swept.relative_width).tensors
    assert all(torch.equal(own, expected[name]) for name, own in module.netG.state_dict().items())
    assert all(torch.equal(expected[name], value) for name, value in swept.average.tensors.items())


def test_the_trained_weights_of_a_gan_stay_as_they_are(tmp_path: Path) -> None:
    module = growing_gan()
    fit(module, PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=200)
    live = weights_of(module.generator)
    swept = load_best_reconstructed_weights(
        module,
        tmp_path,
        relative_widths=WIDTHS,
        measure=lambda: distance_to(tmp_path, module, "generator_ema"),
        higher_is_better=False,
    )
    assert swept.relative_width == 0.1 and equal(live, weights_of(module.generator))
    assert distance_to(tmp_path, module, "generator_ema") == 0


def test_of_equal_numbers_the_first_length_is_the_best(tmp_path: Path) -> None:
    module = growing_gan()
    fit(module, PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=80)
    swept = load_best_reconstructed_weights(
        module, tmp_path, relative_widths=[0.2, 0.1], measure=lambda: 1, higher_is_better=True
    )
    assert swept.relative_width == 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relative_widths": [0.1]}, r"relative_widths \[0\.1\] must be two or more different numbers"),
        ({"relative_widths": [0.1, 0.1]}, "must be two or more different numbers"),
        ({"relative_widths": [0.1, 0.3]}, "relative_width=0.3 must be above 0 and below"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_measured(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    measured: list[float] = []
    given: dict[str, Any] = {
        "relative_widths": WIDTHS,
        "measure": lambda: measured.append(0.0),
        "higher_is_better": False,
    }
    with pytest.raises(ValueError, match=message):
        load_best_reconstructed_weights(growing_gan(), tmp_path, **(given | settings))
    assert not measured


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    module = growing_gan()
    fit(module, PowerFunctionEMA(every_kimg=0.04, dirpath=str(tmp_path)), images=80)
    with pytest.raises(ValueError, match=r"measure\(\) returned nan for relative_width=0\.05"):
        load_best_reconstructed_weights(
            module, tmp_path, relative_widths=WIDTHS, measure=lambda: float("nan"), higher_is_better=False
        )
