"""Networks for 1024x1024 at each of their nine levels: gradients and steps reach exactly the active parameters."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1, GradientPenalty
from lightning_gan.loop.gan import GAN
from lightning_gan.models import PGGAN, StyleGAN
from tests.toys import Spy, toy_trainer

LEVELS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)


def narrow_pggan() -> GAN:
    """Four feature maps, and one at 1024x1024."""
    torch.manual_seed(0)
    return PGGAN(image_size=1024, latent_dim=4, channel_base=512, channel_max=4)


def wide_pggan() -> GAN:
    """The authors' widths: 23 million parameters each."""
    torch.manual_seed(0)
    return PGGAN(image_size=1024)


def narrow_stylegan() -> GAN:
    """Four feature maps, and one at 1024x1024."""
    torch.manual_seed(0)
    return StyleGAN(
        image_size=1024,
        latent_dim=4,
        style_dim=4,
        mapping_layers=2,
        mapping_width=4,
        channel_base=512,
        channel_max=4,
    )


def wide_stylegan() -> GAN:
    """The authors' widths: 26 and 23 million parameters."""
    torch.manual_seed(0)
    return StyleGAN(image_size=1024)


NARROW: dict[str, tuple[Callable[[], GAN], Callable[[], list[Callback]]]] = {
    "pggan": (narrow_pggan, lambda: [GradientPenalty(weight=10.0, target=1.0)]),
    "stylegan": (narrow_stylegan, lambda: [R1(gamma=10.0)]),
}
WIDE: dict[str, tuple[Callable[[], GAN], Callable[[], list[Callback]]]] = {
    "pggan": (wide_pggan, lambda: [GradientPenalty(weight=10.0, target=1.0)]),
    "stylegan": (wide_stylegan, lambda: [R1(gamma=10.0)]),
}


def active_names(module: GAN, *, player: str, resolution: int, fade_in: float) -> set[str]:
    """The player's parameters that the level needs, from their names alone.

    `blocks.i` leads to level i + 1; `to_rgb.i` and `from_rgb.i` belong to level i. All else is part of every level.
    """
    level = LEVELS.index(resolution)
    heads = {level, level - 1} if fade_in < 1 else {level}
    names = set()
    for name, _ in module.get_submodule(player).named_parameters():
        numbered = re.search(r"\b(blocks|to_rgb|from_rgb)\.(\d+)\.", name)
        if numbered is None or (int(numbered[2]) < level if numbered[1] == "blocks" else int(numbered[2]) in heads):
            names.add(name)
    return names


def play_a_batch(module: GAN, callbacks: list[Callback], *, resolution: int, fade_in: float) -> dict[str, set[str]]:
    """One batch of one image through the loop at a level: which parameters each player's step found gradients in."""
    found: dict[str, set[str]] = {}

    def see(player: str, gan: GAN) -> None:
        parameters = gan.get_submodule(player).named_parameters()
        found[player] = {name for name, parameter in parameters if parameter.grad is not None}

    module.grow(resolution, fade_in, gradient_scale=resolution / 1024)
    images = torch.randint(256, (1, 3, resolution, resolution), dtype=torch.uint8)
    toy_trainer(*callbacks, Spy(see), max_steps=1).fit(module, DataLoader(TensorDataset(images)))
    return found


def check_level(module: GAN, callbacks: list[Callback], *, resolution: int, fade_in: float) -> None:
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    found = play_a_batch(module, callbacks, resolution=resolution, fade_in=fade_in)
    after = dict(module.named_parameters())
    assert found.keys() == {"discriminator", "generator"}
    for player, names in found.items():
        active = active_names(module, player=player, resolution=resolution, fade_in=fade_in)
        assert names == active
        own = {name.removeprefix(f"{player}.") for name in before if name.startswith(f"{player}.")}
        moved = {name for name in own if not torch.equal(before[f"{player}.{name}"], after[f"{player}.{name}"])}
        assert moved <= active
        # More than the head: whole networks learn at every level.
        assert len(moved) > len(active) / 2


@pytest.mark.filterwarnings("ignore:each batch has 1 image")  # as small as possible, because of the large images
@pytest.mark.parametrize("resolution", LEVELS)
@pytest.mark.parametrize("name", NARROW)
def test_a_turn_of_each_player_reaches_exactly_the_active_level(name: str, resolution: int) -> None:
    make, callbacks = NARROW[name]
    module = make()
    for fade_in in (0.5, 1.0) if resolution > 4 else (1.0,):
        check_level(module, callbacks(), resolution=resolution, fade_in=fade_in)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:each batch has 1 image")
@pytest.mark.parametrize("name", WIDE)
def test_networks_of_the_authors_widths_play_at_every_level(name: str) -> None:
    """With the penalty due in every turn, whose double backward needs the most memory: about 5 GB at 1024x1024."""
    make, callbacks = WIDE[name]
    module = make()
    for resolution in LEVELS:
        if resolution > 4:
            check_level(module, callbacks(), resolution=resolution, fade_in=0.5)
        if resolution in (4, 64, 1024):
            check_level(module, callbacks(), resolution=resolution, fade_in=1.0)


def test_the_counts_of_active_parameters_are_those_of_smaller_networks() -> None:
    """A stable level holds as many parameters as a network of that size, without that network's older heads."""

    def heads(network: Any, last: int) -> int:
        return sum(p.numel() for head in network[:last] for p in head.parameters())

    with torch.device("meta"):
        large = StyleGAN(image_size=1024)
        for level, resolution in enumerate(LEVELS[1:], start=1):
            small: Any = StyleGAN(image_size=resolution)
            for player, rgb in (
                ("generator", small.generator.synthesis.to_rgb),
                ("discriminator", small.discriminator.from_rgb),
            ):
                active = active_names(large, player=player, resolution=resolution, fade_in=1.0)
                sizes = dict(large.get_submodule(player).named_parameters())
                whole = sum(p.numel() for p in small.get_submodule(player).parameters())
                assert sum(sizes[name].numel() for name in active) == whole - heads(rgb, level)
