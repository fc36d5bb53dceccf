"""Products of fp32 tensors that settings of the backends do not round."""

from collections.abc import Iterator

import pytest
import torch

from lightning_gan.tensors.precision import unrounded_fp32


@pytest.fixture
def rounded_products() -> Iterator[None]:
    """Allows bf16 in products of fp32 tensors, as users do for speed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("rounded_products")
def test_products_are_those_of_fp32_whatever_is_set() -> None:
    first, second = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    exact, sizes = first.double() @ second.double(), first.double().abs() @ second.double().abs()
    most = 64 / 2**24 * sizes  # of sums of 64 products in fp32
    is_rounded = not ((first @ second - exact).abs() <= most).all()
    with unrounded_fp32():
        assert ((first @ second - exact).abs() <= most).all()
    if not is_rounded:
        pytest.skip("this processor has no instructions for products of bf16, so that torch does not round to it")


@pytest.mark.usefixtures("rounded_products")
def test_what_was_set_is_put_back_also_after_an_error() -> None:
    backends = torch.backends.cudnn.conv, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    with pytest.raises(KeyError), unrounded_fp32():
        assert [backend.fp32_precision for backend in backends] == ["ieee"] * 3
        raise KeyError
    assert [backend.fp32_precision for backend in backends] == before
    assert "ieee" not in before[1:]
