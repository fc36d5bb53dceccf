"""A few steps of any model, on random images."""

from typing import Any

import torch
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.loop.gan import GAN
from tests.toys import toy_trainer


def parameters_of(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def random_loader(*, size: int, channels: int = 1, classes: int = 0, count: int = 8) -> DataLoader[Any]:
    """Batches of four images, with labels that go through the classes in turn."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, size, size, generator=generator) * 2 - 1
    tensors = (images, torch.arange(count) % classes) if classes else (images,)
    return DataLoader(TensorDataset(*tensors), batch_size=4)


def trained(
    module: GAN, *callbacks: Callback, size: int, channels: int = 1, classes: int = 0, batches: int = 1
) -> dict[str, float]:
    """Train for some batches, and give the terms of the last turns."""
    loader = random_loader(size=size, channels=channels, classes=classes, count=4 * batches)
    toy_trainer(*callbacks).fit(module, loader)
    return {name: float(term) for name, term in module._latest_terms.items()}


def moved_by_one_step(
    module: GAN, *callbacks: Callback, size: int, channels: int = 1, classes: int = 0
) -> dict[str, bool]:
    """Whether one batch moved each parameter of the two networks."""
    networks = {"generator": module.generator, "discriminator": module.discriminator}
    before = {
        f"{player}.{name}": parameter.detach().clone()
        for player, network in networks.items()
        for name, parameter in network.named_parameters()
    }
    trained(module, *callbacks, size=size, channels=channels, classes=classes)
    return {
        f"{player}.{name}": not torch.equal(parameter, before[f"{player}.{name}"])
        for player, network in networks.items()
        for name, parameter in network.named_parameters()
    }
