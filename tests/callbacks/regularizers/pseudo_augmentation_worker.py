"""Trains with APA on every rank that started it, whole and with a resume: `test_pseudo_augmentation_on_two_ranks.py`.

Run as `python -m tests.callbacks.regularizers.pseudo_augmentation_worker FOLDER`, with or without
`torch.distributed.run`. Every rank writes what it saw.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import dropout, softplus
from torch.utils.data import DataLoader

from lightning_gan import real as mark_real
from lightning_gan.callbacks import R1, AdaptivePseudoAugmentation
from lightning_gan.loop.gan import GAN
from tests.equality import start_of
from tests.foreign.games import NAMES, PAIRS, Game, Items
from tests.foreign.worker import shard_networks, weights
from tests.loop.distributed_worker import Deep, Toys
from tests.toys import FAST, ToyGenerator, toy_trainer

BATCH = 8
BATCHES_PER_EPOCH = 2
INTERVAL = 3
"""Batches between two steps of p. A resume after the first epoch is in the middle."""

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))


class Translation(Game):
    """Its fakes are made of the batch, so that they do not depend on ranks. It notes what its critic is given."""

    def make_critic(self) -> nn.Module:
        critic = super().make_critic()
        self.given: list[Tensor] = []
        critic.conv.register_forward_pre_hook(lambda module, given: self.given.append(given[0].detach().clone()))
        return critic

    def critic_loss(self, batch: Any) -> Tensor:
        source, real = batch
        return self.loss(self.D(real), self.D(self.G(source).detach()))

    def generator_loss(self, batch: Any) -> Tensor:
        return softplus(-self.D(self.G(batch[0]))).mean()


class Marking(Translation):
    """Its real images are computed from the batch, and marked."""

    def critic_loss(self, batch: Any) -> Tensor:
        source, real = batch
        return self.loss(self.D(mark_real(0.5 * real)), self.D(self.G(source).detach()))


def sampler(module: LightningModule, count: int, seed: int) -> Tensor:
    """Images of noise that the seed decides, with batch statistics, and with dropout, which draws by itself."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 1, 4, 4, dtype=torch.float64, generator=random)
    images: Tensor = module.G(dropout(noise / noise.std(), 0.2))
    return images


def settings(**others: Any) -> dict[str, Any]:
    """Settings of APA with which p rises by 0.08 every `INTERVAL` batches."""
    return {"initial_probability": 0.4, "adaptation_kimg": 0.3, "interval": INTERVAL, "target": -0.999, **others}


CASES: dict[str, tuple[Callable[[], LightningModule], Callable[[], list[Callback]]]] = {
    "plain": (Translation, lambda: [R1(gamma=1.0, **NAMES)]),
    "other": (
        Translation,
        lambda: [R1(gamma=1.0, **NAMES), AdaptivePseudoAugmentation(sampler=sampler, **NAMES, **settings())],
    ),
    "marking": (
        Marking,
        lambda: [
            R1(gamma=1.0, **NAMES),
            AdaptivePseudoAugmentation(sampler=sampler, **NAMES, **settings(real_share=0.5)),
        ],
    ),
    "gan": (
        lambda: GAN(generator=ToyGenerator(), discriminator=Deep(), latent_dim=4, training=FAST),
        lambda: [R1(gamma=1.0), AdaptivePseudoAugmentation(**settings())],
    ),
}


class Reader(Callback):
    """Notes p of every batch."""

    def __init__(self, callbacks: list[Callback]) -> None:
        self.read = [own for own in callbacks if isinstance(own, AdaptivePseudoAugmentation)]
        self.p: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        self.p += [float(own.transform.p) for own in self.read]


def batches_of_rank() -> DataLoader[Any]:
    """The rows of this rank, so that the batches of all ranks one behind the other are those of one process."""
    size = BATCH // RANKS
    items = [PAIRS[batch * BATCH + RANK * size + index] for batch in range(BATCHES_PER_EPOCH) for index in range(size)]
    return DataLoader(Items(items), batch_size=size)


def trained(case: str, *, epochs: int, resume: Path | None = None, save: Path | None = None) -> dict[str, Any]:
    """What a rank has after some epochs."""
    make, make_callbacks = CASES[case]
    callbacks = make_callbacks()
    torch.manual_seed(7)
    module = make().double()  # Lightning loads a checkpoint before it converts the weights, and would round them
    start, reader = start_of(module), Reader(callbacks)
    is_gan = isinstance(module, GAN)
    trainer = toy_trainer(
        *callbacks,
        reader,
        max_epochs=epochs,
        limit_train_batches=BATCHES_PER_EPOCH,
        precision="64-true",
        devices=RANKS,
        strategy="auto" if RANKS == 1 else "gan_ddp" if is_gan else "ddp_find_unused_parameters_true",
        use_distributed_sampler=False,
    )
    trainer.fit(module, Toys() if is_gan else batches_of_rank(), ckpt_path=resume)
    assert trainer.world_size == RANKS
    if save is not None:
        trainer.save_checkpoint(save)
    return {
        "weights": {name: value.detach().clone() for name, value in module.state_dict().items()} | start,
        "states": [own.state for own in reader.read],
        "p": reader.p,
        "given": [] if is_gan else module.given,
    }


def trained_in_shards(*, epochs: int, resume: Path | None = None, save: Path | None = None) -> dict[str, Any]:
    """What a rank has after some epochs of the case "other" with weights that are sharded over the ranks."""
    make, make_callbacks = CASES["other"]
    callbacks = make_callbacks()
    torch.manual_seed(7)
    module = make().double()
    shard_networks(module)
    reader = Reader(callbacks)
    trainer = toy_trainer(
        *callbacks,
        reader,
        max_epochs=epochs,
        limit_train_batches=BATCHES_PER_EPOCH,
        precision="64-true",
        devices=RANKS,
        strategy="gan_fsdp",
        use_distributed_sampler=False,
    )
    trainer.fit(module, batches_of_rank(), ckpt_path=resume)
    if save is not None:
        trainer.save_checkpoint(save)
    return {"weights": weights(module), "states": [own.state for own in reader.read], "p": reader.p}


def main(folder: Path) -> None:
    for case in CASES:
        found = {"whole": trained(case, epochs=3)}
        cut = folder / f"{case}_{RANKS}.ckpt"
        trained(case, epochs=1, save=cut)
        found["resumed"] = trained(case, epochs=3, resume=cut)
        torch.save(found, folder / f"{case}_{RANKS}_{RANK}.pt")
    if RANKS > 1:
        found = {"whole": trained_in_shards(epochs=3)}
        cut = folder / "shards.ckpt"
        trained_in_shards(epochs=1, save=cut)
        found["resumed"] = trained_in_shards(epochs=3, resume=cut)
        torch.save(found, folder / f"shards_{RANK}.pt")
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
