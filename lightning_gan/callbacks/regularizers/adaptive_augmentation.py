"""Adaptive discriminator augmentation, ADA (Karras et al. 2020, arXiv:2006.06676)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_gan.augmentations import AugmentationGroups
from lightning_gan.callbacks.regularizers.augmentation import AugmentationPipeline
from lightning_gan.callbacks.regularizers.discriminator_transform import TransformPlace
from lightning_gan.callbacks.regularizers.running_penalty import RunningPenalty
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Scalar

LEAKS_ABOVE = 0.8
"""Above this probability augmentations are likely to appear in generated images (arXiv:2006.06676, section 2.2)."""


def adapted(probability: Scalar, overfitting: Scalar, *, target: float, step: float) -> Scalar:
    """The probability moved by one step of the controller (Karras et al. 2020, arXiv:2006.06676, section 3).

    The authors' code bounds it from below only; here it is also at most 1.

    Args:
        probability: probability p in [0, 1].
        overfitting: the heuristic ``r_t = E[sign(D(x))]`` on real images, in [-1, 1].
        target: value of r_t at which p stays.
        step: size of the step.

    Example:
        >>> adapted(torch.tensor(0.5), torch.tensor(0.75), target=0.6, step=0.25).item()
        0.75
    """
    return (probability + torch.sign(overfitting - target) * step).clamp(0.0, 1.0)


@dataclass(kw_only=True, eq=False)
class AdaptiveAugmentation(RunningPenalty):
    """Augments every image that the discriminator is given, with a probability p that follows its overfitting (ADA).

    Karras et al. 2020, arXiv:2006.06676. Every `interval` batches, p rises if ``r_t = E[sign(D(x))]`` of the real
    images of these batches is above the target, and falls otherwise, by the number of their images over
    `adaptation_kimg`. Real and generated images are augmented in both players' turns, and the generator learns through
    the augmentation. In evaluation mode nothing is changed. Penalties differentiate by the image before the
    augmentation.

    p and r_t are logged as `augmentation/p` and `augmentation/r_t`, and p is saved in checkpoints. There is a warning
    when p exceeds 0.8, above which augmentations are likely to appear in generated images (section 2.2).

    The callback is also a penalty that is 0, which reads the scores of real images. In modules that are no `GAN`, this
    takes another forward pass in each turn of the discriminator, unless `every_n_turns` is larger. The sign of a score
    has to tell real images from fakes, which it does with the non-saturating, hinge and least-squares losses, and not
    with `Wasserstein`.

    Args:
        target: value of r_t at which p stays, in (-1, 1).
        adaptation_kimg: thousands of images in which p can rise from 0 to 1; the authors' value is 500, and 100 for
            transfer.
        interval: number of batches between two steps of p.
        initial_probability: p at the start, in [0, 1].
        groups: factors of the probability for each group of operations.
        every_n_turns: interval of reading the scores, in turns of the discriminator.

    Raises:
        ValueError: for settings out of range, and when fit starts for a loss without a neutral score, such as
            relativistic ones. In the first turn, for colour augmentation of images that have neither 1 nor 3 channels.
    """

    name: ClassVar[str] = "augmentation"
    player: ClassVar[Player] = "discriminator"
    state_names: ClassVar[tuple[str, ...]] = ("p", "r_t", "sum_of_signs", "turns")

    target: float = 0.6
    adaptation_kimg: float = 500.0
    interval: int = 4
    initial_probability: float = 0.0
    groups: AugmentationGroups = AugmentationGroups()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -1 < self.target < 1:
            raise ValueError(
                f"AdaptiveAugmentation: target={self.target} must be between -1 and 1; the authors use 0.6"
            )
        if not self.adaptation_kimg > 0:
            raise ValueError(f"AdaptiveAugmentation: adaptation_kimg={self.adaptation_kimg} must be positive")
        if self.interval < 1:
            raise ValueError(f"AdaptiveAugmentation: interval={self.interval} must be at least 1 batch")
        if not 0 <= self.initial_probability <= 1:
            raise ValueError(
                f"AdaptiveAugmentation: initial_probability={self.initial_probability} must be between 0 and 1"
            )
        if self.weight_schedule is not None:
            raise ValueError(
                "AdaptiveAugmentation: weight_schedule has no effect, because p follows the scores; leave it out, or "
                "use Augmentation(probability=..., schedule=...)"
            )
        self.state[0] = self.initial_probability
        self.pipeline = AugmentationPipeline(groups=self.groups, probability=self.initial_probability)
        self._place = TransformPlace(
            self.pipeline,
            network=self.only_discriminator,
            image=self.image,
            asker="AdaptiveAugmentation",
            setting="discriminator",
        )
        self._neutral_score = 0.0
        self._batches, self._images_since = 0, 0  # since the last step of p
        self._has_warned = False

    @property
    def weight(self) -> float:
        return 1.0

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        logits = full_precision(turn.real_logits)
        signs = torch.sign(logits.detach() - self._neutral_score).mean()
        self.measure(torch.zeros_like(signs), torch.zeros_like(signs), signs, torch.ones_like(signs))
        return 0.0 * logits.mean()

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        return state + measured

    def adapt(self, images: int) -> None:
        """Moves p by one step, and begins to read scores anew. Without scores p stays.

        Args:
            images: number of images since the last step, over all ranks.
        """
        p, overfitting, signs, turns = self.state.unbind()
        latest = signs / turns.clamp(min=1)
        moved = adapted(p, latest, target=self.target, step=images / (1000 * self.adaptation_kimg))
        p, overfitting = torch.where(turns > 0, torch.stack([moved, latest]), torch.stack([p, overfitting]))
        self.state = torch.stack([p, overfitting, torch.zeros_like(p), torch.zeros_like(p)])

    # ------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._place.check(pl_module)
        neutral = host_of(pl_module).neutral_score
        if neutral is None:
            raise ValueError(
                "AdaptiveAugmentation: the loss has no score that lies between real images and fakes, so that the sign "
                "of a score tells nothing; give the probability yourself: Augmentation(probability=0.3)"
            )
        self._neutral_score = neutral

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._place.place(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.pipeline.p.copy_(self.state[0])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.log_every_n_steps == 0 and not self._has_warned:  # type: ignore[attr-defined]
            self._warn_of_leaks(float(self.state[0]))  # waits for the device, as the loggers do
        self._batches += 1
        self._images_since += self.images_seen - self.images_before
        if self._batches >= self.interval:
            self.adapt(self._images_since)
            self._batches, self._images_since = 0, 0

    def _warn_of_leaks(self, p: float) -> None:
        if p > LEAKS_ABOVE:
            self._has_warned = True
            rank_zero_warn(
                f"AdaptiveAugmentation: p={p:.2f} is above {LEAKS_ABOVE}, where augmentations are likely to appear in "
                "generated images (arXiv:2006.06676, section 2.2); more images, a smaller discriminator or a stronger "
                "R1 lower it"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._place.remove()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._place.remove()

    def logged_state(self, trainer: Trainer) -> dict[str, Tensor]:
        return {"augmentation/p": self.state[0], "augmentation/r_t": self.state[1]}

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"batches": self._batches, "images": self._images_since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._batches, self._images_since = state_dict["batches"], state_dict["images"]
