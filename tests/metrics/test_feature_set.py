"""Gathering features."""

import torch

from lightning_gan.metrics import FeatureSet


def test_features_come_back_in_the_order_of_their_positions() -> None:
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    gathered = FeatureSet()
    for batch in order.split(4):
        gathered.update(features[batch], batch)
    assert torch.equal(gathered.compute(), features)


def test_negative_positions_are_left_out() -> None:
    gathered = FeatureSet()
    gathered.update(torch.tensor([[1.0], [2.0]]), torch.tensor([-1, 5]))
    gathered.update(torch.tensor([[3.0]]), torch.tensor([0]))
    assert gathered.compute().tolist() == [[3.0], [2.0]]
