"""Buffers are put back after a forward pass that must not count."""

import pytest
import torch
from torch import nn

from lightning_gan.layers.buffers import unmoved_buffers
from tests.toys import equal


def test_a_forward_pass_inside_moves_no_running_statistics() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = [buffer.clone() for buffer in network.buffers()]
    with unmoved_buffers(network):
        network(torch.randn(8, 3))
        assert not equal(before, list(network.buffers()))
    assert equal(before, list(network.buffers()))


def test_nor_does_one_that_fails() -> None:
    networks = [nn.BatchNorm1d(3), nn.BatchNorm1d(3)]
    before = [buffer.clone() for network in networks for buffer in network.buffers()]
    with pytest.raises(ValueError, match="failed"), unmoved_buffers(*networks):
        for network in networks:
            network(torch.randn(8, 3))
        raise ValueError("failed")
    assert equal(before, [buffer for network in networks for buffer in network.buffers()])
