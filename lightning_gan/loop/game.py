"""The game of a GAN: its two networks, their loss, what is drawn for a turn and what a turn computes.

A *turn* is one player's optimizer step: forward passes, the sum of the costs, one backward, one step. A model with
another game overrides what is drawn (`draw_rows`), how the discriminator scores (`score_turn`) and the cost
(`objective`). The loop in `loop/gan.py` takes the turns.
"""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import nn
from torch.optim import Optimizer

from lightning_gan.loop.draws import Draws, Leftover, Reals
from lightning_gan.loop.growable import Growable
from lightning_gan.loop.logged_numbers import (
    RawLogits,
    raw_logits,
)
from lightning_gan.loop.one_pass import check_scores_alone, together
from lightning_gan.loop.penalty_term import PenaltyTerm, named
from lightning_gan.loop.reals import TakesBatches
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.losses import AdversarialLoss, NonSaturating
from lightning_gan.tensors.draws_by_position import stacked, with_same_draws
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import (
    FakeImages,
    FakeLabels,
    FakeLatents,
    FakeLogits,
    Images,
    Labels,
    Latents,
    Logits,
    Scalar,
)


class Game(TakesBatches):
    """Two networks that play against each other, and the methods that a model of another game overrides.

    `GAN` trains it, and describes the arguments.
    """

    makes_images: ClassVar[bool] = True
    """False for models of other data. Callbacks that draw or evaluate images do not accept them."""
    turns_are_independent: ClassVar[bool] = True
    """False if a turn needs what the other player's turn passes on (`leftover`). Callbacks cannot compute the cost of
    such a turn separately."""
    gives_same_scores_in_one_pass: ClassVar[bool] = False
    """True if the discriminator has neither batch statistics, dropout or noise nor spectral normalization, so that it
    gives the same scores if real images and fakes go through it together."""
    uses_fakes_twice: ClassVar[bool] = False
    """True if the authors' generator learns from the images of the discriminator's turn before its own, so that this is
    the default of `training.use_fakes_twice`."""
    default_loss: ClassVar[type[AdversarialLoss]] = NonSaturating
    """Loss that is used if the training settings name none."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        latent_dim: int,
        number_of_classes: int,
        training: Training,
    ) -> None:
        super().__init__()
        check_at_least(0, latent_dim=latent_dim, number_of_classes=number_of_classes)
        self.generator = generator.to(memory_format=torch.channels_last)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.generator_ema = deepcopy(self.generator).requires_grad_(False).eval()
        self.latent_dim = latent_dim
        self.number_of_classes = number_of_classes
        self.settings = training  # the attribute `training` is a module's mode in PyTorch
        self.loss = self.default_loss() if training.loss is None else training.loss
        self.seed = training.seed
        self.resolution: int | None = None
        self.fade_in = 1.0
        self.gradient_scale = 1.0
        self.images_seen = 0
        self._joins = False  # in the present turn
        if training.use_fakes_twice and not self.turns_are_independent:
            raise ValueError(
                f"training.use_fakes_twice=true: the turns of {type(self).__name__} pass on what they need themselves; "
                "leave training.use_fakes_twice out"
            )
        if training.one_pass:
            if type(self).score_turn is not Game.score_turn:
                raise ValueError(
                    f"training.one_pass=true: {type(self).__name__} calls its discriminator in a way of its own; leave "
                    "training.one_pass out"
                )
            check_scores_alone(discriminator)
        self.image_transforms = nn.ModuleList()
        self.latent_transforms = nn.ModuleList()
        self.real_transforms = nn.ModuleList()

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> Scores:
        """The discriminator's scores of a turn's images. A model that calls it in another way overrides this method.

        Args:
            player: player whose turn it is.
            reals: real samples of the turn.
            draws: latents and labels that the fakes were made from.
            fake: fakes, which have no graph to the generator in the discriminator's turn.
        """
        if self._joins:
            with stacked(2):
                logits = self.score(*together(reals.images, reals.labels, fake, draws.labels))
            return Scores(real_logits=logits[: len(reals)], fake_logits=logits[len(reals) :], critic=self.score)
        needs_real = player == "discriminator" or self.loss.generator_needs_real
        return Scores(
            real_logits=self.score(reals.images, reals.labels) if needs_real else None,
            fake_logits=self.score(fake, draws.labels),
            critic=self.score,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """The terms of the cost of the player whose turn it is, by name, without the penalties of callbacks."""
        if turn.player == "discriminator":
            assert turn.real_logits is not None
            return {"adversarial": self.loss.discriminator(turn.real_logits, turn.fake_logits)}
        return {"adversarial": self.loss.generator(turn.real_logits, turn.fake_logits)}

    def leftover(self, turn: Turn) -> Leftover:
        """Tensors that a turn passes on to `draw` of the next turn of the same batch. The base class passes on none."""
        return ()

    def finish_batch(self) -> None:
        """Called after the last turn of a batch. Models override it to average values over ranks."""

    def draw(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Draws:
        """This rank's latents and classes for a turn. Over all ranks they are the same for any number of ranks.

        Classes are those of the real images unless `uniform_labels` is set. Models may override this method.

        Args:
            player: player whose turn it is.
            reals: real samples of the turn.
            batch: all real samples of the batch.
            turn: number of the turn within its batch, from 0.
            left: `leftover` of the preceding turn; empty in the first turn of a batch.
        """
        multiple = self.settings.generator_batch_multiple if player == "generator" else 1
        count, ranks = len(reals) * multiple, self.trainer.world_size
        start = self.global_rank * count
        if player == "generator" and self.fakes_serve_twice:
            turn -= 1  # the same numbers as in the discriminator's turn before
        random = torch.Generator(self.device)
        random.manual_seed(derived_seed(self.seed, "latents", self.images_seen, turn))
        draws = self.draw_rows(count * ranks, random).rows(start, start + count)
        if reals.labels is None:
            return draws
        if self.settings.uniform_labels:
            if reals.labels.dim() == 2:
                raise ValueError(
                    "uniform_labels=true draws one class for each image, and the data's labels are rows of numbers; "
                    "set it to false (--model.training.uniform_labels=false)"
                )
            drawn = torch.randint(self.number_of_classes, (count * ranks,), generator=random, device=self.device)
            return replace(draws, labels=drawn[start : start + count])
        return replace(draws, labels=torch.cat([reals.labels] * multiple))

    def draw_rows(self, count: int, random: torch.Generator) -> Draws:
        """All random numbers of a turn for `count` fakes, except their classes: here standard normal latents.

        A model that needs more random numbers, for example for the codes of an encoder, overrides this method and
        returns a class derived from `Draws`. These numbers do not depend on the number of ranks.
        """
        return Draws(latents=torch.randn(count, self.latent_dim, generator=random, device=random.device), labels=None)

    # ------------------------------------------------------------------ a turn

    @final
    def run_networks(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages | None) -> Turn:
        """Run the networks for one turn.

        Args:
            player: player whose turn it is.
            reals: real samples of the turn.
            draws: latents and labels of the fakes.
            fake: the fakes, without graph in the discriminator's turn; None makes them here.
        """
        if fake is None:
            fake = self.fakes(draws)
        return Turn(
            player=player,
            reals=reals,
            draws=draws,
            fake=fake,
            scores=self.score_turn(player, reals, draws, fake),
            generator=with_same_draws(self.generate),
            gradient_scale=self.gradient_scale,
        )

    def cost(
        self, player: Player, due: tuple[PenaltyTerm, ...], reals: Reals, draws: Draws, fake: FakeImages | None
    ) -> tuple[dict[str, Scalar], Leftover, RawLogits]:
        """The terms of a turn's cost, by name, its `leftover`, and its scores without gradient.

        `torch.compile` can compile it into one graph.
        """
        turn = self.run_networks(player, reals, draws, fake)
        penalties = {name: penalty.weighted(turn) for name, penalty in named(due).items()}
        return {**self.objective(turn), **penalties}, self.leftover(turn), raw_logits(turn.scores)

    def fakes(self, draws: Draws) -> FakeImages:
        """The fakes of a turn, in fp32. The latents are first transformed by `latent_transforms`."""
        latents = draws.latents
        for transform in self.latent_transforms:
            latents = transform(latents, draws.labels, score=partial(self._score_of_latents, labels=draws.labels))
        return self.generate(latents, draws.labels)

    def generate(self, latents: Latents, labels: Labels | None) -> Images:
        """Images of the generator that is trained, in fp32, `batch channels height width`, in about [-1, 1]."""
        images: Images = self.generator(latents) if labels is None else self.generator(latents, labels)
        return full_precision(images)

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Raw logits of the discriminator, in fp32, because losses and penalties are inaccurate in bf16."""
        logits: Logits = self.discriminate(images) if labels is None else self.discriminate(images, labels)
        return full_precision(logits)

    @final
    def discriminate(self, images: Images, *others: Any) -> Any:
        """The discriminator's output for images. In training mode `image_transforms` are applied to the images first.

        Args:
            images: images in about [-1, 1], `batch channels height width`.
            others: further arguments of the discriminator, such as labels, codes or noise.
        """
        if self.discriminator.training:
            for transform in self.image_transforms:
                images = transform(images)
        return self.discriminator(images, *others)

    def _score_of_latents(self, latents: FakeLatents, labels: FakeLabels | None) -> FakeLogits:
        return self.score(self.generate(latents, labels), labels)

    @property
    def fakes_serve_twice(self) -> bool:
        """Whether the generator's turn uses the latents and images of the discriminator's turn before it."""
        chosen = self.settings.use_fakes_twice
        wanted = self.uses_fakes_twice if chosen is None else chosen
        return wanted and self.settings.can_use_fakes_twice and len(self.latent_transforms) == 0

    # ------------------------------------------------------------------ networks

    def grow(self, resolution: int, fade_in: float, *, gradient_scale: float = 1.0) -> None:
        """Set the active resolution of all networks and of the real images, as `ProgressiveGrowing` does.

        Args:
            resolution: height and width of the images, in pixels.
            fade_in: weight of the newest blocks, in (0, 1]; 1 when they are fully faded in.
            gradient_scale: factor that `Turn.gradient_scale` has from now on.

        Raises:
            ValueError: if a network cannot grow.
        """
        for network in (self.generator, self.discriminator, self.generator_ema):
            if not isinstance(network, Growable):
                raise ValueError(
                    f"{type(network).__name__} cannot grow: it has no method grow(resolution, fade_in); leave "
                    "ProgressiveGrowing out, or give the configuration of a model that grows, such as stylegan.yaml"
                )
            network.grow(resolution, fade_in)
        self.resolution, self.fade_in, self.gradient_scale = resolution, fade_in, gradient_scale

    def configure_optimizers(self) -> list[Optimizer]:
        # In groups, because an optimizer accepts an empty group (a network without weights) but no empty list.
        discriminator, generator = (
            [{"params": [parameter for parameter in network.parameters() if parameter.requires_grad]}]
            for network in (self.discriminator, self.generator)
        )
        settings = self.settings
        return [settings.discriminator_optimizer(discriminator), settings.generator_optimizer(generator)]

    def train(self, mode: bool = True) -> "Game":
        super().train(mode)
        self.generator_ema.eval()  # it is only used for sampling
        return self

    @property
    def kimg(self) -> float:
        """Thousands of images that training has used, over all ranks."""
        return self.images_seen / 1000
