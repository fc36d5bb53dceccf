"""Consistency regularization: CR (arXiv:1910.12027), and bCR, zCR and their sum ICR (arXiv:2002.04724)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.augmented_difference import mean_squared_difference, randomly_flipped_and_shifted
from lightning_gan.tensors.shapes import FakeImages, Scalar

LARGEST_CHANNELS = 4
"""Number of colour channels that an image may have. A width that is not larger is taken for a number of channels."""


@dataclass(kw_only=True, eq=False)
class CR(Penalty):
    """Adds ``weight * E (D(x) - D(T(x)))^2`` on real images, where T flips and shifts an image at random.

    Zhang et al. 2020, arXiv:1910.12027.

    Args:
        weight: factor of the penalty, the paper's lambda.
        largest_shift: largest number of pixels that an image is shifted by, not negative.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative weight or shift. In the first turn, if the discriminator's input is no image, or an
            image with the channels last.
    """

    name: ClassVar[str] = "cr"
    player: ClassVar[Player] = "discriminator"

    weight: float = 10.0
    largest_shift: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shift(self, self.largest_shift)

    def penalty(self, turn: Turn) -> Scalar:
        return _real_inconsistency(self, turn, largest_shift=self.largest_shift)


@dataclass(kw_only=True, eq=False)
class BCR(Penalty):
    """Adds ``real_weight * E (D(x) - D(T(x)))^2 + fake_weight * E (D(G(z)) - D(T(G(z))))^2``.

    T flips and shifts an image at random (Zhao et al. 2020, arXiv:2002.04724). Together with `ZCRDiscriminator` and
    `ZCRGenerator`, it is the paper's ICR.

    Args:
        real_weight: factor of the term on real images, the paper's lambda_real.
        fake_weight: factor of the term on generated images, the paper's lambda_fake; with 0 the penalty is `CR`.
        largest_shift: largest number of pixels that an image is shifted by, not negative.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for negative weights or a negative shift. In the first turn, if the discriminator's input is no
            image, or an image with the channels last.
    """

    name: ClassVar[str] = "bcr"
    player: ClassVar[Player] = "discriminator"

    real_weight: float = 10.0
    fake_weight: float = 10.0
    largest_shift: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.real_weight < 0 or self.fake_weight < 0:
            raise ValueError(
                f"BCR: real_weight={self.real_weight} and fake_weight={self.fake_weight} must not be negative"
            )
        _check_shift(self, self.largest_shift)

    @property
    def weight(self) -> float:
        return 1.0  # each of the two terms has a weight of its own

    def penalty(self, turn: Turn) -> Scalar:
        cost = self.real_weight * _real_inconsistency(self, turn, largest_shift=self.largest_shift)
        if not self.fake_weight:
            return cost
        _check_images(self, turn.fake)
        moved = randomly_flipped_and_shifted(turn.fake, largest_shift=self.largest_shift)
        fake = mean_squared_difference(turn.fake_logits, turn.score_fakes(moved))
        return cost + self.fake_weight * fake


@dataclass(kw_only=True, eq=False)
class ZCRDiscriminator(Penalty):
    """Adds ``weight * E (D(G(z)) - D(G(z')))^2``, so that a small step in latent space hardly changes the score.

    z' is z plus a little noise (Zhao et al. 2020, arXiv:2002.04724). The generator gets no gradient from this penalty;
    `ZCRGenerator` is the generator's part.

    Args:
        weight: factor of the penalty, the paper's lambda_dis.
        noise: standard deviation of the noise on the latents, not negative.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative weight or noise.
    """

    name: ClassVar[str] = "zcr"
    player: ClassVar[Player] = "discriminator"

    weight: float = 20.0
    noise: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_noise(self, self.noise)

    def penalty(self, turn: Turn) -> Scalar:
        with torch.no_grad():
            stepped = turn.generator(_stepped(turn.latents, noise=self.noise), turn.fake_labels)
        return mean_squared_difference(turn.fake_logits, turn.score_fakes(stepped.detach()))


@dataclass(kw_only=True, eq=False)
class ZCRGenerator(Penalty):
    """Adds ``-weight * E (G(z) - G(z'))^2``, so that a small step in latent space changes the generated image.

    z' is z plus a little noise (Zhao et al. 2020, arXiv:2002.04724). The term is a reward: the weight is positive, and
    the term in the generator's cost is negative. Squares are averaged over pixels.

    Args:
        weight: factor of the reward, the paper's lambda_gen, not negative.
        noise: standard deviation of the noise on the latents, not negative.
        every_n_turns: interval, in turns of the generator, at which the reward is added with n times its weight.

    Raises:
        ValueError: for a negative weight or noise.
    """

    name: ClassVar[str] = "zcr"
    player: ClassVar[Player] = "generator"

    weight: float = 0.5
    noise: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_noise(self, self.noise)

    def penalty(self, turn: Turn) -> Scalar:
        stepped = turn.generator(_stepped(turn.latents, noise=self.noise), turn.fake_labels)
        return -mean_squared_difference(turn.fake, stepped)


def _real_inconsistency(penalty: Penalty, turn: Turn, *, largest_shift: int) -> Scalar:
    assert turn.real_logits is not None
    _check_images(penalty, turn.real)
    moved = randomly_flipped_and_shifted(turn.real, largest_shift=largest_shift)
    return mean_squared_difference(turn.real_logits, turn.score_reals(moved))


def _stepped(latents: Tensor, *, noise: float) -> Tensor:
    return latents + noise * torch.randn_like(latents)


def _check_images(penalty: Penalty, images: FakeImages) -> None:
    """Checks that images can be flipped and shifted in their last two dimensions.

    Raises:
        ValueError: for images of one pixel, as which a module's vectors are shown, and for channels in the last place.
    """
    name, (_, channels, height, width) = type(penalty).__name__, images.shape
    if height == width == 1:
        raise ValueError(
            f"{name}: the discriminator's input has {channels} features and is no image (batch channels height width), "
            f"so that no flip or shift changes it; leave {name} out, or use LeCam, ZCRDiscriminator or ConsistencyTerm"
        )
    if channels > LARGEST_CHANNELS and height > LARGEST_CHANNELS and width <= LARGEST_CHANNELS:
        raise ValueError(
            f"{name}: the discriminator's input has {channels} channels of {height}x{width} pixels, as if its channels "
            "were last; give the discriminator images as batch channels height width"
        )


def _check_shift(penalty: Penalty, largest_shift: int) -> None:
    if largest_shift < 0:
        raise ValueError(f"{type(penalty).__name__}: largest_shift={largest_shift} must not be negative")


def _check_noise(penalty: Penalty, noise: float) -> None:
    if noise < 0:
        raise ValueError(f"{type(penalty).__name__}: noise={noise} is a standard deviation and must not be negative")
