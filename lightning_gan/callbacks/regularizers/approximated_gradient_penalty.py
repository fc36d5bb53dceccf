"""R1 and R2 from finite differences of scores, as in adversarial post-training (Lin et al. 2025, arXiv:2501.08316)."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn.utils.parametrize import cached, is_parametrized

from lightning_gan.callbacks.regularizers.gradient_penalty import PenaltyOnShare
from lightning_gan.callbacks.regularizers.instance_noise import InstanceNoise
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.turn import Turn
from lightning_gan.penalties.gradient import squared_slope_along
from lightning_gan.tensors.draws_by_position import normal_like
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


@dataclass(kw_only=True, eq=False)
class FiniteDifferencePenalty(PenaltyOnShare):
    """The base class of penalties ``gamma / 2 * E ((D(x + h u) - D(x)) / h)^2``, with standard normal directions u.

    Both passes must compute the same function: no dropout, and no other random numbers in the discriminator. Weights
    that are computed from others in every forward pass, as by spectral normalization, are computed once for both.

    Args:
        gamma: strength of the penalty, gamma of `R1` and `R2`.
        step: standard deviation of the noise per pixel, the h of the formula; above 0.
        batch_share: share of the batch that the penalty is computed on, in (0, 1].

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator, and for spectral normalization by hooks.
    """

    step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step <= 0:
            raise ValueError(
                f"{type(self).__name__}: step={self.step} must be positive; 0.01 suits images in [-1, 1], 0.1 videos"
            )
        self._has_computed_weights = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        name = type(self).__name__
        for path in self.discriminators:
            self._check_weights(host_of(pl_module).network(path, setting=f"{name}(discriminator=...)"))
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            noisy = isinstance(callback, InstanceNoise) and callback.standard_deviation > 0
            if noisy and callback.network in self.discriminators:
                raise ValueError(
                    f"{name}: InstanceNoise(network={callback.network!r}) adds other noise to each of the two images, "
                    "so that their scores differ by more than the step does; leave it out, or use R1 or R2"
                )

    def _check_weights(self, critic: nn.Module) -> None:
        self._has_computed_weights |= any(is_parametrized(module) for module in critic.modules())
        for path, module in critic.named_modules():
            own = {part for part, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))}
            if {"weight_orig", "weight_u"} <= own:
                raise ValueError(
                    f"{type(self).__name__}: torch.nn.utils.spectral_norm of the discriminator's layer {path!r} "
                    "changes the weight between the two scores; use torch.nn.utils.parametrizations.spectral_norm, or "
                    "SpectralNorm"
                )

    @abstractmethod
    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Images]:
        """Returns the function that scores such images, and the images of the turn."""

    @abstractmethod
    def logits(self, turn: Turn) -> Logits:
        """Returns the logits of the turn for these images."""

    def penalty(self, turn: Turn) -> Scalar:
        scorer, images = self.samples(turn)
        score = partial(self.scores_of, score=scorer)
        images = images.detach()[: self.samples_of(len(images))]
        device = images.device.type
        if torch.is_autocast_enabled(device) or self._has_computed_weights:
            with torch.autocast(device, enabled=False), cached():
                squares = self._squares(score, score(images), images)
        else:  # the scores of the turn are precise already
            squares = self._squares(score, self.logits(turn)[: len(images)], images)
        return squares.mean() * turn.gradient_scale**2

    def _squares(self, score: Callable[[Images], Logits], logits: Logits, images: Images) -> PerSample:
        mean = self.mean_over_patches
        return squared_slope_along(score, logits, images, normal_like(images), step=self.step, mean_over_patches=mean)


@dataclass(kw_only=True, eq=False)
class FiniteDifferenceR1(FiniteDifferencePenalty):
    """Estimates `R1` from a second forward pass, of real images with a little noise.

    It suits discriminators that cannot be differentiated twice. The estimate is noisy, and unbiased up to the
    discriminator's curvature. Lin et al. 2025 (arXiv:2501.08316) call it approximated R1. They use the weight
    lambda = 100 with the step sigma = 0.01 for images and 0.1 for videos (quoted from a reimplementation), in the
    latent space of an autoencoder. Their lambda is ``gamma / 2 / step^2``, so that gamma is 0.02 and 2.

    A difference of two scores loses the digits that they share. Under autocast (bf16-mixed, 16-mixed) both are computed
    without it, in the precision of the weights, at the cost of one more forward pass. The value is then that of fp32.
    With weights in bf16 (bf16-true) nothing can be done: their scores have 3 digits, and the
    estimate is useless unless the step is much larger. The same is true if the discriminator turns autocast on itself.

    Both passes must compute the same function. The discriminator must have no dropout or other random numbers, and no
    random transforms of its images: the passes would differ by more than the effect of the step. `InstanceNoise` is
    such a transform, and is refused. With spectral normalization, whose power iteration changes the weights in every
    forward pass, both scores are computed anew with the same weights. By PyTorch's hooks this is not possible, and they
    are refused.

    Args:
        gamma: strength of the penalty, gamma of `R1`.
        step: standard deviation of the noise per pixel, on the scale of images in [-1, 1]; above 0.
        batch_share: share of the batch that the penalty is computed on, in (0, 1]: the first
            ``ceil(batch_share * batch size)`` real images of each rank and slice.
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator, and for spectral normalization by hooks.
    """

    name: ClassVar[str] = "finite_difference_r1"

    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Images]:
        return turn.score_reals, turn.real

    def logits(self, turn: Turn) -> Logits:
        assert turn.real_logits is not None
        return turn.real_logits


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
        mean_over_patches: whether a patch discriminator's score of an image is the mean of its map of scores. False
            takes the sum, whose gradient is as many times larger as the map has scores.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a step that is not positive, or a share outside (0, 1]. When fit starts, beside
            `InstanceNoise` of the same discriminator, and for spectral normalization by hooks.
    """

    name: ClassVar[str] = "finite_difference_r2"

    def samples(self, turn: Turn) -> tuple[Callable[[Images], Logits], Images]:
        return turn.score_fakes, turn.fake

    def logits(self, turn: Turn) -> Logits:
        return turn.fake_logits
