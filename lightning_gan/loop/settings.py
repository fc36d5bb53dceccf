"""The settings of a training as one argument: loss, optimizers, alternation of the players, and seed."""

import math
from dataclasses import dataclass

import torch
from lightning.pytorch.cli import OptimizerCallable

from lightning_gan.losses import AdversarialLoss
from lightning_gan.optimizers import GANAdam


def try_optimizer(make: OptimizerCallable, *, name: str) -> None:
    """Make an optimizer and let it take a step on one number, so that a wrong setting is found before training.

    Args:
        make: function that makes the optimizer from parameters.
        name: name of the setting, for the error message.

    Raises:
        ValueError: if the optimizer does not accept its settings, or cannot take a step as the turns of a GAN do: with
            gradients that are there, and without computing the cost again.
    """
    number = torch.nn.Parameter(torch.zeros(1))
    number.grad = torch.zeros(1)
    try:
        optimizer = make([{"params": [number]}])
    except (ValueError, TypeError) as error:
        raise ValueError(f"training.{name}: {error}; correct its settings") from error
    try:
        with torch.random.fork_rng(devices=[]):  # an optimizer may draw noise
            optimizer.step()
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"training.{name}={type(optimizer).__name__} cannot take the steps of a turn; give another optimizer, such "
            "as GANAdam"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Training:
    """The settings of a training, which are the same for every model.

    Args:
        loss: The adversarial loss of both players. None takes the model's own, which is the non-saturating loss unless
            the model's description names another one.
        generator_optimizer: Makes the generator's optimizer from its parameters. A model that trains an encoder or a
            policy as the generator's player trains it with this optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters. A learning rate other than the
            generator's is the two time-scale update rule (TTUR, arXiv:1706.08500).
        discriminator_turns: How many times the discriminator is trained for each time the generator is trained. 0 never
            trains the discriminator.
        turns_share_batch: False takes a new batch from the data for every turn of the discriminator. True cuts each
            batch into `discriminator_turns` equal parts, one for each turn, and the generator's turn uses the last one.
        accumulate_slices: Each turn works through its images in this many slices of equal size, and takes one step with
            the mean of their gradients. More slices need less memory. It must divide the images of a turn on each
            device.
        generator_batch_multiple: In its turn, the generator makes this many images for each real image of the turn (2
            in WGAN-GP, arXiv:1704.00028, and in SNGAN, arXiv:1802.05957).
        uniform_labels: True draws the classes of generated images uniformly. False gives them the classes of the real
            images of the batch.
        discriminator_clip_norm: Scales the discriminator's gradient down when its L2 norm is larger than this. None
            does not limit it.
        discriminator_clip_value: Limits every component of the discriminator's gradient to this absolute value. None
            does not limit them.
        generator_clip_norm: Scales the generator's gradient down when its L2 norm is larger than this. None does not
            limit it.
        generator_clip_value: Limits every component of the generator's gradient to this absolute value. None does not
            limit them.
        check_pixel_range: Whether the first batch of float images is refused if its values do not look like [-1, 1]:
            if none is negative, or one is outside of [-1.5, 1.5]. False takes the values as they are.
        one_pass: True sends real images and fakes through the discriminator together in its turns in which no penalty
            is due, which takes about half the calls. The scores are those of two passes if each depends on its own
            sample alone; dropout and noise draw other numbers, and spectral normalization is advanced once and not
            twice (as in BigGAN's code). False takes two passes. None takes one pass where the model is known to give
            the same scores (`R1ResNet`), and otherwise two.
        use_fakes_twice: True lets the generator learn from the images of the discriminator's turn before its own, which
            saves a pass of the generator, as in the Torch code of DCGAN and in PyTorch's example. False makes images of
            new latents for it. None takes True in `DCGAN`, and otherwise False. True needs `accumulate_slices=1`,
            `generator_batch_multiple=1` and turns of the discriminator.
        compile: True compiles each player's whole cost, with the penalties of callbacks, into one graph
            (`torch.compile`). Each kind of turn is compiled once, which takes up to minutes; a later start finds the
            code in the user's cache folder. What cannot be compiled is trained eagerly, with one warning.
        seed: The latents, and the noise that the networks draw themselves, are functions of this seed and of the number
            of images seen, so that a resumed run repeats an uninterrupted one. On the command line it follows
            `seed_everything`.

    Raises:
        ValueError: for negative `discriminator_turns`, other counts below 1, limits that are not positive, and
            optimizers that do not accept their settings.
    """

    loss: AdversarialLoss | None = None
    generator_optimizer: OptimizerCallable = GANAdam
    discriminator_optimizer: OptimizerCallable = GANAdam
    discriminator_turns: int = 1
    turns_share_batch: bool = False
    accumulate_slices: int = 1
    generator_batch_multiple: int = 1
    uniform_labels: bool = False
    discriminator_clip_norm: float | None = None
    discriminator_clip_value: float | None = None
    generator_clip_norm: float | None = None
    generator_clip_value: float | None = None
    check_pixel_range: bool = True
    one_pass: bool | None = None
    use_fakes_twice: bool | None = None
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.discriminator_turns < 0:
            raise ValueError(f"discriminator_turns={self.discriminator_turns} must not be negative")
        counts = {
            "accumulate_slices": self.accumulate_slices,
            "generator_batch_multiple": self.generator_batch_multiple,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name}={count} must be at least 1")
        if self.use_fakes_twice and not self.can_use_fakes_twice:
            raise ValueError(
                f"use_fakes_twice=true needs accumulate_slices=1, generator_batch_multiple=1 and discriminator_turns "
                f"of 1 or more, but they are {self.accumulate_slices}, {self.generator_batch_multiple} and "
                f"{self.discriminator_turns}; change them, or leave use_fakes_twice out"
            )
        clips = {
            "discriminator_clip_norm": self.discriminator_clip_norm,
            "discriminator_clip_value": self.discriminator_clip_value,
            "generator_clip_norm": self.generator_clip_norm,
            "generator_clip_value": self.generator_clip_value,
        }
        for name, limit in clips.items():
            if limit is not None and not 0 < limit < math.inf:
                raise ValueError(f"{name}={limit} must be positive; leave it out for no clipping")
        try_optimizer(self.generator_optimizer, name="generator_optimizer")
        try_optimizer(self.discriminator_optimizer, name="discriminator_optimizer")

    def check_default_loss(self, model: str) -> None:
        """Check that no loss is given. Models with their own objective call this method.

        Args:
            model: Name of the model, for the error message.

        Raises:
            ValueError: if a loss is given.
        """
        if self.loss is not None:
            raise ValueError(f"{model} has an objective of its own; leave training.loss={self.loss} out")

    @property
    def can_use_fakes_twice(self) -> bool:
        """Whether the generator's turn has as many images as the discriminator's turn before it, and all at once."""
        return self.discriminator_turns > 0 and self.generator_batch_multiple == 1 and self.accumulate_slices == 1

    @property
    def pieces(self) -> int:
        """The number of parts that each batch is divided into, one for each turn of the discriminator."""
        return max(self.discriminator_turns, 1) if self.turns_share_batch else 1

    @property
    def generator_follows_every_batch(self) -> bool:
        """Whether the generator has a turn in every batch."""
        return self.turns_share_batch or self.discriminator_turns == 0

    def generator_follows(self, discriminator_turns_taken: int) -> bool:
        """Whether the generator has a turn in this batch.

        Args:
            discriminator_turns_taken: Number of turns that the discriminator has had since the start of training.
        """
        return self.generator_follows_every_batch or discriminator_turns_taken % self.discriminator_turns == 0
