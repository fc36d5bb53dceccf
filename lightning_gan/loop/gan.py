"""The only loop of the package: an alternating game of a generator and a discriminator.

A *turn* is one player's move: look, add up what the look costs, one backward, one step. Nothing else in the package
zeroes gradients, calls backward or steps. A model with another game overrides `look` and `cost`, never `training_step`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gan.layers.resampling import faded
from lightning_gan.loop.batches import Batch, check_label_range, check_label_shape, images_and_labels
from lightning_gan.loop.distributed import (
    AveragesGradients,
    average_gradients,
    average_running_statistics,
    fit_to_two_players,
    frozen,
    kept_gathered,
    register_strategies,
    shard,
)
from lightning_gan.loop.growable import Growable
from lightning_gan.loop.penalty import AsksPenalties, AveragesGenerator, PenaltyTerm, named
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.losses import AdversarialLoss, NonSaturating
from lightning_gan.tensors.image_bytes import from_bytes
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import FakeImages, FakeLabels, FakeLatents, Images, Labels, Latents, Logits, Scalar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PLAYERS: tuple[Player, Player] = ("discriminator", "generator")


def unsaved_arguments(*of_the_model: str) -> list[str]:
    """Arguments that checkpoints leave out: modules, callables and dataclasses would have to be unpickled.

    Under the command line every argument is plain data and is saved.

    Args:
        of_the_model: those that are not every model's.
    """
    if _given_hyperparameters.get() is not None:
        return []
    return ["generator", "discriminator", "training", "auxiliary_classifier", *of_the_model]


def plain_data(**settings: "DataclassInstance") -> dict[str, Any]:
    """Hyperparameters of dataclasses of plain data: as plain data, and who makes dataclasses of them again."""
    return {
        **{name: asdict(of_one) for name, of_one in settings.items()},
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }


register_strategies()


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Inside, every submodule is in evaluation mode; afterwards each is in the mode it was in."""
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training


