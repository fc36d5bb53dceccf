"""R1 and R2 from finite differences of scores, as in adversarial post-training (Lin et al. 2025, arXiv:2501.08316)."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gan.callbacks.regularizers.gradient_penalty import PenaltyOnShare
from lightning_gan.callbacks.regularizers.instance_noise import InstanceNoise
from lightning_gan.loop.turn import Turn
from lightning_gan.penalties.gradient import squared_slope_along
from lightning_gan.tensors.shapes import Images, Logits, Scalar


def scored_without_autocast(score: Callable[[Images], Logits], logits: Logits, images: Images) -> Logits:
    """Returns the logits of images in the precision of the weights.

    Under autocast the images are scored again without it. The discriminator's layers then compute in the precision of
    their weights, usually fp32. Without autocast the given logits are precise already, and no forward pass is needed.

    Args:
        score: function that returns the logits of images.
        logits: logits of these images, computed with autocast if it is on now.
        images: images that the result is for.
    """
    device = images.device.type
    if not torch.is_autocast_enabled(device):
        return logits
    with torch.autocast(device, enabled=False):
        return score(images)


@dataclass(kw_only=True, eq=False)
class FiniteDifferencePenalty(PenaltyOnShare):
    """The base class of penalties ``gamma / 2 * E ((D(x + h u) - D(x)) / h)^2``, with standard normal directions u.

    Both passes must compute the same function: no dropout, and no other random numbers in the discriminator.

    Args:
        gamma: strength of the penalty, gamma of `R1` and `R2`.
        step: standard deviation of the noise per pixel, the h of the formula; above 0.
        batch_share: share of the batch that the penalty is computed on, in (0, 1].

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator.
    """

    step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step <= 0:
            raise ValueError(
                f"{type(self).__name__}: step={self.step} must be positive; 0.01 suits images in [-1, 1], 0.1 videos"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        name = type(self).__name__
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            noisy = isinstance(callback, InstanceNoise) and callback.standard_deviation > 0
            if noisy and callback.network == self.discriminator:
                raise ValueError(
                    f"{name}: InstanceNoise(network={callback.network!r}) adds other noise to each of the two images, "
                    "so that their scores differ by more than the step does; leave it out, or use R1 or R2"
                )

    @abstractmethod
    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Logits, Images]:
        """Returns the function that scores such images, the logits of the turn, and the images that these are of."""

    def penalty(self, turn: Turn) -> Scalar:
        score, logits, images = self.samples(turn)
        count = self.samples_of(len(images))
        images = images.detach()[:count]
        logits = scored_without_autocast(score, logits[:count], images)
        with torch.autocast(images.device.type, enabled=False):
            squares = squared_slope_along(score, logits, images, torch.randn_like(images), step=self.step)
        return squares.mean() * turn.gradient_scale**2


@dataclass(kw_only=True, eq=False)
class FiniteDifferenceR1(FiniteDifferencePenalty):
    """Estimates `R1` from a second forward pass, of real images with a little noise.

    It suits discriminators that cannot be differentiated twice. The estimate is noisy, and unbiased up to the
    discriminator's curvature. Lin et al. 2025 (arXiv:2501.08316) call it approximated R1. They use the weight
    lambda = 100 with the step sigma = 0.01 for images and 0.1 for videos (quoted from a reimplementation), in the
    latent space of an autoencoder. Their lambda is ``gamma / 2 / step^2``, so that gamma is 0.02 and 2.

    A difference of two scores loses the digits that they share. Under autocast (bf16-mixed, 16-mixed) both are computed
    without it, in the precision of the weights, at the cost of one more forward pass. The value is then that of fp32.
    In a `GAN` the backward still runs under autocast and rounds the gradient (measured in bf16: cosine 0.98 or more
    with that of fp32). With weights in bf16 (bf16-true) nothing can be done: their scores have 3 digits, and the
    estimate is useless unless the step is much larger. The same is true if the discriminator turns autocast on itself.

    Both passes must compute the same function. The discriminator must have no dropout or other random numbers, and no
    random transforms of its images: the passes would differ by more than the effect of the step. `InstanceNoise` is
    such a transform, and is refused.

    Args:
        gamma: strength of the penalty, gamma of `R1`.
        step: standard deviation of the noise per pixel, on the scale of images in [-1, 1]; above 0.
        batch_share: share of the batch that the penalty is computed on, in (0, 1]: the first
            ``ceil(batch_share * batch size)`` real images of each rank and slice.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator.
    """

    name: ClassVar[str] = "finite_difference_r1"

    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Logits, Images]:
        assert turn.real_logits is not None
        return turn.score_reals, turn.real_logits, turn.real


@dataclass(kw_only=True, eq=False)
class FiniteDifferenceR2(FiniteDifferencePenalty):
    """Estimates `R2` from a second forward pass, of generated images with a little noise.

    It is the twin of `FiniteDifferenceR1`, whose docstring says which precision and which discriminators it needs.
    Adversarial Flow Models (Lin et al. 2025, arXiv:2511.22475) use both on a quarter of the batch. The generator gets
    no gradient from it.

    Args:
        gamma: strength of the penalty, gamma of `R2`.
        step: standard deviation of the noise per pixel, on the scale of images in [-1, 1]; above 0.
        batch_share: share of the batch that the penalty is computed on, in (0, 1]: the first
            ``ceil(batch_share * batch size)`` fakes of each rank and slice.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator.
    """

    name: ClassVar[str] = "finite_difference_r2"

    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Logits, Images]:
        return turn.score_fakes, turn.fake_logits, turn.fake
