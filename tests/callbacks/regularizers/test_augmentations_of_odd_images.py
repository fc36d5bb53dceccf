"""ADA, APA and DiffAugment of images of two and five channels, of other ratios of sides, one at a time, in bf16.

And of discriminators that take a dictionary.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks import (
    R1,
    R2,
    AdaptiveAugmentation,
    AdaptivePseudoAugmentation,
    Augmentation,
    DiffAugment,
)
from lightning_gan.loop.gan import GAN
from tests.foreign.games import IMAGES, NAMES, Critic, Game, fit
from tests.toys import FAST, equal, toy_trainer, weights_of

HEIGHT, WIDTH = 4, 6
WITHOUT_COLOUR = AugmentationGroups(colour=0.0, filter=1.0, noise=1.0, cutout=1.0)

CALLBACKS: dict[str, Callable[[], Callback]] = {
    "ada": lambda: AdaptiveAugmentation(initial_probability=0.7, groups=WITHOUT_COLOUR),
    "apa": lambda: AdaptivePseudoAugmentation(initial_probability=0.7),
    "augmentation": lambda: Augmentation(probability=0.7, groups=WITHOUT_COLOUR),
    "diff_augment": lambda: DiffAugment(),
}


def trained(*callbacks: Callback, channels: int, batch_size: int = 1, **settings: Any) -> GAN:
    """A GAN of small images after three batches, with both gradient penalties."""
    torch.manual_seed(7)
    size = channels * HEIGHT * WIDTH
    module = GAN(
        generator=nn.Sequential(nn.Linear(4, size), nn.Tanh(), nn.Unflatten(1, (channels, HEIGHT, WIDTH))),
        discriminator=nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 1)),
        latent_dim=4,
        training=FAST,
    )
    images = torch.rand(12, channels, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3)) * 2 - 1
    trainer = toy_trainer(*callbacks, R1(gamma=1.0), R2(gamma=1.0), limit_train_batches=3, **settings)
    trainer.fit(module, DataLoader(TensorDataset(images), batch_size=batch_size))
    return module


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS)
def test_other_numbers_of_channels_and_single_oblong_images_are_augmented(
    make: Callable[[], Callback], channels: int, precision: str
) -> None:
    plain = trained(channels=channels, precision=precision)
    moved = trained(make(), channels=channels, precision=precision)
    assert all(weight.isfinite().all() for weight in moved.parameters())
    assert not equal(weights_of(plain.discriminator), weights_of(moved.discriminator))
    assert not equal(weights_of(plain.generator), weights_of(moved.generator))


@pytest.mark.parametrize(
    "make",
    [
        lambda groups: AdaptiveAugmentation(groups=groups),
        lambda groups: Augmentation(probability=0.5, groups=groups),
    ],
    ids=["ada", "augmentation"],
)
def test_colours_of_two_channels_are_refused_in_the_first_turn_and_what_is_advised_trains(
    make: Callable[[AugmentationGroups], Callback],
) -> None:
    """Also while p is still 0."""
    text = (
        r"images of 1 or 3 channels, not of 2; leave colours out: groups=AugmentationGroups\(colour=0\.0\), which is "
    )
    with pytest.raises(ValueError, match=text + r"--AdaptiveAugmentation\.groups\.colour 0 or --Augmentation\.groups"):
        trained(make(AugmentationGroups()), channels=2)
    trained(make(AugmentationGroups(colour=0.0)), channels=2)


# ---------------------------------------------------------------------- dictionaries


class DictionaryCritic(Critic):
    """Scores of `sample["image"]`, which are scaled by `sample["scale"]`. It notes both."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, sample: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        self.seen.append((sample["image"].detach().clone(), sample["scale"].detach().clone()))
        return super().forward(sample["image"]) * sample["scale"]


class DictionaryGame(Game):
    """Its batch is a dictionary, which its critic takes as it is, and with a fake in the place of the image."""

    def make_critic(self) -> nn.Module:
        return DictionaryCritic()

    def critic_loss(self, batch: Any) -> Tensor:
        fake = self.fakes(batch["image"]).detach()
        return self.loss(self.D(batch), self.D({**batch, "image": fake}))

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D({**batch, "image": self.fakes(batch["image"])})).mean()


def constant(module: LightningModule, count: int, seed: int) -> Tensor:
    return torch.full((count, 1, 4, 4), 0.25, dtype=torch.float64)


@pytest.mark.parametrize(
    "make",
    [
        lambda place: AdaptiveAugmentation(
            initial_probability=1.0, target=-0.9, groups=WITHOUT_COLOUR, **place, **NAMES
        ),
        lambda place: AdaptivePseudoAugmentation(
            initial_probability=1.0, target=-0.9, sampler=constant, **place, **NAMES
        ),
        lambda place: Augmentation(probability=1.0, groups=WITHOUT_COLOUR, network="D", **place),
        lambda place: DiffAugment(network="D", **place),
    ],
    ids=CALLBACKS,
)
@pytest.mark.filterwarnings("ignore:Adaptive.*ugmentation. p")
def test_the_image_in_a_dictionary_is_augmented_alone_and_must_be_named_beside_other_numbers(
    make: Callable[[dict[str, Any]], Callback],
) -> None:
    random = torch.Generator().manual_seed(5)
    scales = [torch.rand(1, dtype=torch.float64, generator=random) for _ in IMAGES]
    items = [{"image": image, "scale": scale} for image, scale in zip(IMAGES, scales, strict=True)]
    with pytest.raises(ValueError, match=r"'D' was called with \(sample\.image: 4x1x4x4, sample\.scale: 4x1\).*image="):
        fit(DictionaryGame, items, make({}), limit_train_batches=1)
    plain, moved = (
        fit(DictionaryGame, items, *callbacks, limit_train_batches=1)
        for callbacks in ([], [make({"image": "sample.image"})])
    )
    real, scale = moved.D.seen[0]
    assert torch.equal(scale, plain.D.seen[0][1])
    assert not (real == plain.D.seen[0][0]).flatten(1).all(1).any()
    if isinstance(make({}), AdaptivePseudoAugmentation):
        assert torch.equal(real, constant(moved, 4, 0))
