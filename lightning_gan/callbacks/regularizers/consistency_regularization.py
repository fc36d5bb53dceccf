"""Consistency regularization: CR (arXiv:1910.12027), and bCR, zCR and their sum ICR (arXiv:2002.04724)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks.training.progressive_growing import growing_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.augmented_difference import mean_squared_difference, randomly_flipped_and_shifted
from lightning_gan.tensors.draws_by_position import normal_like
from lightning_gan.tensors.shapes import FakeImages, Scalar

LARGEST_CHANNELS = 4
"""Number of colour channels that an image may have. A width that is not larger is taken for a number of channels."""


@dataclass(kw_only=True, eq=False)
class ShiftPenalty(Penalty):
    """The base class of penalties on the difference of the scores of an image and of the same image, shifted.

    Args:
        largest_shift: largest number of pixels that an image of full size is shifted by, not negative. While networks
            grow, it is as large in proportion, rounded to whole pixels: 4 pixels of 32 are 2 pixels of 16.
    """

    player: ClassVar[Player] = "discriminator"

    largest_shift: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.largest_shift < 0:
            raise ValueError(f"{type(self).__name__}: largest_shift={self.largest_shift} must not be negative")
        self._final_height: int | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        growing = growing_of(trainer)
        self._final_height = None if growing is None else growing.schedule.final_resolution

    def moved(self, images: FakeImages) -> FakeImages:
        """Returns images, flipped and shifted at random.

        Raises:
            ValueError: for what is no image.
        """
        _check_images(self, images)
        height = images.shape[2]
        shift = round(self.largest_shift * height / (self._final_height or height))
        return randomly_flipped_and_shifted(images, largest_shift=shift)

    def real_inconsistency(self, turn: Turn) -> Scalar:
        """Returns ``E (D(x) - D(T(x)))^2`` on real images."""
        assert turn.real_logits is not None
        return mean_squared_difference(turn.real_logits, turn.score_reals(self.moved(turn.real)))


@dataclass(kw_only=True, eq=False)
class CR(ShiftPenalty):
    """Adds ``weight * E (D(x) - D(T(x)))^2`` on real images, where T flips and shifts an image at random.

    Zhang et al. 2020, arXiv:1910.12027.

    Args:
        weight: factor of the penalty, the paper's lambda.
        largest_shift: largest number of pixels that an image of full size is shifted by, not negative; while networks
            grow, it is as large in proportion.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative weight or shift. In the first turn, if the discriminator's input is no image, or an
            image with the channels last.
    """

    name: ClassVar[str] = "cr"

    weight: float = 10.0

    def penalty(self, turn: Turn) -> Scalar:
        return self.real_inconsistency(turn)


@dataclass(kw_only=True, eq=False)
class BCR(ShiftPenalty):
    """Adds ``real_weight * E (D(x) - D(T(x)))^2 + fake_weight * E (D(G(z)) - D(T(G(z))))^2``.

    T flips and shifts an image at random (Zhao et al. 2020, arXiv:2002.04724). Together with `ZCRDiscriminator` and
    `ZCRGenerator`, it is the paper's ICR.

    Args:
        real_weight: factor of the term on real images, the paper's lambda_real.
        fake_weight: factor of the term on generated images, the paper's lambda_fake; with 0 the penalty is `CR`.
        largest_shift: largest number of pixels that an image of full size is shifted by, not negative; while networks
            grow, it is as large in proportion.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for negative weights or a negative shift. In the first turn, if the discriminator's input is no
            image, or an image with the channels last.
    """

    name: ClassVar[str] = "bcr"

    real_weight: float = 10.0
    fake_weight: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.real_weight < 0 or self.fake_weight < 0:
            raise ValueError(
                f"BCR: real_weight={self.real_weight} and fake_weight={self.fake_weight} must not be negative"
            )

    @property
    def weight(self) -> float:
        return 1.0  # each of the two terms has a weight of its own

    def penalty(self, turn: Turn) -> Scalar:
        cost = self.real_weight * self.real_inconsistency(turn)
        if not self.fake_weight:
            return cost
        fake = mean_squared_difference(turn.fake_logits, turn.score_fakes(self.moved(turn.fake)))
        return cost + self.fake_weight * fake


@dataclass(kw_only=True, eq=False)
class ZCRDiscriminator(Penalty):
    """Adds ``weight * E (D(G(z)) - D(G(z')))^2``, so that a small step in latent space hardly changes the score.

    z' is z plus a little noise (Zhao et al. 2020, arXiv:2002.04724). Both images get the same noise inputs and style
    mixing (not in a compiled turn, and not in modules that are no `GAN`, whose generator draws anew). The generator
    gets no gradient from this penalty; `ZCRGenerator` is the generator's part.

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

    z' is z plus a little noise (Zhao et al. 2020, arXiv:2002.04724). Both images get the same noise inputs and style
    mixing (not in a compiled turn, and not in modules that are no `GAN`, whose generator draws anew). The term is a
    reward: the weight is positive, and the term in the generator's cost is negative. Squares are averaged over pixels.

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


def _stepped(latents: Tensor, *, noise: float) -> Tensor:
    return latents + noise * normal_like(latents)


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


def _check_noise(penalty: Penalty, noise: float) -> None:
    if noise < 0:
        raise ValueError(f"{type(penalty).__name__}: noise={noise} is a standard deviation and must not be negative")
