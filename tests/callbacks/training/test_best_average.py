"""Averages of several lengths are measured in any module, and the best one stays in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_gan.callbacks import PowerFunctionEMA, load_best_reconstructed_weights, reconstructed_ema
from lightning_gan.loop.gan import GAN
from tests.callbacks.training.growing_toys import ForeignGAN, fit, growing_gan
from tests.toys import equal, weights_of

WIDTHS = [0.05, 0.1, 0.2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[GAN, Path]:
    """A GAN, and the folder of the averages that were kept while it was trained."""
    gan, folder = growing_gan(), tmp_path_factory.mktemp("averages")
    fit(gan, PowerFunctionEMA(every_kimg=0.04, dirpath=str(folder)), images=80)
    return gan, folder


def best(
    module: Any, folder: Path, measure: Callable[[], Any], *, widths: list[float] = WIDTHS, higher: bool = False
) -> Any:
    return load_best_reconstructed_weights(
        module, folder, relative_widths=widths, measure=measure, higher_is_better=higher
    )


def distance_to(folder: Path, module: Any, path: str) -> float:
    """Of the network from the average of the width 0.1: 0 if that is in it."""
    wanted = reconstructed_ema(folder, relative_width=0.1).tensors
    network = module.get_submodule(path)
    return sum(float((own.detach() - wanted[name]).abs().sum()) for name, own in network.named_parameters())


def test_the_best_average_is_left_in_the_generator_of_another_module(tmp_path: Path) -> None:
    module = ForeignGAN()
    fit(module, PowerFunctionEMA(every_kimg=0.04, generator="netG", dirpath=str(tmp_path)), images=400)
    for higher in (False, True):
        swept = best(module, tmp_path, lambda: distance_to(tmp_path, module, "netG"), higher=higher)
        assert list(swept.values) == WIDTHS and swept.values[0.1] == 0 < min(swept.values[0.05], swept.values[0.2])
        assert swept.relative_width == (max(swept.values, key=swept.values.__getitem__) if higher else 0.1)
        expected = reconstructed_ema(tmp_path, relative_width=swept.relative_width).tensors
        assert all(torch.equal(own, expected[name]) for name, own in module.netG.state_dict().items())
        assert all(torch.equal(expected[name], value) for name, value in swept.average.tensors.items())


def test_the_trained_weights_of_a_gan_stay_as_they_are(trained: tuple[GAN, Path]) -> None:
    gan, folder = trained
    live = weights_of(gan.generator)
    swept = best(gan, folder, lambda: distance_to(folder, gan, "generator_ema"))
    assert swept.relative_width == 0.1 and equal(live, weights_of(gan.generator))
    assert distance_to(folder, gan, "generator_ema") == 0


def test_of_equal_numbers_the_first_length_is_the_best(trained: tuple[GAN, Path]) -> None:
    assert best(*trained, lambda: 1, widths=[0.2, 0.1], higher=True).relative_width == 0.2


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([0.1], r"relative_widths \[0\.1\] must be two or more different numbers"),
        ([0.1, 0.1], "must be two or more different numbers"),
        ([0.1, 0.3], "relative_width=0.3 must be above 0 and below"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_measured(
    tmp_path: Path, widths: list[float], message: str
) -> None:
    measured: list[float] = []
    with pytest.raises(ValueError, match=message):
        best(growing_gan(), tmp_path, lambda: measured.append(0.0), widths=widths)
    assert not measured


def test_a_number_that_is_not_finite_is_refused(trained: tuple[GAN, Path]) -> None:
    with pytest.raises(ValueError, match=r"measure\(\) returned nan for relative_width=0\.05"):
        best(*trained, lambda: float("nan"))
