"""The training loop of the package, in which a generator and a discriminator are trained in alternation.

The game that it plays, which models override, is in `loop/game.py`. No model overrides `training_step`.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast, final

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gan.compat import do_not_count_steps, do_not_search_for_gpus, forget_logged
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.compiled import CompiledCost, Cost
from lightning_gan.loop.counters import NUMBER_OF_COUNTERS, counters_from_buffer, counters_to_buffer
from lightning_gan.loop.csv_log import continue_logs
from lightning_gan.loop.distributed import (
    AveragesGradients,
    NetworkParts,
    average_gradients,
    average_running_statistics,
    fit_to_two_players,
    frozen,
    kept_gathered,
    parts_of,
    register_strategies,
    shard,
)
from lightning_gan.loop.draws import Draws, Leftover, Reals, joined
from lightning_gan.loop.endings import RefusesEndlessTraining
from lightning_gan.loop.game import Game
from lightning_gan.loop.half_weights import check_precision
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.logged_numbers import SCORES, RawLogits, check_logging_interval, exact, numbers_of_scores
from lightning_gan.loop.monitors import look, refuse_unseen, watch_monitors
from lightning_gan.loop.optimizer_settings import AppliesOptimizerSettings
from lightning_gan.loop.other_networks import ExplainsOtherNetworks
from lightning_gan.loop.penalty_term import PenaltyTerm, named
from lightning_gan.loop.replaced_reals import Replacements, drawn_replacements, with_replacements
from lightning_gan.loop.settings import Training
from lightning_gan.loop.transforms import RealTransform, Transform
from lightning_gan.loop.turn import PLAYERS, Player
from lightning_gan.tensors.draws_by_position import drawing
from lightning_gan.tensors.precision import without_autocast
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import FakeImages

register_strategies()


class GAN(Game, AppliesOptimizerSettings, ExplainsOtherNetworks, RefusesEndlessTraining, AveragesGradients):
    """A generative adversarial network (arXiv:1406.2661) of any generator and discriminator.

    The networks are called as `generator(latents)` and `discriminator(images)`, with labels as a second argument if
    `number_of_classes` is not 0. Images are float in [-1, 1], `batch channels height width`.

    Args:
        generator: Network that makes images from standard normal latents, `batch latent_dim`.
        discriminator: Network that returns raw logits of images. High logits mean real.
        latent_dim: Size of a latent.
        number_of_classes: Number of classes of the labels. 0 trains an unconditional model and ignores labels.
        training: The loss, the optimizers, the alternation of the players and the seed.

    Raises:
        ValueError: for one pass (`training.one_pass`) of a discriminator in which the samples of a batch meet; in
            training, for images and labels that do not fit the model, for labels out of range in any batch,
            and for losses, gradients, weights and pixels that are not finite.
    """

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
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        if type(self) is GAN:  # a model saves its own arguments
            self.save_hyperparameters(ignore=unsaved_arguments())
        self.automatic_optimization = False
        self.discriminator_turns_taken = 0
        self.averaged = False
        self._latest_terms: dict[str, Tensor] = {}
        self._latest_logits: RawLogits | None = None
        self._parts: NetworkParts | None = None
        self._penalties: list[PenaltyTerm] = []
        self._one_pass = self.gives_same_scores_in_one_pass if training.one_pass is None else training.one_pass
        self._keeps_fakes = False  # in the present turn
        self._kept_fakes: FakeImages | None = None  # with their graph, from the discriminator's turn to the generator's
        self._trains_first_batch = self._looks_at_batch = self._leaves_step_out = False
        self.watch(on=False)
        self._play_cost: Cost = self.cost
        # Counters are Python numbers, which are read without synchronisation. This buffer is used to save them.
        self.register_buffer("_counts", torch.zeros(NUMBER_OF_COUNTERS, dtype=torch.int64))
        self.register_state_dict_pre_hook(counters_to_buffer)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(counters_from_buffer)  # type: ignore[no-untyped-call]

    # ------------------------------------------------------------------ the loop

    @final
    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train on one batch: first the turn or turns of the discriminator, then the generator's turn if it is due."""
        if self._trains_first_batch:
            self._trains_first_batch = False
            self.look_at_first_of_training(batch)
        with self._guarded():
            self._train(batch, batch_idx)

    @final
    def _train(self, batch: Any, batch_idx: int) -> None:
        """Take the turns of a batch, advance the clock and log."""
        reals = self.prepare(batch)
        self._count_batches_as_global_steps()
        for transform in self._transforms:
            transform.begin_batch(self.images_seen)
        pieces = self.settings.pieces
        if len(reals) % (pieces * self.settings.accumulate_slices):
            raise ValueError(
                f"a batch of {len(reals)} samples per rank cannot be cut into {pieces} turns of "
                f"{self.settings.accumulate_slices} slices; choose a batch size that is a multiple"
            )
        turns, slices = reals.chunk(pieces), self.settings.accumulate_slices
        left: Leftover = ()
        seed = derived_seed(self.seed, "noise", self.images_seen, 0)
        first, parts = self.global_rank * slices, self.trainer.world_size * slices
        with drawing(self.device, seed=seed, first=first, parts=parts) as self._numbers:
            for turn, piece in enumerate(turns if self.settings.discriminator_turns else []):
                follows = turn == pieces - 1 and self.settings.generator_follows(self.discriminator_turns_taken + 1)
                self._keeps_fakes = follows and self.fakes_serve_twice
                left = self._play("discriminator", piece, batch=reals, turn=turn, left=left)
                self.discriminator_turns_taken += 1
            if self.settings.generator_follows(self.discriminator_turns_taken):
                self._play("generator", turns[-1], batch=reals, turn=pieces, left=left)
            self._kept_fakes = None
        average_running_statistics(self.trainer.strategy, self.generator, self.discriminator)
        self.finish_batch()
        self.images_seen += len(reals) * self.trainer.world_size
        logs = self._logs(batch_idx)
        self.end_watched_batch(logs=logs)
        if logs:
            rates = {
                f"{player}/learning_rate": exact(float(own.param_groups[0]["lr"]))
                for player, own in zip(PLAYERS, self._optimizers_in_order(), strict=True)
            }
            clock = {"step": exact(self.images_seen), "kimg": exact(self.kimg)}
            numbers = clock | rates | self._latest_terms | numbers_of_scores(self._latest_logits)
            self.log_dict(numbers)
            look(self.trainer, numbers.keys())

    def _guarded(self) -> AbstractContextManager[None]:
        """Context manager for a batch, which tells callbacks if turns are compiled in it."""
        if not isinstance(self._play_cost, CompiledCost):
            return nullcontext()
        players: list[tuple[Player, int]] = []
        if self.settings.discriminator_turns:
            players += [("discriminator", turn) for turn in range(self.settings.pieces)]
        if self.settings.generator_follows(self.discriminator_turns_taken + len(players)):
            players.append(("generator", 0))
        turns = [
            (player, tuple(p for p in self._penalties if p.will_be_due(player, turns_ahead=ahead)))
            for player, ahead in players
        ]
        return self._play_cost.guarded(turns, self.trainer)

    def _growth_stage(self) -> tuple[int | None, bool]:
        """The active resolution, and whether its blocks are being faded in."""
        return self.resolution, self.fade_in < 1

    def _logs(self, batch_idx: int) -> bool:
        """Whether the numbers of a batch are logged."""
        return bool((batch_idx + 1) % self.trainer.log_every_n_steps == 0)  # type: ignore[attr-defined]

    @final
    def _play(self, player: Player, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Leftover:
        """Take one player's turn on a part of the batch, and return its `leftover`."""
        optimizer = self._optimizer_of(player)
        due = tuple(penalty for penalty in self._penalties if penalty.is_due(player))
        slices = self.settings.accumulate_slices
        for transform in self._transforms:
            transform.player = player
        drawn = self.draw(player, reals, batch=batch, turn=turn, left=left)
        others = self._replacements(reals, batch=batch, turn=turn, left=left) if player == "discriminator" else None
        optimizer.zero_grad()
        leftovers: list[Leftover] = []
        for part, (real, draws) in enumerate(zip(reals.chunk(slices), drawn.chunk(slices), strict=True)):
            if player == "discriminator" or self._kept_fakes is None:
                self._numbers.begin_part(part)
            if others is not None:
                real = with_replacements(
                    real,
                    others.chunk(slices)[part],
                    transforms=[cast("RealTransform", transform) for transform in self.real_transforms],
                    generator=self.generator,
                    generate=self.generate,
                )
            leftovers.append(self._play_slice(player, due, real, draws, slices=slices))
        average_gradients(self.trainer.strategy, self.discriminator if player == "discriminator" else self.generator)
        self._leaves_step_out = False
        optimizer.step()
        for penalty in due:
            if self._leaves_step_out:
                penalty.forget()
            else:
                penalty.after_step(self.trainer.strategy)
        return joined(leftovers)

    def _replacements(self, reals: Reals, *, batch: Reals, turn: int, left: Leftover) -> Replacements | None:
        """What real images of a discriminator's turn may be replaced with; None if nothing replaces them."""
        if not len(self.real_transforms):
            return None
        unused = self.settings.pieces + 1 + turn  # the number of no turn, so that the latents are nobody else's
        return drawn_replacements(
            self.draw("discriminator", reals, batch=batch, turn=unused, left=left),
            reals,
            seed=self.seed,
            images_seen=self.images_seen,
            turn=turn,
            rank=self.global_rank,
            ranks=self.trainer.world_size,
        )

    def _play_slice(
        self, player: Player, due: tuple[PenaltyTerm, ...], real: Reals, draws: Draws, *, slices: int
    ) -> Leftover:
        """Add the gradients of a slice of a turn, and return its `leftover`."""
        fake = self._kept_fakes
        # The latents are made to require grad here, because inside of `cost` this would break the compiled graph.
        if any(transform.differentiates for transform in self.latent_transforms):
            draws = replace(draws, latents=draws.latents.detach().requires_grad_())
        if player == "discriminator":
            with nullcontext() if self._keeps_fakes else torch.no_grad():
                fake = self.fakes(draws)
            self._kept_fakes = fake if self._keeps_fakes else None
            images = real.images.detach().requires_grad_(any(p.differentiates_real for p in due))
            real = replace(real, images=images)
            fake = fake.detach().requires_grad_(any(p.differentiates_fake for p in due))
        parts = self._network_parts()
        with frozen(parts.generator if player == "discriminator" else parts.discriminator):
            with kept_gathered(parts.shards) if due else nullcontext():
                self._joins = self._one_pass and player == "discriminator" and not due
                terms, leftover, logits = self._play_cost(player, due, real, draws, fake)
                self._joins = False
            # Most costs are one term, for which nothing is added up.
            costs = torch.stack(list(terms.values())) if len(terms) > 1 else next(iter(terms.values())).reshape(1)
            total = costs.sum() if len(terms) > 1 else costs[0]
            # Penalties have differentiated by the images. The cost is differentiated by the weights alone, which saves
            # the first layer's gradient by its input. (FSDP2's weights are not leaves of the graph.)
            trained = [weight for weight in parts.discriminator if weight.requires_grad] if due else []
            only = {"inputs": trained} if trained and player == "discriminator" else {}
            with without_autocast(self.device):  # it would round the derivatives of penalties
                self.manual_backward(total / slices if slices > 1 else total, **only)
        # A penalty is logged by its name among all penalties, while `terms` names it among those that are due.
        own = {name: (p.logged_name(self._penalties), p.every_n_turns) for name, p in named(due).items()}
        titles: list[str] = []
        for name, term in terms.items():
            title, every = own.get(name, (name, 1))
            titles.append(f"{player}/{title}")
            self._latest_terms[titles[-1]] = term.detach() / every if every > 1 else term.detach()
        if player == "discriminator":
            self._latest_logits = logits
        self.record_terms(player, costs, names=titles)
        return leftover

    @property
    def _transforms(self) -> list[Transform]:
        every = (*self.latent_transforms, *self.image_transforms, *self.real_transforms)
        return [cast("Transform", module) for module in every]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Here gradients are unscaled and include those that callbacks have added.
        index = next(i for i, own in enumerate(self._optimizers_in_order()) if own.optimizer is optimizer)
        player = PLAYERS[index]
        self._leaves_step_out = self.record_gradients(player, optimizer)
        if self._leaves_step_out:
            return
        network = self.discriminator if player == "discriminator" else self.generator
        settings, is_discriminator = self.settings, player == "discriminator"
        value = settings.discriminator_clip_value if is_discriminator else settings.generator_clip_value
        norm = settings.discriminator_clip_norm if is_discriminator else settings.generator_clip_norm
        if value is not None:
            nn.utils.clip_grad_value_(network.parameters(), value)
        if norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), norm)

    def _count_batches_as_global_steps(self) -> None:
        """Let only one optimizer increase `trainer.global_step`, so that it and `max_steps` count batches."""
        counted = "generator" if self.settings.generator_follows_every_batch else "discriminator"
        for player, optimizer in zip(PLAYERS, self._optimizers_in_order(), strict=True):
            if player != counted:
                do_not_count_steps(optimizer)

    def _optimizers_in_order(self) -> list[LightningOptimizer]:
        return cast("list[LightningOptimizer]", self.optimizers())

    def _optimizer_of(self, player: Player) -> LightningOptimizer:
        return self._optimizers_in_order()[PLAYERS.index(player)]

    @property
    def penalties(self) -> list[PenaltyTerm]:
        """The penalties among the trainer's callbacks."""
        return [callback for callback in self.trainer.callbacks if isinstance(callback, PenaltyTerm)]  # type: ignore[attr-defined]

    # ------------------------------------------------------------------ data

    # ------------------------------------------------------------------ growing

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, stage: str) -> None:
        check_precision(self.trainer.precision)
        self.trainer.precision_plugin.convert_module(self)  # before a checkpoint of doubles is loaded into floats
        fit_to_two_players(self.trainer.strategy)
        self._trains_first_batch = self._looks_at_batch = True
        self.watch(on=True)
        if stage == "fit":
            check_logging_interval(self.trainer)
            do_not_search_for_gpus()
            watch_monitors(self.trainer, prefixes=(*(f"{player}/" for player in PLAYERS), SCORES))
            if self.settings.use_fakes_twice and not self.fakes_serve_twice:
                raise ValueError(
                    f"training.use_fakes_twice=true: {type(self.latent_transforms[0]).__name__} changes the latents of "
                    "each turn; leave one of both out"
                )
            turns = self.settings.discriminator_turns
            idle = [] if turns else [p for p in self.penalties if p.player == "discriminator"]
            if idle:
                raise ValueError(
                    f"{type(idle[0]).__name__} regularizes the discriminator, which takes no turns "
                    "(discriminator_turns=0); leave the callback out"
                )
            self.averaged |= any(isinstance(c, AveragesGenerator) for c in self.trainer.callbacks)  # type: ignore[attr-defined]
            if self.settings.compile:
                self._play_cost = CompiledCost(self.cost, stage=self._growth_stage)

    def _network_parts(self) -> NetworkParts:
        if self._parts is None:
            self._parts = parts_of(self.discriminator, self.generator)
        return self._parts

    def on_train_start(self) -> None:
        super().on_train_start()
        self._parts = None  # callbacks may have changed the networks before
        self._penalties = self.penalties
        refuse_unseen(self.trainer, known=[f"{player}/adversarial" for player in PLAYERS])
        continue_logs(self.trainer, images_seen=self.images_seen)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainer.should_stop and not self._logs(batch_idx):
            forget_logged(self.trainer)  # Lightning would log the numbers of an earlier batch once more

    def teardown(self, stage: str) -> None:
        self._looks_at_batch = False
        self._parts = None
        self.watch(on=False)

    def configure_model(self) -> None:
        if self.device_mesh is not None and not isinstance(self.generator, torch.distributed.fsdp.FSDPModule):
            for network in (self.generator, self.discriminator, self.generator_ema):
                shard(network, mesh=self.device_mesh["data_parallel"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Do nothing. Callbacks evaluate; Lightning requires this method for `validate`."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Do nothing. Callbacks evaluate; Lightning requires this method for `test`."""
