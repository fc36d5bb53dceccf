"""Weights of half precision are refused, and mixed precision is not."""

import pytest

from lightning_gan.loop.half_weights import HALF_WEIGHTS, check_precision
from tests.toys import toy_gan, toy_loader, toy_trainer


@pytest.mark.parametrize("precision", HALF_WEIGHTS)
def test_weights_of_16_bits_are_refused_before_training(precision: str) -> None:
    with pytest.raises(ValueError, match=f"precision={precision} rounds the weights to 16 bits.*give bf16-mixed"):
        toy_trainer(precision=precision).fit(toy_gan(), toy_loader())


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "16-mixed"])
def test_other_precisions_are_accepted(precision: str) -> None:
    check_precision(precision)
