"""Adaptive pseudo augmentation, APA (Jiang et al. 2021, arXiv:2111.06849): generated images are shown as real ones."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.augmentations import pseudo_augmented
from lightning_gan.callbacks.regularizers.adaptive_probability import AdaptiveProbability
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.placed_replacement import PlacedReplacement, ReplacedSettings
from lightning_gan.foreign.sampler import Sampler
from lightning_gan.loop.transforms import RealTransform
from lightning_gan.loop.turn import Turn
from lightning_gan.tensors.shapes import Images, PerSample, Scalar


class PseudoAugmentation(RealTransform):
    """APA's transform of real images, with the probability `p`.

    Args:
        probability: probability p at the start, in [0, 1].
    """

    p: Tensor

    def __init__(self, *, probability: float) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(probability), persistent=False)

    def forward(self, images: Images, generated: Images, chances: PerSample) -> Images:
        """Returns images of which some are generated, `batch channels height width`."""
        return pseudo_augmented(images, generated, chances, self.p)


@dataclass(kw_only=True, eq=False)
class AdaptivePseudoAugmentation(AdaptiveProbability):
    """Shows the discriminator generated images as real ones, with a probability p that follows its overfitting (APA).

    Jiang et al. 2021, arXiv:2111.06849, an alternative to ADA for few images, and a complement of it. In the
    discriminator's turn each real image is replaced by a generated one with the probability p. It is made of latents of
    its own, without gradient, and has the label of the real image. The cost, the penalties and the heuristic take what
    results for the real images. In the generator's turn nothing is replaced. Augmentations come after it.

    Every `interval` batches, p rises if the heuristic lambda of these batches is above the target, and falls otherwise,
    by the number of their images over `adaptation_kimg`, as ADA's p does. lambda is
    ``s * E[sign(D(x))] - (1 - s) * E[sign(D(G(z)))]`` with s = `real_share`: lambda_r, lambda_f or lambda_rf of the
    paper for 1, 0 or 0.5. p and lambda are logged as `pseudo_augmentation/p` and `pseudo_augmentation/r_t`, and p is
    saved in checkpoints. There is a warning when p reaches 1, where no real image is shown any more.

    Each turn of the discriminator takes another forward pass of the generator, also while p is 0. At p = 0 a training
    is the same bit for bit as without the callback, and up to rounding where `training.one_pass` would send real images
    and fakes through the discriminator together, which it does in turns without penalties alone. The authors' code
    takes the images of the generator's last turn instead, and applies the labels as here; ours are the same for any
    number of ranks, and after a resume. In modules that are no `GAN`, `sampler` makes the images, and real is what lies
    in the memory of the batch, or is marked with `lightning_gan.real`. Other arguments of the discriminator, such as
    conditions, stay those of the real image. The sign of a score has to tell real images from fakes, as for
    `AdaptiveAugmentation`.

    Args:
        target: value of lambda at which p stays, in (-1, 1); the authors recommend smaller ones for fewer images.
        adaptation_kimg: thousands of images in which p can rise from 0 to 1; the authors' value is 500.
        interval: number of batches between two steps of p.
        initial_probability: p at the start, in [0, 1].
        real_share: share s of lambda_r in the heuristic, in [0, 1]; the authors' code has 1.
        sampler: function of (module, count, seed) that makes images as the discriminator gets them, for modules that
            are no `GAN`. They are in training mode, no gradient is computed, and PyTorch's random numbers are seeded,
            those of dropout too. On several ranks, each makes the images of all ranks and takes its rows, so that the
            result is that of one process; on n ranks this pass of the generator takes n times as long.
        every_n_turns: interval of reading the scores, in turns of the discriminator.

    Raises:
        ValueError: for settings out of range, and when fit starts for a loss without a neutral score, such as
            relativistic ones, for `Wasserstein`, for models whose turns depend on each other, for a module that is no
            `GAN` without a `sampler`, and for a compiled discriminator of such a module. After its first batch, if no
            real images were found in it.
    """

    name: ClassVar[str] = "pseudo_augmentation"

    real_share: float = 1.0
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.real_share <= 1:
            raise ValueError(
                f"AdaptivePseudoAugmentation: real_share={self.real_share} must be between 0 and 1; 1 is the authors'"
            )
        if callable(self.real):
            raise ValueError(
                "AdaptivePseudoAugmentation: real is a function of the batch, whose images are not those that the "
                "discriminator gets when some are replaced; leave it out, and mark the real images in the step if they "
                "are not found: `from lightning_gan import real`, then discriminator(real(x))"
            )
        self.transform = PseudoAugmentation(probability=self.initial_probability)
        self._replacement: PlacedReplacement | None = None

    def overfitting(self, turn: Turn) -> Scalar:
        if self.real_share == 1:  # in other modules the fakes then need not be identified
            return self.signs_of(turn.real_logits)
        if self.real_share == 0:
            return -self.signs_of(turn.fake_logits)
        share = self.real_share
        return share * self.signs_of(turn.real_logits) - (1 - share) * self.signs_of(turn.fake_logits)

    def check_place(self, pl_module: LightningModule) -> None:
        self.place(pl_module)
        self.remove()

    def place(self, pl_module: LightningModule) -> None:
        self.remove()
        settings = ReplacedSettings(
            asker="AdaptivePseudoAugmentation",
            discriminator=self.only_discriminator,
            image=self.image,
            sampler=self.sampler,
        )
        transform = self.transform.to(pl_module.device)
        self._replacement = host_of(pl_module).place_real_transform(transform, settings)

    def remove(self) -> None:
        if self._replacement is not None:
            self._replacement.remove()
            self._replacement = None

    def use_probability(self, probability: Tensor) -> None:
        self.transform.p.copy_(probability)

    def problem_of(self, probability: float) -> str | None:
        if probability < 1:
            return None
        return (
            "p has reached its bound 1, so that the discriminator is shown no real image any more; more images, a "
            "smaller discriminator, a stronger R1 or a higher target lower it"
        )

    # ------------------------------------------------------------------ Lightning's hooks

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        assert self._replacement is not None
        self._replacement.begin_batch(self.images_seen)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._replacement is not None
        self._replacement.end_batch()