class GAN(LightningModule, AsksPenalties, AveragesGradients):
    """Any two networks, trained against each other.

    Networks are called `generator(latents)` and `discriminator(images)`, with the labels as a second argument when
    `number_of_classes` is not 0. Images are float in [-1, 1].

    Args:
        generator: makes images from standard normal latents.
        discriminator: scores images with raw logits, high for real.
        latent_dim: size of a latent.
        number_of_classes: 0 for an unconditional game, in which labels of the data are ignored.

    Raises:
        ValueError: for labels that are missing or out of range.
    """

    makes_images: ClassVar[bool] = True
    """False for games about something else, which callbacks that draw or measure images refuse."""
    turns_are_independent: ClassVar[bool] = True
    """False where a player's turn needs what the other's has left, so that no callback can look on its own at what both
    players' turns cost."""
    default_loss: ClassVar[type[AdversarialLoss]] = NonSaturating
    """The loss of a model whose training settings name none."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    _counts: Tensor

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        latent_dim: int,
        number_of_classes: int = 0,
        training: Training = Training(),
    ) -> None:
        super().__init__()
        if type(self) is GAN:  # a model saves its own arguments
            self.save_hyperparameters(ignore=unsaved_arguments())
        self.automatic_optimization = False
        self.generator = generator.to(memory_format=torch.channels_last)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.generator_ema = deepcopy(self.generator).requires_grad_(False).eval()
        self.latent_dim = latent_dim
        self.number_of_classes = number_of_classes
        self.settings = training  # `training` is PyTorch's word for a module's mode
        self.loss = self.default_loss() if training.loss is None else training.loss
        self.seed = training.seed
        self.resolution: int | None = None
        self.fade_in = 1.0
        self.gradient_scale = 1.0
        self.images_seen = 0
        self.discriminator_turns_taken = 0
        self.averaged = False
        self._latest_terms: dict[str, Tensor] = {}
        self._play_cost = self.cost
        # The counters live in Python, where reading them costs no synchronisation, and pass through this buffer to be
        # saved.
        self.register_buffer("_counts", torch.zeros(5, dtype=torch.int64))
        self.register_state_dict_pre_hook(_counters_to_buffer)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_counters_from_buffer)  # type: ignore[no-untyped-call]

    # ------------------------------------------------------------------ the game: what models override

    def look(
        self,
        player: Player,
        *,
        real: Images,
        labels: Labels | None,
        latents: FakeLatents,
        fake: FakeImages | None,
        fake_labels: FakeLabels | None,
    ) -> Turn:
        """Run the networks for one turn. `fake` is given, without graph, in the discriminator's turn alone."""
        real_logits: Logits | None = None
        if fake is None:
            fake = self.generate(latents, fake_labels)
            if self.loss.generator_needs_real:
                real_logits = self.score(real, labels)
        else:
            real_logits = self.score(real, labels)
        return Turn(
            player=player,
            real=real,
            labels=labels,
            latents=latents,
            fake=fake,
            fake_labels=fake_labels,
            real_logits=real_logits,
            fake_logits=self.score(fake, fake_labels),
            critic=self.score,
            generator=self.generate,
            gradient_scale=self.gradient_scale,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """What the game itself asks of the player whose turn it is, by name; penalties come on top."""
        if turn.player == "discriminator":
            assert turn.real_logits is not None
            return {"adversarial": self.loss.discriminator(turn.real_logits, turn.fake_logits)}
        return {"adversarial": self.loss.generator(turn.real_logits, turn.fake_logits)}

    def cost(
        self,
        player: Player,
        due: tuple[PenaltyTerm, ...],
        real: Images,
        labels: Labels | None,
        latents: FakeLatents,
        fake: FakeImages | None,
        fake_labels: FakeLabels | None,
    ) -> dict[str, Scalar]:
        """Everything a turn costs, by name. Tensors in, tensors out: it compiles into one graph."""
        turn = self.look(player, real=real, labels=labels, latents=latents, fake=fake, fake_labels=fake_labels)
        penalties = {name: penalty.weighted(turn) for name, penalty in named(due).items()}
        return {**self.objective(turn), **penalties}

    def finish_batch(self) -> None:
        """Called after the last turn of a batch, for averages that every rank gathered on its own."""

    def generate(self, latents: Latents, labels: Labels | None) -> Images:
        """Images of the generator in training, in fp32."""
        images: Images = self.generator(latents) if labels is None else self.generator(latents, labels)
        return full_precision(images)

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Logits of the discriminator, in fp32 because losses and penalties round badly in bf16."""
        logits: Logits = self.discriminator(images) if labels is None else self.discriminator(images, labels)
        return full_precision(logits)

    # ------------------------------------------------------------------ the loop

    @final
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch: the discriminator's turn or turns, then the generator's if it is due."""
        real, labels = self.prepare(batch)
        self._seed_noise(derived_seed(self.seed, "noise", self.images_seen, self.global_rank))
        self._count_batches_as_global_steps()
        pieces = self.settings.pieces
        if len(real) % (pieces * self.settings.accumulate_slices):
            raise ValueError(
                f"a batch of {len(real)} images per rank cannot be cut into {pieces} turns of "
                f"{self.settings.accumulate_slices} slices; choose a batch size that is a multiple"
            )
        turns = list(zip(real.chunk(pieces), [None] * pieces if labels is None else labels.chunk(pieces), strict=True))
        if self.settings.discriminator_turns:
            for turn, (images, classes) in enumerate(turns):
                self._play("discriminator", images, classes, turn=turn)
                self.discriminator_turns_taken += 1
        if self.settings.generator_follows(self.discriminator_turns_taken):
            self._play("generator", *turns[-1], turn=pieces)
        average_running_statistics(self.trainer.strategy, self.generator, self.discriminator)
        self.finish_batch()
        self.images_seen += len(real) * self.trainer.world_size
        if (batch_idx + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            rates = {
                f"{player}/learning_rate": own.param_groups[0]["lr"]
                for player, own in zip(PLAYERS, self._optimizers_in_order(), strict=True)
            }
            self.log_dict({"step": self.kimg, "kimg": self.kimg, **rates, **self._latest_terms})

    @final
    def _play(self, player: Player, real: Images, labels: Labels | None, *, turn: int) -> None:
        """One player's move."""
        optimizer = self._optimizer_of(player)
        due = tuple(penalty for penalty in self.penalties if penalty.is_due(player))
        opponent = self.generator if player == "discriminator" else self.discriminator
        slices = self.settings.accumulate_slices
        all_latents, all_fake_labels = self.draw_fakes(player, labels, images=len(real), turn=turn)
        optimizer.zero_grad()
        for images, classes, latents, fake_classes in zip(
            real.chunk(slices),
            [None] * slices if labels is None else labels.chunk(slices),
            all_latents.chunk(slices),
            [None] * slices if all_fake_labels is None else all_fake_labels.chunk(slices),
            strict=True,
        ):
            fake: FakeImages | None = None
            if player == "discriminator":
                with torch.no_grad():
                    fake = self.generate(latents, fake_classes)
                # Leaves, made differentiable out here: inside `cost` this would break the compiled graph.
                images = images.detach().requires_grad_(any(p.differentiates_real for p in due))
                fake = fake.detach().requires_grad_(any(p.differentiates_fake for p in due))
            with frozen(opponent):
                with kept_gathered(self.discriminator, self.generator) if due else nullcontext():
                    terms = self._play_cost(player, due, images, classes, latents, fake, fake_classes)
                self.manual_backward(torch.stack(list(terms.values())).sum() / slices)
        average_gradients(self.trainer.strategy, self.discriminator if player == "discriminator" else self.generator)
        optimizer.step()
        for penalty in due:
            penalty.after_step(self.trainer.strategy)
        every = {name: penalty.every_n_turns for name, penalty in named(due).items()}
        self._latest_terms |= {f"{player}/{name}": term.detach() / every.get(name, 1) for name, term in terms.items()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Here gradients are unscaled, and whatever callbacks have added is in them.
        index = next(i for i, own in enumerate(self._optimizers_in_order()) if own.optimizer is optimizer)
        player = PLAYERS[index]
        network = self.discriminator if player == "discriminator" else self.generator
        settings, is_discriminator = self.settings, player == "discriminator"
        value = settings.discriminator_clip_value if is_discriminator else settings.generator_clip_value
        norm = settings.discriminator_clip_norm if is_discriminator else settings.generator_clip_norm
        if value is not None:
            nn.utils.clip_grad_value_(network.parameters(), value)
        if norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), norm)

    def _seed_noise(self, seed: int) -> None:
        """Seed what networks draw by themselves: noise, style mixing, dropout."""
        # Not torch.manual_seed: it formats a stack trace for every kind of device that is not there, 1 ms per batch.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _count_batches_as_global_steps(self) -> None:
        """Let one optimizer alone move `trainer.global_step`, so that it counts batches and `max_steps` means them."""
        counted = "generator" if self.settings.generator_follows_every_batch else "discriminator"
        for player, optimizer in zip(PLAYERS, self._optimizers_in_order(), strict=True):
            if player != counted:
                optimizer._on_before_step = optimizer._on_after_step = _do_nothing

    def _optimizers_in_order(self) -> list[LightningOptimizer]:
        return cast("list[LightningOptimizer]", self.optimizers())

    def _optimizer_of(self, player: Player) -> LightningOptimizer:
        return self._optimizers_in_order()[PLAYERS.index(player)]

    @property
    def penalties(self) -> list[PenaltyTerm]:
        """The penalties among the trainer's callbacks."""
        return [callback for callback in self.trainer.callbacks if isinstance(callback, PenaltyTerm)]  # type: ignore[attr-defined]

    @property
    def kimg(self) -> float:
        """Thousands of images the discriminator has seen, over all ranks."""
        return self.images_seen / 1000

    # ------------------------------------------------------------------ data

    def prepare(self, batch: Batch) -> tuple[Images, Labels | None]:
        """Images in [-1, 1] at the active resolution, and labels if the game has classes."""
        images, labels = images_and_labels(batch)
        if images.dtype == torch.uint8:
            images = from_bytes(images)
        if self.resolution is not None:
            images = faded(images, resolution=self.resolution, fade_in=self.fade_in)
        if self.number_of_classes:
            check_label_shape(labels, images=len(images), number_of_classes=self.number_of_classes)
            if self.images_seen == 0 and labels is not None:  # once, because reading them waits for the device
                check_label_range(labels, number_of_classes=self.number_of_classes)
        return images.contiguous(memory_format=torch.channels_last), labels if self.number_of_classes else None

    def draw_fakes(
        self, player: Player, labels: Labels | None, *, images: int, turn: int
    ) -> tuple[FakeLatents, FakeLabels | None]:
        """This rank's latents and classes for a turn on `images` real images, the same for any number of ranks.

        Classes are those of the real images, unless the loop draws them. A model whose fakes come from elsewhere
        overrides this; whatever it gives as latents arrives, slice by slice, in `look` and in `generate`.
        """
        multiple = self.settings.generator_batch_multiple if player == "generator" else 1
        count, ranks = images * multiple, self.trainer.world_size
        share = slice(self.global_rank * count, (self.global_rank + 1) * count)
        random = torch.Generator(self.device)
        random.manual_seed(derived_seed(self.seed, "latents", self.images_seen, turn))
        latents = self.draw_noise(count * ranks, random)[share]
        if labels is None:
            return latents, None
        if self.settings.uniform_labels:
            drawn = torch.randint(self.number_of_classes, (count * ranks,), generator=random, device=self.device)
            return latents, drawn[share]
        return latents, torch.cat([labels] * multiple)

    def draw_noise(self, count: int, random: torch.Generator) -> FakeLatents:
        """Everything random that a turn needs for `count` fakes, a row each: latents, here standard normal.

        A model that needs more, for codes of an encoder, say, overrides this and puts it behind the latents: what is
        drawn here is the same for any number of ranks, what networks draw by themselves is not.
        """
        return torch.randn(count, self.latent_dim, generator=random, device=random.device)

    # ------------------------------------------------------------------ sampling

    def draw_latents(self, count: int, *, seed: int) -> tuple[Latents, Labels | None]:
        """Inputs for `sample`: a function of `count` and `seed` alone. Labels go through the classes in turn."""
        generator = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        latents = torch.randn(count, self.latent_dim, generator=generator).to(self.device)
        if not self.number_of_classes:
            return latents, None
        return latents, torch.arange(count, device=self.device) % self.number_of_classes

    @property
    def sampling_generator(self) -> nn.Module:
        """The EMA generator if an `EMA` callback moves it, else the generator."""
        return self.generator_ema if self.averaged else self.generator

    @torch.no_grad()
    def sample(
        self, latents: Latents, labels: Labels | None = None, *, truncation: float = 1.0, ema: bool = True
    ) -> Images:
        """Images in about [-1, 1] (not clipped), at the active resolution, from networks in evaluation mode.

        Args:
            latents: `batch latent_dim`, standard normal.
            labels: class indices, needed if `number_of_classes` is not 0.
            truncation: 1 samples the whole distribution; a model that offers less overrides `truncated`.
            ema: sample the EMA generator, if there is one.

        Raises:
            ValueError: if labels are missing or out of range, or the model cannot truncate.
        """
        labels = self.checked_labels(labels)
        network = self.sampling_generator if ema else self.generator
        with evaluation_mode(network):
            images = self.truncated(network, latents, labels, truncation=truncation)
        return full_precision(images)

    def checked_labels(self, labels: Labels | None) -> Labels | None:
        """The labels to sample with: those given, or None without classes.

        Raises:
            ValueError: if the model has classes and labels are missing or out of range.
        """
        if not self.number_of_classes:
            return None
        if labels is None:
            raise ValueError(f"the model has {self.number_of_classes} classes: give a label per sample")
        check_label_range(labels, number_of_classes=self.number_of_classes)
        return labels

    def truncated(self, network: nn.Module, latents: Latents, labels: Labels | None, *, truncation: float) -> Images:
        """Images of `network` with the model's own truncation trick; this base has none."""
        if truncation != 1.0:
            raise ValueError(f"{type(self).__name__} has no truncation trick; truncation={truncation} must be 1")
        images: Images = network(latents) if labels is None else network(latents, labels)
        return images

    # ------------------------------------------------------------------ growing

    def grow(self, resolution: int, fade_in: float, *, gradient_scale: float = 1.0) -> None:
        """Set the active resolution of every network that can grow, and of the real images.

        Raises:
            ValueError: if a network cannot grow.
        """
        for network in (self.generator, self.discriminator, self.generator_ema):
            if not isinstance(network, Growable):
                raise ValueError(f"{type(network).__name__} cannot grow: it has no method grow(resolution, fade_in)")
            network.grow(resolution, fade_in)
        self.resolution, self.fade_in, self.gradient_scale = resolution, fade_in, gradient_scale

    # ------------------------------------------------------------------ Lightning's hooks

    def configure_optimizers(self) -> list[Optimizer]:
        # As groups, because an optimizer takes an empty group (a critic without weights) and no empty list.
        discriminator, generator = (
            [{"params": [parameter for parameter in network.parameters() if parameter.requires_grad]}]
            for network in (self.discriminator, self.generator)
        )
        settings = self.settings
        return [settings.discriminator_optimizer(discriminator), settings.generator_optimizer(generator)]

    def setup(self, stage: str) -> None:
        fit_to_two_players(self.trainer.strategy)
        if stage == "fit":
            turns = self.settings.discriminator_turns
            idle = [] if turns else [p for p in self.penalties if p.player == "discriminator"]
            if idle:
                raise ValueError(
                    f"{type(idle[0]).__name__} regularizes the discriminator, which takes no turns "
                    "(discriminator_turns=0); leave the callback out"
                )
            self.averaged |= any(isinstance(c, AveragesGenerator) for c in self.trainer.callbacks)  # type: ignore[attr-defined]
            if self.settings.compile:
                graph = torch.compile(self.cost, fullgraph=True, dynamic=False)
                # Without this flag the inner gradient of a penalty would break the graph.
                self._play_cost = torch._dynamo.config.patch(trace_autograd_ops=True)(graph)

    def configure_model(self) -> None:
        if self._device_mesh is not None and not isinstance(self.generator, torch.distributed.fsdp.FSDPModule):
            for network in (self.generator, self.discriminator, self.generator_ema):
                shard(network, mesh=self._device_mesh["data_parallel"])

    def train(self, mode: bool = True) -> "GAN":
        super().train(mode)
        self.generator_ema.eval()  # it is only ever sampled
        return self

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: callbacks evaluate. It is here so that `validate` runs."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: callbacks evaluate. It is here so that `test` runs."""


_FADE_UNIT = 10**9
"""Weights of new blocks are saved in billionths: one integer buffer holds all counters, whatever precision a module is
cast to."""


def _counters_to_buffer(module: GAN, prefix: str, keep_vars: bool) -> None:
    module._counts.copy_(
        torch.tensor(
            [
                module.images_seen,
                module.discriminator_turns_taken,
                int(module.averaged),
                module.resolution or 0,
                round(module.fade_in * _FADE_UNIT),
            ]
        )
    )


def _counters_from_buffer(module: GAN, incompatible_keys: Any) -> None:
    module.images_seen, module.discriminator_turns_taken, averaged, resolution, fade_in = (
        int(count) for count in module._counts.tolist()
    )
    module.averaged = bool(averaged)
    if resolution:
        module.grow(resolution, fade_in / _FADE_UNIT)


def _do_nothing() -> None:
    """In place of an optimizer's hook that counts a global step."""
